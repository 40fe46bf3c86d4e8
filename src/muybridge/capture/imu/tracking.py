"""Orientations of all sensors on common frames, north known.

T samples, S sensors, F frames. Earth: east, north, up. Quaternions x, y, z, w, earth from sensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.imu.bias_fit import offline
from muybridge.capture.imu.calibration import PoseWindow
from muybridge.capture.imu.clock import at, gaps_at
from muybridge.capture.imu.heading import turned
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.steady_heading import shows_north, steady_heading
from muybridge.capture.imu.vqf import VqfOptions
from muybridge.files.imu import ImuLog
from muybridge.geometry.rotation import conjugate, geodesic_angle, multiply

__all__ = ["Tracked", "own_difference", "pose_mean", "speeds", "track"]

LONG_GAP = 0.1  # seconds: a shorter gap is bridged without harm
HeadingSource = Literal["magnetometer", "own quaternions", "nothing"]


class Tracked(NamedTuple):
    """Orientations on common frames.

    Attributes:
        names: Sensors.
        seconds: Times of the frames on the clock of the recording.
        orientations: Earth from sensor.
        bridged: In a gap too long to be bridged without harm.
        sources: What says where north is, a sensor each.
        doubted: Share of the take in which the magnetic field was not that of the pose; 1 without.
    """

    names: tuple[str, ...]
    seconds: Float[Tensor, "f"]
    orientations: Float[Tensor, "f s 4"]
    bridged: Bool[Tensor, "f s"]
    sources: tuple[HeadingSource, ...]
    doubted: tuple[float, ...]


def speeds(
    groups: Sequence[ImuSamples], names: Sequence[str], seconds: Float[Tensor, "f"]
) -> Float[Tensor, "f s"]:
    """Angular speed of every sensor at the nearest sample, rad/s."""
    columns: dict[str, Tensor] = {}
    for group in groups:
        assert group.seconds is not None, "samples of logs are stamped"
        for sensor, name in enumerate(group.names):
            stamps = group.seconds[:, sensor].contiguous()
            nearest = torch.searchsorted(stamps, seconds).clamp(max=len(stamps) - 1)
            columns[name] = group.gyro[nearest, sensor].norm(dim=-1)
    return torch.stack([columns[name] for name in names], dim=-1)


def track(
    groups: Sequence[ImuSamples],
    logs: Sequence[ImuLog],
    seconds: Float[Tensor, "f"],
    window: PoseWindow,
    options: VqfOptions,
    heading: Literal["auto", "off"],
) -> Tracked:
    """Filter every group, turn it to north, and read it on the frames.

    Args:
        groups: Samples by rate, see `clock.regular`.
        logs: Their logs, in the order that the result shall have.
        seconds: Times of the frames.
        window: The calibration pose, when north is taken.
        options: Of the filter.
        heading: "auto" follows magnetometers over the whole take, "off" only in the pose.
    """
    found: dict[str, tuple[Tensor, Tensor, HeadingSource, float]] = {}
    own = {log.name: log for log in logs}
    for group in groups:
        assert group.seconds is not None, "samples of logs are stamped"
        assert group.filled is not None, "samples of logs say what was lost"
        pose = _samples_of(window, group)
        level = offline(group, options).orientations
        north, sources, doubted = _north(group, level, pose, own, heading)
        for i, name in enumerate(group.names):
            stamps = group.seconds[:, i]
            turns = at(north[:, i], stamps, seconds)
            bridged = gaps_at(group.filled[:, i], stamps, seconds, LONG_GAP)
            found[name] = (turns, bridged, sources[i], doubted[i])
    names = tuple(log.name for log in logs)
    turns_of, bridged_of, sources_of, doubted_of = zip(*(found[n] for n in names), strict=True)
    return Tracked(
        names,
        seconds,
        torch.stack(turns_of, dim=1),
        torch.stack(bridged_of, dim=1),
        sources_of,
        doubted_of,
    )


def _samples_of(window: PoseWindow, group: ImuSamples) -> slice:
    """The samples of the pose; the sensors' stamps differ by less than a sample."""
    assert group.seconds is not None, "samples of logs are stamped"
    middle = group.seconds.mean(dim=1)
    inside = ((middle >= window.start) & (middle <= window.stop)).nonzero()[:, 0].tolist()
    return slice(inside[0], inside[-1] + 1)


def _north(
    group: ImuSamples,
    level: Float[Tensor, "t s 4"],
    pose: slice,
    logs: dict[str, ImuLog],
    heading: Literal["auto", "off"],
) -> tuple[Float[Tensor, "t s 4"], list[HeadingSource], list[float]]:
    """Turn each sensor about up so that y is north, by the best source that it has."""
    angle = torch.zeros(level.shape[:2], dtype=torch.float64)
    doubted = torch.ones(level.shape[1], dtype=torch.float64)
    if group.mag is not None:
        steady = steady_heading(group, level, pose)
        angle = steady.angle if heading == "auto" else steady.angle[pose].mean(0).expand_as(angle)
        doubted = steady.disturbed.double().mean(0)
    north, sources = turned(level, angle), list[HeadingSource]()
    for i, name in enumerate(group.names):
        if group.mag is not None and shows_north(group.mag[pose, i]):
            sources.append("magnetometer")
            continue
        own = logs[name].orientation
        sources.append("nothing" if own is None else "own quaternions")
        if own is not None and group.seconds is not None:
            said = at(own.values, own.seconds, group.seconds[pose, i])
            north[:, i] = turned(level[:, i : i + 1], _yaw(said, level[pose, i])[None, None])[:, 0]
    return north, sources, doubted.tolist()


def _yaw(wanted: Float[Tensor, "t 4"], got: Float[Tensor, "t 4"]) -> Float[Tensor, ""]:
    """Mean angle about up that takes one to the other, radians."""
    relative = multiply(wanted, conjugate(got))
    twice = 2.0 * torch.atan2(relative[:, 2], relative[:, 3])
    return torch.atan2(twice.sin().mean(), twice.cos().mean())


def own_difference(log: ImuLog, tracked: Tracked) -> float:
    """Root mean square angle to the sensor's own quaternions, one heading aligned, radians.

    NaN where it logged none.
    """
    if log.orientation is None:
        return float("nan")
    own = at(log.orientation.values, log.orientation.seconds, tracked.seconds)
    ours = tracked.orientations[:, tracked.names.index(log.name)]
    aligned = turned(ours[:, None], _yaw(own, ours)[None, None])[:, 0]
    return float(geodesic_angle(aligned, own).square().mean().sqrt())


def pose_mean(orientations: Float[Tensor, "f s 4"]) -> Float[Tensor, "s 4"]:
    """Mean orientation of sensors that hardly move."""
    signs = torch.where((orientations * orientations[:1]).sum(-1, keepdim=True) < 0.0, -1.0, 1.0)
    return torch.nn.functional.normalize((orientations * signs).mean(0), dim=-1)
