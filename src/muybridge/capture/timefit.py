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

__all__ = [
    "FIT_STEPS", "PHASES", "Fit", "Views", "fit_clocks", "mean_cost",
    "unbiased_residual", "views_at",
]  # fmt: skip

BLOCK_FRAMES = 25  # errors of a detector and of a calibration stay alike for about so long
BIAS_FRAMES = 150  # the bias of a pair and joint is taken as constant for so long
MIN_SCALE_PX = 1.0
SYSTEMATIC = 0.1  # share of the residual that is alike in all frames and does not average out
FIT_STEPS = 30
SETTLED_FRAMES = 5e-4
SCALE_MEDIANS = 0.8  # scale of the robust cost, in medians of the residual
START_SCALE_PX = 8.0
BIAS_STEPS = 4
PHASES = (0.0, 0.5)  # frames; on whole frames alone a detector's rounding pulls to whole offsets
RELAXATION = 1.7  # reweighted steps are short by about so much; the goal is the same


class Fit(NamedTuple):
    """Result of the joint least squares; camera 0 is exact by definition."""

    clocks: Clocks
    std: Float[Tensor, "p"]  # of the fitted numbers
    residual_px: float  # robust spread of the distance of rays from meeting, biases taken off


class Views(NamedTuple):
    """All cameras at the same instants."""

    rays: Float[Tensor, "c s j 3"]
    step: Float[Tensor, "c s j 3"]  # change of the ray if the instant were one frame later
    weight: Float[Tensor, "c s j"]
    frame: Float[Tensor, "c s"]  # which frame of the camera; NaN outside


def views_at(tracks: RayTracks, clocks: Clocks, instants: Float[Tensor, "s"]) -> Views:
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
    """Take a constant per joint and window of time off, robustly.

    Returns:
        The residual (0 where the weight is 0) and its robust weight (Geman-McClure).
    """
    count = len(residual_px)
    value, known = _windows(residual_px.nan_to_num(0.0)), _windows(weight)
    bias = torch.where(known > 0.0, value, torch.nan).nanmedian(1, keepdim=True).values
    bias = bias.nan_to_num(0.0)
    for _ in range(BIAS_STEPS):
        robust = known / (1.0 + ((value - bias) / scale_px).square()).square()
        bias = _window_mean(value, robust)
    rest = torch.where(known > 0.0, value - bias, torch.zeros_like(value))
    return rest.flatten(0, 1)[:count], robust.flatten(0, 1)[:count]


def _windows(values: Float[Tensor, "s j"]) -> Float[Tensor, "w l j"]:
    """Cut into windows of equal length, filled up with zeros."""
    windows = max(1, round(len(values) / BIAS_FRAMES))
    length = -(-len(values) // windows)
    filled = torch.nn.functional.pad(values, (0, 0, 0, windows * length - len(values)))
    return filled.reshape(windows, length, -1)


def _window_mean(values: Float[Tensor, "w l j"], weight: Float[Tensor, "w l j"]) -> Tensor:
    return (weight * values).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1e-9)


def _centred(slope: Float[Tensor, "s j"], weight: Float[Tensor, "s j"]) -> Float[Tensor, "s j"]:
    """Take off what the bias of each joint and window would absorb."""
    value = _windows(slope)
    return (value - _window_mean(value, _windows(weight))).flatten(0, 1)[: len(slope)]


class _Normal(NamedTuple):
    """Normal equations, summed over pairs, and the scores of each cluster."""

    matrix: Tensor  # P P
    score: Tensor  # blocks P
    score_of_joint: Tensor  # J P
    samples: Tensor  # P; sum of the weights behind each number
    residuals: Tensor


def _normal_equations(
    tracks: RayTracks, views: Views, scale_px: float, drifting: tuple[int, ...]
) -> _Normal:
    cameras, count, joints = views.weight.shape
    size = cameras - 1 + len(drifting)
    blocks = torch.arange(count) // BLOCK_FRAMES
    matrix = torch.zeros(size, size, dtype=torch.float64)
    score = torch.zeros(int(blocks[-1]) + 1, size, dtype=torch.float64)
    of_joint = torch.zeros(joints, size, dtype=torch.float64)
    samples = torch.zeros(size, dtype=torch.float64)
    residuals = []
    for a, b in combinations(range(cameras), 2):
        pair = tracks.pairs[a, b]
        weight = (views.weight[a] * views.weight[b]).sqrt()
        distance = signed_distance_px(views.rays[a], views.rays[b], pair)
        rest, robust = unbiased_residual(distance, weight, scale_px)
        residuals.append(rest[weight > 0.0])
        moved = {
            a: signed_distance_px(views.rays[a] - views.step[a], views.rays[b], pair),
            b: signed_distance_px(views.rays[a], views.rays[b] - views.step[b], pair),
        }
        columns, index = _slopes(moved, distance, robust, views, drifting)
        weighted = columns * robust.unsqueeze(-1)
        i = torch.tensor(index)
        matrix[i[:, None], i] += torch.einsum("sjp,sjq->pq", weighted, columns)
        gradient = weighted * rest.unsqueeze(-1)
        per_frame = torch.zeros(count, size, dtype=torch.float64)
        per_frame[:, i] = gradient.sum(1)
        score.index_add_(0, blocks, per_frame)
        of_joint[:, i] += gradient.sum(0)
        samples[i] += robust.sum()
    return _Normal(matrix, score, of_joint, samples, torch.cat(residuals))


def _sum(parts: list[_Normal]) -> _Normal:
    """Normal equations of several sets of instants, which share their clusters."""
    matrix, score, of_joint, samples = (
        torch.stack([part[i] for part in parts]).sum(0) for i in range(4)
    )
    return _Normal(matrix, score, of_joint, samples, torch.cat([p.residuals for p in parts]))


def _slopes(
    moved: dict[int, Tensor],
    distance: Tensor,
    robust: Tensor,
    views: Views,
    drifting: tuple[int, ...],
) -> tuple[Float[Tensor, "s j p"], list[int]]:
    """Change of a pair's distance by each number that it depends on, and which these are."""
    columns, index = [], []
    for c, there in moved.items():
        slope = (there - distance).nan_to_num(0.0)
        if c > 0:
            columns.append(_centred(slope, robust))
            index.append(c - 1)
        if c in drifting:
            by_frame = slope * views.frame[c].nan_to_num(0.0).unsqueeze(-1)
            columns.append(_centred(by_frame, robust))
            index.append(len(views.rays) - 1 + drifting.index(c))
    return torch.stack(columns, dim=-1), index


def fit_clocks(
    tracks: RayTracks,
    clocks: Clocks,
    instants: Float[Tensor, "s"],
    drifting: tuple[int, ...] = (),
    steps: int = FIT_STEPS,
    phases: tuple[float, ...] = PHASES,
) -> Fit:
    """Refine offsets (and drifts) by Gauss-Newton with robust weights.

    Minimises, over all pairs of cameras, joints and instants, the Geman-McClure cost of the
    distance of rays from meeting less a constant per pair and joint (see `capture.offsets`).
    Standard deviations are those of the sandwich estimator, with blocks of time and joints as
    clusters, plus a share of the residual that is taken as common to all frames.

    Args:
        tracks: One person.
        clocks: Start; its jumps are kept.
        instants: Frames of camera 0 to use.
        drifting: Cameras (not 0) whose rate is fitted too.
        steps: Most iterations.
        phases: Shifts of the instants, frames, that are all used.
    References:
        Liang & Zeger, Longitudinal data analysis using generalized linear models, Biometrika 73,
        1986 (the clustered sandwich covariance).
    """
    cameras, scale = len(tracks.rays), START_SCALE_PX
    for _ in range(steps):
        normal = _sum(
            [
                _normal_equations(
                    tracks, views_at(tracks, clocks, instants + phase), scale, drifting
                )
                for phase in phases
            ]
        )
        spread = normal.residuals.abs()
        median = max(float(spread.median()) if len(spread) else 0.0, MIN_SCALE_PX)
        scale = SCALE_MEDIANS * median
        inverse = _inverse(normal.matrix)
        step = -RELAXATION * (inverse @ normal.score.sum(0))
        step[: cameras - 1] = step[: cameras - 1].clamp(-1.0, 1.0)
        step[cameras - 1 :] = step[cameras - 1 :].clamp(-2e-3, 2e-3)
        clocks = _moved(clocks, step, drifting)
        if float(step[: cameras - 1].abs().max()) < SETTLED_FRAMES:
            break
    clusters = sum(x.T @ x for x in (normal.score, normal.score_of_joint))
    variance = (inverse @ clusters @ inverse).diagonal()
    slope_square = normal.matrix.diagonal() / normal.samples.clamp_min(1e-9)
    spread_px = 1.4826 * median
    variance = variance + (SYSTEMATIC * spread_px) ** 2 / slope_square.clamp_min(1e-12)
    return Fit(clocks, variance.sqrt(), spread_px)


def _inverse(matrix: Float[Tensor, "p p"]) -> Float[Tensor, "p p"]:
    """Inverse of a normal matrix whose numbers have very different units, lightly regularised."""
    unit = matrix.diagonal().clamp_min(1e-12).rsqrt()
    eye = torch.eye(len(matrix), dtype=matrix.dtype)
    return unit[:, None] * torch.linalg.inv(unit[:, None] * matrix * unit + 1e-6 * eye) * unit


def _moved(clocks: Clocks, step: Float[Tensor, "p"], drifting: tuple[int, ...]) -> Clocks:
    offsets, drift = clocks.offsets_frames.clone(), clocks.drift.clone()
    offsets[1:] += step[: len(offsets) - 1]
    drift[list(drifting)] += step[len(offsets) - 1 :]
    return Clocks(clocks.cameras, offsets, drift, clocks.dropped)


def mean_cost(
    tracks: RayTracks, clocks: Clocks, instants: Float[Tensor, "s"], scale_px: float
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
