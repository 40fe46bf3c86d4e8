"""Fitting a log-linear model: generalised and improved iterative scaling, and gradient steps.

All three climb the same concave log-likelihood; at its top observed and expected counts agree.

    GIS   lambda_i += log(observed_i / expected_i) / C,  C the most features ever on at once
    IIS   lambda_i += delta_i,  sum_{h,w} N(h) p(w|h) f_i(h, w) exp(delta_i f#(h, w)) = observed_i
    SGD   lambda_i += rate (observed_i - expected_i), here of a few histories at a time

Traps. GIS's proof wants the same number of features on everywhere; a slack feature C - f# is added
where it is not. It is a sum of the other features: the model at the top is the same. Steps of GIS
shrink with C: many overlapping templates take thousands of rounds, which is why gradients won. A
feature that was never observed goes to -inf: IIS and GIS put it there at once, SGD walks for ever.
A word that always follows its history drives a weight to +inf, and then all three are slow.

H histories, V vocabulary, F features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from muybridge.errors import InputError
from muybridge.language.maxent import LogLinear

__all__ = ["Fit", "fit_gis", "fit_iis", "fit_sgd"]


@dataclass(frozen=True)
class Fit:
    """Weights, and how they were reached.

    Attributes:
        weights: lambda.
        log_likelihoods: Mean nats of the text (at most 0) before each round and after the last.
    """

    weights: Float64[np.ndarray, "f"]
    log_likelihoods: tuple[float, ...]


def fit_gis(model: LogLinear, rounds: int = 100) -> Fit:
    """Generalised iterative scaling, with a slack feature where features are not equally many.

    Args:
        model: Its features must not be negative.
        rounds: Updates of all weights.
    Returns:
        Weights of the model's own features. The slack's share is moved into them, which is exact:
        a slack of weight s adds s C - s f#, and the constant s C falls out of the softmax.
    References:
        Darroch & Ratcliff, Generalized iterative scaling for log-linear models, 1972.
    """
    _refuse_negative(model)
    counts = _counts_on(model)
    most, observed, trace = counts.max(), model.observed, []
    slack_on, slack = most - counts, 0.0
    observed_slack = float(slack_on @ model.counts.ravel())
    weights = np.zeros(model.features.shape[1])
    for _ in range(rounds):
        trace.append(model.log_likelihood(weights - slack))
        chances = _expected_pairs(model, weights - slack)
        weights = weights + _log_ratio(observed, model.features.T @ chances) / most
        if observed_slack > 0:
            slack += float(np.log(observed_slack / (slack_on @ chances))) / most
    weights = weights - slack
    return Fit(weights, (*trace, model.log_likelihood(weights)))


def fit_iis(model: LogLinear, rounds: int = 100) -> Fit:
    """Improved iterative scaling: each weight solves its own equation by Newton's method.

    Pairs with the same number of features on are summed first, so that the equation is a
    polynomial in exp(delta) with one coefficient for each such number.

    Args:
        model: Its features must not be negative.
        rounds: Updates of all weights.
    References:
        Della Pietra, Della Pietra & Lafferty, Inducing features of random fields, 1997.
    """
    _refuse_negative(model)
    counts, observed = _counts_on(model), model.observed
    numbers, place = np.unique(counts, return_inverse=True)
    pairs = np.arange(len(counts))
    weights, trace = np.zeros(model.features.shape[1]), []
    for _ in range(rounds):
        trace.append(model.log_likelihood(weights))
        chances = _expected_pairs(model, weights)
        spread = sparse.csr_matrix((chances, (pairs, place)), shape=(len(counts), len(numbers)))
        weights = weights + _solve(
            np.asarray((model.features.T @ spread).todense()), numbers, observed
        )
    return Fit(weights, (*trace, model.log_likelihood(weights)))


def fit_sgd(
    model: LogLinear,
    rounds: int = 100,
    rate: float = 1.0,
    batch: int = 32,
    penalty: float = 0.0,
    seed: int = 0,
) -> Fit:
    """Stochastic gradient ascent over histories, the rate falling as 1 / sqrt(round).

    Args:
        model: Any features.
        rounds: Passes over all histories.
        rate: Of the first pass.
        batch: Histories a step.
        penalty: Of the squared weights: a Gaussian prior of variance 1 / penalty, per token.
        seed: Of the order of histories.
    """
    random = np.random.default_rng(seed)
    histories, vocabulary = model.counts.shape
    weights, trace = np.zeros(model.features.shape[1]), []
    for i in range(rounds):
        trace.append(model.log_likelihood(weights))
        order = random.permutation(histories)
        for start in range(0, histories, batch):
            some = order[start : start + batch]
            pairs = (some[:, None] * vocabulary + np.arange(vocabulary)).ravel()
            part = LogLinear(model.histories[some], model.counts[some], model.features[pairs])
            share = len(some) / histories
            step = part.gradient(weights) * (part.counts.sum() / model.counts.sum())
            weights = weights + rate / np.sqrt(i + 1) * (step / share - penalty * weights)
    return Fit(weights, (*trace, model.log_likelihood(weights)))


def _counts_on(model: LogLinear) -> Float64[np.ndarray, "p"]:
    """f#: how many features are on for each pair of history and word."""
    return np.asarray(model.features.sum(axis=1)).ravel()


def _expected_pairs(
    model: LogLinear, weights: Float64[np.ndarray, "f"]
) -> Float64[np.ndarray, "p"]:
    """N(h) p(w | h) of each pair."""
    chances = np.exp(model.log_probabilities(weights))
    return np.asarray((chances * model.counts.sum(axis=1, keepdims=True)).ravel())


def _log_ratio(
    observed: Float64[np.ndarray, "f"], expected: Float64[np.ndarray, "f"]
) -> Float64[np.ndarray, "f"]:
    """log(observed / expected); -inf for what was never observed, 0 where nothing is expected."""
    ratio = np.full(len(observed), -np.inf)
    np.log(observed, out=ratio, where=observed > 0)
    return np.where(expected > 0, ratio - np.log(np.where(expected > 0, expected, 1.0)), 0.0)


def _solve(
    coefficients: Float64[np.ndarray, "f n"],
    numbers: Float64[np.ndarray, "n"],
    observed: Float64[np.ndarray, "f"],
    steps: int = 30,
) -> Float64[np.ndarray, "f"]:
    """delta with sum_n coefficient_n exp(n delta) = observed; -inf where observed is 0.

    Newton's method on the logarithm of both sides: a logarithm of a sum of exponentials is convex
    and its slope lies between the least and the largest n, so it may overshoot once, not twice.
    """
    on = coefficients.sum(axis=1) > 0
    deltas = np.where((observed > 0) | ~on, 0.0, -np.inf)
    todo = (observed > 0) & on
    some, delta = coefficients[todo], np.zeros(int(todo.sum()))
    for _ in range(steps):
        terms = some * np.exp(np.outer(delta, numbers))
        total = terms.sum(axis=1)
        delta = delta - (np.log(total) - np.log(observed[todo])) * total / (terms @ numbers)
    deltas[todo] = delta
    return deltas


def _refuse_negative(model: LogLinear) -> None:
    if model.features.nnz and model.features.data.min() < 0:
        raise InputError(
            "expected features of 0 or more for iterative scaling, got a negative one; "
            "shift it or use fit_sgd"
        )
