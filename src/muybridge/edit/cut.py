"""A piece of a clip, by seconds or by frames."""

from __future__ import annotations

import math

from muybridge.errors import InputError
from muybridge.motion.clip import Clip

__all__ = ["cut", "cut_frames"]


def cut(clip: Clip, start: float = 0.0, end: float | None = None) -> Clip:
    """The frames whose time lies in [start, end), seconds from the first frame.

    Args:
        clip: At least one frame of it must be left.
        start: Seconds.
        end: Seconds; None is the end of the clip.
    Raises:
        InputError: If the span is empty or not within the clip.
    """
    end = max(clip.duration, start) if end is None else end
    if start >= clip.duration or end > clip.duration + 0.5 / clip.fps:
        raise InputError(
            f"expected a span within the {clip.duration:.3f} s of {clip.name}, got {start:g} to "
            f"{end:g} s; choose an earlier one"
        )
    if not 0.0 <= start < end:
        raise InputError(
            f"expected a start from 0 and an end after it, got {start:g} to {end:g} s; give seconds"
        )
    rounding = 1e-6  # a time that was written with six digits still means its frame
    first, last = (math.ceil(t * clip.fps - rounding * clip.fps) for t in (start, end))
    return cut_frames(clip, first, max(last, first + 1))


def cut_frames(clip: Clip, first: int, stop: int) -> Clip:
    """The frames [first, stop); as for lists, negative ones count from the end.

    Raises:
        InputError: If there is no such frame.
    """
    begin, after = (n + len(clip) if n < 0 else n for n in (first, stop))
    if not 0 <= begin < after <= len(clip):
        raise InputError(
            f"expected frames within the {len(clip)} of {clip.name}, got {first} up to {stop}; "
            "choose others"
        )
    return clip.frames(begin, after)
