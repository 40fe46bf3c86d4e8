"""What an inertial sensor on a joint of a clip would have measured.

The joint's path and its turning become smooth curves through the frames, a quintic spline and
scipy's rotation spline, and the sensor reads their exact derivatives: angular velocity, and the
specific force R^T (p'' + g). Faults are added after that, each from a seed.

T frames of the clip, N samples. Earth: east, north, up. Quaternions x, y, z, w, earth from sensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import make_interp_spline
from scipy.spatial.transform import Rotation, RotationSpline
from torch import Tensor

from muybridge.capture.imu.conventions import enu_from
from muybridge.capture.imu.samples import ImuSamples
from muybridge.errors import InputError
from muybridge.files.imu import GRAVITY, ImuLog, Series
from muybridge.geometry.rotation import conjugate, multiply, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import part
from muybridge.motion.kinematics import forward_clip

__all__ = [
    "FIELD",
    "Mounting",
    "SensorFaults",
    "SensorTruth",
    "disturbed",
    "logs_of",
    "measure",
    "sensors_on",
]

FIELD = (0.0, 20.0, -43.0)  # microtesla, ENU: about that of central Europe


@dataclass(frozen=True)
class Mounting:
    """How a sensor sits on a bone.

    Attributes:
        place: In the joint's frame, metres.
        bone_from_sensor: Quaternion; None for aligned axes.
    """

    place: tuple[float, float, float] = (0.0, 0.0, 0.0)
    bone_from_sensor: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class SensorFaults:
    """Errors of an inexpensive sensor. Standard deviations are those of one sample.

    Attributes:
        gyro_bias: Length of the constant bias, rad/s, in a direction of its own for each sensor.
        gyro_std: rad/s.
        gyro_walk: Random walk of the bias, rad/s after one second.
        acc_bias: Length of the constant bias, m/s^2.
        acc_std: m/s^2.
        mag_std: Same unit as the field.
        seed: Of all of them.
    """

    gyro_bias: float = 0.0
    gyro_std: float = 0.0
    gyro_walk: float = 0.0
    acc_bias: float = 0.0
    acc_std: float = 0.0
    mag_std: float = 0.0
    seed: int = 0


class SensorTruth(NamedTuple):
    """Noise-free samples and the motion behind them, earth frame."""

    samples: ImuSamples
    orientations: Float[Tensor, "n s 4"]
    positions: Float[Tensor, "n s 3"]
    velocities: Float[Tensor, "n s 3"]


def sensors_on(
    clip: Clip,
    joints: Sequence[str],
    rate: float = 100.0,
    mountings: Mapping[str, Mounting] | None = None,
    field: tuple[float, float, float] = FIELD,
) -> SensorTruth:
    """Perfect sensors on joints of a clip, sampled from its first frame to its last.

    Args:
        clip: The motion; at least 4 frames.
        joints: Names of joints or parts of the body.
        rate: Samples a second.
        mountings: By the name in `joints`; where absent, at the joint with aligned axes.
        field: Magnetic field, ENU, any unit.
    Raises:
        InputError: If the clip is too short or has no such joint.
    """
    if len(clip) < 4:
        raise InputError(f"expected a clip of 4 frames or more, got {len(clip)}; use a longer one")
    pose, turn = forward_clip(clip), enu_from("clip")
    index = [part(clip.skeleton, name) for name in joints]
    seats = [(mountings or {}).get(name, Mounting()) for name in joints]
    places = torch.tensor([seat.place for seat in seats], dtype=torch.float64)
    mounted = torch.tensor([seat.bone_from_sensor for seat in seats], dtype=torch.float64)
    bones = pose.orientations[:, index].double()
    where = pose.positions[:, index].double() + rotate(bones, places)
    count = int((len(clip) - 1) / clip.fps * rate + 1e-9) + 1
    when = np.arange(count) / rate
    orientations = multiply(turn, multiply(bones, mounted))
    return measure(orientations, rotate(turn, where), clip.fps, when, field, tuple(joints))


def measure(
    orientations: Float[Tensor, "t s 4"],
    positions: Float[Tensor, "t s 3"],
    fps: float,
    when: np.ndarray,
    field: tuple[float, float, float] = FIELD,
    names: tuple[str, ...] = (),
) -> SensorTruth:
    """Perfect sensors that move along given poses, at the times `when`, seconds from the first."""
    knots = np.arange(len(positions)) / fps
    path = make_interp_spline(knots, positions.numpy(), k=5 if len(knots) > 5 else 3)
    rotations, gyro = _turning(knots, orientations, when)
    velocity, acceleration = (torch.from_numpy(path(when, nu)) for nu in (1, 2))
    inward = conjugate(rotations)
    force = acceleration + torch.tensor([0.0, 0.0, GRAVITY], dtype=torch.float64)
    mag = torch.tensor(field, dtype=torch.float64).expand_as(force)
    samples = ImuSamples(
        1.0 / float(when[1] - when[0]), gyro, rotate(inward, force), rotate(inward, mag), names
    )
    return SensorTruth(samples, rotations, torch.from_numpy(path(when)), velocity)


def _turning(
    knots: np.ndarray, orientations: Float[Tensor, "t s 4"], when: np.ndarray
) -> tuple[Float[Tensor, "n s 4"], Float[Tensor, "n s 3"]]:
    """Orientation and angular velocity, the latter in the sensor's axes, by a spline a sensor."""
    turned, rates = [], []
    for sensor in orientations.unbind(1):
        spline = RotationSpline(knots, Rotation.from_quat(sensor.numpy()))
        turned.append(spline(when).as_quat())
        rates.append(spline(when, 1))
    return torch.from_numpy(np.stack(turned, 1)), torch.from_numpy(np.stack(rates, 1))


def disturbed(samples: ImuSamples, faults: SensorFaults) -> ImuSamples:
    """The samples as an inexpensive sensor would give them."""
    generator = torch.Generator().manual_seed(faults.seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    def direction() -> Tensor:
        return torch.nn.functional.normalize(normal(samples.gyro.shape[1], 3), dim=-1)

    shape = samples.gyro.shape
    walk = faults.gyro_walk / samples.rate**0.5 * normal(*shape).cumsum(0)
    gyro = samples.gyro + faults.gyro_bias * direction() + walk + faults.gyro_std * normal(*shape)
    acc = samples.acc + faults.acc_bias * direction() + faults.acc_std * normal(*shape)
    mag = None if samples.mag is None else samples.mag + faults.mag_std * normal(*shape)
    return replace(samples, gyro=gyro, acc=acc, mag=mag)


def logs_of(samples: ImuSamples, lost: float = 0.0, seed: int = 0) -> list[ImuLog]:
    """The samples as logs of sensors that lose some of them on the way.

    Args:
        samples: Named for parts of the body.
        lost: Share of samples that do not arrive.
        seed: Of which do not.
    """
    generator = torch.Generator().manual_seed(seed)
    seconds = 100.0 + torch.arange(len(samples)).double() / samples.rate
    logs = []
    for sensor, name in enumerate(samples.names):
        kept = torch.rand(len(samples), generator=generator) >= lost
        kept[0] = kept[-1] = True
        inertial = torch.cat((samples.gyro[kept, sensor], samples.acc[kept, sensor]), dim=1)
        mag = None if samples.mag is None else Series(seconds[kept], samples.mag[kept, sensor])
        logs.append(ImuLog(name, Series(seconds[kept], inertial), mag))
    return logs
