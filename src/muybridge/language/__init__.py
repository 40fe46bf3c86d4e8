"""Language models and classifiers, for plain text and for any other stream of tokens."""
