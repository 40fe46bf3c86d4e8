"""Write tests/parity/sklearn_golden.json: scikit-learn's answers on small made-up counts.

Run with scikit-learn 1.9.1 in an environment of its own: python scripts/reference_sklearn.py
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.naive_bayes import MultinomialNB

TARGET = Path(__file__).parents[1] / "tests" / "parity" / "sklearn_golden.json"
SAMPLES, FEATURES = 40, 6


def case(classes: int) -> dict[str, object]:
    """One problem with its answers."""
    random = np.random.default_rng(classes)
    rates = random.gamma(1.0, size=(classes, FEATURES))
    truth = random.integers(0, classes, SAMPLES)
    truth[:classes] = np.arange(classes)
    samples = random.poisson(rates[truth])
    bayes = MultinomialNB(alpha=0.7).fit(samples, truth)
    linear = LogisticRegression(C=2.0, tol=1e-12, max_iter=100_000).fit(samples, truth)
    given = bayes.predict(samples)
    three = precision_recall_fscore_support(truth, given, average=None, zero_division=0)
    return {
        "samples": samples.tolist(),
        "classes": truth.tolist(),
        "naive_bayes": bayes.predict_log_proba(samples).tolist(),
        "log_linear": linear.predict_log_proba(samples).tolist(),
        "confusion": confusion_matrix(truth, given).tolist(),
        "precision": three[0].tolist(),
        "recall": three[1].tolist(),
        "f1": three[2].tolist(),
    }


if __name__ == "__main__":
    golden = {"scikit-learn": sklearn.__version__, "cases": [case(2), case(4)]}
    TARGET.write_text(json.dumps(golden) + "\n")
