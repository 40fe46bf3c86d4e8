"""Fill what a clip does not know: poses that are missing (NaN), or that were filled before.

Rotations turn from the last known one to the next along one arc ("slerp"), or with the angular
velocities that they have at both ends ("cubic"); the root's path is filled as trajectories of
points are (`motion.gaps`), by what fills gaps of this length elsewhere in the path best. Before the
first known pose and after the last it stands still. What was filled is flagged.

T frames, J joints. Metres, seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.edit.curves.rotation import slerp
from muybridge.edit.curves.rotation_cubic import rotation_hermite
from muybridge.edit.sequence import posed
from muybridge.errors import InputError
from muybridge.motion.clip import Clip
from muybridge.motion.gaps import FillOptions, fill_gaps

__all__ = ["Method", "fill", "longest_gap", "unknown"]

Method = Literal["slerp", "cubic"]


def unknown(clip: Clip, again: bool = False) -> Bool[Tensor, "t j"]:
    """True where a joint's rotation or place is missing, or `again` where it was filled before."""
    missing = ~(clip.rotations.isfinite() & clip.local_translations().isfinite().all(-1, True)).all(
        -1
    )
    return missing | clip.filled if again and clip.filled is not None else missing


def longest_gap(mask: Bool[Tensor, "t j"]) -> int:
    """Length of the longest run of True of any joint, frames."""
    if not len(mask):
        return 0
    count = mask.long().cumsum(0)
    start = torch.where(mask, torch.zeros_like(count), count).cummax(0).values
    return int((count - start).max())


def fill(clip: Clip, method: Method = "cubic", again: bool = False) -> Clip:
    """The clip without gaps; `filled` is True where there were some.

    Args:
        clip: With NaN where nothing is known.
        method: How rotations get over a gap.
        again: Also what is flagged as filled is made anew.
    Raises:
        InputError: If a joint has no known pose at all.
    """
    holes = unknown(clip, again)
    if not bool(holes.any()):
        return clip
    lost = [clip.skeleton.names[j] for j in holes.all(0).nonzero().flatten().tolist()]
    if lost:
        raise InputError(
            f"expected at least one known pose of every joint, got none of {', '.join(lost[:4])}; "
            "capture again"
        )
    columns = [
        _turns(clip.rotations[:, j], ~holes[:, j], clip.fps, method)
        for j in range(len(clip.skeleton))
    ]
    places = clip.local_translations()
    gone = holes[..., None]
    path = fill_gaps(
        torch.where(gone[:, :1], torch.nan, places[:, :1]),
        clip.fps,
        FillOptions(most_std=float("inf")),
    ).points
    rest = [_places(places[:, j], ~holes[:, j]) for j in range(1, len(clip.skeleton))]
    filled = holes if clip.filled is None else holes | clip.filled
    whole = posed(
        clip, torch.stack(columns, dim=1), torch.cat((path, *(r[:, None] for r in rest)), dim=1)
    )
    return replace(whole, filled=filled)


def _turns(
    rotations: Float[Tensor, "t 4"], known: Bool[Tensor, "t"], fps: float, method: Method
) -> Float[Tensor, "t 4"]:
    """One joint's rotations, those not known from a curve through the others."""
    if bool(known.all()):
        return rotations
    frames = torch.arange(len(rotations), dtype=torch.float64)
    times, keys = frames[known] / fps, rotations[known].double()
    if len(keys) == 1:
        return keys.expand(len(rotations), 4)
    curve = slerp(times, keys) if method == "slerp" else rotation_hermite(times, keys)
    inside = (frames / fps).clamp(float(times[0]), float(times[-1]))
    return torch.where(known[:, None], rotations, curve(inside).to(rotations))


def _places(places: Float[Tensor, "t 3"], known: Bool[Tensor, "t"]) -> Float[Tensor, "t 3"]:
    """One joint's places in its parent's frame, straight over what is not known."""
    if bool(known.all()):
        return places
    frames, numbers = np.arange(len(places)), places.double().numpy()
    mask = known.numpy()
    columns = [np.interp(frames, frames[mask], column[mask]) for column in numbers.T]
    return torch.from_numpy(np.stack(columns, axis=-1)).to(places)
