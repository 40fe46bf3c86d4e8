"""Inertialisation: change from one motion to another at once and let the difference fade.

At the switch the source's pose and velocity differ from the target's by an offset. From then on
only the target is played, plus that offset, which a critically damped spring fades away: pose and
velocity are continuous, and the source is needed no longer.

Offsets of rotations are rotation vectors in the parent's frame,  R_source = exp(o) R_target. Their
rate is exact for offsets of any size, not the difference of the angular velocities that small
offsets allow:  o' = J(o)^-1 (w_source - exp(o) w_target),  J the left Jacobian of SO(3).

*b any batch, J joints, K joints with places, T frames. Metres, seconds, radians.

References:
    David Bollo, Inertialization: high-performance animation transitions in Gears of War, GDC 2018.
    Daniel Holden, Spring-It-On, 2021, and Dead blending, 2023 (springs instead of polynomials).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.align import continued
from muybridge.edit.sequence import concatenate, posed, same_skeleton
from muybridge.edit.springs import decay
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_rotvec,
    rotate,
    rotvec_from_quaternion,
)
from muybridge.motion.clip import Clip

__all__ = [
    "Offset",
    "State",
    "extrapolated",
    "inertialize",
    "join_inertialized",
    "offset_at_switch",
    "state_at",
    "with_offset",
]


class State(NamedTuple):
    """A pose and how it moves.

    Attributes:
        rotations: Local rotations, parent's frame.
        places: Local positions (`Clip.local_translations`, the root's in the world), metres; of
            all joints or of the root alone.
        spins: Angular velocities in the parent's frame, radians/second.
        speeds: Rates of the places, metres/second.
    """

    rotations: Float[Tensor, "*b j 4"]
    places: Float[Tensor, "*b k 3"]
    spins: Float[Tensor, "*b j 3"]
    speeds: Float[Tensor, "*b k 3"]


class Offset(NamedTuple):
    """What a source has and its target has not: rotation vectors, places, and their rates."""

    rotvecs: Float[Tensor, "*b j 3"]
    places: Float[Tensor, "*b k 3"]
    rotvec_rates: Float[Tensor, "*b j 3"]
    speeds: Float[Tensor, "*b k 3"]


def state_at(clip: Clip, frame: int) -> State:
    """The pose of a frame and its velocity, of second order in the frame time.

    Over the frames before and after; at the ends of the clip over the nearest three.
    """
    frame = range(len(clip))[frame]
    turned, places = clip.rotations, clip.local_translations()
    if len(clip) < 2:
        still = torch.zeros_like(places[0])
        return State(turned[0], places[0], still, still.clone())
    start = min(max(frame - 1, 0), max(len(clip) - 3, 0))
    near = slice(start, start + 3)
    spins = clip.fps * rotvec_from_quaternion(
        multiply(turned[near][1:], conjugate(turned[near][:-1]))
    )
    speeds = clip.fps * places[near].diff(dim=0)
    later = frame - start - 0.5  # where the frame lies from the first step's middle, in steps
    spin, speed = (v[0] + later * (v[-1] - v[0]) for v in (spins, speeds))
    return State(turned[frame], places[frame], spin, speed)


def extrapolated(state: State, seconds: float) -> State:
    """The state some time later if it moves on as it does."""
    turn = quaternion_from_rotvec(seconds * state.spins)
    return state._replace(
        rotations=multiply(turn, state.rotations), places=state.places + seconds * state.speeds
    )


def offset_at_switch(source: State, target: State) -> Offset:
    """What must be added to the target at the switch to move on like the source.

    The shorter way round is taken for each joint.
    """
    rotvecs = rotvec_from_quaternion(multiply(source.rotations, conjugate(target.rotations)))
    spins = source.spins - rotate(quaternion_from_rotvec(rotvecs), target.spins)
    return Offset(
        rotvecs,
        source.places - target.places,
        _rate(rotvecs, spins),
        source.speeds - target.speeds,
    )


def _rate(rotvecs: Float[Tensor, "*b 3"], spins: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """The rate of a rotation vector whose rotation turns with this angular velocity.

    J^-1 w = w - o x w / 2 + c o x (o x w),  c = 1/a^2 - cot(a/2) / 2a -> 1/12 for small angles a.
    """
    square = rotvecs.square().sum(-1, keepdim=True)
    small = square < 1e-6
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    exact = 1.0 / angle.square() - (angle / 2.0).cos() / (2.0 * angle * (angle / 2.0).sin())
    factor = torch.where(small, 1.0 / 12.0 + square / 720.0, exact)
    across = torch.linalg.cross(rotvecs, spins)
    return spins - across / 2.0 + factor * torch.linalg.cross(rotvecs, across)


def with_offset(
    rotations: Float[Tensor, "*#t j 4"],
    places: Float[Tensor, "*#t k 3"],
    offset: Offset,
    halflife: float,
    seconds: Float[Tensor, "*#t"],
) -> tuple[Float[Tensor, "*_ j 4"], Float[Tensor, "*_ k 3"]]:
    """The target's poses with what is left of the offset; differentiable.

    Args:
        rotations: Local rotations of the target.
        places: Local positions of the target, metres; joints as those of the offset.
        offset: At the switch; its batch broadcasts against the poses'.
        halflife: Seconds until about half of it is gone.
        seconds: Time since the switch, of each pose.
    """
    time = seconds.unsqueeze(-1)
    rotvecs, _ = decay(offset.rotvecs, offset.rotvec_rates, halflife, time)
    moved, _ = decay(offset.places, offset.speeds, halflife, time)
    return multiply(quaternion_from_rotvec(rotvecs), rotations), places + moved


def inertialize(clip: Clip, source: State, halflife: float = 0.1) -> Clip:
    """The clip, begun in the pose and with the velocity of a source.

    Args:
        clip: The target; its first frame is the moment of the switch.
        source: What moved until then, in the same world frame.
        halflife: Seconds until about half of the difference is gone.
    """
    offset = offset_at_switch(source, state_at(clip, 0))
    seconds = torch.arange(len(clip), dtype=clip.root.dtype) / clip.fps
    rotations, places = clip.rotations, clip.local_translations()
    return posed(clip, *with_offset(rotations, places, offset, halflife, seconds))


def join_inertialized(first: Clip, second: Clip, halflife: float = 0.1) -> Clip:
    """Two clips one after the other; the second begins where and as the first would have gone on.

    The second is turned about the vertical and moved on the floor (its facing frame continues the
    first's), and what differs then fades away within the second.

    Args:
        first: Plays to its end.
        second: The same skeleton and frame rate.
        halflife: Seconds until about half of the difference is gone.
    Raises:
        InputError: If skeletons or frame rates differ, or a pose is missing.
    """
    for clip in (first, second):
        refuse_missing(clip)
    if halflife <= 0.0:
        raise InputError(f"expected a half-life above 0, got {halflife}; give seconds, such as 0.1")
    second = continued(first, same_skeleton(second, first))
    source = extrapolated(state_at(first, -1), 1.0 / first.fps)
    return concatenate(first, inertialize(second, source, halflife))
