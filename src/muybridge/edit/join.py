"""Several clips one after the other: each goes on where the one before has brought the body."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal

from muybridge.edit.blend import transition
from muybridge.edit.dead_blend import join_dead_blended
from muybridge.edit.inertialize import join_inertialized
from muybridge.errors import InputError
from muybridge.motion.clip import Clip

__all__ = ["JoinOptions", "Method", "join"]

Method = Literal["inertialize", "blend", "dead-blend"]


@dataclass(frozen=True)
class JoinOptions:
    """How one clip passes into the next.

    Attributes:
        method: "inertialize" switches at once and lets the difference fade; "blend" cross-fades
            the end of one with the begin of the next, which shortens the result by that much;
            "dead-blend" lets the first move on by its momentum while the second is faded in.
        seconds: Length of the blend, or time after which inertialised motion is within a few
            percent of the next clip.
    """

    method: Method = "inertialize"
    seconds: float = 0.3


def join(clips: Sequence[Clip], options: JoinOptions | None = None) -> Clip:
    """The clips in a row, each turned and moved on the floor to continue the one before.

    Args:
        clips: At least two, of the same skeleton and frame rate.
        options: How they pass into each other.
    Raises:
        InputError: If they do not fit each other.
    """
    options = options or JoinOptions()
    if len(clips) < 2:
        raise InputError(f"expected at least two clips to join, got {len(clips)}; name more")
    if not (math.isfinite(options.seconds) and options.seconds > 0.0):
        raise InputError(
            f"expected a transition of some length, got {options.seconds:g} s; give seconds, "
            "such as 0.3"
        )

    def pair(first: Clip, second: Clip) -> Clip:
        match options.method:
            case "inertialize":
                return join_inertialized(first, second, options.seconds / 4.0)
            case "dead-blend":
                return join_dead_blended(first, second, options.seconds)
            case "blend":
                return transition(first, second, options.seconds)

    return reduce(pair, clips)
