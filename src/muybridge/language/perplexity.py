"""Perplexity and bits per character: how well a model predicts a text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muybridge.language.corpus import Sentences
from muybridge.language.ngram import NgramModel
from muybridge.language.vocabulary import UNKNOWN_ID

__all__ = ["Perplexity", "measure"]

BITS = float(np.log2(10.0))  # in one unit of log10


@dataclass(frozen=True)
class Perplexity:
    """What predicting a text costs.

    An open vocabulary charges `<unk>` for an unknown word, which does not spell it: bits per
    character then compare only between models of the same vocabulary. With a closed vocabulary a
    text with unknown words has perplexity infinity; the figures without them are still finite.

    Attributes:
        predicted: Words that were predicted, `</s>` included.
        unknown: How many of them the vocabulary lacks.
        bits: -log2 p of all words.
        bits_known: The same without the unknown words.
        characters: Length of the text, line breaks included.
    """

    predicted: int
    unknown: int
    bits: float
    bits_known: float
    characters: int

    @property
    def perplexity(self) -> float:
        """2 to the mean bits of a word, unknown words included."""
        return float(np.exp2(self.bits_per_token))

    @property
    def perplexity_known(self) -> float:
        """The same without the unknown words."""
        return float(np.exp2(self.bits_known / max(self.predicted - self.unknown, 1)))

    @property
    def bits_per_token(self) -> float:
        """Mean bits of a word."""
        return self.bits / self.predicted

    @property
    def nats_per_token(self) -> float:
        """The same in nats: the loss that neural models report."""
        return self.bits_per_token * float(np.log(2.0))

    @property
    def bits_per_character(self) -> float:
        """Bits for each character of the text as it stands in the file."""
        return self.bits / self.characters


def measure(model: NgramModel, sentences: Sentences) -> Perplexity:
    """Score a text and add up.

    Args:
        model: Any model.
        sentences: Encoded by the model's vocabulary.
    """
    bits = -model.score(sentences) * BITS
    unknown = sentences.ids == UNKNOWN_ID
    return Perplexity(
        predicted=sentences.predicted,
        unknown=int(np.count_nonzero(unknown)),
        bits=float(bits.sum()),
        bits_known=float(bits[~unknown].sum()),
        characters=sentences.characters,
    )
