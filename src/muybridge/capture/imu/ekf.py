"""Extended Kalman filter on the quaternion, with gravity and the field as measurements.

    predict  q <- (1 + W(w) h / 2) q,   P <- F P F^T + s_g^2 J J^T
    correct  z = (a, m),  z(q) = (R(q)^T u, R(q)^T b),  q <- q + K (z - z(q)), normalised

u is up, b the reference field. `ahrs` 0.4.0 calls the frame of u = (0, 0, 1) "NED"; with its "ENU"
it takes u = (0, 0, -1), which puts ordinary data (+g at rest) upside down. Here u = (0, 0, 1).

T samples, S sensors. Quaternions x, y, z, w, earth (ENU) from sensor.

References:
    Sabatini, Kalman-filter-based orientation determination using inertial/magnetic sensors, Sensors
    11, 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.imu.mahony import _units
from muybridge.capture.imu.rows import DIRECTIONS, PRODUCT, Rows, from_rows, matrices, to_rows
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.start import first_orientation

__all__ = ["EkfNoise", "ekf"]


@dataclass(frozen=True)
class EkfNoise:
    """Variances; the defaults are those of `ahrs`.

    Attributes:
        gyro: (rad/s)^2.
        acc: Of the direction of the force, which has length 1.
        mag: Of the direction of the field.
    """

    gyro: float = 0.3**2
    acc: float = 0.5**2
    mag: float = 0.8**2


def _homogeneous() -> Rows:
    """(3, 3, 4, 4): R(q)_ij = q^T table q for any length of q, as the Jacobian wants it."""
    table = DIRECTIONS.copy()
    for i in range(3):
        table[i, i] += np.eye(4)
    return table


_TABLE = _homogeneous()
_RIGHT = np.einsum("kij->jki", PRODUCT.reshape(4, 4, 4))[:3]  # W(w) = sum_j w_j RIGHT[j]
_LEFT = PRODUCT.reshape(4, 4, 4)[:, :, :3]  # J(q)_kj = sum_i LEFT[k, i, j] q_i


def ekf(
    samples: ImuSamples,
    start: Float[Tensor, "s 4"] | None = None,
    *,
    noise: EkfNoise | None = None,
    field: Float[Tensor, "3"] | None = None,
) -> Float[Tensor, "t s 4"]:
    """Orientations of all sensors: unit quaternions, earth (ENU, Z up) from sensor.

    Args:
        samples: Without `mag` the heading is the gyroscope's.
        start: First orientation; from the first sample when None.
        noise: Variances.
        field: Reference field on the earth, any length; north and as steep as the first sample's
            when None.
    """
    noise = noise or EkfNoise()
    start = first_orientation(samples) if start is None else start
    gyro, acc = to_rows(samples.gyro.double().numpy()), _units(samples.acc)
    mag = None if samples.mag is None else _units(samples.mag)
    measured = acc if mag is None else np.concatenate((acc, mag), axis=1)
    table = _measurement(samples, start, field)
    variance = np.repeat([noise.acc, noise.mag], 3)[: measured.shape[1]]
    q = np.ascontiguousarray(start.double().numpy())
    covariance = np.broadcast_to(np.eye(4), (len(q), 4, 4)).copy()
    out = np.empty((len(gyro), *q.T.shape))
    out[0] = q.T
    for k in range(1, len(gyro)):
        q, covariance = _predict(q, covariance, gyro[k].T, 1.0 / samples.rate, noise.gyro)
        q, covariance = _correct(q, covariance, measured[k].T, table, variance)
        out[k] = q.T
    return torch.from_numpy(from_rows(out))


def _measurement(
    samples: ImuSamples, start: Float[Tensor, "s 4"], field: Float[Tensor, "3"] | None
) -> Rows:
    """(s, m, 4, 4): expected measurement i of a sensor is q^T table[s, i] q."""
    count = len(start)
    up = np.broadcast_to(_TABLE[2], (count, 3, 4, 4))
    if samples.mag is None:
        return np.ascontiguousarray(up)
    if field is None:
        turned = np.einsum("ijn,nj->ni", matrices(start.double().numpy().T), samples.mag[0].numpy())
        level = np.hypot(turned[:, 0], turned[:, 1])
        reference = np.stack((np.zeros(count), level, turned[:, 2]), axis=1)
    else:
        reference = np.broadcast_to(field.double().numpy(), (count, 3))
    reference = reference / np.linalg.norm(reference, axis=1, keepdims=True)
    north = np.einsum("sj,jicd->sicd", reference, _TABLE)
    return np.concatenate((up, north), axis=1)


def _predict(
    q: Rows, covariance: Rows, gyro: Rows, step: float, variance: float
) -> tuple[Rows, Rows]:
    """Turn with the gyroscope: (s, 4), (s, 4, 4), (s, 3)."""
    move = np.eye(4) + 0.5 * step * np.tensordot(gyro, _RIGHT, axes=(1, 0))
    spread = 0.5 * step * np.einsum("kij,si->skj", _LEFT, q)
    grown = move @ covariance @ move.mT + variance * spread @ spread.mT
    return (move @ q[..., None])[..., 0], grown


def _correct(
    q: Rows, covariance: Rows, measured: Rows, table: Rows, variance: Rows
) -> tuple[Rows, Rows]:
    """Bring in directions (s, m). One that is zero was not measured and has no say."""
    jacobian = 2.0 * (table @ q[:, None, :, None])[..., 0]
    expected = 0.5 * (jacobian @ q[..., None])[..., 0] / (q * q).sum(1, keepdims=True)
    seen = (measured.reshape(len(q), -1, 3) != 0.0).any(2).repeat(3, axis=1)
    jacobian *= seen[..., None]
    shared = covariance @ jacobian.mT
    gain = shared @ np.linalg.inv(jacobian @ shared + np.diag(variance))
    q = q + (gain @ ((measured - expected) * seen)[..., None])[..., 0]
    covariance = (np.eye(4) - gain @ jacobian) @ covariance
    return q / np.linalg.norm(q, axis=1, keepdims=True), covariance
