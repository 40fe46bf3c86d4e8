"""Log-linear (maximum-entropy) language models: exact and sparse, and hashed and fast.

    p(w | h) = exp(sum_i lambda_i f_i(h, w)) / Z(h)

Features say "these words at these lags of the history, and w next": n-grams are the templates
(), (1,), (1, 2), ...; (2,) is a skip bigram. At the optimum each feature is expected as often as it
was observed, so with n-gram features and no regulariser the model is the n-gram of relative
frequencies: its zeros are reached only in the limit, lambda -> -inf.

`LogLinear` holds every pair (history, word) of a small problem in one sparse matrix; `maxent_train`
fits it. `HashedMaxent` is the same model for long texts: the n-grams of a history are hashed to
rows of one table of logits, whose sum is the answer. Two n-grams that meet in a row share it; rows
that are rare are hardly moved from 0, which is all the smoothing there is: stop early.

B batch, T time, V vocabulary; H histories, F features, R rows of the table, K orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, Int64
from scipy import sparse
from scipy.special import log_softmax
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError

__all__ = ["HashedMaxent", "LogLinear", "MaxentConfig", "Template", "ngram_templates"]

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


@dataclass(frozen=True)
class MaxentConfig:
    """Size of a hashed log-linear model.

    Attributes:
        vocabulary: V.
        context: Length of the windows it is trained on.
        order: Longest piece of history, in tokens; features are the last 1, 2, ..., `order`.
        rows: R, a power of two.
    """

    vocabulary: int
    context: int
    order: int = 4
    rows: int = 2**16

    def __post_init__(self) -> None:
        if self.rows < 1 or self.rows & (self.rows - 1):
            raise InputError(f"expected a power of two of rows, got {self.rows}; take 65536")


class HashedMaxent(nn.Module):
    """Sum of the rows of logits that the last 1, ..., `order` tokens hash to, and a bias.

    Tokens before the window's start are a token of their own, so a first position has features too.

    Args:
        config: Its size.
        sparse: Gradients of the table hold only the rows in use, for Adagrad and SGD.
    References:
        Rosenfeld 1996; hashing: Mikolov et al., Strategies for training large scale neural network
        language models (RNNME), 2011.
    """

    def __init__(self, config: MaxentConfig, sparse: bool = False) -> None:
        super().__init__()
        self.config, self.sparse = config, sparse
        self.table = nn.Parameter(torch.zeros(config.rows, config.vocabulary))
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))

    def rows(self, tokens: Int[Tensor, "b t"]) -> Int[Tensor, "b t k"]:
        """The row of each piece of history that ends at each position."""
        config = self.config
        padded = functional.pad(tokens, (config.order - 1, 0), value=config.vocabulary)
        time, key, keys = tokens.shape[1], torch.zeros_like(tokens), []
        for lag in range(config.order):
            start = config.order - 1 - lag
            key = key * (config.vocabulary + 2) + padded[:, start : start + time] + 1
            keys.append(_mix(key))
        return torch.stack(keys, dim=-1) & (config.rows - 1)

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        """Logits of the token that follows each position."""
        rows = self.rows(tokens)
        summed = functional.embedding_bag(
            rows.flatten(0, 1), self.table, mode="sum", sparse=self.sparse
        )
        return (summed + self.bias).unflatten(0, rows.shape[:2])

    def loss(self, tokens: Int[Tensor, "b t"], targets: Int[Tensor, "b t"]) -> Float[Tensor, ""]:
        """Mean nats of the targets; -100 is no target."""
        return functional.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())

    def extra_repr(self) -> str:
        """Size."""
        return f"parameters={sum(p.numel() for p in self.parameters()):,}"


def _mix(key: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Spread neighbouring keys over all bits; products wrap around, as they should."""
    key = (key ^ (key >> 31)) * 0x7FB5D329728EA185
    key = (key ^ (key >> 27)) * -0x7E25210B43D22BB3
    return key ^ (key >> 33)
