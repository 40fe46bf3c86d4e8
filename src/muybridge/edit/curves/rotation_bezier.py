"""Bezier curves of rotations: de Casteljau with slerp, and the curves built on them.

Legend: n + 1 controls, k keys, s = k - 1 segments, t query times, b any shape of joints.

References:
    Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985.
    Barry & Goldman, A recursive evaluation algorithm for a class of Catmull-Rom splines, 1988.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.knots import over_values, segment_of
from muybridge.edit.curves.rotation import check_rotations, chord_velocities
from muybridge.edit.curves.rotvec import arc, exponential, relative
from muybridge.edit.curves.tangents import tcb_rows, tcb_slopes
from muybridge.errors import InputError
from muybridge.geometry.rotation import multiply

__all__ = ["RotationBezier", "barry_goldman", "rotation_bezier", "rotation_tcb"]


@dataclass(frozen=True)
class RotationBezier:
    """Segments of control rotations.

    Attributes:
        knots: Times of the segments' ends, seconds.
        points: Controls of each segment, unit quaternions; signs count.
    """

    knots: Float[Tensor, "k"]
    points: Float[Tensor, "s n *b 4"]

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions at the times: slerps of neighbours until one is left."""
        index = segment_of(self.knots, times)
        part = (times - self.knots[index]) / self.knots.diff()[index]
        share = over_values(part, self.points[:, 0, ..., 0])
        level = list(self.points[index].unbind(1))
        while len(level) > 1:
            level = [arc(a, b, share) for a, b in pairwise(level)]
        return level[0]


def rotation_bezier(knots: Float[Tensor, "k"], points: Float[Tensor, "s n *b 4"]) -> RotationBezier:
    """Bezier segments of rotations by their controls, which get the signs of the shorter ways."""
    if len(knots) != len(points) + 1:
        raise InputError(
            f"expected one knot more than segments, got {len(knots)} knots and {len(points)} "
            "segments; give both ends of each segment"
        )
    flat = points.flatten(0, 1)
    order = torch.arange(len(flat), dtype=knots.dtype)
    smooth = check_rotations(order, flat, 2, "Bezier")
    check_rotations(knots, points[[*range(len(points)), -1], 0], 2, "Bezier")
    return RotationBezier(knots, smooth.unflatten(0, points.shape[:2]))


def rotation_tcb(
    times: Float[Tensor, "k"],
    rotations: Float[Tensor, "k *b 4"],
    tcb: Float[Tensor, "*n 3"] | None = None,
) -> RotationBezier:
    """Kochanek-Bartels curve of rotations; without tension, continuity and bias Catmull-Rom's.

    Args:
        times: Key times, seconds.
        rotations: Unit quaternions; signs do not matter.
        tcb: For all keys, or one row for each inner key; see `tangents.kochanek_bartels`.
    """
    keys = check_rotations(times, rotations, 2, "Kochanek-Bartels")
    turn = relative(keys[:-1], keys[1:])
    if len(times) == 2:
        thirds = [multiply(keys[:1], exponential(turn * part)) for part in (1 / 3, 2 / 3)]
        return RotationBezier(times, torch.stack((keys[:1], *thirds, keys[1:]), dim=1))
    third = over_values(times.diff() / 3.0, turn)
    chord = chord_velocities(times, keys)
    rows = tcb_rows(tcb, len(keys) - 2, times.dtype)
    arriving, leaving = tcb_slopes(times.diff(), chord, rows)
    inner = keys[1:-1]
    before = multiply(inner, exponential(-arriving * third[:-1]))
    after = multiply(inner, exponential(leaving * third[1:]))
    half = torch.full(keys.shape[1:-1], 0.5, dtype=keys.dtype)
    first, last = arc(keys[0], before[0], half), arc(keys[-1], after[-1], half)
    after = torch.cat((first.unsqueeze(0), after))
    before = torch.cat((before, last.unsqueeze(0)))
    return RotationBezier(times, torch.stack((keys[:-1], after, before, keys[1:]), dim=1))


@dataclass(frozen=True)
class BarryGoldman:
    """Slerps of slerps over four keys; `times` and `keys` have one more on each side."""

    times: Float[Tensor, "m"]
    keys: Float[Tensor, "m *b 4"]

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions at the times."""
        low = segment_of(self.times[1:-1], times)
        q = [self.keys[low + i] for i in range(4)]
        t = [self.times[low + i] for i in range(4)]

        def between(a: Tensor, b: Tensor, i: int, j: int) -> Tensor:
            part = (times - t[i]) / (t[j] - t[i])
            return arc(a, b, over_values(part, a[..., 0]))

        first, middle, last = (between(q[i], q[i + 1], i, i + 1) for i in range(3))
        return between(between(first, middle, 0, 2), between(middle, last, 1, 3), 1, 2)


def barry_goldman(
    times: Float[Tensor, "k"], rotations: Float[Tensor, "m *b 4"], closed: bool = False
) -> BarryGoldman:
    """Catmull-Rom curve of rotations by Barry and Goldman's pyramid of slerps.

    Args:
        times: Key times, seconds; with `closed` one more than keys, the time of coming back.
        rotations: Unit quaternions; signs do not matter.
        closed: The curve returns to the first key. Otherwise the end keys are mirrored outwards.
    """
    if closed:
        rotations = torch.cat((rotations, rotations[:1]))
    keys = check_rotations(times, rotations, 3, "Barry-Goldman")
    width = times.diff()
    turn = relative(keys[:-1], keys[1:])
    back, on = (turn[-1], turn[0]) if closed else (turn[0], turn[-1])
    step = (width[-1], width[0]) if closed else (width[0], width[-1])
    first, last = multiply(keys[0], exponential(-back)), multiply(keys[-1], exponential(on))
    outer = (times[:1] - step[0], times, times[-1:] + step[1])
    return BarryGoldman(torch.cat(outer), torch.cat((first[None], keys, last[None])))
