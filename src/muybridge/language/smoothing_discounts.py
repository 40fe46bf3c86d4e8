"""Discounts: how much of a count is taken away, from the counts of counts.

n_r is how many n-grams occur exactly r times. Where a formula cannot be used, because the text is
small or artificial, a stated value takes its place and a sentence says so.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

__all__ = ["good_turing_ratios", "katz_ratios", "modified_discounts", "single_discount"]

FALLBACK_ONE = 0.75
FALLBACK_THREE = (0.5, 1.0, 1.5)  # what lmplz --discount_fallback takes
CONFIDENT = 1.65  # standard deviations, as Gale & Sampson have it


def counts_of_counts(counts: Int64[np.ndarray, "g"], largest: int) -> Float64[np.ndarray, "r"]:
    """n_0 (set to 0), n_1, ..., n_largest."""
    clipped = np.minimum(counts, largest + 1)
    result = np.bincount(clipped, minlength=largest + 2)[: largest + 1].astype(np.float64)
    result[0] = 0.0
    return result


def single_discount(counts: Int64[np.ndarray, "g"], order: int) -> tuple[float, str]:
    """D = n1 / (n1 + 2 n2), and a note where it cannot be used.

    References:
        Ney, Essen & Kneser 1994.
    """
    _, n1, n2 = counts_of_counts(counts, 2)
    if n1 == 0 or n2 == 0:
        missing = 1 if n1 == 0 else 2
        return FALLBACK_ONE, _note(order, f"no {order}-gram occurs {missing} times", FALLBACK_ONE)
    return float(n1 / (n1 + 2 * n2)), ""


def modified_discounts(
    counts: Int64[np.ndarray, "g"], order: int
) -> tuple[tuple[float, float, float], str]:
    """D1, D2, D3+ of modified Kneser-Ney, and a note where they cannot be used.

    D_r = r - (r + 1) Y n_{r+1} / n_r with Y = n1 / (n1 + 2 n2).

    References:
        Chen & Goodman 1998, equation 26; lmplz raises BadDiscountException in the same cases.
    """
    n = counts_of_counts(counts, 4)
    if not n[1:4].all():
        cause = f"no {order}-gram has a count of {1 + int(np.argmin(n[1:4]))}"
        return FALLBACK_THREE, _note(order, cause, FALLBACK_THREE)
    share = n[1] / (n[1] + 2 * n[2])
    one, two, three = (float(r - (r + 1) * share * n[r + 1] / n[r]) for r in (1, 2, 3))
    if not (0 < one <= 1 and 0 < two <= 2 and 0 < three <= 3):
        cause = f"the formula gives {one:.3g}, {two:.3g}, {three:.3g}"
        return FALLBACK_THREE, _note(order, cause, FALLBACK_THREE)
    return (one, two, three), ""


def katz_ratios(
    counts: Int64[np.ndarray, "g"], order: int, cutoff: int
) -> tuple[Float64[np.ndarray, "g"], str]:
    """Share of each count that Katz keeps: Good-Turing's up to `cutoff`, all above it.

    d_r = (r* / r - A) / (1 - A), r* = (r + 1) n_{r+1} / n_r, A = (cutoff + 1) n_{cutoff+1} / n_1.

    References:
        Katz 1987, equation 20.
    """
    n = counts_of_counts(counts, cutoff + 1)
    r = np.arange(1.0, cutoff + 1)
    ratios = np.zeros(cutoff)
    if n[1 : cutoff + 1].all():
        above = (cutoff + 1) * n[cutoff + 1] / n[1]
        ratios = ((r + 1) * n[2:] / n[1:-1] / r - above) / (1 - above) if above < 1 else ratios
    note = ""
    if not ((ratios > 0) & (ratios < 1)).all():
        note = _note(order, "Good-Turing's estimates are not between 0 and the count", 0.5)
        ratios = (r - 0.5) / r
    kept = np.concatenate([[0.0], ratios, [1.0]])
    return kept[np.minimum(counts, cutoff + 1)], note


def good_turing_ratios(
    counts: Int64[np.ndarray, "g"], order: int
) -> tuple[Float64[np.ndarray, "g"], str]:
    """Share of each count that simple Good-Turing keeps.

    r* is Turing's (r + 1) n_{r+1} / n_r for as long as it differs significantly from the line
    fitted to log n_r against log r, and that line's from there on.

    References:
        Gale & Sampson 1995.
    """
    r, n = np.unique(counts[counts > 0], return_counts=True)
    total, singles = float(r @ n), float(n[0]) if r[0] == 1 else 0.0
    if len(r) < 2 or singles in (0.0, total):
        return _half_off(counts, order, "too few different counts for Good-Turing")
    slope = _slope(r.astype(np.float64), n.astype(np.float64))
    if slope >= -1:
        return _half_off(counts, order, f"Good-Turing's line falls too slowly ({slope:.2f})")
    stars = _switched(r, n.astype(np.float64), slope)
    stars *= (1.0 - singles / total) * total / float(stars @ n)
    kept = np.minimum(stars / r, 1.0)
    return np.where(counts > 0, kept[np.searchsorted(r, np.maximum(counts, r[0]))], 0.0), ""


def _slope(r: Float64[np.ndarray, "k"], n: Float64[np.ndarray, "k"]) -> float:
    """Slope of log Z against log r, where Z spreads n_r over the gap around r."""
    before = np.concatenate([[0.0], r[:-1]])
    after = np.concatenate([r[1:], [2 * r[-1] - before[-1]]])
    x, y = np.log(r), np.log(n / (0.5 * (after - before)))
    x = x - x.mean()
    return float(x @ y / (x @ x))


def _switched(
    r: Int64[np.ndarray, "k"], n: Float64[np.ndarray, "k"], slope: float
) -> Float64[np.ndarray, "k"]:
    """Adjusted counts, Turing's at first and the line's from the first doubtful one on."""
    smooth = r * (1.0 + 1.0 / r) ** (slope + 1)
    following = np.zeros(len(r))
    adjacent = np.flatnonzero(r[1:] == r[:-1] + 1)
    following[adjacent] = n[adjacent + 1]
    turing = (r + 1) * following / n
    deviation = (r + 1) * np.sqrt(following / n**2 * (1 + following / n))
    doubtful = (following == 0) | (np.abs(smooth - turing) <= CONFIDENT * deviation)
    return np.where(np.maximum.accumulate(doubtful), smooth, turing)


def _half_off(
    counts: Int64[np.ndarray, "g"], order: int, cause: str
) -> tuple[Float64[np.ndarray, "g"], str]:
    kept = (np.maximum(counts, 1) - 0.5) / np.maximum(counts, 1)
    return np.where(counts > 0, kept, 0.0), _note(order, cause, 0.5)


def _note(order: int, cause: str, taken: float | tuple[float, ...]) -> str:
    values = ", ".join(f"{d:g}" for d in (taken if isinstance(taken, tuple) else (taken,)))
    return f"order {order}: {cause}, so the discount is {values}; the text is small or artificial"
