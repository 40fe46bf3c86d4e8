"""Madgwick's filter: the gyroscope and one step of gradient descent a sample.

    q' = q w / 2 - beta grad f / |grad f|,   f = (R(q)^T u - a, R(q)^T b - m)

u is up and b the field with its level part along one axis. The step has a fixed length, so beta
(rad/s) is all there is to tune: as large as the gyroscope's error, no larger.

In the paper and in `ahrs` the level part of b lies along x; on an earth with north along x that is
NWU or NED. Here the earth is ENU, north along y, and so is b; `field_axis="x"` gives theirs.

T samples, S sensors. Quaternions x, y, z, w, earth from sensor.

References:
    Madgwick, Harrison & Vaidyanathan, Estimation of IMU and MARG orientation using a gradient
    descent algorithm, ICORR 2011.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.imu.mahony import _WITH_VECTOR, _units
from muybridge.capture.imu.rows import DIRECTIONS, PRODUCT, Rows, from_rows, matrices, to_rows
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.start import first_orientation

__all__ = ["madgwick"]

# gradient of (R^T v - a)^2 / 2: component c is the sum over i, j, d of f_i v_j 2 A[j, i, c, d] q_d
_GRADIENT = 2.0 * np.einsum("jicd->cijd", DIRECTIONS).reshape(4, 36)
_UP_GRADIENT = np.ascontiguousarray(_GRADIENT.reshape(4, 3, 3, 4)[:, :, 2].reshape(4, 12))
_TURN = np.ascontiguousarray(0.5 * PRODUCT[:, _WITH_VECTOR])


def madgwick(
    samples: ImuSamples,
    start: Float[Tensor, "s 4"] | None = None,
    *,
    beta: float | None = None,
    field_axis: Literal["x", "y"] = "y",
) -> Float[Tensor, "t s 4"]:
    """Orientations of all sensors: unit quaternions, earth (ENU, Z up) from sensor.

    Args:
        samples: Without `mag` the heading is the gyroscope's.
        start: First orientation; from the first sample when None.
        beta: Gain, rad/s; 0.033 without and 0.041 with a magnetometer (the paper's) when None.
        field_axis: Where the level part of the magnetic field points on this earth.
    """
    start = first_orientation(samples) if start is None else start
    if beta is None:
        beta = 0.033 if samples.mag is None else 0.041
    step = 1.0 / samples.rate
    gyro, acc = to_rows(samples.gyro.double().numpy()), _units(samples.acc)
    mag = None if samples.mag is None else _units(samples.mag)
    q = start.double().numpy().T.copy()
    out = np.empty((len(gyro), *q.shape))
    out[0] = q
    level = 0 if field_axis == "x" else 1
    for k in range(1, len(gyro)):
        turn = matrices(q)
        error = turn[2] - acc[k]
        slope = _UP_GRADIENT @ (error[:, None] * q).reshape(12, -1)
        if mag is not None:
            slope += _field_slope(turn, mag[k], q, level)
        length = np.sqrt((slope * slope).sum(0))
        length[length == 0.0] = 1.0
        change = _TURN @ (q[:, None] * gyro[k]).reshape(12, -1) - (beta / length) * slope
        q = q + step * change
        q /= np.sqrt((q * q).sum(0))
        out[k] = q
    return torch.from_numpy(from_rows(out))


def _field_slope(turn: Rows, mag: Rows, q: Rows, level: int) -> Rows:
    """The field's part of the gradient."""
    east, north, up = np.einsum("ijn,jn->in", turn, mag)
    field = np.zeros_like(mag)
    field[level], field[2] = np.sqrt(east * east + north * north), up
    error = turn[level] * field[level] + turn[2] * up - mag
    error[:, (mag == 0.0).all(0)] = 0.0
    both = (error[:, None] * field).reshape(9, 1, -1)
    return _GRADIENT @ (both * q).reshape(36, -1)
