"""Loops: a clip whose last pose is its first, in speed too, so that it plays for ever.

On the floor the body may have moved and turned: the last pose is the first as its facing frame sees
it, and every round goes on from there. The difference between the two ends is shared out: the
beginning is bent towards the end and the end towards the beginning, by offsets that die away within
a window. They are quintic polynomials with nothing left at the end of the window, not springs,
whose tails would leave the loop a little open.

T frames, J joints. Metres, seconds, radians.

References:
    Daniel Holden, Creating looping animations from motion capture, 2022.
    GAMES-105, lab 2, `build_loop_motion` (half of the difference to either end, by springs).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.fade import fade
from muybridge.edit.inertialize import Offset, offset_at_switch, state_at
from muybridge.edit.sequence import concatenate, posed
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import multiply, quaternion_from_rotvec, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.facing import placed, yaw, yaw_quaternion

__all__ = ["LoopOptions", "closure", "loop", "repeat"]

ROUNDS = 40  # offsets of rotations do not quite add up; each round leaves a small part of the error
CLOSED = 1e-11
MOST_FRAMES = 1_000_000  # nearly five hours at 60 a second


@dataclass(frozen=True)
class LoopOptions:
    """How to close a loop.

    Attributes:
        share: Of the difference that the beginning takes; the end takes the rest.
        seconds: Length of the window at either end; None is half of the clip.
    """

    share: float = 0.5
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise InputError(f"expected a share from 0 to 1, got {self.share:g}; 0.5 is even")


def loop(clip: Clip, options: LoopOptions | None = None) -> Clip:
    """The clip bent so that it ends as it begins; the same number of frames.

    The last frame is the first, moved on: programs that play between the times of keys repeat it
    as it is; for those that go from the last frame to the first, leave one out (`frames`).

    Args:
        clip: About one round of something: a stride, a turn, a breath.
        options: Who bends how much.
    Raises:
        InputError: If the clip is shorter than four frames or the window longer than the clip.
    """
    options = options or LoopOptions()
    refuse_missing(clip)
    if len(clip) < 4:
        raise InputError(f"expected at least 4 frames to loop, got {len(clip)}; take more of them")
    whole = (len(clip) - 1) / clip.fps
    window = whole / 2.0 if options.seconds is None else options.seconds
    if not 2.0 / clip.fps <= window <= whole:
        raise InputError(
            f"expected a window of {2.0 / clip.fps:.3f} to {whole:.3f} s, got {window:g} s; choose "
            "one that the clip has room for"
        )
    for _ in range(ROUNDS):
        if max(closure(clip)) < CLOSED:
            break
        clip = _bent(clip, options.share, window)
    return clip


def closure(clip: Clip) -> tuple[float, float, float, float]:
    """How far a loop is open: angle (radians), place (metres), and their rates (per second).

    The largest of all joints, between the last frame and the first one moved to it.
    """
    offset = Offset(*(values.detach() for values in _opening(clip)))
    return (
        float(offset.rotvecs.norm(dim=-1).max()),
        float(offset.places.norm(dim=-1).max()),
        float(offset.rotvec_rates.norm(dim=-1).max()),
        float(offset.speeds.norm(dim=-1).max()),
    )


def _moved_start(clip: Clip) -> Clip:
    """The first frames, as seen from where the last one stands."""
    angle, floor = yaw(clip.rotations[-1, 0]), clip.root[-1, [0, 2]]
    return placed(clip.frames(0, 3), 0, angle, floor)


def _opening(clip: Clip) -> Offset:
    """What the last frame has and the first, moved to it, has not."""
    return offset_at_switch(state_at(clip, -1), state_at(_moved_start(clip), 0))


def _bent(clip: Clip, share: float, window: float) -> Clip:
    """Both ends bent towards each other by their difference."""
    opening = _opening(clip)
    time = torch.arange(len(clip), dtype=clip.root.dtype) / clip.fps
    turned = yaw(clip.rotations[0, 0]) - yaw(clip.rotations[-1, 0])
    begin = _fading(_turned(opening, turned), time / window, window)
    end = _fading(_reversed(opening), time.flip(0) / window, window)
    rotvecs, shifts = (share * a - (1.0 - share) * b for a, b in zip(begin, end, strict=True))
    return posed(
        clip,
        multiply(quaternion_from_rotvec(rotvecs), clip.rotations),
        clip.local_translations() + shifts,
    )


def _turned(offset: Offset, angle: Float[Tensor, ""]) -> Offset:
    """The offset as seen at the begin: that of the root is in the world's frame, so it turns."""
    turn = yaw_quaternion(angle)
    return Offset(*(torch.cat((rotate(turn, v[:1]), v[1:])) for v in offset))


def _reversed(offset: Offset) -> Offset:
    """The offset as seen when time runs backwards."""
    return offset._replace(rotvec_rates=-offset.rotvec_rates, speeds=-offset.speeds)


def _fading(
    offset: Offset, x: Float[Tensor, "t"], window: float
) -> tuple[Float[Tensor, "t j 3"], Float[Tensor, "t j 3"]]:
    """The offset over its window, x from 0 to 1: value and slope at 0, nothing left at 1."""
    value, slope = fade(x[:, None, None])
    return (
        value * offset.rotvecs + window * slope * offset.rotvec_rates,
        value * offset.places + window * slope * offset.speeds,
    )


def repeat(clip: Clip, times: int) -> Clip:
    """Rounds of a loop one after the other, each from where the last one ended.

    Args:
        clip: From `loop`: its last frame is its first, moved on, and is played once.
        times: Rounds, at least one.
    Raises:
        InputError: If there are no rounds, or too many to hold.
    """
    if times < 1:
        raise InputError(f"expected at least one round, got {times}; give 2 or more")
    if times * len(clip) > MOST_FRAMES:
        raise InputError(
            f"expected rounds of at most {MOST_FRAMES:,} frames in all, got {times:,} of "
            f"{len(clip)}; give fewer --times"
        )
    whole = clip
    for _ in range(times - 1):
        angle, floor = yaw(whole.rotations[-1, 0]), whole.root[-1, [0, 2]]
        further = placed(clip, 0, angle, floor)
        whole = concatenate(whole, further.frames(1, len(clip)))
    return whole
