"""Another frame rate: a clip's poses between its frames, with everything that belongs to them.

Legend: t frames, n new frames, j joints.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.edit.curves.cubic import linear, stepped
from muybridge.edit.curves.rotation import slerp, squad
from muybridge.edit.curves.rotation_cubic import rotation_spline
from muybridge.edit.curves.spline import spline
from muybridge.edit.curves.tangents import catmull_rom
from muybridge.errors import InputError
from muybridge.motion.clip import Caption, Clip

__all__ = [
    "Method",
    "at_frames",
    "captions_until",
    "flags_at",
    "numbers_at",
    "on_frames",
    "resample",
]

Method = Literal["stepped", "slerp", "squad", "cubic"]
"""stepped: hold the last frame; slerp: straight between frames; squad: smooth velocities (C1);
cubic: smooth accelerations (C2)."""

MOST_FRAMES = 10_000_000  # a day at 120 a second
GRID = 1e-6  # part of a frame by which the end of the new grid may miss the end of the old
Curve = Callable[[Tensor], Tensor]


def resample(clip: Clip, fps: float, method: Method = "slerp") -> Clip:
    """The same motion at another frame rate.

    The first frame stays; the last new frame is the last that is not past the old last one.
    Rotations and paths follow `method`, uncertainty is interpolated linearly, contacts are those of
    the nearest frame, and a new frame is filled if either neighbour is. Poses that are unknown
    (NaN) stay so: a new frame next to one is NaN, and curves pass over them.

    Args:
        clip: Any clip.
        fps: New frame rate, frames a second.
        method: See `Method`.
    Raises:
        InputError: If the method or the rate cannot be used.
    """
    if method not in get_args(Method):
        raise InputError(
            f"expected a method of {', '.join(get_args(Method))}, got {method!r}; choose one"
        )
    if not 0.0 < fps < float("inf"):
        raise InputError(f"expected a positive frame rate, got {fps}; give frames a second")
    if len(clip) * fps / clip.fps > MOST_FRAMES:
        raise InputError(
            f"expected a rate that makes at most {MOST_FRAMES:,} frames, got {fps:g} a second for "
            f"{clip.duration:g} s; choose a lower one"
        )
    count = int((len(clip) - 1) * fps / clip.fps + GRID) + 1 if len(clip) else 0
    frames = on_frames(torch.arange(count, dtype=torch.float64) * (clip.fps / fps))
    return replace(at_frames(clip, frames.clamp_max(float(len(clip) - 1)), method), fps=fps,
                   captions=captions_until(clip.captions, count / fps))  # fmt: skip


def at_frames(clip: Clip, frames: Float[Tensor, "n"], method: Method = "slerp") -> Clip:
    """The clip's poses at any places between its frames; the frame rate and captions stay.

    Args:
        clip: Any clip.
        frames: Places in frames from the first, not past either end.
        method: See `Method`.
    """
    if len(clip) < 2:
        index = torch.zeros(len(frames), dtype=torch.int64)
        return _taken(clip, index)
    known = _known(clip)
    if int(known.sum()) < 2:
        return _taken(clip, frames.round().to(torch.int64))
    times = torch.nonzero(known).flatten().to(torch.float64)
    lost = flags_at(~known, frames)
    rotations = _rotation_curve(times, clip.rotations[known].double(), method)(frames)
    root = _path_curve(times, clip.root[known].double(), method)(frames)
    places = clip.translations
    if places is not None:
        places = _path_curve(times, places[known].double(), method)(frames)
        places = _masked(places, lost).to(clip.root)
    return replace(
        clip,
        rotations=_masked(rotations, lost).to(clip.rotations),
        root=_masked(root, lost).to(clip.root),
        translations=places,
        position_std=None if clip.position_std is None else numbers_at(clip.position_std, frames),
        contacts=None if clip.contacts is None else clip.contacts[frames.round().to(torch.int64)],
        filled=None if clip.filled is None else flags_at(clip.filled, frames),
    )


def _taken(clip: Clip, index: Tensor) -> Clip:
    """Whole frames by their indices."""

    def of(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[index]

    return replace(
        clip,
        rotations=clip.rotations[index],
        root=clip.root[index],
        translations=of(clip.translations),
        position_std=of(clip.position_std),
        contacts=of(clip.contacts),
        filled=of(clip.filled),
    )


def _known(clip: Clip) -> Bool[Tensor, "t"]:
    """Frames whose pose is known altogether."""
    known = torch.isfinite(clip.rotations).flatten(1).all(1) & torch.isfinite(clip.root).all(1)
    if clip.translations is not None:
        known &= torch.isfinite(clip.translations).flatten(1).all(1)
    return known


def _rotation_curve(times: Tensor, rotations: Tensor, method: Method) -> Curve:
    match method:
        case "stepped":
            return stepped(times, rotations)
        case "slerp":
            return slerp(times, rotations)
        case "squad":
            return squad(times, rotations)
        case _:
            return rotation_spline(times, rotations, "parabola")


def _path_curve(times: Tensor, values: Tensor, method: Method) -> Curve:
    match method:
        case "stepped":
            return stepped(times, values)
        case "slerp":
            return linear(times, values)
        case "squad":
            return catmull_rom(times, values)
        case _:
            return spline(times, values, "not-a-knot")


def flags_at(flags: Bool[Tensor, "t *j"], frames: Float[Tensor, "n"]) -> Bool[Tensor, "n *j"]:
    """True where a flag is set on the frame before or after, or on the frame itself."""
    low = frames.floor().to(torch.int64)
    high = frames.ceil().to(torch.int64)
    return flags[low] | flags[high]


def on_frames(places: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Places in frames; those that miss a frame by rounding only are put on it."""
    nearest = places.round()
    return torch.where((places - nearest).abs() < GRID, nearest, places)


def numbers_at(values: Float[Tensor, "t *j"], frames: Float[Tensor, "n"]) -> Float[Tensor, "n *j"]:
    """Numbers interpolated linearly between frames; on a frame exactly its own, NaN or not."""
    low = frames.floor().to(torch.int64)
    part = (frames - low).reshape(-1, *(1,) * (values.ndim - 1)).to(values)
    near, far = values[low], values[frames.ceil().to(torch.int64)]
    return torch.where(part > 0.0, near + part * (far - near), near)


def _masked(values: Tensor, lost: Tensor) -> Tensor:
    return values.masked_fill(lost.reshape(-1, *(1,) * (values.ndim - 1)), float("nan"))


def captions_until(captions: tuple[Caption, ...], end: float) -> tuple[Caption, ...]:
    """Captions cut at the end of a clip, seconds; those that begin later are dropped."""
    return tuple(Caption(c.text, c.start, min(c.end, end)) for c in captions if c.start < end)
