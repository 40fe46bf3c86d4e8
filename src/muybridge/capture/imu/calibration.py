"""How a sensor sits on its bone: from a pose that is known, and from a joint that is a hinge.

While the person stands still in an agreed pose, each bone's orientation is known up to the one
direction the person faces. What the sensor says then gives its seat,

    bone_from_sensor^-1 = q(pose)^-1 q_bone(pose),

and its bone at any time is q(t) bone_from_sensor^-1. Which way the person faces follows from the
legs, whose quickest turning in a walk is about the body's left-right axis.

T samples, S sensors. Earth: east, north, up. Quaternions x, y, z, w, earth from sensor.

References:
    Seel, Schauer & Raisch, Joint axis and position estimation from inertial measurement data by
    exploiting kinematic constraints, IEEE CCA 2012 (the hinge).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.imu.samples import ImuSamples
from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate

__all__ = ["CalibrationPose", "PoseWindow", "bone_in_pose", "facing", "hinge_axes", "pose_window"]

CalibrationPose = Literal["N", "T"]
STILL = math.radians(6.0)  # rad/s: a person who stands still sways less than this
HALF = math.sqrt(0.5)
_POSES: dict[CalibrationPose, dict[str, tuple[float, float, float, float]]] = {
    "T": {},
    "N": {  # arms hang: the left one turns from +X to -Y about Z, the right one from -X
        "LeftArm": (0.0, 0.0, -HALF, HALF),
        "RightArm": (0.0, 0.0, HALF, HALF),
    },
}


class PoseWindow(NamedTuple):
    """When the calibration pose was held: seconds, and how fast the quickest sensor turned."""

    start: float
    stop: float
    speed: float

    @property
    def still(self) -> bool:
        """Whether a person in a pose moves so little."""
        return self.speed < STILL


def bone_in_pose(bone: str, pose: CalibrationPose) -> Float[Tensor, "4"]:
    """Orientation of a bone in the pose, in a world whose +Z the person faces."""
    for end in ("ForeArm", "Hand"):  # these hang with the arm
        if bone.endswith(end):
            bone = bone.removesuffix(end) + "Arm"
    return torch.tensor(_POSES[pose].get(bone, (0.0, 0.0, 0.0, 1.0)), dtype=torch.float64)


def pose_window(
    seconds: Float[Tensor, "t"],
    speed: Float[Tensor, "t s"],
    length: float = 1.0,
    when: float | None = None,
    search: float = 15.0,
) -> PoseWindow:
    """The stillest `length` seconds near the beginning, or those around a time that is given.

    Args:
        seconds: Common times.
        speed: Angular speed of every sensor then, rad/s.
        length: Of the window, seconds.
        when: Middle of the window, seconds after the first time.
        search: How much of the beginning is looked at, seconds.
    Raises:
        InputError: If the time lies outside the take.
    """
    total = float(seconds[-1] - seconds[0])
    length = min(length, total)
    if when is not None:
        if not 0.0 <= when <= total:
            raise InputError(
                f"expected the calibration pose within the {total:.1f} s that all sensors share, "
                f"got {when:.1f} s; choose a time inside"
            )
        start = float(seconds[0]) + min(max(when - length / 2.0, 0.0), total - length)
        inside = (seconds >= start) & (seconds <= start + length)
        return PoseWindow(start, start + length, float(speed[inside].mean(0).max()))
    step = float(seconds[1] - seconds[0])
    count = max(1, round(length / step))
    sums = torch.cat((torch.zeros(1, speed.shape[1]).double(), speed.double().cumsum(0)))
    means = ((sums[count:] - sums[:-count]) / count).amax(-1)
    last = max(1, round(min(search, total) / step) - count + 1)
    # of moments nearly as still as the stillest, the first: people hold the pose, then move
    candidates = means[: min(last, len(means))]
    best = int((candidates <= 1.2 * candidates.min() + 1e-6).nonzero()[0])
    start = float(seconds[best])
    return PoseWindow(start, start + length, float(means[best]))


class Facing(NamedTuple):
    """Left-right axis of the person in the calibration pose.

    Attributes:
        angle: Of the direction that the person faces, radians from east towards north.
        trust: How much more the legs turned about this axis than about the one square to it, 0..1.
        agreement: Largest deviation of a single leg sensor's own axis, radians.
    """

    angle: float
    trust: float
    agreement: float


def facing(
    samples: ImuSamples, in_pose: Float[Tensor, "s 4"], moving: Bool[Tensor, "t"] | None = None
) -> Facing | None:
    """Which way the person faces in the pose, from how the leg sensors given turn.

    In the frame of the pose, a thigh or a shank in walking turns about +-left. The sign: a leg
    swings forward faster than it goes back, so the quickest turns are about -left.

    Args:
        samples: Sensors on thighs and shanks.
        in_pose: Their orientations in the pose.
        moving: Samples to use; all when None.
    Returns:
        None where the legs hardly moved.
    """
    gyro = rotate(in_pose, samples.gyro.double())
    level = gyro[..., :2] if moving is None else gyro[moving][..., :2]
    if len(level) == 0 or float(level.square().sum(-1).mean().sqrt()) < STILL:
        return None
    each = torch.einsum("tsi,tsj->sij", level, level)
    values, vectors = torch.linalg.eigh(each.sum(0))
    axis = vectors[:, 1]
    along = level @ axis
    if float((along**3).sum()) > 0.0:
        axis = -axis
    own = torch.linalg.eigh(each).eigenvectors[:, :, 1]
    off = torch.arccos((own @ axis).abs().clamp(max=1.0)).max()
    left = math.atan2(float(axis[1]), float(axis[0]))
    return Facing(left - math.pi / 2.0, float(1.0 - values[0] / values[1]), float(off))


def hinge_axes(
    first: Float[Tensor, "t 3"], second: Float[Tensor, "t 3"], rounds: int = 50
) -> tuple[Float[Tensor, "3"], Float[Tensor, "3"]]:
    """Axis of a hinge joint in the frames of the two sensors beside it, from their gyroscopes.

    What both share is the part of their turning that is square to the axis:
    |w1 x j1| = |w2 x j2| at all times. Gauss-Newton over the two unit vectors, from several starts.

    Args:
        first: Angular velocity on one side, rad/s, of the same times as the other.
        second: On the other side.
        rounds: Of Gauss-Newton.
    Returns:
        Unit vectors with one sign for both, so that they point the same way in the world.
    """
    starts = torch.eye(3, dtype=torch.float64)
    best, least = (starts[0], starts[0]), math.inf
    for one in starts:
        for two in starts:
            axes, cost = _hinge(first.double(), second.double(), one, two, rounds)
            if cost < least:
                best, least = axes, cost
    flip = float((first.double() @ best[0] * (second.double() @ best[1])).sum()) < 0.0
    return best[0], -best[1] if flip else best[1]


def _hinge(
    first: Float[Tensor, "t 3"],
    second: Float[Tensor, "t 3"],
    one: Float[Tensor, "3"],
    two: Float[Tensor, "3"],
    rounds: int,
) -> tuple[tuple[Float[Tensor, "3"], Float[Tensor, "3"]], float]:
    """Gauss-Newton from one start; axes and mean squared residual."""
    cost = math.inf
    for _ in range(rounds):
        parts, residual = [], 0.0
        for gyro, axis, sign in ((first, one, 1.0), (second, two, -1.0)):
            across = torch.linalg.cross(gyro, axis.expand_as(gyro))
            length = across.norm(dim=-1).clamp(min=1e-9)
            residual = residual + sign * length
            # d|w x j|/dj = (w x j) x w / |w x j|
            parts.append(sign * torch.linalg.cross(across, gyro) / length.unsqueeze(-1))
        jacobian = torch.cat(parts, dim=1)
        damped = jacobian.T @ jacobian + 1e-9 * len(first) * torch.eye(6, dtype=torch.float64)
        step = torch.linalg.solve(damped, jacobian.T @ residual)
        one = torch.nn.functional.normalize(one - step[:3], dim=0)
        two = torch.nn.functional.normalize(two - step[3:], dim=0)
        cost = float(torch.as_tensor(residual).square().mean())
    return (one, two), cost
