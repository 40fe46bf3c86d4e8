"""Gaps in marker tracks: how long they are, and a start value inside them.

T frames, M markers. Nothing here is a measurement: the solver takes these points as its first guess
only, and in long gaps as a loose hint that keeps the pose where it was last seen.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from muybridge.motion.contacts import runs

__all__ = ["despike", "gap_lengths", "interpolate"]


def gap_lengths(seen: Bool[Tensor, "t m"]) -> Int[Tensor, "t m"]:
    """Length in frames of the gap that each sample lies in; 0 where the marker was seen."""
    label = runs(~seen)
    count = torch.bincount(label.flatten())
    count[0] = 0
    return count[label]


def _interpolate_column(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    frames = np.arange(len(values))
    return np.stack(
        [np.interp(frames, frames[known], values[known, axis]) for axis in range(3)], axis=1
    )


def interpolate(
    points: Float[Tensor, "t m 3"], carrier: Float[Tensor, "t 3"]
) -> Float[Tensor, "t m 3"]:
    """Fill gaps by straight lines relative to a carrier; hold the ends.

    Args:
        points: World frame, metres; NaN where unseen.
        carrier: A point that moves with the body (the hips), so that a hidden hand travels along.
    Returns:
        Points without gaps; a marker that was never seen stays NaN.
    """
    local = (points - carrier.unsqueeze(1)).numpy()
    known = np.isfinite(local).all(-1)
    filled = local.copy()
    for marker in np.flatnonzero(known.any(0) & ~known.all(0)):
        filled[:, marker] = _interpolate_column(local[:, marker], known[:, marker])
    return torch.from_numpy(filled) + carrier.unsqueeze(1)


def _continued(track: Float[Tensor, "t 3"], count: int) -> Float[Tensor, "n 3"]:
    """What would come before the first frame: the track turned by half a turn about its start."""
    return 2.0 * track[:5].nanmedian(dim=0).values - track[5 : 5 + count]


def despike(
    points: Float[Tensor, "t m 3"], fps: float, seconds: float = 0.15, threshold: float = 0.12
) -> Float[Tensor, "t m 3"]:
    """Take out samples that lie far from the median of their neighbours.

    Args:
        points: World frame, metres; NaN where unseen.
        fps: Frames a second.
        seconds: Half the width of the neighbourhood.
        threshold: Distance that counts as far, metres.
    Returns:
        The points, NaN where they were unseen or far.
    """
    half = max(2, round(seconds * fps))
    if len(points) < half + 5:
        return points
    calm = points.clone()
    for marker in range(points.shape[1]):  # one at a time: the neighbourhoods are large
        track = points[:, marker]
        before = _continued(track, half).flip(0)
        padded = torch.cat((before, track, _continued(track.flip(0), half)))
        neighbours = padded.unfold(0, 2 * half + 1, 1)
        middle = neighbours.nanmedian(dim=-1).values
        far = (track - middle).norm(dim=-1) > threshold
        if not bool(far.all()):
            calm[far, marker] = torch.nan
    return calm
