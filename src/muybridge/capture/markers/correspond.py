"""Which spot in one camera is which in another: unlabelled 2-D markers to points in space.

C cameras, T frames, N spots a camera and frame, H hypotheses, P points a frame. Pixels of the
original image; world frame: metres. NaN pads the lists of spots and points.

All spots look alike, so geometry must tell. Every two rays that meet propose a point; the point is
shown to all cameras and takes the nearest spot in each. The proposal that most cameras confirm wins
and takes its spots away, round after round, for all frames at once. Ghosts, where rays of different
markers meet by chance, find their spots taken or too few cameras to confirm them.

References:
    Hartley & Zisserman, Multiple View Geometry, 2nd ed., sections 9.6 and 12.2.
    Ringer & Lasenby, A procedure for automatically estimating model parameters in optical motion
    capture, Image and Vision Computing 22(10), 2004 (matching rays of unlabelled markers).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.epipolar import (
    epipolar_pair,
    intersect_rays,
    signed_distance_px,
    world_rays,
)
from muybridge.geometry.triangulation import TriangulationOptions, triangulate

__all__ = ["Cloud", "CorrespondOptions", "correspond"]

PIECE = 2_000_000  # elements of the largest tensor: hypotheses x cameras x spots
MOST_ROUNDS = 12
NEAR = 3.0  # gates: two rays place a point so badly that a third camera must look farther


@dataclass(frozen=True)
class CorrespondOptions:
    """What counts as one point.

    Attributes:
        gate_px: Rays that miss one another by less may meet, and a spot this near to a point's
            image is its own; about five times the noise of a spot.
        sigma_px: Noise of a spot, pixels per axis; scales the covariance only.
        min_views: Cameras that must confirm a point. Two let ghosts in.
    """

    gate_px: float = 2.5
    sigma_px: float = 0.5
    min_views: int = 3


@dataclass(frozen=True)
class Cloud:
    """Points in space without names; slot k of one frame is not slot k of the next.

    Attributes:
        points_world: Positions, metres; NaN where a frame has fewer points.
        covariance: Of each position, square metres.
        spots: Spot of each camera that shows the point; -1 where none does.
        fps: Frames a second.
    """

    points_world: Float[Tensor, "t p 3"]
    covariance: Float[Tensor, "t p 3 3"]
    spots: Int[Tensor, "t p c"]
    fps: float


class _Hypotheses(NamedTuple):
    """Points that might be, each with the spots that would show it."""

    frame: Int[Tensor, "h"]
    spots: Int[Tensor, "h c"]  # -1 where the camera does not confirm
    points: Float[Tensor, "h 3"]
    error_px: Float[Tensor, "h"]

    def pick(self, mask: Tensor) -> _Hypotheses:
        return _Hypotheses(*(part[mask] for part in self))


def correspond(
    points_px: Float[Tensor, "c t n 2"],
    cameras: Cameras,
    fps: float,
    options: CorrespondOptions | None = None,
) -> Cloud:
    """Match unlabelled spots across calibrated cameras and triangulate them.

    Args:
        points_px: Spots that each camera found, in any order; NaN pads the lists.
        cameras: One camera per view; world frame, metres.
        fps: Frames a second.
        options: Gate and least number of views.
    Raises:
        InputError: If there are fewer than `min_views` cameras or lists of spots do not belong to
            the cameras.
    """
    options = options or CorrespondOptions()
    if len(points_px) != len(cameras):
        raise InputError(
            f"expected spots of the {len(cameras)} calibrated cameras, got {len(points_px)} lists; "
            "give one list per camera"
        )
    if not 2 <= options.min_views <= len(cameras):
        raise InputError(
            f"expected between 2 and {len(cameras)} confirming views, got {options.min_views}; "
            "use more cameras or fewer views"
        )
    points_px = points_px.to(torch.float64)
    frames = points_px.shape[1]
    rays = world_rays(cameras, points_px)
    flat = cameras.undistort_px(points_px)
    size = max(1, PIECE // max(1, 20 * len(cameras) * points_px.shape[2] ** 2))
    parts = []
    for start in range(0, frames, size):
        cut = slice(start, start + size)
        found = _matched(rays[:, cut], flat[:, cut].clone(), cameras, options)
        parts.append((found.frame + start, found.spots))
    frame = torch.cat([frame for frame, _ in parts]) if parts else torch.zeros(0).long()
    spots = torch.cat([spots for _, spots in parts]) if parts else frame.new_zeros(0, len(cameras))
    return _cloud(frame, spots, points_px, cameras, fps, options)


def _matched(
    rays: Tensor, flat: Tensor, cameras: Cameras, options: CorrespondOptions
) -> _Hypotheses:
    """The points of a run of frames.

    Neighbouring cameras propose first, and what half of all cameras confirm is settled; the few
    spots that are left over are then tried in all pairs.
    """
    count = len(cameras)
    ring = [(k, (k + 1) % count) for k in range(count if count > 2 else 1)]
    sure = CorrespondOptions(
        options.gate_px, options.sigma_px, max(options.min_views, (count + 1) // 2)
    )
    first = _chosen(_proposed(ring, rays, flat, cameras, sure), rays, flat, cameras, sure)
    frame, camera = first.frame.unsqueeze(1).expand_as(first.spots), torch.arange(count)
    used = first.spots >= 0
    flat[camera.expand_as(used)[used], frame[used], first.spots[used]] = torch.nan
    rest = torch.where(flat.isfinite().all(-1, keepdim=True), rays, torch.nan)
    pairs = list(combinations(range(count), 2))
    second = _chosen(_proposed(pairs, rest, flat, cameras, options), rest, flat, cameras, options)
    return _Hypotheses(*(torch.cat(parts) for parts in zip(first, second, strict=True)))


def _proposed(
    pairs: list[tuple[int, int]],
    rays: Tensor,
    flat: Tensor,
    cameras: Cameras,
    options: CorrespondOptions,
) -> _Hypotheses:
    """All points where two rays of these pairs meet, each set of spots once."""
    centres, frames, points = cameras.centres_world, [], []
    for a, b in pairs:
        pair = epipolar_pair(cameras, a, b)
        miss = signed_distance_px(rays[a].unsqueeze(2), rays[b].unsqueeze(1), pair)
        frame, i, j = (miss.abs() < options.gate_px).nonzero(as_tuple=True)
        two = torch.stack((rays[a, frame, i], rays[b, frame, j]), dim=1)
        ones = torch.ones(len(two), 2, dtype=torch.float64)
        frames.append(frame)
        points.append(intersect_rays(centres[[a, b]].expand_as(two), two, ones))
    frame = torch.cat(frames)
    wide = _confirmed(frame, torch.cat(points), flat, cameras, NEAR * options.gate_px)
    refined = _through(frame, wide.spots, rays, cameras)
    found = _confirmed(frame, refined, flat, cameras, options.gate_px)
    found = found.pick((found.spots >= 0).sum(1) >= options.min_views)
    return found.pick(_first_of_each(found, flat.shape[2]))


def _first_of_each(found: _Hypotheses, spots: int) -> Int[Tensor, "k"]:
    """Index of one hypothesis for each set of spots in each frame."""
    key = found.frame.clone()
    for column in found.spots.unbind(1):
        key = key * (spots + 2) + column + 1  # wraps around in 64 bits: a hash
    _, inverse = torch.unique(key, return_inverse=True)
    count = int(inverse.max()) + 1 if len(inverse) else 0
    first = torch.full((count,), len(inverse))
    return first.scatter_reduce(0, inverse, torch.arange(len(inverse)), "amin")


def _confirmed(
    frame: Tensor, points: Tensor, flat: Tensor, cameras: Cameras, gate_px: float
) -> _Hypotheses:
    """The nearest spot of each camera within the gate, and the error over these cameras."""
    spots = torch.full((len(points), len(cameras)), -1)
    square = torch.zeros(len(points), len(cameras), dtype=torch.float64)
    if flat.shape[2] == 0:
        return _Hypotheses(frame, spots, points, square.sum(1))
    camera_points = cameras.camera_from_world.apply(points.expand(len(cameras), -1, 3))
    depth = camera_points[..., 2:]
    depth = torch.where(depth > 0.0, depth, torch.nan)
    image = cameras.pixels_from_normalized(camera_points[..., :2] / depth).nan_to_num(-1e6)
    x, y = flat.nan_to_num(1e6).unbind(-1)
    for c in range(len(cameras)):
        away = (x[c, frame] - image[c, :, :1]).square_()
        away += (y[c, frame] - image[c, :, 1:]).square_()
        near, which = away.min(1)
        inside = near < gate_px**2
        spots[:, c] = torch.where(inside, which, -1)
        square[:, c] = torch.where(inside, near, 0.0)
    views = (spots >= 0).sum(1).clamp_min(1)
    return _Hypotheses(frame, spots, points, (square.sum(1) / views).sqrt())


def _through(frame: Tensor, spots: Tensor, rays: Tensor, cameras: Cameras) -> Float[Tensor, "h 3"]:
    """The point nearest to the rays of these spots."""
    camera = torch.arange(len(cameras)).expand_as(spots)
    own = rays[camera, frame.unsqueeze(1), spots.clamp_min(0)]
    weight = (spots >= 0).double()
    return intersect_rays(cameras.centres_world.expand_as(own), own, weight)


def _chosen(
    found: _Hypotheses, rays: Tensor, flat: Tensor, cameras: Cameras, options: CorrespondOptions
) -> _Hypotheses:
    """The hypotheses that stand when each spot belongs to one point only."""
    count = flat.shape[2]
    offset = torch.arange(len(cameras)) * count
    total = len(cameras) * count * flat.shape[1]
    taken = torch.zeros(total + 1, dtype=torch.bool)
    accepted: list[_Hypotheses] = []
    for _ in range(MOST_ROUNDS):
        if not len(found.frame):
            break
        slot = found.frame.unsqueeze(1) * len(cameras) * count + offset + found.spots
        slot = torch.where(found.spots >= 0, slot, total)
        winners = _winners(found, slot, total)
        accepted.append(found.pick(winners))
        taken[slot[winners].flatten()] = True
        taken[total] = False
        spots = torch.where(taken[slot], -1, found.spots)
        keep = ~winners & ((spots >= 0).sum(1) >= options.min_views)
        left = _Hypotheses(found.frame[keep], spots[keep], found.points[keep], found.error_px[keep])
        found = _rechecked(left, rays, flat, cameras, options)
    if not accepted:
        return found
    return _Hypotheses(*(torch.cat(parts) for parts in zip(*accepted, strict=True)))


def _winners(found: _Hypotheses, slot: Tensor, total: int) -> Bool[Tensor, "h"]:
    """Hypotheses that are the best at every one of their spots: most views, then least error."""
    views = (found.spots >= 0).sum(1)
    order = torch.argsort(found.error_px, descending=True, stable=True)
    order = order[torch.argsort(views[order], stable=True)]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    best = torch.full((total + 1,), -1)
    best = best.scatter_reduce(
        0, slot.flatten(), rank.unsqueeze(1).expand_as(slot).flatten(), "amax"
    )
    mine = (best[slot] == rank.unsqueeze(1)) | (slot == total)
    return mine.all(1)


def _rechecked(
    left: _Hypotheses, rays: Tensor, flat: Tensor, cameras: Cameras, options: CorrespondOptions
) -> _Hypotheses:
    """Points through the spots that are left, if these still agree."""
    points = _through(left.frame, left.spots, rays, cameras)
    camera_points = cameras.camera_from_world.apply(points.expand(len(cameras), -1, 3))
    image = cameras.pixels_from_normalized(camera_points[..., :2] / camera_points[..., 2:])
    camera = torch.arange(len(cameras)).expand_as(left.spots)
    own = flat[camera, left.frame.unsqueeze(1), left.spots.clamp_min(0)]
    away = (own - image.transpose(0, 1)).norm(dim=-1)
    good = (left.spots >= 0) & (away < options.gate_px)
    spots = torch.where(good, left.spots, -1)
    views = good.sum(1)
    error = (torch.where(good, away.square(), 0.0).sum(1) / views.clamp_min(1)).sqrt()
    return _Hypotheses(left.frame, spots, points, error).pick(views >= options.min_views)


def _cloud(
    frame: Tensor,
    spots: Tensor,
    points_px: Tensor,
    cameras: Cameras,
    fps: float,
    options: CorrespondOptions,
) -> Cloud:
    """Triangulate the chosen sets of spots and list them frame by frame."""
    order = torch.argsort(frame, stable=True)
    frame, spots = frame[order], spots[order]
    camera = torch.arange(len(cameras)).expand_as(spots)
    own = points_px[camera, frame.unsqueeze(1), spots.clamp_min(0)]
    own = torch.where((spots >= 0).unsqueeze(-1), own, torch.nan)
    solved = triangulate(
        own.transpose(0, 1).contiguous(),
        cameras,
        options=TriangulationOptions(2.0 * options.gate_px, options.sigma_px),
    )
    frames = points_px.shape[1]
    number = torch.bincount(frame, minlength=frames)
    place = torch.arange(len(frame)) - (number.cumsum(0) - number)[frame]
    width = int(number.max()) if len(frame) else 0
    points = torch.full((frames, width, 3), torch.nan, dtype=torch.float64)
    covariance = torch.full((frames, width, 3, 3), torch.nan, dtype=torch.float64)
    shown = torch.full((frames, width, len(cameras)), -1)
    points[frame, place] = solved.points_world
    covariance[frame, place] = solved.covariance
    shown[frame, place] = spots
    return Cloud(points, covariance, shown, fps)
