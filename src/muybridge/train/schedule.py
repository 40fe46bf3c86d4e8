"""Learning rates over time, as multiples of the peak rate.

Each function returns `step -> multiple`, step counted from 0. Warm-up is (step + 1) / (warmup + 1),
so that the first step is not wasted on a rate of 0 and the peak comes at step `warmup`; past the
end a schedule stays at its last value, so that a run may be prolonged without a jump.

Trap: transformers warms up by step / warmup, whose first step does nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from muybridge.errors import InputError
from muybridge.train.options import ScheduleName

__all__ = [
    "Schedule",
    "ScheduleName",
    "constant",
    "cosine",
    "inverse_root",
    "linear",
    "make_schedule",
    "warmup_stable_decay",
]

Schedule = Callable[[int], float]


def constant(warmup: int = 0) -> Schedule:
    """The peak rate after a linear warm-up."""
    _check(warmup + 1, warmup, 0.0)
    return lambda step: min(1.0, (step + 1) / (warmup + 1))


def linear(total: int, warmup: int = 0, floor: float = 0.1) -> Schedule:
    """Straight down from 1 at step `warmup` to `floor` at step `total`."""
    return _decaying(total, warmup, floor, lambda progress: 1 - progress)


def cosine(total: int, warmup: int = 0, floor: float = 0.1) -> Schedule:
    """Half a cosine from 1 at step `warmup` to `floor` at step `total`.

    Args:
        total: Steps of the run; step `total` itself is the first one after it.
        warmup: Steps before the peak.
        floor: Multiple of the peak rate at the end.
    Returns:
        The multiple of the peak rate at a step.
    Raises:
        InputError: If the warm-up does not fit into the run, or the floor is not in [0, 1].
    References:
        Loshchilov & Hutter, SGDR, arXiv 1608.03983, equation 5 without restarts.
    """
    return _decaying(total, warmup, floor, lambda progress: (1 + math.cos(math.pi * progress)) / 2)


def inverse_root(warmup: int, floor: float = 0.0) -> Schedule:
    """The 2017 Transformer's: up in a line, then down by 1 / sqrt(step), without an end.

    The paper's own rate is d^-0.5 min(n^-0.5, n w^-1.5), n = step + 1; its peak, at n = w, is
    (d w)^-0.5, and this is the multiple of that.

    References:
        Vaswani et al., Attention Is All You Need, arXiv 1706.03762, equation 3.
    """
    _check(warmup + 1, warmup, floor)
    width = max(warmup, 1)

    def multiple(step: int) -> float:
        n = step + 1
        return n / width if n < width else max(floor, math.sqrt(width / n))

    return multiple


def warmup_stable_decay(
    total: int, warmup: int = 0, floor: float = 0.0, decay: float = 0.2
) -> Schedule:
    """Warm up, stay at the peak, and go down as 1 - sqrt(progress) in the last share of the run.

    Unlike the cosine it may be stopped late: the stable part does not depend on `total`.

    Args:
        total: Steps of the run.
        warmup: Steps before the peak.
        floor: Multiple of the peak rate at the end.
        decay: Share of the run that goes down, in (0, 1].
    Returns:
        The multiple of the peak rate at a step.
    Raises:
        InputError: If the shares do not fit into the run.
    References:
        Hu et al., MiniCPM, arXiv 2404.06395; Haegele et al., arXiv 2405.18392, section 4.
    """
    if not 0 < decay <= 1:
        raise InputError(f"expected a decaying share in (0, 1], got {decay}; 0.2 is a usual choice")
    start = max(warmup, total - max(1, round(decay * total)))
    fall = _decaying(total, start, floor, lambda progress: 1 - math.sqrt(progress))
    rise = constant(warmup)
    return lambda step: rise(step) if step < start else fall(step)


def make_schedule(kind: ScheduleName, total: int, warmup: int = 0, floor: float = 0.1) -> Schedule:
    """A schedule by its name; those that need no `total` or no `floor` leave them out."""
    match kind:
        case "constant":
            return constant(warmup)
        case "linear":
            return linear(total, warmup, floor)
        case "cosine":
            return cosine(total, warmup, floor)
        case "inverse_root":
            return inverse_root(warmup, floor)
        case "warmup_stable_decay":
            return warmup_stable_decay(total, warmup, floor)


def _decaying(total: int, warmup: int, floor: float, shape: Callable[[float], float]) -> Schedule:
    """Warm-up, then `shape` of the progress in [0, 1], stretched to end at the floor."""
    _check(total, warmup, floor)

    def multiple(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / (total - warmup))
        return floor + (1 - floor) * shape(progress)

    return multiple


def _check(total: int, warmup: int, floor: float) -> None:
    if not 0 <= warmup < total:
        raise InputError(
            f"expected a warm-up of 0 to {total - 1} steps, got {warmup}; "
            "shorten it or train for more steps"
        )
    if not 0 <= floor <= 1:
        raise InputError(
            f"expected a floor in [0, 1], got {floor}; it is a multiple of the peak rate"
        )
