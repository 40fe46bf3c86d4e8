"""Piecewise cubics: the common form of linear, spline, Hermite, Catmull-Rom and Bezier segments.

Each segment is  p(u) = c0 + c1 u + c2 u^2 + c3 u^3  with u = t - t_k.

Legend: k keys, s = k - 1 segments, t query times, d any shape of one value.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.edit.curves.knots import check_keys, over_values, segment_of

__all__ = ["Cubic", "Stepped", "hermite", "linear", "stepped"]

BLOCK = 1 << 14  # values in one go: a few such arrays stay in the cache
FEW = 4  # channels that are evaluated one by one
LONG = 1 << 10  # values a segment from which on a product of its own pays


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
        inputs = (self.knots, times, *rows)
        seen = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
        if seen or len({x.dtype for x in inputs}) > 1:
            part = (times - self.knots.index_select(0, segments)).unsqueeze(-1)
            return _horner(rows, segments, part).reshape(len(times), *shape)
        return _swept(self.knots, rows, segments, times).reshape(len(times), *shape)

    def _derived(self, order: int) -> list[Tensor]:
        """Coefficients of the derivative, constant first, each a row of numbers a segment."""
        flat = self.coefficients.flatten(2) if self.coefficients.ndim > 2 else None
        rows = list((self.coefficients.unsqueeze(-1) if flat is None else flat).unbind(1))
        for _ in range(order):
            rows = [power * row for power, row in enumerate(rows)][1:]
        return [row.contiguous() for row in rows]


def _horner(rows: list[Tensor], index: Tensor, u: Tensor) -> Tensor:
    value = rows[-1].index_select(0, index)
    for row in reversed(rows[:-1]):
        value = torch.addcmul(row.index_select(0, index), value, u)
    return value


def _swept(
    knots: Float[Tensor, "k"],
    rows: list[Tensor],
    segments: Int[Tensor, "t"],
    times: Float[Tensor, "t"],
) -> Float[Tensor, "t n"]:
    """The same for daily use, without new memory but the result's.

    Few channels are evaluated one by one, since gathering single numbers is faster than short rows;
    many at sorted times are a product of powers and coefficients in each segment.
    """
    channels = rows[0].shape[1]
    if channels <= FEW:
        columns = [[row[:, c].contiguous() for row in rows] for c in range(channels)]
        result = times.new_empty(channels, len(times))
        _in_blocks(list(result), columns, knots, segments, times)
        return result.T
    result = times.new_empty(len(times), channels)
    long = len(times) * channels > LONG * len(rows[0])
    if long and bool((segments[1:] >= segments[:-1]).all()):
        _by_segments(result, torch.stack(rows, dim=1), knots, segments, times)
    else:
        _in_blocks([result], [rows], knots, segments, times)
    return result


def _by_segments(
    result: Tensor, coefficients: Tensor, knots: Tensor, segments: Tensor, times: Tensor
) -> None:
    powers = times.new_empty(coefficients.shape[1], len(times))
    powers[0] = 1.0
    u = times - knots.index_select(0, segments)
    for before, power in pairwise(powers):
        torch.mul(before, u, out=power)
    counts = torch.bincount(segments, minlength=len(coefficients)).tolist()
    parts = zip(result.split(counts), powers.split(counts, dim=1), coefficients, strict=True)
    for place, power, coefficient in parts:
        torch.mm(power.T, coefficient, out=place)


def _in_blocks(
    places: list[Tensor],
    groups: list[list[Tensor]],
    knots: Tensor,
    segments: Tensor,
    times: Tensor,
) -> None:
    width = groups[0][0].shape[1:]
    length = max(1, BLOCK // max(1, width.numel()))
    room = [times.new_empty(min(length, len(times)), *width) for _ in range(2)]
    for start in range(0, len(times), length):
        index = segments[start : start + length]
        u = times[start : start + length] - knots.index_select(0, index)
        u, spare = u.unsqueeze(-1) if width else u, [x[: len(index)] for x in room]
        for place, group in zip(places, groups, strict=True):
            _horner_into(place[start : start + length], group, index, u, spare)


def _horner_into(
    place: Tensor, rows: list[Tensor], index: Tensor, u: Tensor, spare: list[Tensor]
) -> None:
    value, row = spare
    torch.index_select(rows[-1], 0, index, out=value)
    for power in range(len(rows) - 2, -1, -1):
        torch.index_select(rows[power], 0, index, out=row)
        torch.addcmul(row, value, u, out=value if power else place)
    if len(rows) == 1:
        place.copy_(value)


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
