"""Critically damped springs in closed form: what fades an offset away, or follows a goal.

A spring with the half-life h obeys  x'' + 2 y x' + y^2 (x - g) = 0,  y = 2 ln 2 / h,  so that

    x(t) - g = e^{-y t} (x0 - g + j t),   v(t) = e^{-y t} (v0 - y j t),   j = v0 + y (x0 - g):

exact for steps of any length, never past the goal from rest, and differentiable. Seconds; any
unit; any shape. Rotations are springs of their rotation vectors.

References:
    Daniel Holden, Spring-It-On: the game developer's spring-roll-call, 2021
    (half-life as the one parameter).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_rotvec,
    rotvec_from_quaternion,
)

__all__ = ["decay", "decay_rotation", "follow", "follow_rotation", "stiffness"]


def stiffness(halflife: float) -> float:
    """The rate y of a critically damped spring, 1/seconds, from its half-life in seconds."""
    if not (math.isfinite(halflife) and halflife > 0.0):
        raise InputError(f"expected a positive half-life, got {halflife}; give seconds, such as .1")
    return 2.0 * math.log(2.0) / halflife


def decay(
    offset: Float[Tensor, "*#b n"],
    velocity: Float[Tensor, "*#b n"],
    halflife: float,
    seconds: Float[Tensor, "*#b"],
) -> tuple[Float[Tensor, "*_ n"], Float[Tensor, "*_ n"]]:
    """Offset and velocity after some time, on the way to zero.

    Args:
        offset: At the start, any unit.
        velocity: At the start, that unit/second.
        halflife: Seconds until about half of an offset that starts at rest is gone.
        seconds: How long after the start; broadcasts against the batch.
    """
    rate, time = stiffness(halflife), seconds.unsqueeze(-1)
    slope = velocity + rate * offset
    fade = torch.exp(-rate * time)
    return fade * (offset + slope * time), fade * (velocity - rate * slope * time)


def follow(
    position: Float[Tensor, "*b n"],
    velocity: Float[Tensor, "*b n"],
    goal: Float[Tensor, "*b n"],
    halflife: float,
    seconds: float,
) -> tuple[Float[Tensor, "*b n"], Float[Tensor, "*b n"]]:
    """One step of a spring towards a goal that stands still meanwhile: position and velocity."""
    time = torch.as_tensor(seconds, dtype=position.dtype)
    offset, velocity = decay(position - goal, velocity, halflife, time)
    return goal + offset, velocity


def decay_rotation(
    offset: Float[Tensor, "*#b 4"],
    velocity: Float[Tensor, "*#b 3"],
    halflife: float,
    seconds: Float[Tensor, "*#b"],
) -> tuple[Float[Tensor, "*_ 4"], Float[Tensor, "*_ 3"]]:
    """`decay` of a rotation: the spring of its rotation vector.

    Args:
        offset: Unit quaternions; the shorter way round is taken.
        velocity: Rate of the rotation vector, radians/second.
        halflife: Seconds.
        seconds: How long after the start.
    """
    rotvec, velocity = decay(rotvec_from_quaternion(offset), velocity, halflife, seconds)
    return quaternion_from_rotvec(rotvec), velocity


def follow_rotation(
    rotation: Float[Tensor, "*b 4"],
    velocity: Float[Tensor, "*b 3"],
    goal: Float[Tensor, "*b 4"],
    halflife: float,
    seconds: float,
) -> tuple[Float[Tensor, "*b 4"], Float[Tensor, "*b 3"]]:
    """`follow` for rotations: the offset R G* fades, so that R becomes the goal G."""
    time = torch.as_tensor(seconds, dtype=rotation.dtype)
    offset = multiply(rotation, conjugate(goal))
    offset, velocity = decay_rotation(offset, velocity, halflife, time)
    return multiply(offset, goal), velocity
