"""Beyond the keys: hold, go straight on, repeat, repeat from where it ended, or go back and forth.

Each query time is folded to a time between the first and the last key; what is left over, whole
turns and seconds beyond, is added afterwards. So any curve can be carried on, of values and of
rotations alike.

Legend: t query times, d any shape of one value, b any shape of joints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_rotvec,
    rotvec_from_quaternion,
)  # fmt: skip

__all__ = ["Beyond", "Folded", "beyond_keys", "beyond_rotations", "folded"]

Beyond = Literal["constant", "linear", "cycle", "cycle-offset", "mirror"]
"""constant: the end's value for ever; linear: on with the end's slope; cycle: again and again;
cycle-offset: again from where the last turn ended; mirror: back and forth."""


class Folded(NamedTuple):
    """Where times outside the keys come from.

    Attributes:
        times: Between the first and the last key.
        turns: Whole turns to add the change of one turn for, negative before the keys.
        before: Seconds before the first key that go straight on, 0 or negative.
        after: Seconds after the last key that go straight on.
    """

    times: Float[Tensor, "t"]
    turns: Float[Tensor, "t"]
    before: Float[Tensor, "t"]
    after: Float[Tensor, "t"]


def folded(
    times: Float[Tensor, "t"],
    span: tuple[float, float],
    before: Beyond = "constant",
    after: Beyond = "constant",
) -> Folded:
    """Fold times into the span of the keys.

    Args:
        times: Query times, seconds.
        span: Time of the first and of the last key.
        before: What the curve does before the first key.
        after: And after the last.
    Raises:
        InputError: If a mode is unknown.
    """
    for mode in (before, after):
        if mode not in get_args(Beyond):
            raise InputError(
                f"expected to go on beyond the keys by {', '.join(get_args(Beyond))}, got "
                f"{mode!r}; choose one of these"
            )
    first, last = span
    early, late = times < first, times > last
    inside, turns = times.clamp(first, last), torch.zeros_like(times)
    for outside, mode in ((early, before), (late, after)):
        if mode in ("constant", "linear") or last <= first:
            continue
        turn = torch.div(times - first, last - first, rounding_mode="floor")
        part = times - first - turn * (last - first)
        if mode == "mirror":
            part = torch.where(turn % 2.0 == 1.0, last - first - part, part)
        if mode == "cycle-offset":
            turns = torch.where(outside, turn, turns)
        inside = torch.where(outside, first + part, inside)
    zero = torch.zeros_like(times)
    return Folded(
        inside,
        turns,
        torch.where(early, times - first, zero) if before == "linear" else zero,
        torch.where(late, times - last, zero) if after == "linear" else zero,
    )


def beyond_keys(
    curve: Callable[[Tensor], Tensor],
    where: Folded,
    ends: Float[Tensor, "2 *d"],
    slopes: Float[Tensor, "2 *d"],
) -> Float[Tensor, "t *d"]:
    """Values of a curve at folded times.

    Args:
        curve: The curve between its keys.
        where: From `folded`.
        ends: Its values at the first and the last key.
        slopes: Its slopes there, a second: what "linear" goes on with.
    """
    values = curve(where.times)
    turns, before, after = (x.reshape(-1, *(1,) * (values.ndim - 1)) for x in where[1:])
    return values + turns * (ends[1] - ends[0]) + before * slopes[0] + after * slopes[1]


def beyond_rotations(
    curve: Callable[[Tensor], Tensor],
    where: Folded,
    ends: Float[Tensor, "2 *b 4"],
    velocities: Float[Tensor, "2 *b 3"],
) -> Float[Tensor, "t *b 4"]:
    """Rotations of a curve at folded times.

    A turn of "cycle-offset" applies the rotation from the first key to the last once more, in the
    parent's frame; "linear" goes on turning about the joint's own axis.

    Args:
        curve: The curve between its keys, unit quaternions.
        where: From `folded`.
        ends: Its rotations at the first and the last key.
        velocities: Its angular velocities there, in the joint's own frame, radians a second.
    """
    values = curve(where.times)
    turns, before, after = (x.reshape(-1, *(1,) * (values.ndim - 1)) for x in where[1:])
    if bool((before != 0.0).any()) or bool((after != 0.0).any()):
        on = quaternion_from_rotvec(before * velocities[0] + after * velocities[1])
        values = multiply(values, on)
    if bool((turns != 0.0).any()):
        once = rotvec_from_quaternion(multiply(ends[1], conjugate(ends[0])))
        values = multiply(quaternion_from_rotvec(turns * once), values)
    return values
