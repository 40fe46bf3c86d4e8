"""Heading of a whole take at once: the magnetometer where the field is what it was in the pose.

A filter that goes forward learns of an error only afterwards. A take on disk has an end: between
two moments of good field, the drift of the gyroscope is spread over the time between. The angle
delta(t) that turns a sensor to north solves

    min  sum_k w_k (delta_k - bearing_k)^2 + sum_k (delta_k+1 - delta_k)^2 / s_k^2

a tridiagonal system a sensor. w_k falls with the difference of the field's strength and dip from
those of the calibration pose, and with the residual, so that iron near the floor has no say; s_k
grows with how far the sensor turned, since most of the drift is an error of scale.

T samples, S sensors. Earth: east, north, up. Angles are radians, about up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from muybridge.capture.imu.heading import Heading
from muybridge.capture.imu.samples import ImuSamples
from muybridge.geometry.rotation import rotate

__all__ = ["SteadyOptions", "shows_north", "steady_heading"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SteadyOptions:
    """How far the magnetometer is believed.

    Attributes:
        strength: Share of the strength in the pose by which the field may differ, one sigma.
        dip: The same for its dip, degrees.
        noise: Error of one bearing, degrees, one sigma.
        memory: Seconds over which the errors of bearings are alike.
        drift: Degrees that a resting sensor's heading drifts in a second, one sigma.
        drift_turning: The same for every radian that it turns.
        doubt: Residuals beyond this, degrees, count less and less.
        rounds: Of reweighting.
    """

    strength: float = 0.04
    dip: float = 4.0
    noise: float = 3.0
    memory: float = 0.5
    drift: float = 0.2
    drift_turning: float = 0.3
    doubt: float = 5.0
    rounds: int = 15


def steady_heading(
    samples: ImuSamples,
    orientations: Float[torch.Tensor, "t s 4"],
    pose: slice,
    options: SteadyOptions | None = None,
) -> Heading:
    """The heading angle of every sample, from those of the whole take.

    Args:
        samples: With `mag`; NaN where unknown.
        orientations: From gyroscope and accelerometer, such as `vqf`'s.
        pose: Samples of the calibration pose, whose field is taken as undisturbed.
        options: See there.
    Returns:
        Angles, 0 for a sensor without a magnetometer, and where the field was not believed.
    """
    options = options or SteadyOptions()
    assert samples.mag is not None, "heading needs a magnetometer"
    field = rotate(orientations, samples.mag.double()).numpy()
    turn = samples.gyro.double().norm(dim=-1).numpy() / samples.rate
    angles, doubted = np.zeros(turn.shape), np.ones(turn.shape, dtype=bool)
    for sensor in range(turn.shape[1]):
        if shows_north(samples.mag[pose, sensor]):
            one = _one(field[:, sensor], turn[:, sensor], pose, samples.rate, options)
            angles[:, sensor], doubted[:, sensor] = one
    return Heading(torch.from_numpy(angles), torch.from_numpy(doubted))


def shows_north(field: Float[torch.Tensor, "t 3"]) -> bool:
    """Whether a magnetometer measured anything in the pose."""
    return bool((field.isfinite().all(-1) & (field.norm(dim=-1) > 0.0)).double().mean() > 0.5)


def _one(
    field: Array, turn: Array, pose: slice, rate: float, options: SteadyOptions
) -> tuple[Array, NDArray[np.bool_]]:
    """One sensor by reweighted least squares."""
    east, north, up = field.T
    strength, dip = np.linalg.norm(field, axis=1), np.arctan2(-up, np.hypot(east, north))
    bearing = np.arctan2(east, north)
    there = np.exp(1j * bearing[pose])
    angle = np.full(len(field), np.angle(np.nanmean(there)))
    off = (strength / np.nanmedian(strength[pose]) - 1.0) / options.strength
    lean = (dip - np.nanmedian(dip[pose])) / math.radians(options.dip)
    trust = np.nan_to_num(np.exp(-0.5 * (off**2 + lean**2)), nan=0.0)
    known = trust / (options.memory * rate * math.radians(options.noise) ** 2)
    drift = (
        math.radians(options.drift) ** 2 / rate + (math.radians(options.drift_turning)) ** 2 * turn
    )
    link = 1.0 / drift[1:]
    doubt = math.radians(options.doubt)
    for _ in range(options.rounds):
        miss = np.nan_to_num((bearing - angle + math.pi) % (2.0 * math.pi) - math.pi, nan=0.0)
        weight = known / (1.0 + (miss / doubt) ** 2)
        angle = angle + _solve(weight, link, weight * miss, -np.diff(angle) * link)
    return angle, trust < 0.5


def _solve(weight: Array, link: Array, pull: Array, tension: Array) -> Array:
    """Change of the angles: (W + D^T L D) x = pull + D^T tension."""
    bands = np.zeros((2, len(weight)))
    bands[1] = weight + 1e-12
    bands[1, :-1] += link
    bands[1, 1:] += link
    bands[0, 1:] = -link
    right = pull.copy()
    right[:-1] -= tension
    right[1:] += tension
    solved: Array = solveh_banded(bands, right)
    return solved
