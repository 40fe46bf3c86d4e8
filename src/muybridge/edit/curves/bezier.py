"""Bezier curves: de Casteljau, Bernstein, splitting, degree elevation; and to and from cubics.

Legend: n + 1 control points of degree n, t query parameters in [0, 1], s segments,
d any shape of one value.

References:
    Farin, Curves and Surfaces for CAGD, 5th ed., 2002, chapters 4 to 6.
"""

from __future__ import annotations

from math import comb

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.cubic import Cubic
from muybridge.edit.curves.knots import over_values
from muybridge.errors import InputError

__all__ = [
    "bernstein", "bezier_from_cubic", "cubic_from_bezier", "de_casteljau", "elevate", "hodograph",
    "split",
]  # fmt: skip


def bernstein(degree: int, parameters: Float[Tensor, "t"]) -> Float[Tensor, "t n"]:
    """Bernstein's basis  C(n, i) u^i (1 - u)^(n - i): not negative on [0, 1], sums to 1."""
    i = torch.arange(degree + 1, dtype=parameters.dtype)
    counts = torch.tensor([comb(degree, k) for k in range(degree + 1)], dtype=parameters.dtype)
    u = parameters.unsqueeze(-1)
    return counts * u**i * (1.0 - u) ** (degree - i)


def _levels(points: Float[Tensor, "n *d"], parameters: Float[Tensor, "t"]) -> list[Tensor]:
    """All levels of de Casteljau's triangle, each t x points x d."""
    if not len(points):
        raise InputError("expected control points, got none; give at least one")
    u = parameters.reshape(-1, 1, *(1,) * (points.ndim - 1))
    level = points.expand(len(parameters), *points.shape)
    levels = [level]
    while level.shape[1] > 1:
        level = (1.0 - u) * level[:, :-1] + u * level[:, 1:]
        levels.append(level)
    return levels


def de_casteljau(
    points: Float[Tensor, "n *d"], parameters: Float[Tensor, "t"]
) -> Float[Tensor, "t *d"]:
    """Points of a Bezier curve of any degree by repeated linear interpolation."""
    return _levels(points, parameters)[-1][:, 0]


def split(
    points: Float[Tensor, "n *d"], parameter: float
) -> tuple[Float[Tensor, "n *d"], Float[Tensor, "n *d"]]:
    """Control points of the two halves at a parameter: the edges of de Casteljau's triangle."""
    levels = [level[0] for level in _levels(points, points.new_tensor([parameter]))]
    left = torch.stack([level[0] for level in levels])
    return left, torch.stack([level[-1] for level in reversed(levels)])


def elevate(points: Float[Tensor, "n *d"]) -> Float[Tensor, "m *d"]:
    """The same curve with one control point more."""
    share = torch.arange(1, len(points), dtype=points.dtype) / len(points)
    share = over_values(share, points)
    inner = share * points[:-1] + (1.0 - share) * points[1:]
    return torch.cat((points[:1], inner, points[-1:]))


def hodograph(points: Float[Tensor, "n *d"]) -> Float[Tensor, "m *d"]:
    """Control points of the derivative by the parameter."""
    return (len(points) - 1) * points.diff(dim=0)


def bezier_from_cubic(curve: Cubic) -> Float[Tensor, "s 4 *d"]:
    """Control values of each segment; their times lie at thirds of the segment."""
    h = over_values(curve.knots.diff(), curve.coefficients[:, 0])
    c0, c1, c2, c3 = curve.coefficients.unbind(1)
    a, b, c = c1 * h, c2 * h.square(), c3 * h**3
    return torch.stack((c0, c0 + a / 3.0, c0 + (2.0 * a + b) / 3.0, c0 + a + b + c), dim=1)


def cubic_from_bezier(knots: Float[Tensor, "k"], points: Float[Tensor, "s 4 *d"]) -> Cubic:
    """Piecewise cubic of Bezier segments whose inner control values lie at thirds in time."""
    if len(knots) != len(points) + 1:
        raise InputError(
            f"expected one knot more than segments, got {len(knots)} knots and {len(points)} "
            "segments; give both ends of each segment"
        )
    h = over_values(knots.diff(), points[:, 0])
    p0, p1, p2, p3 = points.unbind(1)
    c1, c2 = 3.0 * (p1 - p0) / h, 3.0 * (p0 - 2.0 * p1 + p2) / h.square()
    return Cubic(knots, torch.stack((p0, c1, c2, (p3 - 3.0 * p2 + 3.0 * p1 - p0) / h**3), dim=1))
