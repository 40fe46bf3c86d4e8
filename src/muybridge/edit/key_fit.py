"""Tracks through given key frames, their velocities fitted to the frames in between.

Within a segment the rotation vector (or step) from its first key is  turn f(s) + h w_k g(s) +
h B w_(k+1) (-g(1 - s))  with f = 3 s^2 - 2 s^3 and g = s - 2 s^2 + s^3: linear in the velocities w
at both keys. Least squares over all frames couples neighbouring keys only, so the normal equations
of all tracks together are one block tridiagonal system.

Legend: t frames, j tracks, K keys of all tracks together, n components of a value.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.edit.curves.rotvec import jacobian_inverse
from muybridge.edit.curves.tridiagonal import reduce_blocks
from muybridge.edit.key_segments import steps
from muybridge.edit.keyed import Track, Way

__all__ = ["basis", "fitted", "frame_velocities"]

PULL = 1e-3  # weight of the motion's own velocity at a key, where hardly any frame says more


def frame_velocities(values: Float[Tensor, "t j n"], fps: float) -> Float[Tensor, "t j 3"]:
    """Velocity at each frame: mean of the steps before and after it, a second."""
    if len(values) < 2:
        return values.new_zeros(*values.shape[:2], 3)
    chord = steps(values[:-1], values[1:]) * fps
    return torch.cat((chord[:1], 0.5 * (chord[:-1] + chord[1:]), chord[-1:]))


def basis(s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Shares of the turn, of the velocity left with, and of that arrived with, at parts s."""
    return s * s * (3.0 - 2.0 * s), s * (1.0 - s) ** 2, s * s * (s - 1.0)


def fitted(
    values: Float[Tensor, "t j n"], keys: Bool[Tensor, "t j"], fps: float, way: Way
) -> tuple[Track, ...]:
    """One track a column, through its values at the frames marked.

    Args:
        values: Rotations, neighbours in one hemisphere, or positions.
        keys: Which frames are keys; the first always is.
        fps: Frames a second.
        way: "smooth" fits velocities; the others have none.
    """
    counts = keys.sum(0)
    frames = torch.nonzero(keys.T)[:, 1]
    at = values.transpose(0, 1)[keys.T]
    velocities = torch.full((len(at), 3), float("nan"), dtype=values.dtype)
    if way == "smooth" and len(at) > len(counts):
        velocities = _velocities(values, keys, frames, at, fps)
    times, sizes = frames.to(values.dtype) / fps, counts.tolist()
    parts = zip(times.split(sizes), at.split(sizes), velocities.split(sizes), strict=True)
    return tuple(Track(t, value, speed, (way,) * len(t)) for t, value, speed in parts)


def _velocities(values: Tensor, keys: Tensor, frames: Tensor, at: Tensor, fps: float) -> Tensor:
    """Solve the normal equations of all tracks."""
    last = frames.diff(append=frames.new_zeros(1)) <= 0
    ahead = torch.arange(1, len(at) + 1).clamp_max(len(at) - 1)
    width = torch.where(last, 1, frames[ahead] - frames).to(values) / fps
    turn = torch.where(last.unsqueeze(-1), 0.0, steps(at, at[ahead]))
    counts = keys.sum(0)
    slot = keys.long().cumsum(0) - 1 + (counts.cumsum(0) - counts)
    s = (torch.arange(len(values)).unsqueeze(-1) - frames[slot]).to(values) / (width * fps)[slot]
    used = ~last[slot]
    s = torch.where(used, s, 0.0)
    share, leave, arrive = basis(s)
    rest = steps(at[slot], values) - share.unsqueeze(-1) * turn[slot]
    rest = torch.where(used.unsqueeze(-1), rest, 0.0)
    b1, b2 = leave * width[slot], arrive * width[slot]

    def gathered(numbers: Tensor) -> Tensor:
        flat = numbers.flatten(0, 1)
        return torch.zeros(len(at), *flat.shape[1:], dtype=flat.dtype).index_add(
            0, slot.flatten(), flat
        )

    linear = torch.eye(3, dtype=values.dtype).expand(len(at), 3, 3)
    if at.shape[-1] == 4:
        linear = jacobian_inverse(turn)
    left, right = gathered(b1[..., None] * rest), gathered(b2[..., None] * rest)
    own, other, both = gathered(b1 * b1), gathered(b2 * b2), gathered(b1 * b2)
    prior = frame_velocities(values, fps).transpose(0, 1)[keys.T]
    pull = PULL * (width.square() + width.roll(1).square())
    return _solved(linear, (own, other, both), (left, right), (pull, prior))


def _solved(
    linear: Tensor,
    sums: tuple[Tensor, Tensor, Tensor],
    sides: tuple[Tensor, Tensor],
    prior: tuple[Tensor, Tensor],
) -> Tensor:
    (own, other, both), (left, right), (pull, wanted) = sums, sides, prior
    back = linear.mT
    eye = torch.eye(3, dtype=linear.dtype)
    none = torch.zeros_like(linear[:1])
    arriving = torch.cat((none, other[:-1, None, None] * (back @ linear)[:-1]))
    diagonal = (own + pull)[:, None, None] * eye + arriving
    above = both[:, None, None] * linear
    below = torch.cat((none, both[:-1, None, None] * back[:-1]))
    pushed = (back @ right.unsqueeze(-1)).squeeze(-1)
    side = left + torch.cat((torch.zeros_like(left[:1]), pushed[:-1])) + pull[:, None] * wanted
    return reduce_blocks(below, diagonal, above).solve(side.unsqueeze(-1)).squeeze(-1)
