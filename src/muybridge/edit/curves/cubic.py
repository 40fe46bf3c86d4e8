"""Piecewise cubics: the common form of linear, spline, Hermite, Catmull-Rom and Bezier segments.

Each segment is  p(u) = c0 + c1 u + c2 u^2 + c3 u^3  with u = t - t_k.

Legend: k keys, s = k - 1 segments, t query times, d any shape of one value.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.knots import check_keys, over_values, segment_of

__all__ = ["Cubic", "Stepped", "hermite", "linear", "stepped"]

BLOCK = 1 << 14  # values in one go: a few such arrays stay in the cache


@dataclass(frozen=True)
class Cubic:
    """A piecewise cubic; differentiable in its coefficients and in the query times.

    Outside the keys the first and the last segment go on, as in scipy's PPoly; see
    `extrapolation` for other ways.

    Attributes:
        knots: Key times, seconds.
        coefficients: Of each segment, the constant first.
    """

    knots: Float[Tensor, "k"]
    coefficients: Float[Tensor, "s 4 *d"]

    def __call__(self, times: Float[Tensor, "t"], derivative: int = 0) -> Float[Tensor, "t *d"]:
        """Values, or the derivative of the order given, at the times."""
        shape = self.coefficients.shape[2:]
        rows = self._derived(derivative)
        if not rows:
            return times.new_zeros(len(times), *shape)
        segments = segment_of(self.knots, times)
        part = (times - self.knots[segments]).unsqueeze(-1)
        length = max(1, BLOCK // max(1, rows[0].shape[1]))
        blocks = zip(segments.split(length), part.split(length), strict=True)
        values = [_horner(rows, index, u) for index, u in blocks]
        whole = torch.cat(values) if len(values) != 1 else values[0]
        return whole.reshape(len(times), *shape)

    def _derived(self, order: int) -> list[Tensor]:
        """Coefficients of the derivative, constant first, each a row of numbers a segment."""
        rows = list(self.coefficients.flatten(2).unbind(1) if self.coefficients.ndim > 2
                    else self.coefficients.unsqueeze(-1).unbind(1))  # fmt: skip
        for _ in range(order):
            rows = [power * row for power, row in enumerate(rows)][1:]
        return [row.contiguous() for row in rows]


def _horner(rows: list[Tensor], index: Tensor, u: Tensor) -> Tensor:
    value = rows[-1].index_select(0, index)
    for row in reversed(rows[:-1]):
        value = torch.addcmul(row.index_select(0, index), value, u)
    return value


@dataclass(frozen=True)
class Stepped:
    """Holds each key's value until the next key."""

    knots: Float[Tensor, "k"]
    values: Float[Tensor, "k *d"]

    def __call__(self, times: Float[Tensor, "t"], derivative: int = 0) -> Float[Tensor, "t *d"]:
        """Values at the times; before the first key the first. Derivatives are 0."""
        if derivative:
            return times.new_zeros(len(times), *self.values.shape[1:])
        later = self.knots[1:].detach().contiguous()
        return self.values[torch.searchsorted(later, times.detach().contiguous(), right=True)]


def stepped(times: Float[Tensor, "k"], values: Float[Tensor, "k *d"]) -> Stepped:
    """Hold each value until the next key: C-1, it jumps."""
    check_keys(times, values, 1, "stepped")
    return Stepped(times, values)


def linear(times: Float[Tensor, "k"], values: Float[Tensor, "k *d"]) -> Cubic:
    """Straight lines between keys: C0, the slope jumps at every key."""
    check_keys(times, values, 2, "linear")
    slopes = values.diff(dim=0) / over_values(times.diff(), values)
    zero = torch.zeros_like(slopes)
    return Cubic(times, torch.stack((values[:-1], slopes, zero, zero), dim=1))


def hermite(
    times: Float[Tensor, "k"],
    values: Float[Tensor, "k *d"],
    slopes: Float[Tensor, "k *d"],
    arriving: Float[Tensor, "k *d"] | None = None,
) -> Cubic:
    """Cubic Hermite curve through values with given slopes: C1.

    Args:
        times: Key times, seconds.
        values: Value at each key.
        slopes: Slope at each key, a second.
        arriving: Slope on the left of each key where it differs from that on the right, as in
            Kochanek-Bartels curves; the curve is then C0 only.
    Raises:
        InputError: If the keys cannot be used.
    """
    check_keys(times, values, 2, "Hermite")
    arriving = slopes if arriving is None else arriving
    check_keys(times, slopes, 2, "Hermite")
    check_keys(times, arriving, 2, "Hermite")
    width = over_values(times.diff(), values)
    chord = values.diff(dim=0) / width
    leave, arrive = slopes[:-1], arriving[1:]
    square = (3.0 * chord - 2.0 * leave - arrive) / width
    cube = (leave + arrive - 2.0 * chord) / width.square()
    return Cubic(times, torch.stack((values[:-1], leave, square, cube), dim=1))
