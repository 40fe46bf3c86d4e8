"""Bridging a gap of one trajectory by its own past and future: the methods that know only time.

T frames, D coordinates. A gap is the frames [start, stop); NaN marks what is not known. These are
the classical fills, and the last step of every better one: what other markers do not explain is
bridged in time.

References:
    Rasmussen & Williams, Gaussian processes for machine learning, 2006, section 4.2.1 (Matern).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline
from torch import Tensor

__all__ = ["bridge", "cubic", "linear", "neighbours"]

NEAR = 4  # times the wanted number of frames is looked at first
CUBIC_KNOTS = 10  # known frames on either side
BRIDGE_KNOTS = 24  # the same
BRIDGE_SECONDS = 0.10  # over which a residual forgets itself
BRIDGE_NOISE = 0.05  # of the residual's size: measurement noise, which is not to be passed through


def neighbours(track: Float[Tensor, "t d"], start: int, stop: int, count: int) -> Int[Tensor, "k"]:
    """Frames next to a gap in which the track is known, at most `count` on either side."""
    near = NEAR * count
    first, last = max(0, start - near), stop + near
    before = first + track[first:start].isfinite().all(-1).nonzero().squeeze(-1)[-count:]
    after = stop + track[stop:last].isfinite().all(-1).nonzero().squeeze(-1)[:count]
    if len(before) < count and first > 0:
        before = track[:start].isfinite().all(-1).nonzero().squeeze(-1)[-count:]
    if len(after) < count and last < len(track):
        after = stop + track[stop:].isfinite().all(-1).nonzero().squeeze(-1)[:count]
    return torch.cat((before, after))


def linear(track: Float[Tensor, "t d"], start: int, stop: int) -> Float[Tensor, "g d"]:
    """The straight line between the last known value and the next; at an end the value is held."""
    knots = neighbours(track, start, stop, 1)
    frames, values = np.arange(start, stop), track[knots].numpy()
    if not len(knots):
        return torch.full((stop - start, track.shape[1]), torch.nan, dtype=track.dtype)
    columns = [np.interp(frames, knots.numpy(), column) for column in values.T]
    return torch.from_numpy(np.stack(columns, axis=1)).to(track.dtype)


def cubic(track: Float[Tensor, "t d"], start: int, stop: int) -> Float[Tensor, "g d"]:
    """A not-a-knot cubic spline through ten known frames on either side.

    At an end of the take, where a polynomial would fly away, the last value is held.
    """
    knots = neighbours(track, start, stop, CUBIC_KNOTS)
    before = int((knots < start).sum())
    if before < 2 or len(knots) - before < 2:
        return linear(track, start, stop)
    spline = CubicSpline(knots.numpy(), track[knots].numpy())
    return torch.from_numpy(spline(np.arange(start, stop))).to(track.dtype)


def bridge(
    residual: Float[Tensor, "t d"], start: int, stop: int, fps: float
) -> Float[Tensor, "g d"]:
    """What the other markers do not explain, carried across the gap; zero far from both ends.

    The posterior mean of a Gaussian process with a Matern-5/2 kernel: near the ends it follows
    value and slope of the residual, after a few tenths of a second it returns to zero.

    Args:
        residual: Measured minus predicted, NaN where unknown.
        start: First frame of the gap.
        stop: Frame after its last.
        fps: Frames a second.
    """
    knots = neighbours(residual, start, stop, BRIDGE_KNOTS)
    if not len(knots):
        return torch.zeros(stop - start, residual.shape[1], dtype=residual.dtype)
    weights = _weights(tuple((knots - start).tolist()), stop - start, fps)
    return weights.to(residual) @ residual[knots]


@lru_cache(maxsize=512)  # most gaps of a length have the same neighbours, trials above all
def _weights(knots: tuple[int, ...], length: int, fps: float) -> Float[Tensor, "g k"]:
    """Share of each known frame in each frame of a gap; frames count from the gap's first."""
    known, frames = torch.tensor(knots), torch.arange(length)
    noise = BRIDGE_NOISE**2 * torch.eye(len(knots), dtype=torch.float64)
    return torch.linalg.solve(_matern(known, known, fps) + noise, _matern(known, frames, fps)).mT


def _matern(a: Tensor, b: Tensor, fps: float) -> Tensor:
    r = 5.0**0.5 * (a[:, None] - b[None]).abs().double() / (fps * BRIDGE_SECONDS)
    return (1.0 + r + r.square() / 3.0) * torch.exp(-r)
