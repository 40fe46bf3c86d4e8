"""Robust losses as weights for iteratively reweighted least squares, and robust scales.

A loss rho(r) of a residual r becomes the weight w(r) = rho'(r) / r; minimising sum w r^2 with the
weights held and renewed in turn minimises sum rho (IRLS).
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Loss", "mad_scale", "robust_cost", "robust_weight"]

Loss = Literal["quadratic", "huber", "cauchy", "geman"]

MAD_TO_SIGMA = 1.4826  # of a normal distribution
RAYLEIGH_MEDIAN = 1.17741  # median distance of a plane normal distribution of unit sigma


def robust_weight(
    distance: Float[Tensor, "*n"], scale: Float[Tensor, "*#n"] | float, loss: Loss
) -> Float[Tensor, "*n"]:
    """Weight w = rho'(r) / r of a residual, 1 at zero; NaN counts as unseen and weighs 0.

    Args:
        distance: Residuals r >= 0, in any unit.
        scale: Where the loss turns from quadratic, in the same unit.
        loss: "huber" stays convex, "cauchy" has heavy tails, "geman" (Geman-McClure) redescends
            fastest: far residuals lose all influence.
    References:
        Zhang, Parameter estimation techniques, Image and Vision Computing 15(1), 1997, table 1.
    """
    x2 = (distance / scale).square()
    if loss == "quadratic":
        weight = torch.ones_like(x2)
    elif loss == "huber":
        weight = x2.clamp(min=1.0).rsqrt()
    elif loss == "cauchy":
        weight = 1.0 / (1.0 + x2)
    else:
        weight = (1.0 + x2).square().reciprocal()
    return torch.where(distance.isfinite(), weight, torch.zeros_like(weight))


def robust_cost(
    distance: Float[Tensor, "*n"], scale: Float[Tensor, "*#n"] | float, loss: Loss
) -> Float[Tensor, "*n"]:
    """Twice the loss, 2 rho(r), in squared units of the residual; r^2 near zero, 0 for NaN."""
    s2 = torch.as_tensor(scale, dtype=distance.dtype).square()
    x2 = distance.square() / s2
    if loss == "quadratic":
        cost = x2
    elif loss == "huber":
        cost = torch.where(x2 <= 1.0, x2, 2.0 * x2.clamp(min=1.0).sqrt() - 1.0)
    elif loss == "cauchy":
        cost = torch.log1p(x2)
    else:
        cost = x2 / (1.0 + x2)
    return torch.where(distance.isfinite(), s2 * cost, torch.zeros_like(cost))


def mad_scale(residual: Float[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Standard deviation of a normal sample with outliers, by the median absolute deviation.

    Args:
        residual: Signed residuals, in any unit; NaN is left out.
    """
    centred = residual - residual.nanmedian()
    return MAD_TO_SIGMA * centred.abs().nanmedian()
