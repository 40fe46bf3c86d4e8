"""Following people inside one camera, without geometry: who is slot 0 of the next frame?

T frames, P person slots, J joints, K tracks. Pixels. Enough for synchronisation, which comes
before `associate` can compare cameras; crossings may exchange tracks here, and association does
not rely on them.
"""

from __future__ import annotations

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
    tracks: list[np.ndarray] = []
    places: list[np.ndarray] = []
    ages: list[int] = []
    for t in range(frames):
        present = np.flatnonzero(np.isfinite(points[t]).all(-1).any(-1))
        free = set(present.tolist())
        alive = [k for k, age in enumerate(ages) if t - age <= MEMORY_FRAMES]
        if alive and len(present):
            cost = link_frames(np.stack([places[k] for k in alive]), points[t, present])
            gate = JUMP_HEIGHTS * np.sqrt([float(t - ages[k]) for k in alive])[:, None]
            rows, columns = linear_sum_assignment(np.minimum(cost, 1e3))
            for r, q in zip(rows, columns, strict=True):
                if cost[r, q] <= gate[r]:
                    k, slot = alive[r], int(present[q])
                    tracks[k][t], ages[k] = slot, t
                    found = np.isfinite(points[t, slot])
                    places[k] = np.where(found, points[t, slot], places[k])
                    free.discard(slot)
        for slot in sorted(free):
            track = np.full(frames, NO_SLOT)
            track[t] = slot
            tracks.append(track)
            places.append(points[t, slot])
            ages.append(t)
    return _largest(tracks, points, keep)


def _largest(tracks: list[np.ndarray], points: np.ndarray, keep: int) -> np.ndarray:
    if not tracks:
        return np.full((len(points), 0), NO_SLOT)
    heights = body_height_px(points)
    frame = np.arange(len(points))
    worth = [float((heights[frame, k] * (k != NO_SLOT)).sum()) for k in tracks]
    order = np.argsort(worth)[::-1][:keep]
    return np.stack([tracks[i] for i in order], axis=1)
