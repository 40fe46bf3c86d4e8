"""How good a classifier is: accuracy, precision, recall, F1, confusion. K classes, N samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, Integer

__all__ = ["Scores", "confusion"]


@dataclass(frozen=True)
class Scores:
    """Every figure that follows from a confusion matrix; 0 where a figure would divide by 0.

    Attributes:
        matrix: Samples of each true class (rows) that were given each class (columns).
    """

    matrix: Int64[np.ndarray, "k k"]

    @property
    def accuracy(self) -> float:
        """Share of samples that are right; so are micro precision, recall and F1."""
        return float(np.trace(self.matrix) / self.matrix.sum())

    @property
    def precision(self) -> Float64[np.ndarray, "k"]:
        """Of what was called this class, the share that is."""
        return _share(np.diag(self.matrix), self.matrix.sum(axis=0))

    @property
    def recall(self) -> Float64[np.ndarray, "k"]:
        """Of what is this class, the share that was called so."""
        return _share(np.diag(self.matrix), self.matrix.sum(axis=1))

    @property
    def f1(self) -> Float64[np.ndarray, "k"]:
        """Harmonic mean of precision and recall."""
        both = self.matrix.sum(axis=0) + self.matrix.sum(axis=1)
        return _share(2 * np.diag(self.matrix), both)

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the classes, however rare."""
        return float(self.f1.mean())

    @property
    def macro_precision(self) -> float:
        """Mean precision of the classes."""
        return float(self.precision.mean())

    @property
    def macro_recall(self) -> float:
        """Mean recall of the classes."""
        return float(self.recall.mean())


def confusion(
    truth: Integer[np.ndarray, "n"], given: Integer[np.ndarray, "n"], number: int
) -> Int64[np.ndarray, "k k"]:
    """Samples of each true class (rows) that were given each class (columns)."""
    pairs = truth.astype(np.int64) * number + given
    return np.bincount(pairs, minlength=number * number).reshape(number, number)


def _share(part: Int64[np.ndarray, "k"], whole: Int64[np.ndarray, "k"]) -> Float64[np.ndarray, "k"]:
    return np.where(whole > 0, part / np.maximum(whole, 1), 0.0)
