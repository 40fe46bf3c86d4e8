"""Roots and means from noisy measurements: the mathematics under stochastic gradient descent.

    w_{k+1} = w_k - a_k (g(w_k) + noise)        Robbins and Monro

finds the root of g if 0 < c1 <= g' <= c2 and the steps obey sum a_k = infinity (they reach any
distance) and sum a_k^2 < infinity (the noise they let in stays finite). The incremental mean is
the case g(w) = w - E[x], a_k = 1 / k; SGD is the case g = the gradient of the expected loss.

Trap: a constant step never arrives, its error stays near sqrt(a / (2 g')) of the noise; steps of
1 / k^2 stop on the way, because all of them together only reach so far.

R runs side by side, N samples, D parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError

__all__ = [
    "Steps",
    "constant_steps",
    "descend",
    "dvoretzky_limit",
    "incremental_mean",
    "power_steps",
    "robbins_monro",
]


@dataclass(frozen=True)
class Steps:
    """a_k = scale / k^power, k from 1, with what is known of the two sums.

    Attributes:
        scale: The first step.
        power: 0: constant; 1: as of the incremental mean.
    """

    scale: float
    power: float

    def __call__(self, k: int) -> float:
        """Step number k, from 1."""
        return self.scale / k**self.power

    @property
    def reaches(self) -> bool:
        """Whether sum a_k is infinite (harmonic series: up to power 1)."""
        return self.power <= 1

    @property
    def settles(self) -> bool:
        """Whether sum a_k^2 is finite (powers above 1/2)."""
        return self.power > 0.5

    @property
    def converges(self) -> bool:
        """Robbins and Monro's condition."""
        return self.reaches and self.settles

    @property
    def reach(self) -> float:
        """sum a_k: the farthest that a gradient of size 1 can take w."""
        return math.inf if self.reaches else self.scale * _zeta(self.power)


def constant_steps(scale: float) -> Steps:
    """The same step for ever: fast, and then noisy for ever."""
    return Steps(_positive(scale), 0.0)


def power_steps(power: float = 1.0, scale: float = 1.0) -> Steps:
    """scale / k^power."""
    return Steps(_positive(scale), power)


def incremental_mean(samples: Iterable[float]) -> Iterator[float]:
    """Mean of all samples so far, after each: w += (x - w) / k; no sample is kept.

    References:
        Zhao, Mathematical Foundations of Reinforcement Learning, section 6.1.
    """
    mean = 0.0
    for k, sample in enumerate(samples, start=1):
        mean += (sample - mean) / k
        yield mean


def robbins_monro(
    measure: Callable[[Tensor], Tensor],
    start: Float[Tensor, "r"],
    steps: Callable[[int], float],
    count: int,
) -> Float[Tensor, "r"]:
    """Follow noisy measurements of a rising function to its root.

    Args:
        measure: g plus fresh noise of mean 0, at each run's w.
        start: w of each of R independent runs.
        steps: a_k, k from 1.
        count: How many measurements.
    Returns:
        Each run's last w.
    References:
        Robbins & Monro, A Stochastic Approximation Method, 1951; Zhao, theorem 6.1.
    """
    w = start.clone()
    for k in range(1, count + 1):
        w = w - steps(k) * measure(w)
    return w


def dvoretzky_limit(
    shrink: Callable[[int], float], gain: Callable[[int], float], count: int
) -> tuple[float, float]:
    """How far Dvoretzky's conditions are met after `count` steps.

    The process  delta_{k+1} = (1 - alpha_k) delta_k + beta_k noise  of bounded noise goes to 0
    almost surely if sum alpha = infinity, sum alpha^2 < infinity and sum beta^2 < infinity. Its
    mean shrinks by the first figure here, and its variance under unit noise is the second: both
    go to 0 with `count` where the conditions hold.

    Args:
        shrink: alpha_k, k from 1.
        gain: beta_k.
        count: How many steps.
    Returns:
        Product of (1 - alpha_k), and variance of delta from a start at 0.
    References:
        Dvoretzky, On Stochastic Approximation, 1956; Zhao, theorem 6.2.
    """
    left, variance = 1.0, 0.0
    for k in range(1, count + 1):
        keep = 1 - shrink(k)
        left *= keep
        variance = keep**2 * variance + gain(k) ** 2
    return left, variance


def descend(
    gradient: Callable[[Tensor, Tensor], Tensor],
    start: Float[Tensor, "d"],
    samples: Float[Tensor, "n d2"],
    steps: Callable[[int], float],
    count: int,
    batch: int,
    generator: torch.Generator | None = None,
) -> Float[Tensor, "k d"]:
    """Gradient descent on a mean over samples: batch, mini-batch or stochastic.

    Args:
        gradient: Of the mean loss over some samples, at w: called with (w, samples).
        start: First w.
        samples: All of them.
        steps: a_k, k from 1.
        count: How many steps.
        batch: Samples a step, drawn with replacement; N takes every sample once, and then
            nothing is random. 1 is SGD.
        generator: Source of the draws.
    Returns:
        w before the first step and after each.
    Raises:
        InputError: If `batch` is not in 1..N.
    References:
        Zhao, section 6.5: BGD, MBGD and SGD.
    """
    if not 1 <= batch <= len(samples):
        raise InputError(
            f"expected a batch of 1 to {len(samples)} samples, got {batch}; the last is all of them"
        )
    path = [start]
    for k in range(1, count + 1):
        drawn = samples
        if batch < len(samples):
            drawn = samples[torch.randint(len(samples), (batch,), generator=generator)]
        path.append(path[-1] - steps(k) * gradient(path[-1], drawn))
    return torch.stack(path)


def _zeta(power: float, terms: int = 1000) -> float:
    """sum 1 / k^power for power > 1: a head, and the tail's integral with its first correction."""
    head = sum(k**-power for k in range(1, terms))
    return head + terms ** (1 - power) / (power - 1) + terms**-power / 2


def _positive(scale: float) -> float:
    if not scale > 0:
        raise InputError(f"expected a positive first step, got {scale}; 1 is a usual choice")
    return scale
