"""Tangents at keys from the keys themselves: Catmull-Rom, cardinal, Kochanek-Bartels, monotone.

With widths h and chord slopes v on the left (-) and the right (+) of a key, the slope of the
parabola through the three keys is  (h+ v- + h- v+) / (h- + h+): Catmull-Rom's tangent. Tension,
continuity and bias weigh the two terms. The same formulas give the velocities of rotation curves,
whose chord slopes are rotation vectors over time (`rotation`).

Legend: k keys, s = k - 1 segments, d any shape of one value.

References:
    Catmull & Rom, A class of local interpolating splines, 1974.
    Kochanek & Bartels, Interpolating splines with local tension, continuity, and bias control,
    SIGGRAPH 1984.
    Fritsch & Butland, A method for constructing local monotone piecewise cubic interpolants, 1984.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.cubic import Cubic, hermite, linear
from muybridge.edit.curves.knots import check_keys, over_values
from muybridge.errors import InputError

__all__ = ["cardinal", "catmull_rom", "kochanek_bartels", "monotone", "tcb_slopes"]


def tcb_slopes(
    width: Float[Tensor, "s"], chord: Float[Tensor, "s *d"], tcb: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "n *d"], Float[Tensor, "n *d"]]:
    """Slopes on the left and on the right of the n = s - 1 inner keys.

    Args:
        width: Of each segment, seconds.
        chord: Slope of each segment's chord.
        tcb: Tension, continuity and bias of each inner key; 0 0 0 is Catmull-Rom.
    """
    t, c, b = (over_values(column, chord) for column in tcb.unbind(-1))
    h = over_values(width, chord)
    before = h[1:] * chord[:-1] / (h[:-1] + h[1:])
    after = h[:-1] * chord[1:] / (h[:-1] + h[1:])
    arriving = (1 - t) * ((1 - c) * (1 + b) * before + (1 + c) * (1 - b) * after)
    leaving = (1 - t) * ((1 + c) * (1 + b) * before + (1 - c) * (1 - b) * after)
    return arriving, leaving


def catmull_rom(
    times: Float[Tensor, "k"], values: Float[Tensor, "k *d"], closed: bool = False
) -> Cubic:
    """Catmull-Rom curve: C1, local, each slope that of the parabola through three keys.

    Args:
        times: Key times, seconds; any spacing.
        values: Value at each key.
        closed: The last key repeats the first, and the slope goes on around. Otherwise the second
            derivative is 0 at both ends.
    """
    return kochanek_bartels(times, values, closed=closed)


def cardinal(
    times: Float[Tensor, "k"],
    values: Float[Tensor, "k *d"],
    tension: float = 0.0,
    closed: bool = False,
) -> Cubic:
    """Cardinal curve: Catmull-Rom's inner slopes times (1 - tension)."""
    tcb = torch.tensor([tension, 0.0, 0.0], dtype=times.dtype)
    return kochanek_bartels(times, values, tcb, closed)


def kochanek_bartels(
    times: Float[Tensor, "k"],
    values: Float[Tensor, "k *d"],
    tcb: Float[Tensor, "*n 3"] | None = None,
    closed: bool = False,
) -> Cubic:
    """Tension, continuity, bias: a Hermite curve with a hand on each key.

    Args:
        times: Key times, seconds.
        values: Value at each key.
        tcb: Tension (1: slope 0), continuity (not 0: a corner) and bias (1: the slope before, -1:
            that after) for all keys or one row for each inner key; for each but the last if closed.
        closed: As in `catmull_rom`.
    Raises:
        InputError: If the keys cannot be used or the rows of `tcb` are too few or many.
    """
    check_keys(times, values, 3 if closed else 2, "Kochanek-Bartels")
    width = times.diff()
    chord = values.diff(dim=0) / over_values(width, values)
    if closed:
        width, chord = torch.cat((width[-1:], width)), torch.cat((chord[-1:], chord))
    elif len(times) == 2:
        return linear(times, values)
    arriving, leaving = tcb_slopes(width, chord, tcb_rows(tcb, len(width) - 1, times.dtype))
    if closed:
        leaving, arriving = (torch.cat((inner, inner[:1])) for inner in (leaving, arriving))
        return hermite(times, values, leaving, arriving)
    first, last = 1.5 * chord[:1] - 0.5 * arriving[:1], 1.5 * chord[-1:] - 0.5 * leaving[-1:]
    leaving, arriving = (torch.cat((first, inner, last)) for inner in (leaving, arriving))
    return hermite(times, values, leaving, arriving)


def tcb_rows(
    tcb: Float[Tensor, "*n 3"] | None, keys: int, dtype: torch.dtype
) -> Float[Tensor, "keys 3"]:
    """One row of tension, continuity and bias a key."""
    if tcb is None:
        return torch.zeros(keys, 3, dtype=dtype)
    if tcb.ndim == 1:
        return tcb.expand(keys, 3)
    if tcb.shape != (keys, 3):
        raise InputError(
            f"expected tension, continuity and bias for {keys} keys, got {tuple(tcb.shape)}; give "
            "one row for each inner key"
        )
    return tcb


def monotone(times: Float[Tensor, "k"], values: Float[Tensor, "k *d"]) -> Cubic:
    """Curve without overshoot (PCHIP): between two keys it stays between their values.

    Slopes are weighted harmonic means of the chords on both sides, 0 where these differ in sign.
    """
    check_keys(times, values, 2, "monotone")
    if len(times) == 2:
        return linear(times, values)
    width = times.diff()
    h = over_values(width, values)
    chord = values.diff(dim=0) / h
    before, after = chord[:-1], chord[1:]
    heavy_after, heavy_before = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    same = before * after > 0.0
    one = torch.ones_like(before)
    mean = (heavy_after + heavy_before) / (
        heavy_after / torch.where(same, before, one) + heavy_before / torch.where(same, after, one)
    )
    inner = torch.where(same, mean, torch.zeros_like(mean))
    first = _one_sided(h[0], h[1], chord[0], chord[1])
    last = _one_sided(h[-1], h[-2], chord[-1], chord[-2])
    return hermite(times, values, torch.cat((first.unsqueeze(0), inner, last.unsqueeze(0))))


def _one_sided(near: Tensor, far: Tensor, chord: Tensor, next_chord: Tensor) -> Tensor:
    """End slope by the parabola through three keys, held back where it would overshoot."""
    slope = ((2.0 * near + far) * chord - near * next_chord) / (near + far)
    slope = torch.where(slope * chord > 0.0, slope, torch.zeros_like(slope))
    steep = (chord * next_chord < 0.0) & (slope.abs() > 3.0 * chord.abs())
    return torch.where(steep, 3.0 * chord, slope)
