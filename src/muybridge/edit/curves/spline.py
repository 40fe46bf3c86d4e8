"""Cubic splines: C2 curves through keys, with natural, clamped, not-a-knot or periodic ends.

A piecewise cubic has 4 s unknowns for s segments. Passing through the keys and equal slopes leave
one slope a key free; equal second derivatives give the rows of a tridiagonal system for them

    s_(k-1) / h_(k-1) + 2 (1 / h_(k-1) + 1 / h_k) s_k + s_(k+1) / h_k
        = 3 (d_(k-1) / h_(k-1) + d_k / h_k)

with widths h and chord slopes d; the two ends give the missing rows.

Legend: k keys, d any shape of one value.

References:
    de Boor, A Practical Guide to Splines, 1978, chapter IV.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.cubic import Cubic, hermite, linear
from muybridge.edit.curves.knots import check_keys, over_values
from muybridge.edit.curves.tridiagonal import solve, solve_cyclic
from muybridge.errors import InputError

__all__ = ["Ends", "spline"]

Ends = Literal["natural", "clamped", "not-a-knot", "periodic"]


def spline(
    times: Float[Tensor, "k"],
    values: Float[Tensor, "k *d"],
    ends: Ends = "natural",
    end_slopes: Float[Tensor, "2 *d"] | None = None,
) -> Cubic:
    """Cubic spline through the keys; differentiable in times, values and end slopes.

    Args:
        times: Key times, seconds; at least two (periodic: three).
        values: Value at each key; the last equals the first where periodic.
        ends: "natural" (no second derivative), "clamped" (given slopes), "not-a-knot" (the first
            two segments are one cubic, and the last two), "periodic" (slope and second derivative
            agree at both ends).
        end_slopes: Slope at the first and the last key for "clamped", a second; 0 by default.
    Raises:
        InputError: If the keys or the method cannot be used.
    """
    if ends not in get_args(Ends):
        raise InputError(
            f"expected ends {', '.join(get_args(Ends))}, got {ends!r}; choose one of these"
        )
    check_keys(times, values, 3 if ends == "periodic" else 2, f"{ends} spline")
    if end_slopes is not None and ends != "clamped":
        raise InputError(
            f"expected end slopes with clamped ends only, got them with {ends}; leave them out"
        )
    width = times.diff()
    chord = values.diff(dim=0) / over_values(width, values)
    match ends:
        case "natural":
            slopes = _natural(width, chord)
        case "clamped":
            given = torch.zeros_like(values[:2]) if end_slopes is None else end_slopes
            slopes = _clamped(width, chord, given)
        case "not-a-knot":
            if len(times) == 2:
                return linear(times, values)
            slopes = _not_a_knot(width, chord)
        case "periodic":
            _check_period(values)
            slopes = _periodic(width, chord)
    return hermite(times, values, slopes)


def _rows(width: Tensor, chord: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows of the inner keys: below, diagonal, above, right side."""
    inverse = 1.0 / width
    steep = chord * over_values(inverse, chord)
    right = 3.0 * (steep[:-1] + steep[1:])
    return inverse[:-1], 2.0 * (inverse[:-1] + inverse[1:]), inverse[1:], right


def _natural(width: Tensor, chord: Tensor) -> Tensor:
    below, diagonal, above, right = _rows(width, chord)
    one = torch.ones_like(width[:1])
    return solve(
        torch.cat((one, below, one)),
        torch.cat((2.0 * one, diagonal, 2.0 * one)),
        torch.cat((one, above, one)),
        torch.cat((3.0 * chord[:1], right, 3.0 * chord[-1:])),
    )


def _clamped(width: Tensor, chord: Tensor, given: Tensor) -> Tensor:
    if len(width) == 1:
        return given
    below, diagonal, above, right = _rows(width, chord)
    zero = torch.zeros_like(right[1:])
    right = right - torch.cat((below[0] * given[:1], zero))
    right = right - torch.cat((zero, above[-1] * given[1:]))
    return torch.cat((given[:1], solve(below, diagonal, above, right), given[1:]))


def _not_a_knot(width: Tensor, chord: Tensor) -> Tensor:
    """The end rows  h1 s0 + (h0 + h1) s1 = r0  are eliminated first: what is left is dominant."""
    if len(width) == 2:
        bend = (chord[1] - chord[0]) / width.sum()
        first = chord[0] - width[0] * bend
        turns = torch.cat((torch.zeros_like(width[:1]), width.cumsum(0)))
        return first + 2.0 * over_values(turns, chord) * bend
    h, d = width, chord
    below, diagonal, above, right = _rows(width, chord)
    r0 = ((h[0] + 2.0 * (h[0] + h[1])) * h[1] * d[0] + h[0].square() * d[1]) / (h[0] + h[1])
    r1 = ((h[-1] + 2.0 * (h[-1] + h[-2])) * h[-2] * d[-1] + h[-1].square() * d[-2]) / (
        h[-1] + h[-2]
    )
    near = (h[0] + h[1]) / h[1]
    far = (h[-1] + h[-2]) / h[-2]
    zero = torch.zeros_like(diagonal[1:])
    diagonal = diagonal - torch.cat(((below[0] * near).reshape(1), zero))
    diagonal = diagonal - torch.cat((zero, (above[-1] * far).reshape(1)))
    nothing = torch.zeros_like(right[1:])
    right = right - torch.cat(((below[0] / h[1] * r0).unsqueeze(0), nothing))
    right = right - torch.cat((nothing, (above[-1] / h[-2] * r1).unsqueeze(0)))
    inner = solve(below, diagonal, above, right)
    first = r0 / h[1] - near * inner[0]
    last = r1 / h[-2] - far * inner[-1]
    return torch.cat((first.unsqueeze(0), inner, last.unsqueeze(0)))


def _periodic(width: Tensor, chord: Tensor) -> Tensor:
    around = torch.cat((width[-1:], width)), torch.cat((chord[-1:], chord))
    below, diagonal, above, right = _rows(*around)
    if len(diagonal) == 2:  # two unknowns that are each other's neighbour on both sides
        a, b = diagonal
        c = below[0] + above[0]
        determinant = a * b - c * c
        pair = torch.stack((b * right[0] - c * right[1], a * right[1] - c * right[0]))
        slopes = pair / determinant
    else:
        slopes = solve_cyclic(below, diagonal, above, right)
    return torch.cat((slopes, slopes[:1]))


def _check_period(values: Tensor) -> None:
    values = values.detach()
    gap = float((values[-1] - values[0]).abs().max()) if values[0].numel() else 0.0
    if gap > 1e-9 * (1.0 + float(values.abs().max())):
        raise InputError(
            f"expected a periodic curve to end where it began, got a gap of {gap:g}; repeat the "
            "first key at the end"
        )
