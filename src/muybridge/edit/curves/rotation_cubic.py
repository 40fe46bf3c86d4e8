"""Smooth rotations: a cubic of the rotation vector a segment, C1 by tangents or C2 by solving.

In segment k the curve is  q_k exp(theta(u))  with theta a cubic, theta(0) = 0 and theta(h) the
turn to the next key. Its angular velocities at both ends are free: choosing them from the
neighbours gives a C1 curve; asking for one angular acceleration on both sides of each key gives a
block tridiagonal system, with a small nonlinear term that is iterated, and a C2 curve.

Legend: k keys, s = k - 1 segments, t query times, b any shape of joints. Quaternions (x, y, z, w).

References:
    Mayorov, Smooth attitude interpolation, 2019 (scipy's RotationSpline).
    Kim, Kim & Shin, A general construction scheme for unit quaternion curves, SIGGRAPH 1995.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.cubic import Cubic
from muybridge.edit.curves.knots import check_keys, over_values, segment_of
from muybridge.edit.curves.rotation import check_rotations, key_velocities
from muybridge.edit.curves.rotvec import (
    acceleration,
    exponential,
    jacobian,
    jacobian_inverse,
    logarithm,
    relative,
    velocity,
)
from muybridge.edit.curves.spline import Ends, spline
from muybridge.edit.curves.tridiagonal import reduce_blocks
from muybridge.errors import InputError
from muybridge.geometry.rotation import conjugate, multiply, unroll

__all__ = ["LogCurve", "RotationCubic", "log_spline", "rotation_hermite", "rotation_spline"]

ROUNDS = 100  # of the nonlinear term; usual motion takes about eight
CLOSE = 1e-14  # relative change at which the rounds end


@dataclass(frozen=True)
class RotationCubic:
    """Key rotations and, from each, a cubic of the rotation vector.

    Attributes:
        keys: Rotation where each segment begins.
        turn: Rotation vector from there, radians.
    """

    keys: Float[Tensor, "s *b 4"]
    turn: Cubic

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions at the times; outside the keys the end segments go on."""
        start = self.keys.index_select(0, segment_of(self.turn.knots, times))
        return multiply(start, exponential(self.turn(times)))

    def velocity(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 3"]:
        """Angular velocity in the turning frame, radians a second."""
        return velocity(self.turn(times), self.turn(times, 1))

    def acceleration(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 3"]:
        """Angular acceleration in the turning frame, radians a second squared."""
        return acceleration(self.turn(times), self.turn(times, 1), self.turn(times, 2))


def _between(times: Tensor, keys: Tensor, turn: Tensor, velocities: Tensor) -> RotationCubic:
    """The cubics with given angular velocities at the keys."""
    width = over_values(times.diff(), turn)
    leave = velocities[:-1]
    arrive = (jacobian_inverse(turn) @ velocities[1:].unsqueeze(-1)).squeeze(-1)
    chord = turn / width
    square = (3.0 * chord - 2.0 * leave - arrive) / width
    cube = (leave + arrive - 2.0 * chord) / width.square()
    coefficients = torch.stack((torch.zeros_like(turn), leave, square, cube), dim=1)
    return RotationCubic(keys[:-1], Cubic(times, coefficients))


def rotation_hermite(
    times: Float[Tensor, "k"],
    rotations: Float[Tensor, "k *b 4"],
    velocities: Float[Tensor, "k *b 3"] | None = None,
) -> RotationCubic:
    """C1 curve with given angular velocities at the keys.

    Args:
        times: Key times, seconds.
        rotations: Unit quaternions; signs do not matter.
        velocities: In each key's own frame, radians a second; Catmull-Rom's by default.
    Raises:
        InputError: If the keys cannot be used.
    """
    keys = check_rotations(times, rotations, 2, "Hermite")
    if velocities is None:
        velocities = key_velocities(times, keys)
    check_keys(times, velocities, 2, "Hermite")
    return _between(times, keys, relative(keys[:-1], keys[1:]), velocities)


def rotation_spline(
    times: Float[Tensor, "k"],
    rotations: Float[Tensor, "k *b 4"],
    ends: Literal["chord", "parabola", "natural"] | Float[Tensor, "2 *b 3"] = "chord",
) -> RotationCubic:
    """C2 curve: angular velocity and acceleration have no jumps.

    Args:
        times: Key times, seconds.
        rotations: Unit quaternions; signs do not matter.
        ends: Angular velocity at the first and the last key, in their frames, radians a second;
            or "chord" (that of the first and the last slerp, as scipy does), "parabola" (by the
            first and the last two slerps: closer to smooth motion), or "natural" (no angular
            acceleration there).
    Raises:
        InputError: If the keys cannot be used, or the curve is too wild to be found.
    """
    keys = check_rotations(times, rotations, 2, "C2 rotation")
    if isinstance(ends, str) and ends not in ("chord", "parabola", "natural"):
        raise InputError(
            f"expected ends chord, parabola or natural, or velocities, got {ends!r}; choose one"
        )
    turn = relative(keys[:-1], keys[1:])
    chord = turn / over_values(times.diff(), turn)
    guess = torch.cat((chord[:1], 0.5 * (chord[:-1] + chord[1:]), chord[-1:]))
    if isinstance(ends, str) and ends == "natural":
        velocities = _settled(guess, *_natural_system(times, turn))
    else:
        fixed = ends if isinstance(ends, Tensor) else torch.stack((chord[0], chord[-1]))
        if isinstance(ends, str) and ends == "parabola" and len(times) > 2:
            width = times.diff()
            fixed = torch.stack((_leaning(width, chord), _leaning(width.flip(0), chord.flip(0))))
        guess = torch.cat((fixed[:1], guess[1:-1], fixed[1:]))
        velocities = guess if len(times) == 2 else _settled(guess, *_system(times, turn, fixed))
    return _between(times, keys, turn, velocities)


def _leaning(width: Tensor, chord: Tensor) -> Tensor:
    """Velocity at the first key by the parabola through three."""
    near, far = width[0], width[1]
    return ((2.0 * near + far) * chord[0] - near * chord[1]) / (near + far)


Blocks = tuple[Tensor, Tensor, Tensor]
Right = Callable[[Tensor], Tensor]  # right side of the system from the present velocities


def _settled(guess: Tensor, blocks: Blocks, right: Right) -> Tensor:
    """Velocities at all keys: solve, put the solution into the nonlinear term, and again."""
    matrix, inner = reduce_blocks(*blocks), len(blocks[1]) < len(guess)
    now = guess
    for _ in range(ROUNDS):
        new = matrix.solve(right(now).unsqueeze(-1)).squeeze(-1)
        new = torch.cat((guess[:1], new, guess[-1:])) if inner else new
        change = float(((new - now).abs() / (1.0 + new.abs())).max().detach())
        now = new
        if change < CLOSE:
            break
    if not change < 1e-9:
        raise InputError(
            "expected rotations that a C2 curve can follow, found turns too large for one; set "
            "keys closer together or use squad"
        )
    return now


def _rows(times: Tensor, turn: Tensor) -> tuple[Blocks, Callable[[Tensor], Tensor]]:
    """Rows of the inner keys, and the acceleration that the velocities alone cause there."""
    forward, backward = jacobian(turn), jacobian_inverse(turn)
    width = times.diff()
    inverse = (1.0 / width).reshape(-1, *(1,) * (forward.ndim - 1))
    own = 4.0 * (inverse[:-1] + inverse[1:]) * torch.eye(3, dtype=turn.dtype)
    below = 2.0 * forward[:-1] * inverse[:-1]
    above = 2.0 * backward[1:] * inverse[1:]

    def caused(velocities: Tensor) -> Tensor:
        rate = (backward @ velocities[1:].unsqueeze(-1)).squeeze(-1)
        return acceleration(turn, rate, torch.zeros_like(rate))

    return (below, own.expand_as(below), above), caused


def _system(times: Tensor, turn: Tensor, fixed: Tensor) -> tuple[Blocks, Right]:
    """The system of the inner keys where the velocities at both ends are given."""
    (below, own, above), caused = _rows(times, turn)
    width = over_values(times.diff(), turn)
    steep = turn / width.square()
    constant = 6.0 * (steep[:-1] + steep[1:])
    first = (below[0] @ fixed[0].unsqueeze(-1)).squeeze(-1).unsqueeze(0)
    last = (above[-1] @ fixed[1].unsqueeze(-1)).squeeze(-1).unsqueeze(0)
    none = torch.zeros_like(constant[1:])
    constant = constant - torch.cat((first, none)) - torch.cat((none, last))
    return (below, own, above), lambda now: constant - caused(now)[:-1]


def _natural_system(times: Tensor, turn: Tensor) -> tuple[Blocks, Right]:
    """The system of all keys where the angular acceleration at both ends is 0."""
    (below, own, above), caused = _rows(times, turn)
    one = torch.eye(3, dtype=turn.dtype).expand(1, *turn.shape[1:-1], 3, 3)
    width = over_values(times.diff(), turn)
    steep = turn / width.square()
    rows = (3.0 * steep[:1] * width[:1], 6.0 * (steep[:-1] + steep[1:]))
    constant = torch.cat((*rows, 3.0 * steep[-1:] * width[-1:]))
    blocks = (
        torch.cat((one, below, jacobian(turn[-1:]))),
        torch.cat((2.0 * one, own, 2.0 * one)),
        torch.cat((jacobian_inverse(turn[:1]), above, one)),
    )

    def right(now: Tensor) -> Tensor:
        extra = caused(now)
        none, end = torch.zeros_like(extra[:1]), 0.5 * width[-1:] * extra[-1:]
        return constant - torch.cat((none, extra[:-1], end))

    return blocks, right


@dataclass(frozen=True)
class LogCurve:
    """A curve of rotation vectors seen from one rotation: q(t) = reference exp(curve(t))."""

    reference: Float[Tensor, "*b 4"]
    curve: Cubic

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 4"]:
        """Unit quaternions at the times."""
        return multiply(self.reference, exponential(self.curve(times)))

    def velocity(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *b 3"]:
        """Angular velocity in the turning frame, radians a second."""
        return velocity(self.curve(times), self.curve(times, 1))


def log_spline(
    times: Float[Tensor, "k"],
    rotations: Float[Tensor, "k *b 4"],
    ends: Ends = "natural",
    reference: Float[Tensor, "*b 4"] | None = None,
) -> LogCurve:
    """Cubic spline of rotation vectors seen from one rotation: C2, simple, right near it.

    Far from the reference the map stretches turns, and at one whole turn it tears;
    `rotation_spline` has no such place.

    Args:
        times: Key times, seconds.
        rotations: Unit quaternions, less than a whole turn away from the reference.
        ends: As in `spline`.
        reference: The rotation to look from; the first key by default.
    """
    keys = check_rotations(times, rotations, 2, "log-map")
    start = keys[0] if reference is None else reference
    seen = unroll(multiply(conjugate(start), keys))
    seen = torch.where(seen[:1, ..., 3:] < 0.0, -seen, seen)
    return LogCurve(start, spline(times, logarithm(seen), ends))
