"""Errors that stay: a camera that points a little aside, or whose clock is off.

C cameras, N points. A point's residuals in all its views obey, to first order,

    r = J dX + b + d v + noise,

where dX is the error of the triangulated point, b each camera's constant bias (pixels), d its lag
(frames) and v the speed of the point in its picture (pixels a frame). dX is integrated out, so that
the estimate hardly depends on how the points were triangulated: freely for the lags, which come
first, and under a normal prior of a few centimetres for the biases. Where the residuals cannot tell
which of two cameras is at fault (they face each other, say), the prior blames the one whose overlay
is seen to be off. Faults are sparse: the fewest faulty cameras that explain the residuals are
wanted, hence a group-lasso penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.camera import Cameras

__all__ = ["Systematic", "fit_systematic"]

POINTS = 4000  # enough for a hundredth of a pixel
ROUNDS = 60  # of reweighting
PENALTY_PX = 0.15  # keeps the scatter of detections from being called a fault
ACTIVE_PX = 0.2  # groups longer than this are faults, not noise
GAUGE = 0.02  # holds directions that no residual decides at what the penalty chose
STEP_M = 1e-3  # of the central difference; the projection is smooth at that scale
POINT_STD_M = 0.05  # prior of the error of a triangulated point
SLOW_PX = 0.3  # a frame; slower pictures say nothing about the clock
CORRELATED = 10.0  # neighbouring frames of a detector err alike: that many count as one


@dataclass(frozen=True)
class Systematic:
    """Per camera: constant bias and lag of the clock, with the lag's standard error.

    Attributes:
        bias_px: Detection minus projection that no movement of the points explains, pixels.
        lag_frames: The camera's frame t shows the instant t + lag; 0 for the typical camera.
        lag_std_frames: One sigma; infinite where nothing moves.
    """

    bias_px: Float[Tensor, "c 2"]
    lag_frames: Float[Tensor, "c"]
    lag_std_frames: Float[Tensor, "c"]


def fit_systematic(
    cameras: Cameras,
    points_world: Float[Tensor, "n 3"],
    residuals_px: Float[Tensor, "c n 2"],
    speeds_px: Float[Tensor, "c n 2"],
) -> Systematic:
    """Find the biases and lags that explain the residuals.

    Args:
        cameras: The C cameras.
        points_world: Triangulated points, metres.
        residuals_px: Detection minus projection, pixels; NaN where a view is missing.
        speeds_px: Movement of each projection, pixels a frame.
    References:
        Yuan & Lin, Model selection and estimation in regression with grouped variables,
        J. R. Stat. Soc. B 68(1), 2006; solved by iterative reweighting.
    """
    count = len(cameras)
    enough = (residuals_px.isfinite().all(-1).sum(0) >= 3).nonzero().squeeze(-1)
    if count < 3 or len(enough) < 10:
        zero = points_world.new_zeros(count)
        return Systematic(points_world.new_zeros(count, 2), zero, zero + torch.inf)
    keep = enough[:: max(1, len(enough) // POINTS)]
    points, residual = points_world[keep], residuals_px[:, keep]
    speed = speeds_px[:, keep].nan_to_num()
    weight = _inliers(residual)
    pixels = speed.square().sum(-1).mul(weight).sum(1).div(weight.sum(1).clamp(min=1.0)).sqrt()
    pixels = pixels.clamp(min=SLOW_PX)
    free = _fit(cameras, points, residual, speed / pixels[:, None, None], torch.inf)
    lag = free.theta[2 * count :] / pixels
    lag = lag - lag.median()
    still = residual - speed * lag[:, None, None]
    anchored = _fit(cameras, points, still, speed / pixels[:, None, None], POINT_STD_M)
    std = _relative_std(free.covariance[2 * count :, 2 * count :] / (pixels[:, None] * pixels))
    return Systematic(anchored.theta[: 2 * count].reshape(count, 2), lag, std)


class _Fit(NamedTuple):
    theta: Float[Tensor, "p"]
    covariance: Float[Tensor, "p p"]


def _fit(
    cameras: Cameras,
    points_world: Float[Tensor, "n 3"],
    residuals_px: Float[Tensor, "c n 2"],
    speeds: Float[Tensor, "c n 2"],
    point_std_m: float,
) -> _Fit:
    """All faults at once, when the points themselves may be off by so much."""
    weight = _inliers(residuals_px)
    whiten = _whitening(cameras, points_world, weight, point_std_m / _noise_px(residuals_px))
    design = whiten @ _design(speeds, weight)
    target = (residuals_px.nan_to_num() * weight.unsqueeze(-1)).permute(1, 0, 2).flatten(1)
    target = (whiten @ target.unsqueeze(-1)).squeeze(-1)
    rows = weight.sum().clamp(min=1.0) / len(cameras)
    normal = torch.einsum("nra,nrb->ab", design, design) / rows
    theta = _group_lasso(normal, torch.einsum("nra,nr->a", design, target) / rows, len(cameras))
    noise = (target - design @ theta).square().sum() / (2.0 * rows * len(cameras))
    return _Fit(theta, torch.linalg.pinv(normal, hermitian=True) * noise * CORRELATED / rows)


def _relative_std(covariance: Float[Tensor, "c c"]) -> Float[Tensor, "c"]:
    """One sigma of each lag against the mean lag: what all clocks share cannot be known."""
    contrast = torch.eye(len(covariance), dtype=covariance.dtype) - 1.0 / len(covariance)
    return (contrast @ covariance @ contrast).diagonal().clamp(min=1e-12).sqrt()


def _inliers(residuals_px: Float[Tensor, "c n 2"]) -> Float[Tensor, "c n"]:
    """1 within four median deviations of the camera's median residual; 0 beyond and if unseen."""
    centred = residuals_px - residuals_px.nanmedian(1, keepdim=True).values
    length = centred.norm(dim=-1)
    gate = 4.0 * length.nanmedian(1, keepdim=True).values + 1e-6
    return (length <= gate).to(residuals_px)


def _noise_px(residuals_px: Float[Tensor, "c n 2"]) -> float:
    """Scatter of one pixel coordinate about its camera's median."""
    centred = residuals_px - residuals_px.nanmedian(1, keepdim=True).values
    return max(1.48 * float(centred.abs().nanmedian()), 0.3)


def _whitening(
    cameras: Cameras,
    points_world: Float[Tensor, "n 3"],
    weight: Float[Tensor, "c n"],
    std_m_per_px: float,
) -> Float[Tensor, "n rows rows"]:
    """Square root of the precision (I + J J' s^2)^-1 of a point's residuals; s: metres a pixel."""
    steps = STEP_M * torch.eye(3, dtype=points_world.dtype)
    jacobian = torch.stack(
        [cameras.project(points_world + s) - cameras.project(points_world - s) for s in steps], -1
    ) / (2.0 * STEP_M)
    jacobian = (jacobian.nan_to_num() * weight[..., None, None]).permute(1, 0, 2, 3).flatten(1, 2)
    basis, stretch, _ = torch.linalg.svd(jacobian, full_matrices=False)
    kept = 1.0 / (1.0 + (stretch * min(std_m_per_px, 1e6)).square()).sqrt()
    identity = torch.eye(basis.shape[1], dtype=basis.dtype)
    return identity - (basis * (1.0 - kept).unsqueeze(1)) @ basis.mT


def _design(
    speeds: Float[Tensor, "c n 2"], weight: Float[Tensor, "c n"]
) -> Float[Tensor, "n rows faults"]:
    """Rows (camera, axis); columns 2 C biases, then C lags."""
    count, total = speeds.shape[:2]
    bias = torch.eye(2 * count, dtype=speeds.dtype).expand(total, -1, -1)
    lag = torch.diag_embed(speeds.permute(1, 2, 0)).permute(0, 2, 1, 3).flatten(1, 2)
    rows = weight.repeat_interleave(2, 0).mT.unsqueeze(-1)
    return torch.cat((bias, lag), -1) * rows


def _group_lasso(
    normal: Float[Tensor, "p p"], right: Float[Tensor, "p"], count: int
) -> Float[Tensor, "p"]:
    """Minimise x' N x / 2 - g' x + penalty * sum of group lengths; a bias is a group of two.

    The groups that stay are then fitted once more without the penalty, which had shrunk them.
    """
    group = torch.cat((torch.arange(count).repeat_interleave(2), torch.arange(count) + count))
    scale = torch.ones_like(right)
    theta = torch.zeros_like(right)
    for _ in range(ROUNDS):
        theta = torch.linalg.solve(normal + torch.diag(PENALTY_PX * scale), right)
        square = torch.zeros(2 * count, dtype=right.dtype).index_add(0, group, theta.square())
        scale = (1.0 / (square.sqrt() + 1e-6))[group]
    kept = (square.sqrt() > ACTIVE_PX)[group].nonzero().squeeze(-1)
    ridge = GAUGE * torch.eye(len(kept), dtype=right.dtype)
    theta[kept] = torch.linalg.solve(
        normal[kept][:, kept] + ridge, right[kept] + GAUGE * theta[kept]
    )
    return theta
