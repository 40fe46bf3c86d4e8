"""Weights of Jelinek-Mercer's mixture, learned by leaving out one word at a time.

p(w|h) = weight(h) c(h w) / c(h) + (1 - weight(h)) p(w | shorter h). Histories that occur about
equally often share a weight (buckets of powers of two). Each word of the training text is predicted
from the counts without itself, so no text has to be held out. E events, N orders.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from muybridge.language.ngram_counts import NgramCounts
from muybridge.language.vocabulary import START_ID

__all__ = ["mixture_weights"]

BUCKETS = 24
ROUNDS = 60
SETTLED = 1e-5
LARGEST = 0.9999  # some mass always reaches the shorter history
START_WEIGHT = 0.5


def mixture_weights(counts: NgramCounts) -> list[Float64[np.ndarray, "_"]]:
    """For each order the weight of each of its histories.

    References:
        Jelinek & Mercer 1980; Ney, Essen & Kneser 1994 for leaving one out.
    """
    totals = [
        grams.sums(grams.counts, contexts)
        for grams, contexts in zip(counts.orders, counts.contexts, strict=True)
    ]
    rows, occurrences = _events(counts)
    relative, buckets = _left_one_out(counts, totals, rows)
    learned = _maximise(relative, buckets, occurrences, 1.0 / counts.vocabulary.outcomes)
    return [
        np.where(total > 0, own[_bucket(total)], 0.0)
        for total, own in zip(totals, learned, strict=True)
    ]


def _events(counts: NgramCounts) -> tuple[Int64[np.ndarray, "n e"], Int64[np.ndarray, "e"]]:
    """Every distinct word with its full history: its row in each order (-1: too long), and count.

    Full is a history of N - 1 words, or one that begins with `<s>`.
    """
    orders = counts.orders
    columns, occurrences = [], []
    for number, grams in enumerate(orders):
        own = np.arange(len(grams))
        if number < len(orders) - 1:
            own = np.flatnonzero((grams.first == START_ID) & (grams.counts > 0))
        column = np.full((len(orders), len(own)), -1, dtype=np.int64)
        column[number] = own
        for lower in range(number, 0, -1):
            column[lower - 1] = orders[lower].suffix[column[lower]]
        columns.append(column)
        occurrences.append(grams.counts[own])
    return np.concatenate(columns, axis=1), np.concatenate(occurrences)


def _left_one_out(
    counts: NgramCounts, totals: list[Float64[np.ndarray, "_"]], rows: Int64[np.ndarray, "n e"]
) -> tuple[Float64[np.ndarray, "n e"], Int64[np.ndarray, "n e"]]:
    """Relative frequencies without the event itself, and buckets; -1 where nothing is left."""
    relative = np.zeros(rows.shape)
    buckets = np.full(rows.shape, -1, dtype=np.int64)
    for grams, total, row, ratio, bucket in zip(
        counts.orders, totals, rows, relative, buckets, strict=True
    ):
        left = np.where(row >= 0, total[grams.parent[row]] - 1, 0.0)
        usable = left > 0
        ratio[usable] = (grams.counts[row[usable]] - 1) / left[usable]
        bucket[usable] = _bucket(left[usable])
    return relative, buckets


def _bucket(totals: Float64[np.ndarray, "c"]) -> Int64[np.ndarray, "c"]:
    return np.minimum(np.log2(np.maximum(totals, 1)).astype(np.int64), BUCKETS - 1)


def _maximise(
    relative: Float64[np.ndarray, "n e"],
    buckets: Int64[np.ndarray, "n e"],
    occurrences: Int64[np.ndarray, "e"],
    uniform: float,
) -> Float64[np.ndarray, "n b"]:
    """Weights of greatest likelihood, by expectation and maximisation."""
    weights = np.full((len(relative), BUCKETS), START_WEIGHT)
    for _ in range(ROUNDS):
        before = weights.copy()
        lower = np.full(relative.shape[1], uniform)
        mixtures = []
        for ratio, bucket, own in zip(relative, buckets, weights, strict=True):
            weight = np.where(bucket >= 0, own[bucket], 0.0)
            lower = weight * ratio + (1 - weight) * lower
            mixtures.append((weight * ratio, lower))
        reached = occurrences.astype(np.float64)
        for own, bucket, (mine, mixture) in reversed(
            list(zip(weights, buckets, mixtures, strict=True))
        ):
            taken = reached * mine / mixture
            there = bucket >= 0
            used = np.bincount(bucket[there], taken[there], BUCKETS)
            seen = np.bincount(bucket[there], reached[there], BUCKETS)
            own[seen > 0] = np.minimum(used[seen > 0] / seen[seen > 0], LARGEST)
            reached = reached - taken
        if np.abs(weights - before).max() < SETTLED:
            break
    return weights
