"""One polynomial through all keys: Vandermonde, Lagrange and barycentric forms, and its danger.

Between equally spaced keys a polynomial of high degree swings ever wider towards the ends (Runge's
phenomenon): the error for 1 / (1 + 25 x^2) on [-1, 1] grows from 0.44 with 5 keys to 60 with 21.
Keys at Chebyshev's points cure it; so does a spline.

Legend: k keys, t query times, d any shape of one value.

References:
    Berrut & Trefethen, Barycentric Lagrange interpolation, SIAM Review 46, 2004.
    Runge, Über empirische Funktionen und die Interpolation zwischen äquidistanten Ordinaten, 1901.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.knots import check_keys

__all__ = [
    "Barycentric", "barycentric", "chebyshev_points", "lagrange_basis", "power_coefficients",
    "powers_at",
]  # fmt: skip


@dataclass(frozen=True)
class Barycentric:
    """A polynomial by its values: p(t) = sum w_i v_i / (t - t_i)  over  sum w_i / (t - t_i)."""

    knots: Float[Tensor, "k"]
    values: Float[Tensor, "k *d"]
    weights: Float[Tensor, "k"]

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t *d"]:
        """Values at the times; on a key exactly its value."""
        gap = times.unsqueeze(-1) - self.knots
        hit = gap == 0.0
        ratio = self.weights / torch.where(hit, torch.ones_like(gap), gap)
        ratio = torch.where(hit.any(-1, keepdim=True), hit.to(ratio.dtype), ratio)
        share = ratio / ratio.sum(-1, keepdim=True)
        return (share @ self.values.reshape(len(self.values), -1)).reshape(
            len(times), *self.values.shape[1:]
        )


def barycentric(times: Float[Tensor, "k"], values: Float[Tensor, "k *d"]) -> Barycentric:
    """The polynomial of degree k - 1 through k keys, in the form that is safe to evaluate."""
    check_keys(times, values, 1, "polynomial")
    span = (times[-1] - times[0]).detach() if len(times) > 1 else times.new_ones(())
    gaps = (times.unsqueeze(-1) - times) * (4.0 / span)  # scaled by the capacity: no overflow
    weights = 1.0 / (gaps + torch.eye(len(times), dtype=times.dtype)).prod(-1)
    return Barycentric(times, values, weights)


def lagrange_basis(knots: Float[Tensor, "k"], times: Float[Tensor, "t"]) -> Float[Tensor, "t k"]:
    """Lagrange's basis  prod_(j != i) (t - t_j) / (t_i - t_j): 1 at key i and 0 at the others."""
    check_keys(knots, knots, 1, "Lagrange")
    own = torch.eye(len(knots), dtype=torch.bool)
    spread = knots.unsqueeze(-1) - knots
    share = (times[:, None, None] - knots) / torch.where(own, torch.ones_like(spread), spread)
    return torch.where(own, torch.ones_like(share), share).prod(-1)


def power_coefficients(
    times: Float[Tensor, "k"], values: Float[Tensor, "k *d"]
) -> Float[Tensor, "k *d"]:
    """Coefficients of 1, t, t^2, ... by Vandermonde's system; its condition grows exponentially."""
    check_keys(times, values, 1, "polynomial")
    matrix = torch.linalg.vander(times)
    flat = values.reshape(len(values), -1)
    return torch.linalg.solve(matrix, flat).reshape(values.shape)


def powers_at(
    coefficients: Float[Tensor, "k *d"], times: Float[Tensor, "t"]
) -> Float[Tensor, "t *d"]:
    """Value of  sum c_i t^i  at the times (Horner)."""
    at = times.reshape(-1, *(1,) * (coefficients.ndim - 1))
    value = torch.zeros_like(at * coefficients[0])
    for coefficient in coefficients.flip(0):
        value = value * at + coefficient
    return value


def chebyshev_points(
    count: int, first: float = -1.0, last: float = 1.0, ends: bool = False
) -> Float[Tensor, "k"]:
    """Chebyshev's points, increasing: where to put keys for one polynomial.

    Args:
        count: How many.
        first: Where the interval begins.
        last: Where it ends.
        ends: The ends of the interval are points (second kind); otherwise all lie inside (first
            kind, the roots of Chebyshev's polynomial).
    """
    steps = torch.arange(count, dtype=torch.float64)
    if ends:
        angle = steps * (torch.pi / max(1, count - 1))
    else:
        angle = (steps + 0.5) * (torch.pi / max(1, count))
    return 0.5 * (first + last) - 0.5 * (last - first) * angle.cos()
