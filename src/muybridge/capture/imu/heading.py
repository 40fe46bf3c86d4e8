"""Heading from the magnetometer, which looks away while the field is disturbed.

The orientation without a magnetometer fixes the vertical; what is left is one angle a sensor. Each
sample the angle goes a small share of the way to where the field says north is. A field that
differs from the usual one in strength or dip comes from iron or a motor nearby: it is not followed
for up to a minute, and becomes the usual one when it lasts while the sensor moves.

T samples, S sensors. Earth: east, north, up. Angles are radians, about up.

References:
    Laidig & Seel, VQF, Information Fusion 91, 2023, arXiv:2203.17024, sections 3.6 and 3.7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from muybridge.capture.imu.low_pass import low_passed
from muybridge.capture.imu.samples import ImuSamples
from muybridge.geometry.rotation import multiply, rotate

__all__ = ["Heading", "HeadingOptions", "heading", "turned", "with_heading"]

Array = NDArray[np.float64]
SLOW_GYRO = 0.5  # seconds: low-pass of the gyroscope that decides whether a sensor moves


@dataclass(frozen=True)
class HeadingOptions:
    """Times in seconds, as in the paper.

    Attributes:
        time: Time constant of the way to north.
        reject: Whether a disturbed field is left out.
        smoothing: Low-pass of strength and dip.
        reference_time: Time constant of the usual strength and dip.
        strength: A field is disturbed beyond this share of the usual strength.
        dip: And beyond this deviation of the dip, degrees.
        settle: A field is usual again after it has been so for so long.
        adopt: A new field is taken as the usual one after this time in motion.
        adopt_first: The same for the first.
        moving: Angular speed that counts as motion, degrees/s.
        longest: After so long a disturbance the field is followed again, with care.
        care: Share of the gain that is left then, as a divisor.
    """

    time: float = 9.0
    reject: bool = True
    smoothing: float = 0.05
    reference_time: float = 20.0
    strength: float = 0.1
    dip: float = 10.0
    settle: float = 0.5
    adopt: float = 20.0
    adopt_first: float = 5.0
    moving: float = 20.0
    longest: float = 60.0
    care: float = 2.0


class Heading(NamedTuple):
    """The angle that turns the orientations to north, and where the field was disturbed."""

    angle: Float[Tensor, "t s"]
    disturbed: Bool[Tensor, "t s"]


def turned(
    orientations: Float[Tensor, "t s 4"], angle: Float[Tensor, "*#t s"]
) -> Float[Tensor, "t s 4"]:
    """Orientations (earth from sensor) turned about the earth's Z by an angle, radians."""
    half = (0.5 * angle).expand(orientations.shape[:2])
    zero = torch.zeros_like(half)
    return multiply(torch.stack((zero, zero, half.sin(), half.cos()), dim=-1), orientations)


def with_heading(
    samples: ImuSamples,
    orientations: Float[Tensor, "t s 4"],
    options: HeadingOptions | None = None,
) -> Float[Tensor, "t s 4"]:
    """Orientations of gyroscope and accelerometer, with the magnetometer's heading."""
    return turned(orientations, heading(samples, orientations, options).angle)


def heading(
    samples: ImuSamples,
    orientations: Float[Tensor, "t s 4"],
    options: HeadingOptions | None = None,
) -> Heading:
    """The heading angle of every sample.

    Args:
        samples: With `mag`; a sample with NaN leaves the angle where it is.
        orientations: From gyroscope and accelerometer, such as `vqf`'s.
        options: The paper's values when None.
    """
    options = options or HeadingOptions()
    assert samples.mag is not None, "heading needs a magnetometer"
    field = rotate(orientations, samples.mag.double()).numpy()
    east, north, up = np.moveaxis(field, -1, 0)
    whole = np.isfinite(field).all(-1)
    bearing = np.where(whole, np.arctan2(east, north), np.nan)
    disturbed = np.zeros(bearing.shape, dtype=bool)
    if options.reject:
        strength = np.sqrt(east * east + north * north + up * up)
        dip = -np.arcsin(np.clip(up / np.where(strength > 0.0, strength, 1.0), -1.0, 1.0))
        both = _held(np.stack((strength, dip), axis=-1))
        smooth = low_passed(both, options.smoothing, samples.rate)
        gyro = low_passed(samples.gyro.double().numpy(), SLOW_GYRO, samples.rate)
        moving = np.linalg.norm(gyro, axis=-1) >= math.radians(options.moving)
        disturbed = _disturbances(smooth, moving, samples.rate, options)
    angle = _follow(bearing, disturbed, samples.rate, options)
    return Heading(torch.from_numpy(angle), torch.from_numpy(disturbed))


def _held(values: Array) -> Array:
    """NaN replaced by the last value before, or the first after, or 0."""
    index = np.arange(len(values)).reshape(-1, *(1,) * (values.ndim - 1))
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, index, -1), axis=0)
    first = np.where(known.any(axis=0), known.argmax(axis=0), 0)
    held = np.take_along_axis(values, np.where(last < 0, first, last), axis=0)
    return np.where(np.isfinite(held), held, 0.0)


class _Usual:
    """What strength and dip are usual, what might become so, and since when.

    `known[0]` is usual, `known[1]` the candidate, each (s, 2): both are compared in one go, since a
    step costs what its calls cost.
    """

    def __init__(self, sensors: int, rate: float, options: HeadingOptions) -> None:
        self.step = 1.0 / rate
        self.gain = 1.0 - math.exp(-self.step / options.reference_time)
        self.strength, self.dip = options.strength, math.radians(options.dip)
        self.options = options
        self.known = np.zeros((2, sensors, 2))
        self.known[1] = -1.0  # nothing is like it
        self.calm, self.lasting = np.zeros(sensors), np.zeros(sensors)
        self.disturbed = np.ones(sensors, dtype=bool)
        self._shares = np.zeros((2, sensors, 1))

    def look(self, value: Array, moving: Array) -> NDArray[np.bool_]:
        """Take in one sample (s, 2), `moving` a time step where it moves; say who is disturbed."""
        off = value - self.known
        size = np.abs(off)
        near, like = (size[..., 0] < self.strength * self.known[..., 0]) & (size[..., 1] < self.dip)
        self.calm = (self.calm + self.step) * near
        self.disturbed = (self.disturbed & (self.calm < self.options.settle)) | ~near
        self.lasting = (self.lasting + moving) * like
        self._shares[0, :, 0] = self.gain * ~self.disturbed
        self._shares[1, :, 0] = np.where(like, self.gain, 1.0)
        self.known += self._shares * off
        if self.disturbed.any():
            self._adopt()
        return self.disturbed

    def _adopt(self) -> None:
        """Take the candidate as usual where it has lasted."""
        first = self.known[0, :, 0] == 0.0
        long = self.lasting >= np.where(first, self.options.adopt_first, self.options.adopt)
        new = self.disturbed & long
        if new.any():
            self.known[0] = np.where(new[:, None], self.known[1], self.known[0])
            self.disturbed = self.disturbed & ~new
            self.calm = np.where(new, self.options.settle, self.calm)


def _disturbances(
    smooth: Array, moving: NDArray[np.bool_], rate: float, options: HeadingOptions
) -> NDArray[np.bool_]:
    """Who is disturbed when, (t, s)."""
    usual = _Usual(smooth.shape[1], rate, options)
    steps = moving / rate
    return np.stack([usual.look(v, m) for v, m in zip(smooth, steps, strict=True)])


def _gains(disturbed: NDArray[np.bool_], rate: float, options: HeadingOptions) -> Array:
    """Share of the way to north that each sample goes, (t, s)."""
    step, usual = 1.0 / rate, 1.0 - math.exp(-1.0 / (rate * options.time))
    gains = np.full(disturbed.shape, usual)
    if options.reject and disturbed.any():
        rejecting = np.zeros(disturbed.shape[1])
        for gain, bad in zip(gains, disturbed, strict=True):
            patient = bad & (rejecting <= options.longest)
            gain[bad] = usual / options.care
            gain[patient] = 0.0
            less = np.maximum(rejecting - options.care * step, 0.0)
            rejecting = np.where(bad, rejecting + step * patient, less)
    start = 1.0 / np.arange(1, len(gains) + 1)  # the mean, until the filter is slower than that
    start = start[start * options.time >= step]
    gains[: len(start)] = np.maximum(gains[: len(start)], start[:, None])
    return gains


def _follow(
    bearing: Array, disturbed: NDArray[np.bool_], rate: float, options: HeadingOptions
) -> Array:
    """The heading angle: angle <- angle + gain (bearing - angle), the short way round."""
    gains = np.where(np.isfinite(bearing), _gains(disturbed, rate, options), 0.0)
    bearing = np.nan_to_num(bearing, nan=0.0)
    angles, angle = np.empty_like(bearing), np.zeros(bearing.shape[1])
    full, half = 2.0 * math.pi, math.pi
    ahead = bearing + half
    for k, (toward, gain) in enumerate(zip(ahead, gains, strict=True)):
        angle = angle + gain * ((toward - angle) % full - half)
        angles[k] = angle
    return angles
