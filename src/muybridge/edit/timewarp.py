"""Dynamic time warping: which moment of one motion is which of another, and blends that heed it.

The cheapest monotone path through the costs of all pairs of frames,

    D[i, j] = c[i, j] + min(D[i-1, j-1], D[i-1, j], D[i, j-1]),

is computed by anti-diagonals, of which all cells are independent: n + m - 1 vector operations
instead of n m scalar ones. The path, smoothed into two strictly increasing functions, is a
registration curve: two walks of different speed blend foot by foot along it, and the result lasts
as long as the weights say.

N, M frames (or samples), K features.

References:
    Sakoe & Chiba, Dynamic programming algorithm optimization for spoken word recognition, 1978.
    Kovar & Gleicher, Flexible automatic motion blending with registration curves, SCA 2003.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from muybridge.edit.blend import blend
from muybridge.edit.resample import at_frames
from muybridge.edit.sequence import same_skeleton
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import rotate
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.facing import heading, yaw_quaternion
from muybridge.motion.kinematics import forward_clip

__all__ = [
    "Warp",
    "WarpOptions",
    "accumulated",
    "dtw",
    "pose_features",
    "registration",
    "squared_costs",
    "timewarp_blend",
    "warped_to",
]


class Warp(NamedTuple):
    """A warping path.

    Attributes:
        distance: Root of the summed costs along the path.
        first: Frame of the first sequence at each step of the path.
        second: Frame of the second.
    """

    distance: float
    first: Int[Tensor, "p"]
    second: Int[Tensor, "p"]


def squared_costs(a: Float[Tensor, "n k"], b: Float[Tensor, "m k"]) -> Float[Tensor, "n m"]:
    """Squared distances of all pairs: for one feature exactly, for many by one matrix product."""
    if a.shape[1] == 1:
        return (a - b.T).square()
    centre = torch.cat((a, b)).mean(0)
    a, b = a - centre, b - centre
    norms = a.square().sum(1)[:, None] + b.square().sum(1)
    return torch.addmm(norms, a, b.T, alpha=-2.0).clamp(min=0.0)


def dtw(a: Float[Tensor, "n k"], b: Float[Tensor, "m k"], window: int | None = None) -> Warp:
    """Warp two sequences onto each other.

    Args:
        a: N samples.
        b: M samples.
        window: Sakoe-Chiba band: how far the path may stray from the diagonal, samples.
    Raises:
        InputError: If a sequence is empty, or no path fits into the window.
    """
    if min(len(a), len(b)) == 0:
        raise InputError(f"expected two sequences, got {len(a)} and {len(b)} samples; give more")
    costs = squared_costs(a.detach().double(), b.detach().double()).numpy()
    total = accumulated(costs, window)
    end = total[-1, -1]
    if not np.isfinite(end):
        raise InputError(
            f"expected a path within {window} samples of the diagonal, got none for lengths "
            f"{len(a)} and {len(b)}; widen the window"
        )
    first, second = _backtrack(total)
    return Warp(float(np.sqrt(end)), torch.from_numpy(first), torch.from_numpy(second))


def accumulated(costs: NDArray[np.float64], window: int | None = None) -> NDArray[np.float64]:
    """Least cost of a path from the first cell to each one; infinite outside of the window.

    Rows are shifted so that an anti-diagonal lies in one row of a table of n + m - 1: each is the
    minimum of its two predecessors, shifted, plus its costs.
    """
    rows, columns = costs.shape
    skewed = np.full((rows + columns - 1, rows + 1), np.inf)
    step = skewed.strides[0]
    # cell (i, j) of the costs is cell (i + j, i + 1) of the skewed table
    view = np.lib.stride_tricks.as_strided(
        skewed[:, 1:], (rows, columns), (step + skewed.strides[1], step)
    )
    view[:] = costs if window is None else np.where(_band(costs.shape, window), costs, np.inf)
    best = np.empty(rows)
    for diagonal in range(1, len(skewed)):
        low, high = max(0, diagonal - columns + 1), min(rows, diagonal + 1)
        before = skewed[diagonal - 1]
        smaller = np.minimum(before[low:high], before[low + 1 : high + 1], out=best[low:high])
        if diagonal > 1:
            np.minimum(smaller, skewed[diagonal - 2, low:high], out=smaller)
        skewed[diagonal, low + 1 : high + 1] += smaller
    return view


def _band(shape: tuple[int, int], window: int) -> NDArray[np.bool_]:
    """Cells near the diagonal from corner to corner; the difference of lengths is allowed for."""
    rows, columns = shape
    apart = np.arange(rows)[:, None] - np.arange(columns)
    return (apart <= max(0, rows - columns) + window) & (apart >= min(0, rows - columns) - window)


def _backtrack(total: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """From the last cell back to the first, by the cheapest neighbour; diagonal where equal."""
    i, j = total.shape[0] - 1, total.shape[1] - 1
    first, second = [i], [j]
    while i > 0 or j > 0:
        if i == 0 or j == 0:
            i, j = max(i - 1, 0), max(j - 1, 0)
        else:
            diagonal, up, left = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
            if diagonal <= up and diagonal <= left:
                i, j = i - 1, j - 1
            elif up <= left:
                i -= 1
            else:
                j -= 1
        first.append(i)
        second.append(j)
    return np.array(first[::-1]), np.array(second[::-1])


@dataclass(frozen=True)
class WarpOptions:
    """How two motions are registered.

    Attributes:
        window: How far, seconds, matching moments may be apart beyond the difference of lengths.
        smooth: Standard deviation of the filter that makes the path a smooth curve, seconds.
        speed: Weight of the joints' speeds beside their places, seconds: a leg that swings forward
            and one that swings back look alike in one frame.
    """

    window: float | None = None
    smooth: float = 0.1
    speed: float = 0.15

    def __post_init__(self) -> None:
        if self.window is not None and not (math.isfinite(self.window) and self.window >= 0.0):
            raise InputError(
                f"expected a window of 0 s or more, got {self.window:g}; leave it away to match "
                "moments however far apart"
            )


def pose_features(clip: Clip, speed: float = 0.15) -> Float[Tensor, "t k"]:
    """Joint places in the facing frame of each pose, and their speeds times `speed`; metres."""
    pose = forward_clip(clip).positions
    floor = clip.root * clip.root.new_tensor([1.0, 0.0, 1.0])
    back = yaw_quaternion(-heading(clip))[:, None]
    local = rotate(back, pose - floor[:, None])
    if len(clip) < 2:
        return local.flatten(1)
    velocity = torch.gradient(local, dim=0)[0] * clip.fps
    return torch.cat((local, speed * velocity), dim=-1).flatten(1)


def registration(
    first: Clip, second: Clip, options: WarpOptions | None = None
) -> tuple[Float[Tensor, "p"], Float[Tensor, "p"]]:
    """Matching moments of two motions: two strictly increasing curves of fractional frames.

    Args:
        first: From its first to its last frame.
        second: The same skeleton and frame rate; ends are matched with ends.
        options: Window, smoothness, features.
    """
    options = options or WarpOptions()
    for clip in (first, second):
        refuse_missing(clip)
        if len(clip) < 2:
            raise InputError(
                f"expected motion of at least 2 frames, got 1 in {clip.name}; choose a longer clip"
            )
    second = same_skeleton(second, first)
    window = None if options.window is None else max(1, round(options.window * first.fps))
    path = dtw(pose_features(first, options.speed), pose_features(second, options.speed), window)
    i, j = _increasing(path, len(first), len(second), options.smooth * first.fps)
    return torch.from_numpy(i), torch.from_numpy(j)


def _increasing(
    path: Warp, rows: int, columns: int, smooth: float
) -> tuple[Float64[np.ndarray, "p"], Float64[np.ndarray, "p"]]:
    """The staircase of a path as a smooth curve without rests, through both corners."""
    along = (path.first + path.second).double().numpy()  # strictly increasing along the path
    across = (path.first - path.second).double().numpy()
    grid = np.linspace(0.0, float(rows + columns - 2), rows + columns - 1)
    between = np.interp(grid, along, across)
    chord = np.linspace(between[0], between[-1], len(between))
    bend = gaussian_filter1d(np.concatenate((
        -(between - chord)[1:][::-1], between - chord, -(between - chord)[:-1][::-1]
    )), max(2.0 * smooth, 1e-6))[len(grid) - 1 : 2 * len(grid) - 1]  # fmt: skip
    steepest = 0.98  # of the diagonal's speed: neither clip ever stands still
    slope = np.clip(np.diff(chord + bend), -steepest, steepest)
    curve = np.concatenate(([0.0], np.cumsum(slope)))
    curve += (between[-1] - curve[-1]) * np.linspace(0.0, 1.0, len(grid)) + between[0]
    first, second = (grid + curve) / 2.0, (grid - curve) / 2.0
    return _rising(first, rows - 1), _rising(second, columns - 1)


def _rising(curve: Float64[np.ndarray, "p"], last: int) -> Float64[np.ndarray, "p"]:
    """The curve with ends at 0 and `last` and every step positive."""
    steps = np.maximum(np.diff(curve), 1e-4)
    sums = np.concatenate(([0.0], np.cumsum(steps)))
    return sums * (last / max(sums[-1], 1e-12))


def timewarp_blend(
    first: Clip, second: Clip, weight: float, options: WarpOptions | None = None
) -> Clip:
    """A motion between two that differ in speed: poses and durations are both blended.

    Args:
        first: Weight 1 - w, from one event to another (as from heel strike to heel strike).
        second: Weight w, between the same events; the same skeleton and frame rate.
        weight: In [0, 1]; 0 is the first motion in its own time.
        options: How they are registered.
    Raises:
        InputError: If the clips do not fit each other.
    """
    if not 0.0 <= weight <= 1.0:
        raise InputError(f"expected a weight from 0 to 1, got {weight:g}; choose one between")
    second = same_skeleton(second, first)
    i, j = (curve.numpy() for curve in registration(first, second, options))
    moments = (1.0 - weight) * i + weight * j  # frames of the result at each step of the path
    frames = np.arange(int(moments[-1] + 1e-9) + 1, dtype=np.float64)
    at_i, at_j = (torch.from_numpy(PchipInterpolator(moments, c)(frames)) for c in (i, j))
    a, b = (
        _timed(clip, at.clamp(0.0, float(len(clip) - 1)))
        for clip, at in ((first, at_i), (second, at_j))
    )
    return blend(a, b, weight)


def warped_to(clip: Clip, like: Clip, options: WarpOptions | None = None) -> Clip:
    """The clip in the timing of another: as many frames, the same event in the same frame."""
    clip = same_skeleton(clip, like)
    i, j = (curve.numpy() for curve in registration(like, clip, options))
    frames = np.arange(len(like), dtype=np.float64)
    moments = torch.from_numpy(PchipInterpolator(i, j)(frames))
    return _timed(clip, moments.clamp(0.0, float(len(clip) - 1)))


def _timed(clip: Clip, moments: Float[Tensor, "s"]) -> Clip:
    """The clip's poses at these frames, with captions where their time went."""
    poses = at_frames(clip, moments)
    times, source = np.arange(len(moments)) / clip.fps, moments.numpy() / clip.fps
    captions = tuple(
        Caption(c.text, *(float(np.interp(t, source, times)) for t in (c.start, c.end)))
        for c in clip.captions
    )
    return replace(poses, captions=captions)
