"""Log-linear (maximum-entropy) language models, exact: every history and feature is listed.

    p(w | h) = exp(sum_i lambda_i f_i(h, w)) / Z(h)

Features say "these words at these lags of the history, and w next": n-grams are the templates
(), (1,), (1, 2), ...; (2,) is a skip bigram. At the optimum each feature is expected as often as it
was observed, so with n-gram features and no regulariser the model is the n-gram of relative
frequencies: its zeros are reached only in the limit, lambda -> -inf.

`LogLinear` holds every pair (history, word) of a small problem in one sparse matrix; `maxent_train`
fits it. `maxent_hashed` is the same model for long texts.

V vocabulary; H histories, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy import sparse
from scipy.special import log_softmax

from muybridge.errors import InputError

__all__ = ["LogLinear", "Template", "ngram_templates"]

Template = tuple[int, ...]  # lags, 1 is the last token


def ngram_templates(order: int) -> tuple[Template, ...]:
    """The templates of all n-grams up to `order`: no history, the last token, the last two, ..."""
    return tuple(tuple(range(1, n)) for n in range(1, order + 1))


@dataclass(frozen=True)
class LogLinear:
    """A log-linear model of a text, with all its histories and features listed.

    Attributes:
        histories: Distinct histories, oldest token first; V stands before the text.
        counts: How often each word followed each history.
        features: Row h V + w: which features are on for word w after history h.
    """

    histories: Int64[np.ndarray, "h n"]
    counts: Float64[np.ndarray, "h v"]
    features: sparse.csr_matrix

    @classmethod
    def of(
        cls,
        tokens: Sequence[int],
        vocabulary: int,
        templates: Sequence[Template],
        observed: bool = True,
    ) -> LogLinear:
        """Histories, counts and features of a text.

        Args:
            tokens: The text.
            vocabulary: V.
            templates: Lags that make a feature together.
            observed: Keep only features that occur. False keeps all words after each history that
                does: more features, but zeros can be fitted.
        Raises:
            InputError: If the text is empty, or holds tokens outside the vocabulary.
        """
        text = np.asarray(tokens, dtype=np.int64)
        if not len(text) or text.min() < 0 or text.max() >= vocabulary:
            raise InputError(
                f"expected tokens from 0 to {vocabulary - 1}, got {len(text)} outside that or none"
                "; encode the text with the vocabulary of the model"
            )
        longest = max((max(t, default=0) for t in templates), default=0)
        padded = np.concatenate([np.full(longest, vocabulary), text])
        windows = np.lib.stride_tricks.sliding_window_view(padded, longest + 1)
        histories, place = np.unique(windows[:, :longest], axis=0, return_inverse=True)
        counts = np.zeros((len(histories), vocabulary))
        np.add.at(counts, (place.ravel(), text), 1.0)
        features = sparse.hstack([_indicators(histories, vocabulary, t) for t in templates]).tocsr()
        if observed:
            features = features[:, features.T @ counts.ravel() > 0]
        return cls(histories, counts, features.tocsr())

    @property
    def observed(self) -> Float64[np.ndarray, "f"]:
        """How often each feature was on in the text."""
        return np.asarray(self.features.T @ self.counts.ravel())

    def log_probabilities(self, weights: Float64[np.ndarray, "f"]) -> Float64[np.ndarray, "h v"]:
        """log p(w | h) of every word after every history; -inf weights are zeros."""
        with np.errstate(invalid="ignore"):
            scores = (self.features @ weights).reshape(self.counts.shape)
        return np.asarray(log_softmax(scores, axis=1))

    def expected(self, weights: Float64[np.ndarray, "f"]) -> Float64[np.ndarray, "f"]:
        """How often each feature would be on after the text's histories, if the model wrote."""
        chances = np.exp(self.log_probabilities(weights))
        chances *= self.counts.sum(axis=1, keepdims=True)
        return np.asarray(self.features.T @ chances.ravel())

    def log_likelihood(self, weights: Float64[np.ndarray, "f"]) -> float:
        """Mean nats of the text, at most 0."""
        seen = self.counts > 0
        logs = self.log_probabilities(weights)[seen]
        return float((self.counts[seen] * logs).sum() / self.counts.sum())

    def gradient(self, weights: Float64[np.ndarray, "f"]) -> Float64[np.ndarray, "f"]:
        """Of `log_likelihood`: observed minus expected, per token."""
        difference = self.observed - self.expected(weights)
        return np.asarray(difference / self.counts.sum())


def _indicators(
    histories: Int64[np.ndarray, "h n"], vocabulary: int, template: Template
) -> sparse.csr_matrix:
    """Features of one template: column c V + w for its c-th distinct piece of history."""
    pieces = histories[:, [histories.shape[1] - lag for lag in template]]
    distinct, place = np.unique(pieces, axis=0, return_inverse=True)
    rows = np.arange(len(histories) * vocabulary)
    columns = (place.reshape(-1, 1) * vocabulary + np.arange(vocabulary)).ravel()
    shape = (len(rows), len(distinct) * vocabulary)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
