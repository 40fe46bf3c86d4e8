"""Where the body goes, from feet that stand.

Nothing measures the place of a sensor, but a foot on the ground does not move. With the root held
at the origin the soles move; the root goes against whichever part of a sole bears the body, heel,
ball or toes, left or right: the lowest one, of a foot that hardly turns. Height follows the same
way from a level floor. Jumps, stairs and sliding feet are beyond this.

F frames, K points of soles. World of a clip: Y up, metres.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["bearing", "planted_root"]

LOW = 0.012  # metres: a point this much higher than the lowest bears e^-1 of its share
CALM = 1.0  # rad/s: a foot that turns so fast bears e^-1/2
SMOOTH = 0.04  # seconds: shares of neighbouring frames mix over this


def bearing(
    soles: Float[Tensor, "f k 3"], turning: Float[Tensor, "f k"], fps: float
) -> Float[Tensor, "f k"]:
    """Share of the body that each point of the soles bears, summing to 1.

    Args:
        soles: Points with the root at the origin, metres.
        turning: Angular speed of the foot that each belongs to, rad/s.
        fps: Frames a second.
    """
    height = soles[..., 1]
    above = (height - height.amin(-1, keepdim=True)) / LOW
    score = -above - 0.5 * (turning / CALM).square()
    return _smoothed(torch.softmax(score, dim=-1), fps)


def _smoothed(values: Float[Tensor, "f k"], fps: float) -> Float[Tensor, "f k"]:
    """Mean over a few frames, shorter at the ends."""
    half = max(1, round(SMOOTH * fps / 2.0)) if fps > 0.0 else 1
    sums = torch.cat((torch.zeros_like(values[:1]), values.cumsum(0)))
    index = torch.arange(len(values))
    low, high = (index - half).clamp(min=0), (index + half + 1).clamp(max=len(values))
    return (sums[high] - sums[low]) / (high - low).unsqueeze(-1)


def planted_root(
    soles: Float[Tensor, "f k 3"], shares: Float[Tensor, "f k"]
) -> Float[Tensor, "f 3"]:
    """Path of the root, from (0, *, 0): bearing points stay where they are, on the floor y = 0.

    Args:
        soles: Points with the root at the origin, metres.
        shares: As of `bearing`.
    """
    both = torch.minimum(shares[1:], shares[:-1]) + 1e-9  # bears before and after the step
    step = (both.unsqueeze(-1) * (soles[1:] - soles[:-1])).sum(1) / both.sum(1, keepdim=True)
    path = torch.cat((torch.zeros_like(step[:1]), -step.cumsum(0)))
    path[:, 1] = -(shares * soles[..., 1]).sum(-1)
    return path
