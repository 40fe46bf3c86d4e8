"""Orientation with bias estimation: gyroscope integration, a tilt from the low-passed force, a
Kalman filter for the bias. Heading from the magnetometer is `heading`.

    q(t) = q_tilt(t) q_gyro(t)

q_gyro integrates the gyroscope less its bias. In that almost inertial frame the force is low-passed
over 3 s: what a body accelerates averages out, gravity stays. q_tilt turns the result upright by
the shortest way. How fast it has to keep doing so shows the bias about the level axes, and while
the sensor rests the gyroscope shows all of it.

What is done differently here. Filters go sample by sample; this one goes by blocks of `block`
seconds in which the bias stands still, so that everything else is arithmetic on whole blocks of all
sensors: orientations are running products, and so is the tilt, since

    q_tilt(k) = q_tilt(k - 1) S(d_k -> d_k-1),     d the direction of the low-passed force,

S being the shortest turn. The Kalman filter takes a block's measurements as one, in information
form. With blocks of one sample all of this is the published algorithm, and the tests hold that.

T samples, S sensors. Rows are (component, sample, sensor). Quaternions x, y, z, w, earth from
sensor; without a magnetometer the heading begins where the sensor's axes put it.

References:
    Laidig & Seel, VQF: highly accurate IMU orientation estimation with bias estimation and magnetic
    disturbance rejection, Information Fusion 91, 2023, arXiv:2203.17024.
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

from muybridge.capture.imu.low_pass import LowPass, low_passed
from muybridge.capture.imu.rows import (
    Rows,
    exponential,
    matrices,
    multiply,
    normalized,
    prefix_products,
    shortest_turn,
)
from muybridge.capture.imu.samples import ImuSamples
from muybridge.errors import InputError

__all__ = ["Estimate", "VqfOptions", "resting", "vqf"]

DEGREE = math.pi / 180.0
VERTICAL = 1e-4  # how firmly an unobserved vertical bias is held to zero, against the level ones


@dataclass(frozen=True)
class VqfOptions:
    """Time constants in seconds, angular rates in degrees a second, as in the paper.

    Attributes:
        tilt_time: Of the low-pass over the force.
        block: Time in which the bias stands still; 0 makes every sample a block of its own.
        bias_start: Standard deviation of the bias at first.
        bias_forgetting: After this time an unseen bias is uncertain by 0.1.
        bias_limit: No component of the bias is larger.
        bias_moving: Standard deviation that measurements in motion reach in the long run.
        bias_resting: The same at rest.
        rest_time: A sensor rests when it has been still so long.
        rest_smoothing: Of the low-pass whose deviations decide what is still.
        rest_gyro: Largest deviation at rest.
        rest_acc: The same, m/s^2.
        estimate_bias: Whether to; without it this is tilt correction alone.
        passes: 1 goes through the samples once, as a filter that runs live must. In 2 and more each
            pass begins with the bias that the one before ended with, so that the first seconds are
            as good as the last.
    """

    tilt_time: float = 3.0
    block: float = 0.2
    bias_start: float = 0.5
    bias_forgetting: float = 100.0
    bias_limit: float = 2.0
    bias_moving: float = 0.1
    bias_resting: float = 0.03
    rest_time: float = 1.5
    rest_smoothing: float = 0.5
    rest_gyro: float = 2.0
    rest_acc: float = 0.5
    estimate_bias: bool = True
    passes: int = 1

    def __post_init__(self) -> None:
        for name in ("tilt_time", "bias_forgetting", "rest_time", "rest_smoothing"):
            if not getattr(self, name) > 0.0:
                raise InputError(
                    f"expected {name} above 0 seconds, got {getattr(self, name)}; 3 is usual"
                )
        if self.passes < 1:
            raise InputError(f"expected at least 1 pass, got {self.passes}; 2 is usual for files")
        if not 0.0 <= self.block <= 1.0:
            raise InputError(f"expected a block of 0 to 1 s, got {self.block}; 0.2 is usual")


class Estimate(NamedTuple):
    """Orientations, biases (rad/s, in the sensor's axes) and who rests when."""

    orientations: Float[Tensor, "t s 4"]
    bias: Float[Tensor, "t s 3"]
    rest: Bool[Tensor, "t s"]


def vqf(samples: ImuSamples, options: VqfOptions | None = None) -> Estimate:
    """Orientations of all sensors from gyroscope and accelerometer, and the biases.

    Args:
        samples: `mag` is not read, see `heading.with_heading`. Finite values.
        options: The paper's values when None.
    """
    options = options or VqfOptions()
    gyro = np.ascontiguousarray(np.moveaxis(samples.gyro.double().numpy(), -1, 0))
    acc = np.ascontiguousarray(np.moveaxis(samples.acc.double().numpy(), -1, 0))
    smooth, rest = resting(samples, options)
    state = _State(gyro.shape[2], samples.rate, options)
    size = max(1, round(options.block * samples.rate))
    for number in range(options.passes):
        if number:
            state = state.again()
        parts = []
        for first in range(0, gyro.shape[1], size):
            cut = slice(first, first + size)
            parts.append(state.advance(gyro[:, cut], acc[:, cut], smooth[:, cut], rest[cut]))
    turned, biases = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    return Estimate(
        torch.from_numpy(np.ascontiguousarray(np.moveaxis(turned, 0, -1))),
        torch.from_numpy(np.ascontiguousarray(np.moveaxis(biases, 0, -1))),
        torch.from_numpy(rest),
    )


def resting(samples: ImuSamples, options: VqfOptions) -> tuple[Rows, NDArray[np.bool_]]:
    """The low-passed gyroscope (3, t, s) and True (t, s) where a sensor has been still a while."""
    gyro, acc = samples.gyro.double().numpy(), samples.acc.double().numpy()
    smooth = low_passed(gyro, options.rest_smoothing, samples.rate)
    smooth_acc = low_passed(acc, options.rest_smoothing, samples.rate)
    turning = np.square(gyro - smooth).sum(-1) >= (options.rest_gyro * DEGREE) ** 2
    turning |= np.abs(smooth).max(-1) > options.bias_limit * DEGREE
    moving = np.square(acc - smooth_acc).sum(-1) >= options.rest_acc**2
    index = np.arange(len(gyro))[:, None]
    # a turning sample counts as the first still one, a moving one does not count
    since = np.where(moving, index, np.where(turning, index - 1, -1))
    still = index - np.maximum.accumulate(since, axis=0)
    return np.moveaxis(smooth, -1, 0), still / samples.rate >= options.rest_time - 1e-9


class _Weights(NamedTuple):
    """Kalman noise in (deg/s)^2: growth a sample, the most, and of the measurements."""

    growth: float
    most: float
    moving: Rows
    resting: float


def _weights(options: VqfOptions, rate: float) -> _Weights:
    """Noise that leads to the stated standard deviations in the long run: w = p^2 / v + p."""
    growth = 0.1**2 / (options.bias_forgetting * rate)
    level = options.bias_moving**4 / growth + options.bias_moving**2
    rest = options.bias_resting**4 / growth + options.bias_resting**2
    return _Weights(growth, options.bias_start**2, np.array([level, level, level / VERTICAL]), rest)


class _State:
    """Where the filter stands after a block."""

    def __init__(self, sensors: int, rate: float, options: VqfOptions) -> None:
        self.rate, self.options = rate, options
        self.weights = _weights(options, rate)
        identity = np.zeros((4, 1, sensors))
        identity[3] = 1.0
        self.gyro_turn, self.tilt = identity, identity
        self.down: Rows | None = None  # direction of the force one sample ago, inertial frame
        self.bias = np.zeros((3, sensors))
        self.covariance = np.broadcast_to(self.weights.most * np.eye(3), (sensors, 3, 3)).copy()
        self.force = LowPass(options.tilt_time, rate)
        self.turning = LowPass(options.tilt_time, rate)

    def again(self) -> _State:
        """A state at the beginning that knows the bias."""
        state = _State(self.bias.shape[1], self.rate, self.options)
        state.bias, state.covariance = self.bias, self.covariance
        return state

    def advance(
        self, gyro: Rows, acc: Rows, smooth: Rows, rest: NDArray[np.bool_]
    ) -> tuple[Rows, Rows]:
        """Go on by a block; its orientations (4, m, s) and biases (3, m, s)."""
        shape = gyro.shape
        turned = self._integrate((gyro - self.bias[:, None]) / self.rate)
        force = _rotated(turned.reshape(4, -1), acc.reshape(3, -1)).reshape(shape)
        tilt, lean = self._upright(normalized(self.force(force).reshape(3, -1)).reshape(shape))
        orientation = multiply(tilt.reshape(4, -1), turned.reshape(4, -1))
        before = np.broadcast_to(self.bias[:, None], shape)
        if self.options.estimate_bias:
            axes = matrices(orientation).reshape(9, *shape[1:])
            self._learn(axes, lean, smooth, rest)
        after = before.copy()
        after[:, -1] = self.bias
        return orientation.reshape(4, *shape[1:]), after

    def _integrate(self, angles: Rows) -> Rows:
        """Running product of the gyroscope's turns."""
        steps = exponential(angles.reshape(3, -1)).reshape(4, *angles.shape[1:])
        steps[:, 0] = multiply(self.gyro_turn[:, 0], steps[:, 0])
        turned = prefix_products(steps)
        turned /= np.sqrt((turned * turned).sum(0))
        self.gyro_turn = turned[:, -1:]
        return turned

    def _upright(self, down: Rows) -> tuple[Rows, Rows]:
        """Running product of the tilt's turns, and the level part (2, m, s) each had to mend."""
        count, sensors = down.shape[1:]
        if self.down is None:
            up = np.zeros((3, sensors))
            up[2] = 1.0
            self.tilt = shortest_turn(down[:, 0], up)[:, None]
            self.down = down[:, :1]
            mended = down[:2, :1]
        else:
            mended = None
        earlier = np.concatenate((self.down, down[:, :-1]), axis=1)
        steps = shortest_turn(down.reshape(3, -1), earlier.reshape(3, -1)).reshape(4, count, -1)
        steps[:, 0] = multiply(self.tilt[:, 0], steps[:, 0])
        tilt = prefix_products(steps)
        tilt /= np.sqrt((tilt * tilt).sum(0))
        previous = np.concatenate((self.tilt, tilt[:, :-1]), axis=1).reshape(4, -1)
        lean = _rotated(previous, down.reshape(3, -1)).reshape(down.shape)[:2]
        if mended is not None:
            lean[:, :1] = mended
        self.tilt, self.down = tilt[:, -1:], down[:, -1:]
        return tilt, lean

    def _learn(self, axes: Rows, lean: Rows, smooth: Rows, rest: NDArray[np.bool_]) -> None:
        """Kalman update of the bias from a block.

        In motion the measurement is R_lp b = (-lean_y, lean_x) rate + (R b)_lp, of which the third
        row only holds the vertical bias; at rest it is b itself.
        """
        weights, count = self.weights, axes.shape[1]
        seen = np.einsum("ijms,js->ims", axes.reshape(3, 3, *axes.shape[1:])[:2], self.bias)
        smoothed = self.turning(np.concatenate((axes, seen)))
        rows = smoothed[:9].reshape(3, 3, *axes.shape[1:])
        error = -np.einsum("ijms,js->ims", rows, self.bias)
        error[:2] += smoothed[9:]
        error[0] -= self.rate * lean[1]
        error[1] += self.rate * lean[0]
        weight = 1.0 / weights.moving[:, None, None] * np.ones((1, *rest.shape))
        if rest.any():
            rows = np.where(rest, np.eye(3)[:, :, None, None], rows)
            error = np.where(rest, smooth - self.bias[:, None], error)
            weight = np.where(rest, 1.0 / weights.resting, weight)
        limit = self.options.bias_limit * DEGREE
        error = error.clip(-limit, limit)
        self._correct(rows, error, weight, weights.growth * count)
        self.bias = self.bias.clip(-limit, limit)

    def _correct(self, rows: Rows, error: Rows, weight: Rows, growth: float) -> None:
        """P <- (P^-1 + H^T W H)^-1, b <- b + P H^T W e, over all samples of the block."""
        diagonal = np.einsum("sii->si", self.covariance)
        diagonal += np.where(diagonal < self.weights.most, growth, 0.0)
        both = np.concatenate((rows, error[:, None]), axis=1)  # (row, column, m, s)
        stacked = both.transpose(3, 0, 2, 1).reshape(both.shape[3], -1, 4)
        weighted = (rows * weight[:, None]).transpose(3, 1, 0, 2).reshape(both.shape[3], 3, -1)
        information = weighted @ stacked
        total = np.linalg.inv(self.covariance) + information[..., :3]
        self.covariance = np.asarray(np.linalg.inv(total), dtype=np.float64)
        self.bias = self.bias + (self.covariance @ information[..., 3:])[..., 0].T


def _rotated(q: Rows, v: Rows) -> Rows:
    """Vectors (3, n) turned by quaternions (4, n)."""
    return np.einsum("ijn,jn->in", matrices(q), v)
