"""Two linear classifiers over counts: naive Bayes (generative) and log-linear (discriminative).

Both score class y of x by  b_y + sum_f w_yf x_f  and normalise. They differ in how the weights are
found: naive Bayes counts p(y) and p(f | y), which takes one pass; the log-linear model (maximum
entropy, logistic regression) makes p(y | x) of the training labels as great as possible. Counts may
be words of texts, or anything else that is counted, as pose words of a motion. N samples, F
features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Integer
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import log_softmax

from muybridge.errors import InputError

__all__ = ["LinearClassifier", "Trainer", "objective", "train_log_linear", "train_naive_bayes"]

ROUNDS = 2000
FLAT = 1e-7  # gradient of the mean loss at which the optimum counts as found


@dataclass(frozen=True)
class LinearClassifier:
    """Weights and biases.

    Attributes:
        weights: What one occurrence of a feature says for a class, nats.
        biases: What speaks for a class before anything is seen, nats.
    """

    weights: Float64[np.ndarray, "k f"]
    biases: Float64[np.ndarray, "k"]

    def log_probability(self, samples: csr_array) -> Float64[np.ndarray, "n k"]:
        """log p(y | x), nats."""
        return log_softmax(samples @ self.weights.T + self.biases, axis=1)

    def predict(self, samples: csr_array) -> Integer[np.ndarray, "n"]:
        """The likeliest class of each sample."""
        return np.argmax(samples @ self.weights.T + self.biases, axis=1)


Trainer = Callable[[csr_array, np.ndarray, int], LinearClassifier]


def train_naive_bayes(
    samples: csr_array, classes: Integer[np.ndarray, "n"], number: int, alpha: float = 1.0
) -> LinearClassifier:
    """Multinomial naive Bayes: p(f | y) = (c(f, y) + alpha) / (c(y) + alpha F).

    Args:
        samples: Counts, N x F.
        classes: Class of each sample.
        number: K.
        alpha: Added to every count.
    Raises:
        InputError: If a class has no sample, or alpha is not above 0.
    References:
        Ng & Jordan 2001, On discriminative vs. generative classifiers.
    """
    _check(samples, classes, number)
    if not alpha > 0:
        raise InputError(f"expected alpha above 0, got {alpha}; 1 is usual")
    each = np.bincount(classes, minlength=number)
    counts = _indicator(classes, number).T @ samples
    counts = counts.toarray() + alpha
    weights = np.log(counts) - np.log(counts.sum(axis=1, keepdims=True))
    return LinearClassifier(weights, np.log(each / each.sum()))


def train_log_linear(
    samples: csr_array, classes: Integer[np.ndarray, "n"], number: int, l2: float = 1.0
) -> LinearClassifier:
    """p(y | x) = exp(w_y . x + b_y) / Z(x), by L-BFGS to the optimum.

    Maximises  sum log p(y_i | x_i) - l2 / 2 |w|^2;  biases are free. Of two classes the first has
    weights 0, so that the penalty is that of logistic regression.

    Args:
        samples: Counts, N x F.
        classes: Class of each sample.
        number: K.
        l2: Strength of the penalty; the reciprocal of scikit-learn's C.
    Raises:
        InputError: If a class has no sample, or l2 is not above 0.
    """
    _check(samples, classes, number)
    if not l2 > 0:
        raise InputError(f"expected l2 above 0, got {l2}; 1 is usual")
    seen = np.unique(samples.indices)  # the weight of a feature that never occurs stays 0
    flat = _optimum(csr_array(samples[:, seen]), _indicator(classes, number), l2)
    weights = np.zeros((number, samples.shape[1]))
    weights[:, seen] = flat[:, :-1]
    return LinearClassifier(weights, flat[:, -1].copy())


def _optimum(samples: csr_array, target: csr_array, l2: float) -> Float64[np.ndarray, "k f1"]:
    number = target.shape[1]
    free = 1 if number == 2 else number
    start = np.zeros(free * (samples.shape[1] + 1))
    scale = 1.0 / samples.shape[0]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(_all_classes(flat, number), samples, target, l2)
        return value * scale, gradient[number - free :].ravel() * scale

    options = {"maxiter": ROUNDS, "maxfun": 2 * ROUNDS, "ftol": 1e-15, "gtol": FLAT}
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options=options)
    return _all_classes(best.x, number)


def objective(
    parameters: Float64[np.ndarray, "k f1"], samples: csr_array, target: csr_array, l2: float
) -> tuple[float, Float64[np.ndarray, "k f1"]]:
    """Negative log-likelihood with penalty, and its gradient: expected minus observed counts.

    Args:
        parameters: Weights, and biases in the last column.
        samples: Counts, N x F.
        target: 1 where a sample has a class, N x K.
        l2: Strength of the penalty on the weights.
    """
    weights, biases = parameters[:, :-1], parameters[:, -1]
    logs = log_softmax(samples @ weights.T + biases, axis=1)
    error = np.exp(logs) - target.toarray()
    value = -float(target.multiply(logs).sum()) + 0.5 * l2 * float((weights**2).sum())
    slope = (samples.T @ error).T + l2 * weights
    return value, np.concatenate([slope, error.sum(axis=0)[:, None]], axis=1)


def _all_classes(flat: np.ndarray, number: int) -> Float64[np.ndarray, "k f1"]:
    if number != 2:
        return flat.reshape(number, -1)
    return np.stack([np.zeros_like(flat), flat])


def _indicator(classes: Integer[np.ndarray, "n"], number: int) -> Any:
    rows = np.arange(len(classes) + 1)
    return csr_array((np.ones(len(classes)), classes, rows), shape=(len(classes), number))


def _check(samples: csr_array, classes: Integer[np.ndarray, "n"], number: int) -> None:
    assert samples.shape[0] == len(classes), "every sample has a class"
    present = np.unique(classes)
    if number < 2 or len(present) < number:
        raise InputError(
            f"expected samples of at least two classes and of each, got {len(present)} of "
            f"{number}; give more samples"
        )
