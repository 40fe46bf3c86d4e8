"""From counts to probabilities: the methods of smoothing, each a few lines over the same arrays.

Interpolation: p(w|h) = kept(h w) + freed(h) p(w | shorter h), for seen and unseen words alike.
Back-off:      p(w|h) = kept(h w) if seen, else weight(h) p(w | shorter h), normalised.
In both the shortest history is followed by the uniform distribution over all words that can come
next, so that `<unk>` has a probability. A method says only what it keeps and what it frees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64, Int64

from muybridge.errors import InputError
from muybridge.language.ngram import NgramModel, Table
from muybridge.language.ngram_counts import Grams, NgramCounts
from muybridge.language.smoothing_discounts import (
    good_turing_ratios,
    katz_ratios,
    modified_discounts,
    single_discount,
)
from muybridge.language.smoothing_mixture import mixture_weights

__all__ = ["METHODS", "Method", "Smoothing", "estimate"]

Method = Literal[
    "mle",
    "add-k",
    "good-turing",
    "katz",
    "jelinek-mercer",
    "absolute",
    "kneser-ney",
    "modified-kneser-ney",
]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class Smoothing:
    """How to turn counts into probabilities.

    Attributes:
        method: Name of the method; `mle` is no smoothing.
        k: What add-k adds to every count.
        discount: For absolute discounting and Kneser-Ney; None estimates it for each order.
        cutoff: Katz trusts counts above this one.
    """

    method: Method = "modified-kneser-ney"
    k: float = 1.0
    discount: float | None = None
    cutoff: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.k < 1e15:
            raise InputError(
                f"expected k above 0 and below 1e15, got {self.k}; for no smoothing take mle"
            )
        if self.discount is not None and not 0 < self.discount <= 1:
            raise InputError(
                f"expected a discount above 0 and up to 1, got {self.discount}; "
                "leave it out to have it estimated"
            )
        if self.cutoff < 1:
            raise InputError(f"expected a cutoff of at least 1, got {self.cutoff}; 5 is usual")


@dataclass(frozen=True)
class Share:
    """What one order keeps for its n-grams and frees for its histories, and what to say."""

    kept: Float64[np.ndarray, "g"]
    freed: Float64[np.ndarray, "c"]
    note: str = ""


def estimate(counts: NgramCounts, smoothing: Smoothing | None = None) -> NgramModel:
    """Probabilities of all n-grams and weights of all histories.

    Args:
        counts: Of all orders.
        smoothing: Method and its settings; modified Kneser-Ney where None.
    Returns:
        The model; its `notes` name every order where a formula could not be used.
    References:
        Chen & Goodman 1998, An empirical study of smoothing techniques for language modeling.
    """
    smoothing = smoothing or Smoothing()
    shares = SHARES[smoothing.method](counts, smoothing)
    if smoothing.method in ("katz", "good-turing"):
        return _back_off(counts, shares, smoothing.method)
    return _interpolate(counts, shares, smoothing.method)


# -- what each method keeps and frees ----------------------------------------------------------
def _mle(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    shares = []
    for grams, contexts in zip(counts.orders, counts.contexts, strict=True):
        totals = grams.sums(grams.counts, contexts)
        kept = grams.counts / np.maximum(totals, 1)[grams.parent]
        shares.append(Share(kept, np.where(totals > 0, 0.0, 1.0)))
    return shares


def _add_k(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    added = smoothing.k * counts.vocabulary.outcomes
    shares = []
    for grams, contexts in zip(counts.orders, counts.contexts, strict=True):
        totals = grams.sums(grams.counts, contexts) + added
        shares.append(Share(grams.counts / totals[grams.parent], added / totals))
    return shares


def _jelinek_mercer(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    shares = []
    weights = mixture_weights(counts)
    for grams, contexts, own in zip(counts.orders, counts.contexts, weights, strict=True):
        totals = grams.sums(grams.counts, contexts)
        kept = own[grams.parent] * grams.counts / np.maximum(totals, 1)[grams.parent]
        shares.append(Share(kept, 1.0 - own))
    return shares


def _absolute(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    return _single(counts, [grams.counts for grams in counts.orders], smoothing.discount)


def _kneser_ney(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    return _single(counts, list(counts.continuations), smoothing.discount)


def _single(
    counts: NgramCounts, adjusted: list[Int64[np.ndarray, "_"]], fixed: float | None
) -> list[Share]:
    """One discount for each order."""
    shares = []
    for number, (grams, used) in enumerate(zip(counts.orders, adjusted, strict=True), start=1):
        discount, note = (fixed, "") if fixed is not None else single_discount(used, number)
        taken = np.where(used > 0, discount, 0.0)
        shares.append(_discounted(grams, used, taken, counts.contexts[number - 1], note))
    return shares


def _modified_kneser_ney(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    shares = []
    for number, grams in enumerate(counts.orders, start=1):
        used = counts.continuations[number - 1]
        discounts, note = modified_discounts(used, number)
        taken = np.array([0.0, *discounts])[np.minimum(used, 3)]
        shares.append(_discounted(grams, used, taken, counts.contexts[number - 1], note))
    return shares


def _discounted(
    grams: Grams,
    used: Int64[np.ndarray, "g"],
    taken: Float64[np.ndarray, "g"],
    contexts: int,
    note: str,
) -> Share:
    totals = grams.sums(used, contexts)
    safe = np.maximum(totals, 1)
    freed = np.where(totals > 0, grams.sums(taken, contexts) / safe, 1.0)
    return Share((used - taken) / safe[grams.parent], freed, note)


def _katz(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    return _ratios(counts, lambda c, order: katz_ratios(c, order, smoothing.cutoff))


def _good_turing(counts: NgramCounts, smoothing: Smoothing) -> list[Share]:
    return _ratios(counts, good_turing_ratios)


def _ratios(
    counts: NgramCounts,
    rule: Callable[[Int64[np.ndarray, "g"], int], tuple[Float64[np.ndarray, "g"], str]],
) -> list[Share]:
    """Keep a share of each count; histories that would free nothing count one word more."""
    shares = []
    for number, (grams, contexts) in enumerate(
        zip(counts.orders, counts.contexts, strict=True), start=1
    ):
        ratios, note = rule(grams.counts, number)
        totals = np.maximum(grams.sums(grams.counts, contexts), 1)
        whole = grams.sums(ratios * grams.counts, contexts) >= totals * (1 - 1e-9)
        kept = ratios * grams.counts / (totals + whole)[grams.parent]
        shares.append(Share(kept, 1.0 - grams.sums(kept, contexts), note))
    return shares


SHARES: dict[Method, Callable[[NgramCounts, Smoothing], list[Share]]] = {
    "mle": _mle,
    "add-k": _add_k,
    "good-turing": _good_turing,
    "katz": _katz,
    "jelinek-mercer": _jelinek_mercer,
    "absolute": _absolute,
    "kneser-ney": _kneser_ney,
    "modified-kneser-ney": _modified_kneser_ney,
}


# -- from shares to a model --------------------------------------------------------------------
def _interpolate(counts: NgramCounts, shares: list[Share], method: Method) -> NgramModel:
    uniform = np.array([1.0 / counts.vocabulary.outcomes])
    probabilities: list[Float64[np.ndarray, "_"]] = []
    lower = uniform
    for grams, share in zip(counts.orders, shares, strict=True):
        below = uniform[np.zeros(len(grams), dtype=np.int64)]
        if method != "add-k":
            below = lower[grams.suffix]
        lower = share.kept + share.freed[grams.parent] * below
        if not probabilities:
            lower = np.where(counts.predictable, lower, 0.0)
        probabilities.append(lower)
    return _model(counts, probabilities, [share.freed for share in shares], shares, method)


def _back_off(counts: NgramCounts, shares: list[Share], method: Method) -> NgramModel:
    predictable = counts.predictable
    uniform = predictable / counts.vocabulary.outcomes
    lower = _first_order(counts.orders[0], shares[0], uniform)
    probabilities, weights = [lower], [shares[0].freed]
    for grams, contexts, share in zip(
        counts.orders[1:], counts.contexts[1:], shares[1:], strict=True
    ):
        room = 1.0 - grams.sums(lower[grams.suffix], contexts)
        full = grams.sums(None, contexts) >= counts.vocabulary.outcomes
        kept = np.where(
            full[grams.parent], share.kept / (1 - share.freed)[grams.parent], share.kept
        )
        weights.append(np.where(full, 0.0, share.freed / np.where(full, 1.0, room)))
        probabilities.append(kept)
        lower = kept
    return _model(counts, probabilities, weights, shares, method)


def _first_order(
    grams: Grams, share: Share, uniform: Float64[np.ndarray, "v"]
) -> Float64[np.ndarray, "v"]:
    """Single words: what was freed goes to those never seen, or back to all if there is none."""
    unseen = np.where(grams.counts > 0, 0.0, uniform)
    if unseen.any():
        return share.kept + share.freed[0] * unseen / unseen.sum()
    return share.kept / share.kept.sum()


def _model(
    counts: NgramCounts,
    probabilities: list[Float64[np.ndarray, "_"]],
    freed: list[Float64[np.ndarray, "_"]],
    shares: list[Share],
    method: Method,
) -> NgramModel:
    """Take logarithms; the weights of an order stand with the histories, one order below."""
    top = np.zeros(1)
    with np.errstate(divide="ignore"):
        weights = [*(np.log10(f) for f in freed[1:]), top]
        logs = [np.log10(p) for p in probabilities]
    tables = tuple(
        Table(grams.keys, log, weight)
        for grams, log, weight in zip(counts.orders, logs, weights, strict=True)
    )
    unseen: Literal["backoff", "uniform"] = "uniform" if method == "add-k" else "backoff"
    notes = tuple(share.note for share in shares if share.note)
    return NgramModel(counts.vocabulary, tables, unseen, method, notes)
