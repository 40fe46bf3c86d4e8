"""Ways in and out of the one convention, and a look at which one a log was written in.

In here the earth is ENU: x east, y north, z up; the accelerometer at rest reads +g upward (it feels
what holds it, not what pulls it); quaternions x, y, z, w take the sensor to the earth. Others in
use: NED (x north, y east, z down), NWU (x north, y west, z up), Y up as in a clip, an accelerometer
that reads -g, quaternions the other way round, a gyroscope in deg/s or of the other sign. A wrong
guess does not fail, it gives a person lying on the side or turning backwards; so `findings` tests
each of these on the data and says in one sentence what it saw.

T samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.files.imu import GRAVITY, ImuLog
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_matrix,
    rotate,
    rotvec_from_quaternion,
)

__all__ = [
    "Earth",
    "Evidence",
    "clip_from_enu",
    "enu_from",
    "evidence",
    "findings",
    "flipped_force",
]

Earth = Literal["ENU", "NED", "NWU", "clip"]

_ENU_FROM = {  # columns are the axes of the other frame, seen in ENU
    "ENU": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
    "NED": [[0.0, 1, 0], [1, 0, 0], [0, 0, -1]],
    "NWU": [[0.0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "clip": [[0.0, 0, 1], [1, 0, 0], [0, 1, 0]],
}
MOVING = 0.3  # rad/s: above this the gyroscope says something about its sign and unit
CALM = 3.0  # m/s^2: the force is taken as gravity while its length is within this of its mean
WRONG_UNIT = 3.0  # times too much or too little, beyond any fault of calibration


def enu_from(earth: Earth) -> Float[Tensor, "4"]:
    """Quaternion that takes vectors of another earth frame to ENU."""
    return quaternion_from_matrix(torch.tensor(_ENU_FROM[earth], dtype=torch.float64))


def clip_from_enu() -> Float[Tensor, "4"]:
    """Quaternion that takes ENU to a clip's world: (x, y, z) -> (y, z, x), so north is +X."""
    return conjugate(enu_from("clip"))


def flipped_force(acc: Float[Tensor, "*t 3"]) -> Float[Tensor, "*t 3"]:
    """The specific force of a sensor that reports gravity's pull, -g at rest, instead."""
    return -acc


@dataclass(frozen=True)
class Evidence:
    """What a log says about its own convention.

    Attributes:
        gravity: Length of the force over the still part, m/s^2.
        gyro_scale: Turn that the force's direction shows over the turn that the gyroscope says; 1
            where all is well, -1 for the other sign, 57 for rad/s labelled deg/s; NaN where the
            sensor hardly moved.
        up: Mean of the force in the frame of the log's own quaternions, in g; (0, 0, 1) in a frame
            whose z is up. NaN without quaternions.
        forward: Correlation of the quaternions' turns with the gyroscope, taken as earth from
            sensor.
        backward: The same, taken as sensor from earth.
        dip: Sine of the field's angle below the level; above 0 north of the equator.
        quiet_gyro: Median angular speed over the stillest second, rad/s.
    """

    gravity: float
    gyro_scale: float
    up: tuple[float, float, float]
    forward: float
    backward: float
    dip: float
    quiet_gyro: float


def evidence(log: ImuLog) -> Evidence:
    """Measure what tells one convention from another."""
    seconds, values = _whole(log.inertial.seconds, log.inertial.values)
    gyro, acc = values[:, :3], values[:, 3:]
    speed = gyro.norm(dim=-1)
    still = speed <= speed.quantile(0.2)
    up, forward, backward = (torch.nan,) * 3, np.nan, np.nan
    if log.orientation is not None:
        own = _at(log.orientation.seconds, log.orientation.values, seconds)
        mean = rotate(own, acc).mean(0) / GRAVITY
        up = (float(mean[0]), float(mean[1]), float(mean[2]))
        forward, backward = (_turning(q, gyro, seconds) for q in (own, conjugate(own)))
    return Evidence(
        gravity=float(acc[still].norm(dim=-1).median()),
        gyro_scale=_gyro_scale(gyro, acc, seconds),
        up=up,
        forward=forward,
        backward=backward,
        dip=_dip(log, seconds, acc),
        quiet_gyro=float(speed[still].median()),
    )


def _whole(
    seconds: Float[Tensor, "t"], values: Float[Tensor, "t n"]
) -> tuple[Float[Tensor, "t"], Float[Tensor, "t n"]]:
    whole = values.isfinite().all(-1)
    return seconds[whole], values[whole].double()


def _at(
    seconds: Float[Tensor, "t"], quaternions: Float[Tensor, "t 4"], when: Float[Tensor, "k"]
) -> Float[Tensor, "k 4"]:
    """The nearest quaternion to each time."""
    seconds, quaternions = _whole(seconds, quaternions)
    after = torch.searchsorted(seconds, when).clamp(1, len(seconds) - 1)
    nearer = (when - seconds[after - 1]) < (seconds[after] - when)
    return quaternions[after - nearer.long()]


def _turning(
    quaternions: Float[Tensor, "t 4"], gyro: Float[Tensor, "t 3"], seconds: Float[Tensor, "t"]
) -> float:
    """Correlation of the turns between neighbours with the gyroscope's."""
    step = multiply(conjugate(quaternions[:-1]), quaternions[1:])
    said = rotvec_from_quaternion(step) / (seconds[1:] - seconds[:-1]).unsqueeze(-1)
    both = (said * gyro[1:]).sum() / (said.norm() * gyro[1:].norm()).clamp(min=1e-12)
    return float(both)


def _gyro_scale(
    gyro: Float[Tensor, "t 3"], acc: Float[Tensor, "t 3"], seconds: Float[Tensor, "t"]
) -> float:
    """Least squares of d' = -s w x d, with d the force's direction while it is mostly gravity.

    d' is measured from the neighbours on both sides, and the force smoothed over five samples,
    since human accelerations would drown it else.
    """
    length = acc.norm(dim=-1)
    kernel = torch.ones(1, 1, 5, dtype=torch.float64) / 5.0

    def smooth(values: Tensor) -> Tensor:
        return torch.nn.functional.conv1d(values.T.unsqueeze(1), kernel).squeeze(1).T

    d = torch.nn.functional.normalize(smooth(acc), dim=-1)
    w, time = smooth(gyro), seconds[2:-2]
    change = (d[2:] - d[:-2]) / (time[2:] - time[:-2]).unsqueeze(-1)
    model = -torch.linalg.cross(w[1:-1], d[1:-1])
    calm = (length[3:-3] - length.median()).abs() < CALM / GRAVITY * length.median()
    used = calm & (model.norm(dim=-1) > 0.0) & (change.norm(dim=-1) > MOVING)
    if used.sum() < 20:
        return float("nan")
    return float((model[used] * change[used]).sum() / model[used].square().sum())


def _dip(log: ImuLog, seconds: Float[Tensor, "t"], acc: Float[Tensor, "t 3"]) -> float:
    """Median of -sin of the angle between field and force."""
    if log.magnetic is None:
        return float("nan")
    when, field = _whole(log.magnetic.seconds, log.magnetic.values)
    if len(when) < 2:
        return float("nan")
    columns = [np.interp(seconds.numpy(), when.numpy(), column.numpy()) for column in field.T]
    at = torch.from_numpy(np.stack(columns, axis=-1))
    product = (at * acc).sum(-1) / (at.norm(dim=-1) * acc.norm(dim=-1)).clamp(min=1e-12)
    return float(-product.median())


def findings(log: ImuLog) -> tuple[Finding, ...]:
    """Sentences on whatever looks to be of another convention; none where all is well."""
    seen = evidence(log)
    said = [
        _gravity(seen, log.name),
        _gyro(seen, log.name),
        _world(seen, log.name),
        _direction(seen, log.name),
        _hemisphere(seen, log.name),
    ]
    return tuple(
        Finding("imu", severity, text, advice) for severity, text, advice in filter(None, said)
    )


Said = tuple[Literal["info", "warning", "error"], str, str] | None


def _gravity(seen: Evidence, name: str) -> Said:
    if GRAVITY / 1.15 < seen.gravity < 1.15 * GRAVITY:
        return None
    return (
        "error" if not GRAVITY / WRONG_UNIT < seen.gravity < WRONG_UNIT * GRAVITY else "warning",
        f"the accelerometer of {name} reads {seen.gravity:.3g} m/s^2 at rest instead of 9.81, so "
        "its unit is wrong or it is not calibrated",
        "correct the unit in the header of Inertial.csv or calibrate the sensor",
    )


def _gyro(seen: Evidence, name: str) -> Said:
    scale = seen.gyro_scale
    if np.isnan(scale) or 1.0 / WRONG_UNIT < scale < WRONG_UNIT:
        return None
    if scale < 0.0:
        text = f"the gyroscope of {name} turns against its accelerometer (factor {scale:.2f}), so "
        return ("error", text + "one of them has its axes or its sign reversed", "flip its signs")
    text = f"gravity turns {scale:.3g} times as fast as the gyroscope of {name} says, so "
    advice = "correct the unit in the header of Inertial.csv"
    return ("error", text + "its unit is not the one that the header states", advice)


def _world(seen: Evidence, name: str) -> Said:
    up = np.array(seen.up)
    if not np.isfinite(up).all() or np.linalg.norm(up) < 0.7 or up[2] > 0.7:
        return None
    if up[2] < -0.7:
        text = f"the quaternions of {name} put the force of rest at -z, so their frame is z down "
        text += "(NED) or the accelerometer reads -g at rest"
        return ("warning", text, "give --earth NED or --flip-force True")
    axis = "xyz"[int(np.abs(up).argmax())]
    text = (
        f"the quaternions of {name} put the force of rest along {axis}, not z, so their frame is "
    )
    return ("warning", text + "not z up", "give --earth clip for a frame with y up")


def _direction(seen: Evidence, name: str) -> Said:
    if np.isnan(seen.forward) or seen.backward < seen.forward + 0.2:
        return None
    text = f"the quaternions of {name} turn with its gyroscope only when inverted (correlation "
    text += f"{seen.backward:.2f} against {seen.forward:.2f}), so they are sensor from earth"
    return ("warning", text, "conjugate them in Quaternion.csv")


def _hemisphere(seen: Evidence, name: str) -> Said:
    if np.isnan(seen.dip) or seen.dip > -0.3:
        return None
    text = f"the magnetic field at {name} points up, not down: the take is from south of the "
    text += "equator, or the accelerometer reads -g at rest"
    return ("info", text, "give --flip-force True if the take is from the north")
