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

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.strapdown import integrate_gyro
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
]

Earth = Literal["ENU", "NED", "NWU", "clip"]

_ENU_FROM = {  # columns are the axes of the other frame, seen in ENU
    "ENU": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
    "NED": [[0.0, 1, 0], [1, 0, 0], [0, 0, -1]],
    "NWU": [[0.0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "clip": [[0.0, 0, 1], [1, 0, 0], [0, 1, 0]],
}
FACTORS = (1.0, -1.0, 180.0 / math.pi, math.pi / 180.0)  # signs and units that get confused
WANDER = math.radians(6.0)  # of gravity within a second, at most, with a gyroscope that is right
MUCH_WORSE = 1.5  # times as far as with the best factor
AGAINST = -0.7  # correlation of quaternions and gyroscope when one of them is reversed
WRONG_UNIT = 3.0  # times too much or too little g, beyond any fault of calibration


def enu_from(earth: Earth) -> Float[Tensor, "4"]:
    """Quaternion that takes vectors of another earth frame to ENU."""
    return quaternion_from_matrix(torch.tensor(_ENU_FROM[earth], dtype=torch.float64))


def clip_from_enu() -> Float[Tensor, "4"]:
    """Quaternion that takes ENU to a clip's world: (x, y, z) -> (y, z, x), so north is +X."""
    return conjugate(enu_from("clip"))


def converted(log: ImuLog, earth: Earth = "ENU", flip_force: bool = False) -> ImuLog:
    """A log in the one convention, and without quaternions that are none.

    Args:
        log: As it was written.
        earth: Frame that its own quaternions turn the sensor to.
        flip_force: Whether its accelerometer reads gravity's pull, -g at rest, instead of +g.
    """
    inertial, own = log.inertial, log.orientation
    if flip_force:
        signs = torch.tensor([1.0, 1, 1, -1, -1, -1], dtype=torch.float64)
        inertial = replace(inertial, values=signs * inertial.values)
    if own is not None:
        whole = own.values.isfinite().all(-1)
        turned = multiply(enu_from(earth), own.values[whole])
        own = replace(own, seconds=own.seconds[whole], values=turned) if whole.sum() > 1 else None
    return replace(log, inertial=inertial, orientation=own)


@dataclass(frozen=True)
class Evidence:
    """What a log says about its own convention.

    Attributes:
        gravity: Length of the force over the still part, m/s^2.
        gyro_factor: What the gyroscope has to be multiplied with so that gravity stays where it is:
            1, or -1 for the other sign, or 57.3 or its inverse for a wrong unit.
        wander: How far gravity goes within a second with that factor, radians.
        wander_as_logged: The same with factor 1.
        up: Mean of the force in the frame of the log's own quaternions, in g; (0, 0, 1) in a frame
            whose z is up. NaN without quaternions.
        forward: Correlation of the quaternions' turns with the gyroscope, taken as earth from
            sensor.
        backward: The same, taken as sensor from earth.
        dip: Sine of the field's angle below the level; above 0 north of the equator.
        quiet_gyro: Median angular speed over the stillest second, rad/s.
    """

    gravity: float
    gyro_factor: float
    wander: float
    wander_as_logged: float
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
    factor, wander, as_logged = _gyro_factor(gyro, acc, seconds)
    up, forward, backward = (torch.nan,) * 3, np.nan, np.nan
    if log.orientation is not None:
        own = _at(log.orientation.seconds, log.orientation.values, seconds)
        mean = rotate(own, acc).mean(0) / GRAVITY
        up = (float(mean[0]), float(mean[1]), float(mean[2]))
        forward, backward = (_turning(q, gyro, seconds) for q in (own, conjugate(own)))
    return Evidence(
        gravity=float(acc[still].norm(dim=-1).median()),
        gyro_factor=factor,
        wander=wander,
        wander_as_logged=as_logged,
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


def _gyro_factor(
    gyro: Float[Tensor, "t 3"], acc: Float[Tensor, "t 3"], seconds: Float[Tensor, "t"]
) -> tuple[float, float, float]:
    """The factor that makes the gyroscope hold gravity still; wandering with it and as logged.

    With the right factor the force, turned to the earth and averaged, keeps its direction from one
    second to the next; with a wrong one it goes wherever the sensor leans.
    """
    step = float((seconds[1:] - seconds[:-1]).median())
    wander = {factor: _wander(factor * gyro, acc, 1.0 / step) for factor in FACTORS}
    best = min(wander, key=lambda factor: wander[factor])
    return best, wander[best], wander[1.0]


def _wander(gyro: Float[Tensor, "t 3"], acc: Float[Tensor, "t 3"], rate: float) -> float:
    """Median angle between the mean forces of one second and the next, radians."""
    turned = integrate_gyro(ImuSamples(rate, gyro[:, None], acc[:, None]))[:, 0]
    force, second = rotate(turned, acc), max(1, round(rate))
    sums = torch.cat((torch.zeros(1, 3, dtype=torch.float64), force.cumsum(0)))
    mean = torch.nn.functional.normalize(sums[second:] - sums[:-second], dim=-1)
    if len(mean) <= second:
        return 0.0
    cosine = (mean[second:] * mean[:-second]).sum(-1).clamp(-1.0, 1.0)
    return float(torch.arccos(cosine).median())


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
    if seen.forward < AGAINST:
        text = f"the quaternions of {name} turn against its gyroscope (correlation "
        text += f"{seen.forward:.2f}), so the sign of one of them is the other one"
        return ("error", text, "multiply the gyroscope's columns by -1 in Inertial.csv")
    if seen.wander_as_logged < max(WANDER, MUCH_WORSE * seen.wander):
        return None
    text = f"gravity wanders by {math.degrees(seen.wander_as_logged):.0f} deg a second in {name} "
    text += f"and by {math.degrees(seen.wander):.0f} when its gyroscope is multiplied by "
    text += f"{seen.gyro_factor:.3g}, so "
    if seen.gyro_factor < 0.0:
        text += "its sign or the accelerometer's is the other one"
        return ("error", text, "multiply the gyroscope's columns by -1 in Inertial.csv")
    text += "its unit is not the one that the header states"
    return ("error", text, "correct the unit in the header of Inertial.csv")


def _world(seen: Evidence, name: str) -> Said:
    up = np.array(seen.up)
    if not np.isfinite(up).all() or np.linalg.norm(up) < 0.7 or up[2] > 0.7:
        return None
    if up[2] < -0.7:
        text = f"the quaternions of {name} put the force of rest at -z, so their frame is z down "
        text += "(NED) or the accelerometer reads -g at rest"
        return ("warning", text, "give --earth NED or --flip-force")
    axis = "xyz"[int(np.abs(up).argmax())]
    text = (
        f"the quaternions of {name} put the force of rest along {axis}, not z, so their frame is "
    )
    return ("warning", text + "not z up", "give --earth clip for a frame with y up")


def _direction(seen: Evidence, name: str) -> Said:
    if np.isnan(seen.forward) or seen.backward < max(-AGAINST, seen.forward + 0.2):
        return None
    text = f"the quaternions of {name} turn with its gyroscope only when inverted (correlation "
    text += f"{seen.backward:.2f} against {seen.forward:.2f}), so they are sensor from earth"
    return ("warning", text, "conjugate them in Quaternion.csv")


def _hemisphere(seen: Evidence, name: str) -> Said:
    if np.isnan(seen.dip) or seen.dip > -0.3:
        return None
    text = f"the magnetic field at {name} points up, not down: the take is from south of the "
    text += "equator, or the accelerometer reads -g at rest"
    return ("info", text, "if the take is from the north, change --flip-force")
