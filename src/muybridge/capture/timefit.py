"""Sub-frame clocks by joint least squares over all pairs of cameras.

C cameras, T frames, S instants (frames of camera 0), J joints, P fitted numbers: the offsets of
cameras 1.., then (if asked) their drifts. The model of a clock is `Clocks`; its jumps are given.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.clock import Clocks
from muybridge.capture.offsets import RayTracks
from muybridge.geometry.epipolar import signed_distance_px

__all__ = ["Fit", "Views", "fit_clocks", "mean_cost", "unbiased_residual", "views_at"]

BLOCK_FRAMES = 25  # errors of a detector and of a calibration stay alike for about so long
BIAS_FRAMES = 150  # the bias of a pair and joint is taken as constant for so long
MIN_SCALE_PX = 1.0
SYSTEMATIC = 0.1  # share of the residual that is alike in all frames and does not average out
FIT_STEPS = 15
SETTLED_FRAMES = 1e-3


class Fit(NamedTuple):
    """Result of the joint least squares; camera 0 is exact by definition."""

    clocks: Clocks
    std: Float[Tensor, " p"]  # of the fitted numbers
    residual_px: float  # robust spread of the distance of rays from meeting, biases taken off


class Views(NamedTuple):
    """All cameras at the same instants."""

    rays: Float[Tensor, "c s j 3"]
    step: Float[Tensor, "c s j 3"]  # change of the ray if the instant were one frame later
    weight: Float[Tensor, "c s j"]
    frame: Float[Tensor, "c s"]  # which frame of the camera; NaN outside


def views_at(tracks: RayTracks, clocks: Clocks, instants: Float[Tensor, " s"]) -> Views:
    """Interpolate every camera's rays at the instants; NaN and weight 0 where unknown."""
    frames = tracks.rays.shape[1]
    all_rays, all_steps, all_weights, all_frames = [], [], [], []
    for c, (rays, weight) in enumerate(zip(tracks.rays, tracks.weight, strict=True)):
        frame, gap = clocks.frames_at(c, instants, frames)
        before = frame.nan_to_num(0.0).floor().long().clamp_max(frames - 2)
        step = rays[before + 1] - rays[before]
        share = (frame - before)[:, None, None]
        all_rays.append(rays[before] + step * share)
        all_steps.append(step / gap[:, None, None])
        both = torch.minimum(weight[before], weight[before + 1])
        known = all_rays[-1].isfinite().all(-1) & (gap < 1.5).unsqueeze(-1)
        all_weights.append(torch.where(known, both, torch.zeros_like(both)))
        all_frames.append(frame)
    stack = torch.stack
    return Views(stack(all_rays), stack(all_steps), stack(all_weights), stack(all_frames))


def unbiased_residual(
    residual_px: Float[Tensor, "s j"], weight: Float[Tensor, "s j"], scale_px: float
) -> tuple[Float[Tensor, "s j"], Float[Tensor, "s j"]]:
    """Take a constant per joint and window off, robustly.

    Returns:
        The residual (0 where the weight is 0) and its robust weight (Geman-McClure).
    """
    count, joints = residual_px.shape
    windows = max(1, round(count / BIAS_FRAMES))
    length = -(-count // windows)
    pad = (0, 0, 0, windows * length - count)
    value = torch.nn.functional.pad(residual_px.nan_to_num(0.0), pad).reshape(
        windows, length, joints
    )
    known = torch.nn.functional.pad(weight, pad).reshape(windows, length, joints)
    bias = torch.where(known > 0.0, value, torch.nan).nanmedian(1, keepdim=True).values
    bias = bias.nan_to_num(0.0)
    for _ in range(4):
        robust = known / (1.0 + ((value - bias) / scale_px).square()).square()
        bias = (robust * value).sum(1, keepdim=True) / robust.sum(1, keepdim=True).clamp_min(1e-9)
    rest = torch.where(known > 0.0, value - bias, torch.zeros_like(value))
    return rest.flatten(0, 1)[:count], robust.flatten(0, 1)[:count]


class _Normal(NamedTuple):
    """Normal equations, summed over pairs, and the scores of each block of time."""

    matrix: Tensor  # P P
    score: Tensor  # blocks P
    score_of_joint: Tensor  # J P
    samples: Tensor  # P; sum of the weights behind each number
    residuals: list[Tensor]


def _centred(slope: Tensor, weight: Tensor) -> Tensor:
    """Take off what the bias of each joint would absorb."""
    mean = (weight * slope).sum(0) / weight.sum(0).clamp_min(1e-9)
    return slope - mean


def _normal_equations(
    tracks: RayTracks, views: Views, scale_px: float, with_drift: bool
) -> _Normal:
    cameras = len(views.rays)
    count = views.rays.shape[1]
    size = (cameras - 1) * (2 if with_drift else 1)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    blocks = torch.arange(count) // BLOCK_FRAMES
    score = torch.zeros(int(blocks[-1]) + 1, size, dtype=torch.float64)
    score_of_joint = torch.zeros(views.rays.shape[2], size, dtype=torch.float64)
    samples = torch.zeros(size, dtype=torch.float64)
    residuals = []
    for a, b in combinations(range(cameras), 2):
        pair = tracks.pairs[a, b]
        weight = (views.weight[a] * views.weight[b]).sqrt()
        distance = signed_distance_px(views.rays[a], views.rays[b], pair)
        rest, robust = unbiased_residual(distance, weight, scale_px)
        residuals.append(rest[weight > 0.0])
        slopes = []
        for c, (u, v) in (
            (a, (views.rays[a] - views.step[a], views.rays[b])),
            (b, (views.rays[a], views.rays[b] - views.step[b])),
        ):
            slope = (signed_distance_px(u, v, pair) - distance).nan_to_num(0.0)
            if c == 0:
                continue
            slopes.append((c - 1, _centred(slope, robust)))
            if with_drift:
                drifted = slope * views.frame[c].nan_to_num(0.0).unsqueeze(-1)
                slopes.append((cameras - 1 + c - 1, _centred(drifted, robust)))
        for i, slope in slopes:
            score[:, i].index_add_(0, blocks, (robust * slope * rest).sum(1))
            score_of_joint[:, i] += (robust * slope * rest).sum(0)
            samples[i] += robust.sum()
            for k, other in slopes:
                matrix[i, k] += (robust * slope * other).sum()
    return _Normal(matrix, score, score_of_joint, samples, residuals)


def fit_clocks(
    tracks: RayTracks, clocks: Clocks, instants: Float[Tensor, " s"], with_drift: bool = False
) -> Fit:
    """Refine offsets (and drifts) by Gauss-Newton with robust weights.

    Minimises, over all pairs of cameras, joints and instants, the Geman-McClure cost of the
    distance of rays from meeting less a constant per pair and joint (see `capture.offsets`).
    Standard deviations are those of the sandwich estimator with blocks of time as clusters, since
    the errors of neighbouring frames and of the joints of a body are not independent.

    Args:
        tracks: One person.
        clocks: Start; its jumps are kept.
        instants: Frames of camera 0 to use.
        with_drift: Fit a rate per camera too.
    References:
        Liang & Zeger, Longitudinal data analysis using generalized linear models, Biometrika 73,
        1986 (the clustered sandwich covariance).
    """
    cameras = len(tracks.rays)
    scale = 8.0
    for _ in range(FIT_STEPS):
        normal = _normal_equations(tracks, views_at(tracks, clocks, instants), scale, with_drift)
        spread = torch.cat(normal.residuals).abs()
        scale = max(float(spread.median()) if len(spread) else 0.0, MIN_SCALE_PX)
        matrix = normal.matrix + 1e-9 * torch.eye(len(normal.matrix), dtype=torch.float64)
        diagonal = matrix.diagonal().clamp_min(1e-12).rsqrt()
        scaled = diagonal[:, None] * matrix * diagonal
        scaled = scaled + 1e-6 * torch.eye(len(matrix), dtype=torch.float64)
        step = -diagonal * torch.linalg.solve(scaled, diagonal * normal.score.sum(0))
        step[: cameras - 1] = step[: cameras - 1].clamp(-1.0, 1.0)
        step[cameras - 1 :] = step[cameras - 1 :].clamp(-2e-3, 2e-3)
        clocks = _moved(clocks, step, cameras)
        if float(step[: cameras - 1].abs().max()) < SETTLED_FRAMES:
            break
    inverse = diagonal[:, None] * torch.linalg.inv(scaled) * diagonal
    spread_scores = sum(x.T @ x for x in (normal.score, normal.score_of_joint))
    variance = (inverse @ spread_scores @ inverse).diagonal()
    slope_square = (matrix.diagonal() / normal.samples.clamp_min(1e-9)).clamp_min(1e-12)
    variance = variance + (SYSTEMATIC * 1.4826 * scale) ** 2 / slope_square
    return Fit(clocks, variance.sqrt(), 1.4826 * scale)


def mean_cost(
    tracks: RayTracks, clocks: Clocks, instants: Float[Tensor, " s"], scale_px: float
) -> float:
    """Mean over the instants of the mean robust cost in [0, 1] of all pairs and joints."""
    views = views_at(tracks, clocks, instants)
    total, count = 0.0, 1e-9
    for (a, b), pair in tracks.pairs.items():
        weight = (views.weight[a] * views.weight[b]).sqrt()
        rest, _ = unbiased_residual(
            signed_distance_px(views.rays[a], views.rays[b], pair), weight, scale_px
        )
        square = (rest / (2.0 * scale_px)).square()
        total += float((weight * square / (1.0 + square)).sum())
        count += float(weight.sum())
    return total / count


def _moved(clocks: Clocks, step: Tensor, cameras: int) -> Clocks:
    zero = torch.zeros(1, dtype=torch.float64)
    offsets = clocks.offsets_frames + torch.cat((zero, step[: cameras - 1]))
    drift = clocks.drift
    if len(step) >= 2 * (cameras - 1):
        drift = drift + torch.cat((zero, step[cameras - 1 :]))
    return Clocks(clocks.cameras, offsets, drift, clocks.dropped)
