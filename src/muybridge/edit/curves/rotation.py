"""Rotations between keys: nlerp, slerp and squad.

A rotation has two quaternions, q and -q. Keys are first given the signs that make neighbours lie
in one hemisphere, so the shorter way is taken and the signs of the keys do not matter.

Legend: k keys, s = k - 1 segments, t query times, b any shape of joints. Quaternions (x, y, z, w).

References:
    Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985 (slerp) and 1987 (squad).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.cubic import Cubic, linear
from muybridge.edit.curves.knots import check_keys, over_values, segment_of
from muybridge.edit.curves.rotvec import arc, exponential, relative
from muybridge.errors import InputError
from muybridge.geometry.rotation import multiply, unroll

__all__ = [
    "Normalised", "Slerp", "Squad", "check_rotations", "chord_velocities", "key_velocities",
    "nlerp", "slerp", "squad",
]  # fmt: skip

UNIT = 1e-3  # how far from length 1 a quaternion may be and still be meant as a rotation


def check_rotations(
    times: Float[Tensor, "k"], rotations: Float[Tensor, "k *b 4"], fewest: int, method: str
) -> Float[Tensor, "k *b 4"]:
    """Keys of unit length, neighbours in one hemisphere.

    Raises:
        InputError: If the keys cannot be used; see `knots.check_keys`.
    """
    check_keys(times, rotations, fewest, method)
    length = torch.linalg.vector_norm(rotations, dim=-1, keepdim=True)
    worst = float((length.detach() - 1.0).abs().max()) if length.numel() else 0.0
    if worst > UNIT:
        raise InputError(
            f"expected unit quaternions, got one whose length is off by {worst:.2g}; normalise them"
        )
    return unroll(rotations / length)


def chord_velocities(
    times: Float[Tensor, "k"], rotations: Float[Tensor, "k *b 4"]
) -> Float[Tensor, "s *b 3"]:
    """Constant angular velocity that leads from each key to the next, radians a second.

    In the frame of either key: the axis of the turn is the same in both. Signs count.
    """
    turns = relative(rotations[:-1], rotations[1:])
    return turns / over_values(times.diff(), turns)


def key_velocities(
    times: Float[Tensor, "k"], rotations: Float[Tensor, "k *b 4"], weighted: bool = True
) -> Float[Tensor, "k *b 3"]:
    """Angular velocity at each key from its neighbours, in the key's own frame, radians a second.

    Args:
        times: Key times, seconds.
        rotations: Unit quaternions, neighbours in one hemisphere.
        weighted: The nearer neighbour counts more (Catmull-Rom); otherwise the plain mean of both
            chords. At the ends that of the only chord.
    """
    chord = chord_velocities(times, rotations)
    width = over_values(times.diff(), chord)
    share = width[1:] / (width[:-1] + width[1:]) if weighted else 0.5
    return torch.cat((chord[:1], share * chord[:-1] + (1.0 - share) * chord[1:], chord[-1:]))


@dataclass(frozen=True)
class Normalised:
    """A curve of four components brought back to unit length: nlerp, and glTF's CUBICSPLINE."""

    curve: Cubic

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions at the times."""
        return torch.nn.functional.normalize(self.curve(times), dim=-1)


def nlerp(times: Float[Tensor, "k"], rotations: Float[Tensor, "k *b 4"]) -> Normalised:
    """Straight lines between quaternions, normalised: slerp's path at a speed that varies."""
    return Normalised(linear(times, check_rotations(times, rotations, 2, "nlerp")))


@dataclass(frozen=True)
class Slerp:
    """Great arcs from key to key: q(u) = start cos(u w) + side u w sinc(u w), u from 0 to 1.

    Attributes:
        knots: Key times, seconds.
        start: Rotation where each segment begins.
        side: Derivative of the quaternion by u there.
        angle: w, half the rotation angle of each segment, radians.
    """

    knots: Float[Tensor, "k"]
    start: Float[Tensor, "s *b 4"]
    side: Float[Tensor, "s *b 4"]
    angle: Float[Tensor, "s *b"]

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions at the times; outside the keys the end segments turn on."""
        index = segment_of(self.knots, times)
        width = self.knots.diff()
        part = (times - self.knots[index]) / width[index]
        return self.at(index, part)

    def at(self, index: Tensor, part: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions in given segments after given parts of them."""
        along = over_values(part, self.angle)
        turn = along * self.angle.index_select(0, index)
        near = self.start.index_select(0, index) * turn.cos().unsqueeze(-1)
        reach = (along * torch.sinc(turn * (1.0 / torch.pi))).unsqueeze(-1)
        return torch.addcmul(near, self.side.index_select(0, index), reach)

    def velocity(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 3"]:
        """Angular velocity in the turning frame, radians a second: constant in each segment."""
        index = segment_of(self.knots, times)
        inverse = self.start * self.start.new_tensor([-1.0, -1.0, -1.0, 1.0])
        turn = 2.0 * multiply(inverse, self.side)[..., :3]
        return (turn / over_values(self.knots.diff(), turn))[index]


def _arcs(knots: Tensor, start: Tensor, end: Tensor) -> Slerp:
    turn = relative(start, end)
    side = multiply(start, torch.cat((0.5 * turn, torch.zeros_like(turn[..., :1])), dim=-1))
    return Slerp(knots, start, side, 0.5 * torch.linalg.vector_norm(turn, dim=-1))


def slerp(times: Float[Tensor, "k"], rotations: Float[Tensor, "k *b 4"]) -> Slerp:
    """Spherical linear interpolation: the shortest turn at a constant angular velocity, C0."""
    keys = check_rotations(times, rotations, 2, "slerp")
    return _arcs(times, keys[:-1], keys[1:])


@dataclass(frozen=True)
class Squad:
    """Spherical quadrangles: between the arc of the keys and that of their controls."""

    keys: Slerp
    controls: Slerp

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions at the times."""
        knots = self.keys.knots
        index = segment_of(knots, times)
        part = (times - knots[index]) / knots.diff()[index]
        outer, inner = self.keys.at(index, part), self.controls.at(index, part)
        return arc(outer, inner, over_values(2.0 * part * (1.0 - part), self.keys.angle))


def squad(
    times: Float[Tensor, "k"],
    rotations: Float[Tensor, "k *b 4"],
    velocities: Float[Tensor, "k *b 3"] | None = None,
) -> Squad:
    """Spherical and quadrangle: C1 through all keys with given angular velocities there.

    Args:
        times: Key times, seconds.
        rotations: Unit quaternions; signs do not matter.
        velocities: In each key's own frame, radians a second; by default the mean of both chords,
            as in Shoemake's paper for keys at equal distances (`key_velocities`).
    Raises:
        InputError: If the keys cannot be used.
    """
    keys = check_rotations(times, rotations, 2, "squad")
    if velocities is None:
        velocities = key_velocities(times, keys, weighted=False)
    check_keys(times, velocities, 2, "squad")
    turn = relative(keys[:-1], keys[1:])
    width = over_values(times.diff(), turn)
    after = exponential(0.5 * (velocities[:-1] * width - turn))
    before = exponential(0.5 * (turn - velocities[1:] * width))
    controls = multiply(keys[:-1], after), multiply(keys[1:], before)
    return Squad(_arcs(times, keys[:-1], keys[1:]), _arcs(times, *controls))
