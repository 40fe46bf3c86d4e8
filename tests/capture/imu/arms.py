"""Synthetic sensors on the waving arm, and angles between orientations; degrees where it says so.

The arm of the figures: 60 s at 100 Hz, bias 0.7 deg/s, gyroscope 0.1 deg/s, accelerometer
0.03 m/s^2, magnetometer 0.5 uT of noise, linear accelerations up to about 3 m/s^2 RMS.
"""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from muybridge.capture.imu.heading import turned
from muybridge.capture.imu.performers import waving_arm
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.synthesis import SensorFaults, SensorTruth, disturbed, sensors_on
from muybridge.geometry.rotation import conjugate, geodesic_angle, multiply

DEGREE = math.pi / 180.0
CHEAP = SensorFaults(0.7 * DEGREE, 0.1 * DEGREE, 0.0, 0.0, 0.03, 0.5)
SETTLED = 500  # samples: the first 5 s do not count


@cache
def arm(seconds: float = 60.0, seed: int = 0) -> tuple[SensorTruth, ImuSamples]:
    """Truth and faulty samples of sensors on the hand, the lower and the upper arm."""
    truth = sensors_on(waving_arm(seconds, seed=seed), ("hand", "lower_arm", "upper_arm"))
    return truth, disturbed(truth.samples, replace(CHEAP, seed=seed))


def off_deg(found: Tensor, truth: Tensor, *, heading_free: bool = True) -> Tensor:
    """Root mean square angle of each sensor; if `heading_free`, one constant heading aligned."""
    if heading_free:
        relative = multiply(truth, conjugate(found))
        yaw = 2.0 * torch.atan2(relative[..., 2], relative[..., 3])
        found = turned(found, torch.polar(torch.ones_like(yaw), yaw).mean(0).angle()[None])
    return geodesic_angle(found, truth).square().mean(0).sqrt() / DEGREE


def wxyz(quaternions: Tensor) -> np.ndarray:
    """As the peers order them."""
    return quaternions[..., [3, 0, 1, 2]].numpy()


def unlike(found: Tensor, theirs: np.ndarray) -> float:
    """Largest difference of a component, blind to signs; theirs are w, x, y, z."""
    ours = wxyz(found)
    both = np.abs(ours - theirs).max(-1), np.abs(ours + theirs).max(-1)
    return float(np.minimum(*both).max())


def rough(seed: int, count: int = 300, sensors: int = 2) -> ImuSamples:
    """Random samples that no body would give: parity must hold on them too."""
    generator = np.random.default_rng(seed)
    gyro, acc, mag = generator.normal(size=(3, count, sensors, 3))
    gravity, field = np.array([0.0, 0.0, 9.8]), np.array([0.0, 20.0, -43.0])
    columns = (torch.from_numpy(v) for v in (gyro, acc + gravity, 3.0 * mag + field))
    return ImuSamples(100.0, *columns)
