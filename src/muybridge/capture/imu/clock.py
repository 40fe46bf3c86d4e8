"""From logs to regular samples: lost samples bridged, clocks that tick a little differently told.

Sensors that send by radio lose samples and begin at times of their own, and their clocks differ by
some thousandths (in the recording of the tests by 0.4 %). Each sensor keeps its own samples and
stamps; no value is moved in time. Only orientations are read between samples, by `at`.

T samples, S sensors, F frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from muybridge.capture.imu.samples import ImuSamples
from muybridge.errors import InputError
from muybridge.files.imu import ImuLog, Series
from muybridge.geometry.rotation import slerp, unroll

__all__ = ["Span", "at", "common_span", "gaps_at", "rate_of", "regular"]

Array = NDArray[np.float64]
SAME_RATE = 0.05  # share by which the rates of one group may differ
SLOWEST, FASTEST = 5.0, 10_000.0  # samples a second of anything that is called an inertial sensor
MAG_REACH = 0.25  # seconds: a field older than this is not known
SHORTEST = 1.0  # seconds that all sensors must share


@dataclass(frozen=True)
class Span:
    """The time that all sensors share, seconds on the clock of the recording."""

    start: float
    stop: float


def rate_of(log: ImuLog) -> float:
    """Samples a second, from the median step.

    Raises:
        InputError: If no inertial sensor samples like that.
    """
    step = float((log.inertial.seconds[1:] - log.inertial.seconds[:-1]).median())
    if not SLOWEST <= 1.0 / step <= FASTEST:
        raise InputError(
            f"expected {SLOWEST:g} to {FASTEST:g} samples a second from {log.name}, got "
            f"{1.0 / step:.3g}; correct the unit of the stamps in its header"
        )
    return 1.0 / step


def common_span(logs: Sequence[ImuLog]) -> Span:
    """The time from the last start to the first end.

    Raises:
        InputError: If it is shorter than a second.
    """
    starts = {float(log.inertial.seconds[0]): log.name for log in logs}
    stops = {float(log.inertial.seconds[-1]): log.name for log in logs}
    start, stop = max(starts), min(stops)
    if stop - start < SHORTEST:
        raise InputError(
            f"expected sensors that record together for {SHORTEST:g} s or more, got "
            f"{stop - start:.1f} s from the start of {starts[start]} to the end of {stops[stop]}; "
            "leave one of them out or record again"
        )
    return Span(start, stop)


def regular(logs: Sequence[ImuLog], span: Span | None = None) -> list[ImuSamples]:
    """Samples of all sensors over their common time, a group for each rate.

    Args:
        logs: At least one.
        span: The time to keep; all that they share when None.
    Returns:
        Groups whose sensors lie in the order of the logs. Every sensor has one sample at or before
        the span's start and one at or after its end, as far as it recorded them.
    """
    span = span or common_span(logs)
    groups: list[tuple[float, list[ImuLog]]] = []
    for log in logs:
        rate = rate_of(log)
        for known, members in groups:
            if abs(rate / known - 1.0) < SAME_RATE:
                members.append(log)
                break
        else:
            groups.append((rate, [log]))
    return [_together(rate, members, span) for rate, members in groups]


@dataclass(frozen=True)
class _Grid:
    """One sensor on its own regular grid: times, inertial (t, 6), field (t, 3), who was lost."""

    seconds: Array
    inertial: Array
    field: Array
    lost: NDArray[np.bool_]


def _together(rate: float, logs: list[ImuLog], span: Span) -> ImuSamples:
    """Cut to the span and put side by side."""
    grids = [_grid(log, span) for log in logs]
    count = min(len(grid.seconds) for grid in grids)
    seconds = np.stack([grid.seconds[:count] for grid in grids], axis=1)
    steps = (seconds[-1] - seconds[0]) / max(count - 1, 1)
    inertial = np.stack([grid.inertial[:count] for grid in grids], axis=1)
    field = np.stack([grid.field[:count] for grid in grids], axis=1)
    mean = float(1.0 / steps.mean()) if count > 1 else rate
    # a sensor that ticks more slowly turns further in each of its steps
    gyro = inertial[..., :3] * (steps * mean)[:, None]
    return ImuSamples(
        mean,
        torch.from_numpy(gyro),
        torch.from_numpy(inertial[..., 3:].copy()),
        None if np.isnan(field).all() else torch.from_numpy(field),
        tuple(log.name for log in logs),
        torch.from_numpy(seconds),
        torch.from_numpy(np.stack([grid.lost[:count] for grid in grids], axis=1)),
    )


def _grid(log: ImuLog, span: Span) -> _Grid:
    """Number the samples by their stamps, bridge what was lost, and cut."""
    stamps = log.inertial.seconds.numpy()
    steps = np.maximum(1, np.round(np.diff(stamps) * rate_of(log)).astype(np.int64))
    number = np.concatenate(([0], steps.cumsum()))
    step = (stamps[-1] - stamps[0]) / number[-1]
    first = max(0, int(np.floor((span.start - stamps[0]) / step + 1e-6)))
    last = min(int(number[-1]), int(np.ceil((span.stop - stamps[0]) / step - 1e-6)))
    wanted = np.arange(first, last + 1, dtype=np.float64)
    values = log.inertial.values.numpy()
    whole = np.isfinite(values).all(axis=1)
    if whole.sum() < 2:
        raise InputError(
            f"expected numbers in the six columns of {log.name}, got {int(whole.sum())} such lines "
            f"of {len(whole)}; leave this sensor out"
        )
    inertial = _between(number[whole].astype(np.float64), values[whole], wanted)
    lost = ~np.isin(wanted, number[whole])
    seconds = stamps[0] + step * wanted
    return _Grid(seconds, inertial, _field(log.magnetic, seconds), lost)


def _between(at: Array, values: Array, wanted: Array) -> Array:
    """Straight lines between values, each column."""
    return np.stack([np.interp(wanted, at, column) for column in values.T], axis=-1)


def _field(series: Series | None, seconds: Array) -> Array:
    """The magnetic field at these times; NaN where none was measured nearby."""
    unknown = np.full((len(seconds), 3), np.nan)
    if series is None:
        return unknown
    whole = torch.isfinite(series.values).all(-1)
    stamps, values = series.seconds[whole].numpy(), series.values[whole].numpy()
    if len(stamps) < 2:
        return unknown
    after = np.searchsorted(stamps, seconds).clip(1, len(stamps) - 1)
    gap = np.minimum(np.abs(seconds - stamps[after - 1]), np.abs(stamps[after] - seconds))
    near = gap <= MAG_REACH
    return np.where(near[:, None], _between(stamps, values, seconds), np.nan)


def at(
    orientations: Float[Tensor, "t 4"], seconds: Float[Tensor, "t"], when: Float[Tensor, "f"]
) -> Float[Tensor, "f 4"]:
    """Orientations of one sensor at other times, on the shorter arcs; held beyond the ends."""
    seconds, when = seconds.contiguous(), when.contiguous()
    after = torch.searchsorted(seconds, when).clamp(1, len(seconds) - 1)
    before = after - 1
    share = (when - seconds[before]) / (seconds[after] - seconds[before])
    smooth = unroll(orientations)
    return slerp(smooth[before], smooth[after], share.clamp(0.0, 1.0))


def gaps_at(
    lost: Bool[Tensor, "t"], seconds: Float[Tensor, "t"], when: Float[Tensor, "f"], longest: float
) -> Bool[Tensor, "f"]:
    """True at the times that lie in a gap longer than `longest` seconds."""
    flags = np.concatenate(([False], lost.numpy(), [False])).astype(np.int8)
    starts, stops = np.flatnonzero(np.diff(flags) == 1), np.flatnonzero(np.diff(flags) == -1)
    inside = torch.zeros(len(when), dtype=torch.bool)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        begin, end = float(seconds[max(start - 1, 0)]), float(seconds[min(stop, len(seconds) - 1)])
        if end - begin > longest:
            inside |= (when > begin) & (when < end)
    return inside
