"""Time offsets of cameras from the epipolar geometry of one moving person.

C cameras, T frames, J joints, D shifts, S instants, K tracks. A wrong time offset makes the rays of
a MOVING joint miss each other; a wrong calibration makes them miss as well, but always by about the
same amount. Every cost here is therefore the distance of rays from meeting after a constant bias
(per pair of cameras in the search, per pair and joint in the fit) was taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.epipolar import EpipolarPair, signed_distance_px

__all__ = ["RayTracks", "robust_cost", "search_offsets", "shift_costs", "smooth_tracks"]

SCALE_PX = 8.0  # residual at which the robust cost has reached half its height
SEARCH_FRAMES = 64  # instants compared for each shift; more only repeats what neighbours say
MIN_OVERLAP = 0.3  # of the take, in the search


@dataclass(frozen=True)
class RayTracks:
    """Rays of one person in C cameras, each on its own clock.

    Attributes:
        rays: World axes, depth 1; NaN where unseen.
        weight: Confidence; 0 where unseen.
        pairs: Geometry of cameras (a, b), a < b.
    """

    rays: Float[Tensor, "c t j 3"]
    weight: Float[Tensor, "c t j"]
    pairs: dict[tuple[int, int], EpipolarPair]


def smooth_tracks(points_px: Float[Tensor, "t j 2"], std_frames: float) -> Float[Tensor, "t j 2"]:
    """Gaussian smoothing over time that ignores missing points and fills none.

    Detectors round to whole or coarse pixels; a symmetric filter takes that off without a delay.
    """
    if std_frames <= 0.0:
        return points_px
    reach = int(3.0 * std_frames + 0.5)
    t = torch.arange(-reach, reach + 1, dtype=points_px.dtype)
    kernel = torch.exp(-0.5 * (t / std_frames) ** 2).reshape(1, 1, -1)
    flat = points_px.flatten(1).T.unsqueeze(1)
    known = flat.isfinite()
    value = torch.nn.functional.conv1d(flat.nan_to_num(0.0), kernel, padding=reach)
    share = torch.nn.functional.conv1d(known.to(flat.dtype), kernel, padding=reach)
    smooth = torch.where(known, value / share.clamp_min(1e-9), torch.full_like(flat, torch.nan))
    return smooth.squeeze(1).T.reshape(points_px.shape)


def robust_cost(residual_px: Tensor) -> Tensor:
    """Geman-McClure cost in [0, 1]; NaN stays NaN."""
    square = (residual_px / SCALE_PX).square()
    return square / (1.0 + square)


def shift_costs(
    rays_a: Float[Tensor, "t j 3"],
    rays_b: Float[Tensor, "t j 3"],
    pair: EpipolarPair,
    max_shift: int,
) -> Float[Tensor, "d"]:
    """Robust epipolar cost of every whole-frame shift of camera b against camera a.

    Args:
        rays_a: Track of camera a.
        rays_b: Track of camera b.
        pair: Their geometry.
        max_shift: Shifts -max_shift .. max_shift are tried; entry d says that frame t of a shows
            what frame t + (d - max_shift) of b shows.
    Returns:
        Mean cost in [0, 1]; NaN where too little of the two tracks overlaps.
    """
    frames = len(rays_a)
    stride = -(-frames // SEARCH_FRAMES)
    t = torch.arange(0, frames, stride)
    shift = torch.arange(-max_shift, max_shift + 1)
    at = t + shift.unsqueeze(1)
    inside = (at >= 0) & (at < frames)
    distance = signed_distance_px(rays_a[t], rays_b[at.clamp(0, frames - 1)], pair)
    distance[~inside] = torch.nan
    flat = distance.flatten(1)
    bias = flat.nanmedian(1, keepdim=True).values
    count = flat.isfinite().sum(1)
    cost = robust_cost(flat - bias).nanmean(1)
    enough = count >= MIN_OVERLAP * max(int(count.max()), 1)
    return torch.where(enough & (count > 0), cost, torch.full_like(cost, torch.nan))


def search_offsets(
    curves: dict[tuple[int, int], Float[Tensor, "ka kb d"]], camera_count: int
) -> tuple[Tensor, list[int]]:
    """Whole-frame offsets and the choice of track per camera with the smallest sum of costs.

    Cameras join one by one, the clearest curve first; then each camera in turn moves to its best
    offset and track given all others, until nothing changes.

    Args:
        curves: `shift_costs` of every track of camera a against every track of camera b.
        camera_count: C.
    Returns:
        Offsets in frames (camera 0 is 0), and the chosen track of each camera.
    """
    filled = {key: _fill(curve) for key, curve in curves.items()}
    any_curve = next(iter(filled.values()))
    reach = any_curve.shape[-1] // 2
    tracks = [0] * camera_count
    offsets = torch.zeros(camera_count, dtype=torch.long)
    joined = [0]

    def cost(c: int, others: list[int]) -> Tensor:
        total = torch.zeros(())
        for other in others:
            a, b = min(c, other), max(c, other)
            curve = filled[a, b]
            curve = curve[:, tracks[b]] if c == a else curve[tracks[a]].flip(-1)
            total = total + _rolled(curve, int(offsets[other]))
        return total

    def settle(c: int, others: list[int]) -> bool:
        table = cost(c, others)
        k, d = divmod(int(table.argmin()), table.shape[-1])
        changed = (tracks[c], int(offsets[c])) != (k, d - reach)
        tracks[c], offsets[c] = k, d - reach
        return changed

    while len(joined) < camera_count:
        rest = [c for c in range(camera_count) if c not in joined]
        depth = [float(_contrast(cost(c, joined))) for c in rest]
        chosen = rest[depth.index(max(depth))]
        settle(chosen, joined)
        joined.append(chosen)
    for _ in range(10):
        moved = [settle(c, [o for o in joined if o != c]) for c in joined[1:]]
        if not any(moved):
            break
    return offsets - offsets[0], tracks


def _fill(curve: Float[Tensor, "ka kb d"]) -> Float[Tensor, "ka kb d"]:
    """A shift that cannot be judged is as bad as the worst one that can."""
    worst = torch.where(curve.isnan(), -torch.inf, curve).amax(-1, keepdim=True)
    worst = torch.where(worst.isfinite(), worst, torch.ones_like(worst))
    return torch.where(curve.isnan(), worst.expand_as(curve), curve)


def _rolled(curve: Float[Tensor, "k d"], offset: int) -> Float[Tensor, "k d"]:
    """Cost by this camera's offset o = d + offset of the other; the edges repeat."""
    d = torch.arange(curve.shape[-1])
    return curve[:, (d - offset).clamp(0, curve.shape[-1] - 1)]


def _contrast(cost: Float[Tensor, "k d"]) -> Tensor:
    """How much better the best shift is than the usual one."""
    return cost[0].median() - cost[0].min()
