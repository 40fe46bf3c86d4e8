"""How sure a figure is: splits, folds, bootstrap, learning curves. N samples, S resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer
from scipy.sparse import csr_array

from muybridge.errors import InputError
from muybridge.language.classify import Trainer

__all__ = [
    "Interval",
    "bootstrap_interval",
    "cross_validate",
    "fold_samples",
    "learning_curve",
    "paired_bootstrap",
    "split_samples",
]

RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A figure, and where it would mostly lie for other samples of the same kind."""

    value: float
    low: float
    high: float


def split_samples(
    number: int, held_out: float = 0.1, seed: int = 0
) -> tuple[Int64[np.ndarray, "a"], Int64[np.ndarray, "b"]]:
    """Random rows to train on, and to test on.

    Raises:
        InputError: If either part would be empty.
    """
    if not 0 <= held_out <= 1 or seed < 0:
        raise InputError(
            f"expected a share to hold out from 0 to 1 and a seed of 0 or more, got {held_out} and "
            f"{seed}; .1 and 0 are usual"
        )
    order = np.random.default_rng(seed).permutation(number)
    kept = int((1.0 - held_out) * number)
    if not 0 < kept < number:
        raise InputError(
            f"expected samples left on both sides, got {kept} of {number} to train on; "
            "give more samples or another share to hold out"
        )
    return order[:kept], order[kept:]


def fold_samples(number: int, folds: int, seed: int = 0) -> list[Int64[np.ndarray, "_"]]:
    """Random parts of nearly equal size; each sample is in one.

    Raises:
        InputError: If there are fewer than two folds, or fewer samples than folds.
    """
    if not 2 <= folds <= number:
        raise InputError(f"expected 2 to {number} folds, got {folds}; 5 and 10 are usual")
    return np.array_split(np.random.default_rng(seed).permutation(number), folds)


def cross_validate(
    samples: csr_array,
    classes: Integer[np.ndarray, "n"],
    number: int,
    train: Trainer,
    parts: Sequence[Int64[np.ndarray, "_"]],
) -> Int64[np.ndarray, "n"]:
    """The class that each sample is given by a model that was trained without its part."""
    given = np.full(len(classes), -1, dtype=np.int64)
    for part in parts:
        others = np.setdiff1d(np.arange(len(classes)), part)
        given[part] = train(samples[others], classes[others], number).predict(samples[part])
    return given


def bootstrap_interval(
    right: Bool[np.ndarray, "n"], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """Accuracy with its percentile bootstrap interval.

    Args:
        right: Which samples were given their class.
        level: Share of resamples inside.
        seed: For the resampling.
    References:
        Efron & Tibshirani 1993, chapter 13.
    """
    random = np.random.default_rng(seed)
    shares = random.binomial(len(right), right.mean(), RESAMPLES) / len(right)
    low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(right.mean()), float(low), float(high))


def paired_bootstrap(
    first: Bool[np.ndarray, "n"], second: Bool[np.ndarray, "n"], *, seed: int = 0
) -> tuple[Interval, float]:
    """Difference in accuracy of two classifiers on the same samples, and its p-value.

    The p-value is two-sided: twice the share of resamples in which the difference has the other
    sign or vanishes, at most 1.

    References:
        Berg-Kirkpatrick, Burkett & Klein 2012.
    """
    difference = first.astype(np.int64) - second
    kinds = np.array([np.count_nonzero(difference == d) for d in (-1, 0, 1)])
    number = len(first)
    drawn = np.random.default_rng(seed).multinomial(number, kinds / number, RESAMPLES)
    shares = (drawn[:, 2] - drawn[:, 0]) / number
    low, high = np.quantile(shares, [0.025, 0.975])
    value = float(difference.mean())
    against = shares <= 0 if value > 0 else shares >= 0
    return Interval(value, float(low), float(high)), min(1.0, 2 * float(against.mean()))


def learning_curve(
    train: Trainer,
    samples: tuple[csr_array, csr_array],
    classes: tuple[Integer[np.ndarray, "a"], Integer[np.ndarray, "b"]],
    number: int,
    sizes: Sequence[int],
) -> Float64[np.ndarray, "s"]:
    """Accuracy on the test rows after training on the first so many of the others.

    Args:
        train: Method.
        samples: Counts to train and to test on.
        classes: Their classes.
        number: K.
        sizes: Numbers of training samples; NaN where a class is missing among them.
    """
    accuracies = np.full(len(sizes), np.nan)
    for place, size in enumerate(sizes):
        if len(np.unique(classes[0][:size])) == number:
            model = train(samples[0][:size], classes[0][:size], number)
            accuracies[place] = np.mean(model.predict(samples[1]) == classes[1])
    return accuracies
