"""Clocks of cameras: which instant a frame shows, and all cameras brought onto one clock.

C cameras, T frames, P person slots, J joints. Time is counted in frames of the reference camera
(camera 0). Frame t of camera c shows the instant

    g_c(t) = t + offset_c + drift_c t + sum of the frames that c dropped up to t.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.tracks import JUMP_HEIGHTS, link_frames
from muybridge.motion.keypoints import Keypoints

__all__ = ["Clocks", "Dropped", "onto_one_clock"]

CHUNK_FRAMES = 4096  # frames resampled at once; bounds the memory of an hour's take
WHOLE_FRAME = 1e-3  # nearer to a frame than this counts as on it


@dataclass(frozen=True)
class Dropped:
    """`count` frames are missing from `camera` just before its frame `frame`."""

    camera: str
    frame: int
    count: int


@dataclass(frozen=True)
class Clocks:
    """Time maps of C cameras.

    Attributes:
        offsets_frames: Instant that frame 0 shows, in frames of camera 0.
        drift: Frames gained for each frame counted: 0.005 means that the camera is slow by 0.5 %.
        dropped: Jumps of each clock, in order of time.
        cameras: Names, in order.
    """

    cameras: tuple[str, ...]
    offsets_frames: Float[Tensor, "c"]
    drift: Float[Tensor, "c"]
    dropped: tuple[Dropped, ...] = ()

    def instants(self, camera: int, frame_count: int) -> Float[Tensor, "t"]:
        """g_c(t) for t = 0 .. frame_count - 1."""
        t = torch.arange(frame_count, dtype=torch.float64)
        instants = t + self.offsets_frames[camera] + self.drift[camera] * t
        for jump in self.dropped:
            if jump.camera == self.cameras[camera]:
                instants = instants + jump.count * (t >= jump.frame)
        return instants

    def frames_at(
        self, camera: int, instants: Float[Tensor, "s"], frame_count: int
    ) -> tuple[Float[Tensor, "s"], Float[Tensor, "s"]]:
        """The (fractional) frame of `camera` that shows each instant.

        Returns:
            The frame, NaN outside the take; and the time between the two frames around it, in
            frames of camera 0, which is more than 1 where frames were dropped.
        """
        shown = self.instants(camera, frame_count)
        shown = torch.cummax(shown, dim=0).values  # a repeated frame stands still
        if frame_count < 2:
            nan = torch.full_like(instants, torch.nan)
            return torch.where((instants - shown[0]).abs() < WHOLE_FRAME, 0.0, nan), nan
        after = torch.searchsorted(shown, instants.contiguous(), right=True)
        after = after.clamp(1, frame_count - 1)
        gap = shown[after] - shown[after - 1]
        share = (instants - shown[after - 1]) / gap.clamp_min(1e-9)
        inside = (share > -WHOLE_FRAME) & (share < 1.0 + WHOLE_FRAME)
        frame = (after - 1) + share.clamp(0.0, 1.0)
        return torch.where(inside, frame, torch.full_like(frame, torch.nan)), gap

    @property
    def together(self) -> bool:
        """True when every camera already runs on camera 0's clock."""
        moved = bool(self.offsets_frames.any()) or bool(self.drift.any())
        return not moved and not self.dropped


def onto_one_clock(keypoints: Keypoints, clocks: Clocks, max_gap_frames: float = 4.0) -> Keypoints:
    """Every camera's keypoints at whole instants of camera 0's clock, from its frame 0 to its last.

    Linear interpolation between the two frames around each instant, person by person (slots may
    change from frame to frame). A joint seen in only one of the two stays missing unless the
    instant falls on that frame. Nothing is carried outside a camera's take, nor across gaps.

    Args:
        keypoints: All cameras, each on its own clock.
        clocks: From `synchronise`.
        max_gap_frames: Longest time between two frames that is bridged, in frames of camera 0.
    """
    if clocks.together:
        return keypoints
    frames = keypoints.frame_count
    instants = torch.arange(int(clocks.instants(0, frames)[-1]) + 1, dtype=torch.float64)
    shape = (len(keypoints.cameras), len(instants), *keypoints.confidence.shape[2:])
    points = keypoints.points_px.new_full((*shape, 2), torch.nan)
    confidence = keypoints.confidence.new_zeros(shape)
    corrected = None if keypoints.corrected is None else torch.zeros(shape, dtype=torch.bool)
    for c in range(len(keypoints.cameras)):
        at, gap = clocks.frames_at(c, instants, frames)
        at = torch.where(gap > max_gap_frames, _whole(at), at)
        for start in range(0, len(instants), CHUNK_FRAMES):
            span = slice(start, start + CHUNK_FRAMES)
            before = at[span].nan_to_num(0.0).floor().long()
            after = (before + 1).clamp_max(frames - 1)
            share = at[span] - before
            follower = _followers(keypoints.points_px[c, before], keypoints.points_px[c, after])
            points[c, span], confidence[c, span] = _blend(
                keypoints.points_px[c], keypoints.confidence[c], before, after, share, follower
            )
            if corrected is not None and keypoints.corrected is not None:
                nearest = at[span].nan_to_num(0.0).round().long()
                corrected[c, span] = keypoints.corrected[c, nearest] & (confidence[c, span] > 0.0)
    return replace(keypoints, points_px=points, confidence=confidence, corrected=corrected)


def _whole(at: Float[Tensor, "s"]) -> Float[Tensor, "s"]:
    """Keep instants that fall on a frame; the others become NaN."""
    on_frame = (at - at.round()).abs() < WHOLE_FRAME
    return torch.where(on_frame, at.round(), torch.full_like(at, torch.nan))


def _followers(before_px: Tensor, after_px: Tensor) -> Tensor:
    """(S, P): slot in the later frame of each person of the earlier one, -1 where none is near.

    Greedy from the closest pair, all frames at once; people only meet in few frames.
    """
    if before_px.shape[1] == 1:
        return torch.zeros(before_px.shape[:2], dtype=torch.long)
    cost = link_frames(before_px.numpy(), after_px.numpy())
    frames, slots = cost.shape[:2]
    follower = np.full((frames, slots), -1)
    rows = np.arange(frames)
    for _ in range(slots):
        flat = cost.reshape(frames, -1)
        best = flat.argmin(1)
        near = flat[rows, best] <= JUMP_HEIGHTS
        p, q = best // slots, best % slots
        follower[rows[near], p[near]] = q[near]
        cost[rows, p, :] = np.inf
        cost[rows, :, q] = np.inf
    return torch.from_numpy(follower)


def _blend(
    points: Tensor, confidence: Tensor, before: Tensor, after: Tensor, share: Tensor, slot: Tensor
) -> tuple[Tensor, Tensor]:
    """Interpolated points (S, P, J, 2) and confidence (S, P, J) of one camera."""
    index = slot.clamp_min(0)
    rows = torch.arange(len(before)).unsqueeze(1)
    x0, w0 = points[before], confidence[before]
    x1, w1 = points[after][rows, index], confidence[after][rows, index]
    x1 = torch.where((slot < 0)[..., None, None], torch.full_like(x1, torch.nan), x1)
    s = share[:, None, None]
    on_first, on_second = s < WHOLE_FRAME, s > 1.0 - WHOLE_FRAME
    x = torch.where(on_first[..., None], x0, x0 + (x1 - x0) * s[..., None])
    w = torch.where(on_first, w0, w0 + (w1 - w0) * s)
    x = torch.where(on_second[..., None], x1, x)
    known = x.isfinite().all(-1) & s.isfinite()
    return (
        torch.where(known.unsqueeze(-1), x, torch.full_like(x, torch.nan)),
        torch.where(known, w, torch.zeros_like(w)),
    )
