"""Dead reckoning: orientation by integrating the gyroscope, place by integrating twice more.

    q' = q w / 2          p'' = R(q) a - g

Nothing holds the result, so errors grow: a gyroscope bias b turns the estimate by b t and, once it
is tilted, gravity leaks into the level and moves it by g b t^3 / 6; an accelerometer bias by
b t^2 / 2. `examples/imu_drift.py` draws these laws.

T samples, S sensors. Earth: east, north, up. Quaternions x, y, z, w, earth from sensor.

References:
    Savage, Strapdown inertial navigation integration algorithm design, J. Guidance, Control and
    Dynamics 21, 1998. Iserles & Norsett, On the solution of linear differential equations in Lie
    groups, 1999 (the fourth-order Magnus step).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import make_interp_spline
from torch import Tensor

from muybridge.capture.imu.rows import exponential, prefix_products
from muybridge.capture.imu.samples import ImuSamples
from muybridge.files.imu import GRAVITY
from muybridge.geometry.rotation import identity_quaternion, multiply, rotate

__all__ = ["Path3d", "integrate_gyro", "integrate_path", "strapdown"]

BLOCK = 256  # samples whose products are formed at once; then block after block
GAUSS = 0.5 / 3.0**0.5  # distance of the two nodes from the middle of a step, in steps


class Path3d(NamedTuple):
    """Orientation, velocity (m/s) and position (m) of every sensor, earth frame."""

    orientations: Float[Tensor, "t s 4"]
    velocities: Float[Tensor, "t s 3"]
    positions: Float[Tensor, "t s 3"]


def integrate_gyro(
    samples: ImuSamples, start: Float[Tensor, "s 4"] | None = None, *, smooth: bool = False
) -> Float[Tensor, "t s 4"]:
    """Orientation from the gyroscope alone: unit quaternions, earth from sensor.

    Args:
        samples: Only the gyroscope is read.
        start: First orientation; identity when None.
        smooth: False takes each sample as the mean over the time since the one before, as filters
            do and as sensors that average deliver. True takes samples as momentary values of a
            smooth curve and turns with it to fourth order.
    """
    if start is None:
        start = identity_quaternion(samples.gyro.shape[1])
    gyro = samples.gyro.double().numpy()
    turns = _magnus(gyro, samples.rate) if smooth else gyro[1:] / samples.rate
    rows = np.moveaxis(turns, -1, 0)  # (3, t - 1, s)
    steps = exponential(rows.reshape(3, -1)).reshape(4, *rows.shape[1:])
    parts, last = [start.unsqueeze(0)], start
    for first in range(0, steps.shape[1], BLOCK):
        within = prefix_products(steps[:, first : first + BLOCK])
        block = multiply(last, torch.from_numpy(np.moveaxis(within, 0, -1)))
        parts.append(torch.nn.functional.normalize(block, dim=-1))
        last = parts[-1][-1]
    return torch.cat(parts)


def _magnus(gyro: np.ndarray, rate: float) -> np.ndarray:
    """Rotation vectors of the steps: (w1 + w2) h / 2 - sqrt(3) h^2 / 12 w2 x w1 at Gauss nodes."""
    time = np.arange(len(gyro))
    curve = make_interp_spline(time, gyro, k=5 if len(gyro) > 5 else 1)
    middle = time[:-1] + 0.5
    first, second = curve(middle - GAUSS), curve(middle + GAUSS)
    mean = 0.5 * (first + second) / rate
    return mean + 3.0**0.5 / 12.0 / rate**2 * np.cross(first, second)


def integrate_path(
    samples: ImuSamples,
    orientations: Float[Tensor, "t s 4"],
    velocity: Float[Tensor, "s 3"] | None = None,
    position: Float[Tensor, "s 3"] | None = None,
) -> Path3d:
    """Velocity and position from the accelerometer, the orientations being known.

    The acceleration in the earth frame is taken as the spline through its samples, whose integrals
    are exact; for smooth motion the error falls with the sixth power of the step.

    Args:
        samples: Only the accelerometer is read.
        orientations: Of the same samples.
        velocity: At the first sample, m/s; zero when None.
        position: At the first sample, m; zero when None.
    """
    force = rotate(orientations, samples.acc.double())
    acceleration = force - torch.tensor([0.0, 0.0, GRAVITY], dtype=torch.float64)
    time = np.arange(len(samples)) / samples.rate
    curve = make_interp_spline(time, acceleration.numpy(), k=5 if len(samples) > 5 else 1)
    once, twice = (torch.from_numpy(curve.antiderivative(n)(time)) for n in (1, 2))
    zero = torch.zeros(samples.gyro.shape[1], 3, dtype=torch.float64)
    velocity = zero if velocity is None else velocity
    position = zero if position is None else position
    seconds = torch.from_numpy(time)[:, None, None]
    return Path3d(orientations, velocity + once, position + velocity * seconds + twice)


def strapdown(
    samples: ImuSamples,
    start: Float[Tensor, "s 4"],
    velocity: Float[Tensor, "s 3"] | None = None,
    position: Float[Tensor, "s 3"] | None = None,
) -> Path3d:
    """Orientation and path from a known start by integration alone.

    Args:
        samples: Gyroscope and accelerometer are read.
        start: First orientation, earth from sensor.
        velocity: At the first sample, earth, metres/second; zero when None.
        position: At the first sample, earth, metres; the origin when None.
    """
    return integrate_path(samples, integrate_gyro(samples, start, smooth=True), velocity, position)
