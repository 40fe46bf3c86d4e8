"""Mahony's filter: the gyroscope, pulled towards gravity and north by a PI controller.

    e = a x v_a + m x v_m,   b' = -k_I e,   q' = q (w - b + k_P e) / 2

with v_a, v_m the directions of up and of the field as the estimate has them. The integral part k_I
estimates the gyroscope's bias; without a magnetometer it also integrates what turns about the
vertical, which nothing observes, and heading drifts (measured: 38 degrees in a minute at k_I = 0.3
where the gyroscope alone drifts 22). So k_I is 0 here by default without a magnetometer.

T samples, S sensors. Quaternions x, y, z, w, earth (ENU) from sensor.

References:
    Mahony, Hamel & Pflimlin, Nonlinear complementary filters on the special orthogonal group, IEEE
    Trans. Automatic Control 53, 2008, equations 32 and 48.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.imu.rows import (
    CROSS,
    PRODUCT,
    Rows,
    cross,
    from_rows,
    matrices,
    normalized,
    to_rows,
)
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.start import first_orientation

__all__ = ["mahony"]


def mahony(
    samples: ImuSamples,
    start: Float[Tensor, "s 4"] | None = None,
    *,
    proportional: float = 1.0,
    integral: float | None = None,
) -> Float[Tensor, "t s 4"]:
    """Orientations of all sensors: unit quaternions, earth (ENU, Z up) from sensor.

    Args:
        samples: Without `mag` the heading is the gyroscope's.
        start: First orientation; from the first sample when None.
        proportional: k_P, 1/s: how fast the estimate goes to what is measured.
        integral: k_I, 1/s^2; 0.3 with a magnetometer and 0 without when None.
    """
    start = first_orientation(samples) if start is None else start
    if integral is None:
        integral = 0.0 if samples.mag is None else 0.3
    step = 1.0 / samples.rate
    gyro, acc = to_rows(samples.gyro.numpy()), _units(samples.acc)
    mag = None if samples.mag is None else _units(samples.mag)
    q, bias = start.double().numpy().T.copy(), np.zeros_like(gyro[0])
    out = np.empty((len(gyro), *q.shape))
    out[0] = q
    for k in range(1, len(gyro)):
        turn = matrices(q)
        error = CROSS @ (acc[k][:, None] * turn[2]).reshape(9, -1)
        if mag is not None:
            error += _field_error(turn, mag[k])
        if integral:
            bias -= integral * step * error
        rate = gyro[k] - bias + proportional * error
        q = q + 0.5 * step * (PRODUCT[:, _WITH_VECTOR] @ (q[:, None] * rate).reshape(12, -1))
        q /= np.sqrt((q * q).sum(0))
        out[k] = q
    return torch.from_numpy(from_rows(out))


_WITH_VECTOR = np.array([4 * i + j for i in range(4) for j in range(3)])  # q times a pure vector


def _units(values: Float[Tensor, "t s 3"]) -> Rows:
    """Directions as rows; zero where a sensor was silent, so that nothing pulls."""
    rows = to_rows(values.double().nan_to_num(nan=0.0).numpy())
    length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    return rows / np.where(length > 0.0, length, 1.0)


def _field_error(turn: Rows, mag: Rows) -> Rows:
    """m x v_m, where v_m has the measured dip but points north."""
    east, north, up = np.einsum("ijn,jn->in", turn, mag)
    level = np.sqrt(east * east + north * north)
    return cross(mag, normalized(turn[1] * level + turn[2] * up))
