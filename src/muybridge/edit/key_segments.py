"""The segments of many keyed tracks side by side, so that all joints are evaluated at once.

Legend: K keys of all tracks together, j tracks, m keys of the longest, t query times, n components
of a value: 4 of a quaternion (x, y, z, w), 3 of a position in metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.edit.curves.rotvec import exponential, jacobian_inverse, relative, velocity
from muybridge.edit.keyed import Track
from muybridge.geometry.rotation import multiply

__all__ = ["Segments", "segments_of", "steps"]


class Segments(NamedTuple):
    """The segments of many tracks side by side: one begins at every key, the last of each holds.

    Attributes:
        times: Key times, seconds.
        values: Value at each key.
        rates: Coefficients of u, u^2 and u^3 of the rotation vector or of the step.
        turn: Rotation vector or step to the next key of the track; 0 for the last.
        width: Seconds to it; 1 for the last.
        first: Index of each track's first key.
        table: Key times of each track, filled up with infinity.
    """

    times: Float[Tensor, "K"]
    values: Float[Tensor, "K n"]
    rates: Float[Tensor, "K 3 3"]
    turn: Float[Tensor, "K 3"]
    width: Float[Tensor, "K"]
    first: Int[Tensor, "j"]
    table: Float[Tensor, "j m"]

    def find(self, times: Float[Tensor, "t"]) -> tuple[Int[Tensor, "t j"], Float[Tensor, "t j"]]:
        """Segment of each track at each time, and seconds since it began."""
        with torch.no_grad():
            queries = times.detach().expand(len(self.first), -1).contiguous()
            index = torch.searchsorted(self.table, queries, right=True).sub(1).clamp_min(0)
            index = (index + self.first.unsqueeze(-1)).T
        since = times.unsqueeze(-1) - self.times[index]
        return index, since.clamp_min(0.0)

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t j n"]:
        """Values of all tracks at the times; before the first key the first, after the last it."""
        index, since = self.find(times)
        step, start = self._step(index, since, 0), self.values[index]
        return start + step if start.shape[-1] == 3 else multiply(start, exponential(step))

    def velocity(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t j 3"]:
        """Velocities in the frames of the joints, radians or metres a second."""
        index, since = self.find(times)
        rate = self._step(index, since, 1)
        if self.values.shape[-1] == 3:
            return rate
        return velocity(self._step(index, since, 0), rate)

    def _step(self, index: Tensor, since: Tensor, order: int) -> Tensor:
        u = since.unsqueeze(-1)
        c1, c2, c3 = self.rates[index].unbind(-2)
        return u * (c1 + u * (c2 + u * c3)) if order == 0 else c1 + u * (2 * c2 + 3 * u * c3)


def segments_of(tracks: Sequence[Track]) -> Segments:
    """Put tracks of one kind side by side; differentiable in their values and velocities."""
    counts = torch.tensor([len(track) for track in tracks])
    times = torch.cat([track.times for track in tracks])
    values = torch.cat([track.values for track in tracks])
    first = counts.cumsum(0) - counts
    last = torch.zeros(len(times), dtype=torch.bool)
    last[first + counts - 1] = True
    ahead = torch.arange(1, len(times) + 1).clamp_max(len(times) - 1)
    ahead = torch.where(last, ahead - 1, ahead)
    width = torch.where(last, torch.ones_like(times), times[ahead] - times)
    turn = steps(values, values[ahead])
    given = torch.cat([track.velocities for track in tracks])
    rates = _rates(turn, width, given, last, tracks)
    table = torch.nn.utils.rnn.pad_sequence(
        [track.times.detach() for track in tracks], batch_first=True, padding_value=float("inf")
    )
    return Segments(times, values, rates, turn, width, first, table)


def steps(start: Float[Tensor, "*b n"], end: Float[Tensor, "*b n"]) -> Float[Tensor, "*b 3"]:
    """Shortest rotation vector, or difference, from each value to the next."""
    if start.shape[-1] == 3:
        return end - start
    dots = (start * end).sum(-1, keepdim=True)
    return relative(start, torch.where(dots < 0.0, -end, end))


def _rates(
    turn: Tensor, width: Tensor, given: Tensor, last: Tensor, tracks: Sequence[Track]
) -> Tensor:
    """Coefficients of each segment by the velocities at its ends and its way."""
    h = width.unsqueeze(-1)
    chord = turn / h
    speeds = _velocities(chord, h, given, last)
    ahead = torch.cat((speeds[1:], speeds[-1:]))
    if tracks[0].turns:
        ahead = (jacobian_inverse(turn) @ ahead.unsqueeze(-1)).squeeze(-1)
    smooth = torch.stack(
        (speeds, (3 * chord - 2 * speeds - ahead) / h, (speeds + ahead - 2 * chord) / h**2), dim=1
    )
    none = torch.zeros_like(chord)
    straight = torch.stack((chord, none, none), dim=1)
    ways = [way for track in tracks for way in track.ways]
    is_smooth = torch.tensor([way == "smooth" for way in ways])
    moves = torch.tensor([way != "stepped" for way in ways]) & ~last
    rates = torch.where(is_smooth[:, None, None], smooth, straight)
    return torch.where(moves[:, None, None], rates, torch.zeros_like(rates))


def _velocities(chord: Tensor, h: Tensor, given: Tensor, last: Tensor) -> Tensor:
    """Given velocities; where NaN, the mean of both chords, the nearer key counting more."""
    first = torch.cat((torch.ones_like(last[:1]), last[:-1]))
    before, width = torch.cat((chord[:1], chord[:-1])), torch.cat((h[:1], h[:-1]))
    mean = (h * before + width * chord) / (h + width)
    mean = torch.where(first.unsqueeze(-1), chord, mean)
    mean = torch.where((last & ~first).unsqueeze(-1), before, mean)
    return torch.where(torch.isnan(given), mean, given)
