"""Following people inside one camera, without geometry: who is slot 0 of the next frame?

T frames, P person slots, J joints, K tracks. Pixels. Enough for synchronisation, which comes
before `associate` can compare cameras; crossings may exchange tracks here, and association does
not rely on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

__all__ = ["NO_SLOT", "body_height_px", "follow_people", "link_frames"]

NO_SLOT = -1
JUMP_HEIGHTS = 0.3  # a joint moves less than this share of the body's height between frames
MEMORY_FRAMES = 15  # a person may be lost for so long and still be the same


def body_height_px(points_px: np.ndarray) -> np.ndarray:
    """Larger side of the box around the joints (last two axes), pixels; 0 where nobody is."""
    low = np.where(np.isnan(points_px), np.inf, points_px).min(-2)
    high = np.where(np.isnan(points_px), -np.inf, points_px).max(-2)
    return np.maximum(high - low, 0.0).max(-1)


def link_frames(before_px: np.ndarray, after_px: np.ndarray) -> np.ndarray:
    """Cost of person q of `after` being person p of `before`: mean joint distance in heights.

    Args:
        before_px: (..., P, J, 2), NaN where unseen.
        after_px: (..., Q, J, 2).
    Returns:
        (..., P, Q); infinite where no joint is shared.
    """
    step = np.linalg.norm(before_px[..., :, None, :, :] - after_px[..., None, :, :, :], axis=-1)
    shared = np.isfinite(step)
    count = shared.sum(-1)
    height = np.maximum(body_height_px(before_px)[..., None], 1.0)
    capped = np.minimum(np.where(shared, step, 0.0), height[..., None])
    return np.where(count > 0, capped.sum(-1) / np.maximum(count, 1) / height, np.inf)


def follow_people(points_px: Float[Tensor, "t p j 2"], keep: int = 3) -> Int[np.ndarray, "t k"]:
    """Slots of the `keep` largest and longest people of one camera, largest first.

    Frame by frame: Hungarian assignment of detections to the last places of known people.

    Returns:
        Slot of each track in each frame, `NO_SLOT` where it is not seen; K <= keep.
    """
    points = points_px.numpy()
    frames, slots = points.shape[:2]
    if slots == 1:
        seen = np.isfinite(points).all(-1).any(-1)
        return np.where(seen, 0, NO_SLOT)
    tracks: list[_Track] = []
    for t in range(frames):
        present = np.flatnonzero(np.isfinite(points[t]).all(-1).any(-1))
        if len(present):
            known = _continued(
                [k for k in tracks if t - k.last <= MEMORY_FRAMES], points, t, present
            )
            new = [int(slot) for slot in present if slot not in known]
            tracks += [_Track(np.full(frames, NO_SLOT), points[t, slot], t) for slot in new]
            for track, slot in zip(tracks[len(tracks) - len(new) :], new, strict=True):
                track.slots[t] = slot
    return _largest([track.slots for track in tracks], points, keep)


@dataclass(eq=False)
class _Track:
    """One person so far: slots per frame, latest place of each joint, latest frame."""

    slots: np.ndarray
    place_px: np.ndarray
    last: int


def _continued(alive: list[_Track], points: np.ndarray, t: int, present: np.ndarray) -> set[int]:
    """Carry the tracks on into frame t; returns the slots that they took."""
    if not alive:
        return set()
    cost = link_frames(np.stack([track.place_px for track in alive]), points[t, present])
    taken = set()
    for r, q in zip(*linear_sum_assignment(np.minimum(cost, 1e3)), strict=True):
        track, slot = alive[r], int(present[q])
        if cost[r, q] <= JUMP_HEIGHTS * np.sqrt(t - track.last):
            track.place_px = np.where(np.isfinite(points[t, slot]), points[t, slot], track.place_px)
            track.slots[t], track.last = slot, t
            taken.add(slot)
    return taken


def _largest(tracks: list[np.ndarray], points: np.ndarray, keep: int) -> np.ndarray:
    if not tracks:
        return np.full((len(points), 0), NO_SLOT)
    heights = body_height_px(points)
    frame = np.arange(len(points))
    worth = [float((heights[frame, k] * (k != NO_SLOT)).sum()) for k in tracks]
    order = np.argsort(worth)[::-1][:keep]
    return np.stack([tracks[i] for i in order], axis=1)
