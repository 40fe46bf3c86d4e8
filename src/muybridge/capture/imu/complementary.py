"""Complementary filters: the gyroscope for what is quick, gravity and north for what is slow.

`complementary` works on quaternions: each step turns with the gyroscope and then goes a share of
the way to what accelerometer and magnetometer say. `complementary_euler` is the textbook's, which
mixes three Euler angles one by one as if body rates were their derivatives: right only near the
level, and wrong where an angle passes 180 degrees. It is kept since it is what `ahrs` computes.

T samples, S sensors. Quaternions x, y, z, w, earth (ENU) from sensor.

References:
    Valenti, Dryanovski & Xiao, Keeping a good attitude, Sensors 15, 2015 (on quaternions).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import lfilter
from torch import Tensor

from muybridge.capture.imu.mahony import _units
from muybridge.capture.imu.rows import (
    exponential,
    from_rows,
    matrices,
    multiply,
    normalized,
    to_rows,
)
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.start import first_orientation

__all__ = ["complementary", "complementary_euler"]


def complementary(
    samples: ImuSamples,
    start: Float[Tensor, "s 4"] | None = None,
    *,
    tilt_time: float = 3.0,
    heading_time: float = 9.0,
) -> Float[Tensor, "t s 4"]:
    """Orientations of all sensors: unit quaternions, earth (ENU, Z up) from sensor.

    Args:
        samples: Without `mag` the heading is the gyroscope's.
        start: First orientation; from the first sample when None.
        tilt_time: Time constant of the way to the accelerometer's vertical, seconds.
        heading_time: The same to the magnetometer's north.
    """
    start = first_orientation(samples) if start is None else start
    tilt, turn_share = (1.0 - np.exp(-1.0 / (samples.rate * t)) for t in (tilt_time, heading_time))
    gyro, acc = to_rows(samples.gyro.double().numpy()), _units(samples.acc)
    mag = None if samples.mag is None else _units(samples.mag)
    steps = exponential(np.swapaxes(gyro, 0, 1).reshape(3, -1) / samples.rate)
    steps = np.ascontiguousarray(np.swapaxes(steps.reshape(4, len(gyro), -1), 0, 1))
    q = start.double().numpy().T.copy()
    out = np.empty((len(gyro), *q.shape))
    out[0] = q
    for k in range(1, len(gyro)):
        q = multiply(q, steps[k])
        up = np.einsum("ijn,jn->in", matrices(q), acc[k])
        pull = np.zeros((3, q.shape[1]))
        pull[0], pull[1] = tilt * up[1], -tilt * up[0]  # up x z
        if mag is not None:
            field = np.einsum("ijn,jn->in", matrices(q), mag[k])
            pull[2] = turn_share * np.arctan2(field[0], field[1])  # a silent sensor gives zero
        q = normalized(multiply(exponential(pull), q))
        out[k] = q
    return torch.from_numpy(from_rows(out))


def complementary_euler(samples: ImuSamples, *, gain: float = 0.9) -> Float[Tensor, "t s 3"]:
    """Roll, pitch and yaw, radians, each W = gain (W + w h) + (1 - gain) W_measured.

    The axes are those of the textbook: x forward is north. Without a magnetometer yaw stays 0.
    """
    step, acc = 1.0 / samples.rate, samples.acc.double()
    x, y, z = (acc / acc.norm(dim=-1, keepdim=True)).unbind(-1)
    roll, pitch = torch.atan2(y, z), torch.atan2(-x, torch.hypot(y, z))
    measured = torch.stack((roll, pitch, torch.zeros_like(roll)), dim=-1)
    if samples.mag is not None:
        measured[..., 2] = _textbook_yaw(samples.mag.double(), roll, pitch)
    drive = gain * samples.gyro.double() * step + (1.0 - gain) * measured
    if samples.mag is None:
        drive[..., 2] = 0.0
    drive[0] = measured[0]
    return torch.from_numpy(lfilter([1.0], [1.0, -gain], drive.numpy(), axis=0))


def _textbook_yaw(
    mag: Float[Tensor, "t s 3"], roll: Float[Tensor, "t s"], pitch: Float[Tensor, "t s"]
) -> Float[Tensor, "t s"]:
    """Heading of the field once roll and pitch are taken out."""
    x, y, z = mag.unbind(-1)
    level_y = y * roll.cos() - z * roll.sin()
    level_x = x * pitch.cos() + pitch.sin() * (y * roll.sin() + z * roll.cos())
    return torch.atan2(-level_y, level_x)
