"""A walking figure made by formula: clips to try things on where there are no recordings.

The hips follow a path given by speed and turning; each foot stands still on the floor for three
fifths of a stride and swings to its next place in the rest; knees bend as they must. Nothing here
was measured on a person.

T frames. World frame: metres, Y up, +Z forward; seconds, radians.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import (
    conjugate,
    identity_quaternion,
    multiply,
    quaternion_from_matrix,
    quaternion_from_rotvec,
    rotate,
)
from muybridge.motion.clip import Clip
from muybridge.motion.facing import yaw_quaternion
from muybridge.motion.skeleton import Skeleton

__all__ = ["FIGURE", "Gait", "procedural_walk"]

THIGH = SHIN = 0.45  # metres
ANKLE = 0.08  # height of a standing ankle
HIP = 0.10  # from the middle

_JOINTS = (
    ("Hips", "", (0.0, 0.9, 0.0)),
    ("Spine", "Hips", (0.0, 0.10, 0.0)),
    ("Chest", "Spine", (0.0, 0.20, 0.0)),
    ("Head", "Chest", (0.0, 0.30, 0.0)),
    ("LeftArm", "Chest", (0.18, 0.20, 0.0)),
    ("LeftForeArm", "LeftArm", (0.0, -0.28, 0.0)),
    ("LeftHand", "LeftForeArm", (0.0, -0.25, 0.0)),
    ("RightArm", "Chest", (-0.18, 0.20, 0.0)),
    ("RightForeArm", "RightArm", (0.0, -0.28, 0.0)),
    ("RightHand", "RightForeArm", (0.0, -0.25, 0.0)),
    ("LeftUpLeg", "Hips", (HIP, 0.0, 0.0)),
    ("LeftLeg", "LeftUpLeg", (0.0, -THIGH, 0.0)),
    ("LeftFoot", "LeftLeg", (0.0, -SHIN, 0.0)),
    ("LeftToeBase", "LeftFoot", (0.0, -0.05, 0.14)),
    ("RightUpLeg", "Hips", (-HIP, 0.0, 0.0)),
    ("RightLeg", "RightUpLeg", (0.0, -THIGH, 0.0)),
    ("RightFoot", "RightLeg", (0.0, -SHIN, 0.0)),
    ("RightToeBase", "RightFoot", (0.0, -0.05, 0.14)),
)
_NAMES = tuple(name for name, *_ in _JOINTS)

FIGURE = Skeleton(
    _NAMES,
    tuple(_NAMES.index(parent) if parent else -1 for _, parent, _ in _JOINTS),
    torch.tensor([offset for *_, offset in _JOINTS], dtype=torch.float64),
)


@dataclass(frozen=True)
class Gait:
    """How the figure walks.

    Attributes:
        stride: Seconds from a left footfall to the next.
        stance: Share of the stride that a foot stands.
        lift: Height of a foot in mid-swing at 1 m/s, metres.
        swing: Turn of an upper arm to either side at 1 m/s, radians.
        phase: Share of the stride gone at the first frame.
    """

    stride: float = 1.05
    stance: float = 0.6
    lift: float = 0.07
    swing: float = 0.5
    phase: float = 0.0


def procedural_walk(
    speed: Float[Tensor, "t"],
    turn: Float[Tensor, "t"],
    fps: float = 60.0,
    gait: Gait | None = None,
    name: str = "walk",
) -> Clip:
    """The figure walking from the origin, along +Z at first.

    Args:
        speed: Of each frame, metres/second; 0 to about 1.5, above which the legs are too short.
        turn: Of each frame, radians/second, to the left (from +Z to +X).
        fps: Frames a second.
        gait: Timing and sizes.
        name: Of the clip.
    """
    gait = gait or Gait()
    heading = _sum(turn, fps)
    ahead = torch.stack((heading.sin(), torch.zeros_like(heading), heading.cos()), dim=-1)
    path = torch.stack([_sum(column, fps) for column in (speed.unsqueeze(-1) * ahead).T], dim=-1)
    phase = gait.phase + torch.arange(len(speed), dtype=speed.dtype) / (gait.stride * fps)
    effort = speed.clamp(max=1.0)
    bounce = 0.015 * effort * (4.0 * torch.pi * phase).cos()
    root = path + torch.stack((0.0 * bounce, 0.79 + ANKLE + bounce, 0.0 * bounce), dim=-1)
    rotations = identity_quaternion(len(speed), len(FIGURE))
    facing = yaw_quaternion(heading)
    rotations[:, 0] = facing
    for side, start in (("Left", 0.0), ("Right", 0.5)):
        ankle = _ankle(path, heading, effort, phase + start, side, gait, fps)
        thigh, shin = _leg(root, facing, ankle, side)
        upper = FIGURE.index(f"{side}UpLeg")
        rotations[:, upper : upper + 3] = torch.stack(
            (multiply(conjugate(facing), thigh), multiply(conjugate(thigh), shin),
             multiply(conjugate(shin), facing)), dim=1,
        )  # fmt: skip
        back = (2.0 * torch.pi * (phase + start)).cos() * gait.swing * effort
        arm = FIGURE.index(f"{side}Arm")
        rotations[:, arm] = _pitch(back)
        rotations[:, arm + 1] = _pitch(-0.35 - 0.2 * effort)
    rotations[:, FIGURE.index("Spine")] = _pitch(0.05 * effort)
    return Clip(FIGURE, rotations, root, fps, name)


def _sum(rate: Float[Tensor, "t"], fps: float) -> Float[Tensor, "t"]:
    """Integral from the first frame, by trapezia."""
    steps = 0.5 * (rate[1:] + rate[:-1]) / fps
    return torch.cat((rate.new_zeros(1), steps.cumsum(0)))


def _pitch(angle: Float[Tensor, "t"]) -> Float[Tensor, "t 4"]:
    """A turn about the figure's own left axis: what hangs down swings back for angles above 0."""
    return quaternion_from_rotvec(torch.nn.functional.pad(angle.unsqueeze(-1), (0, 2)))


def _ankle(
    path: Float[Tensor, "t 3"],
    heading: Float[Tensor, "t"],
    effort: Float[Tensor, "t"],
    phase: Float[Tensor, "t"],
    side: str,
    gait: Gait,
    fps: float,
) -> Float[Tensor, "t 3"]:
    """World position of an ankle: it stands beside where the hips are in the middle of its stance.

    Stances of number k have their middle where the phase is k.
    """
    number = (phase + 0.5).floor()
    since = phase - number  # -0.5 .. 0.5 of a stride from the middle of the nearest stance
    half = gait.stance / 2.0
    swing = ((since.abs() - half) / (1.0 - gait.stance)).clamp(min=0.0)  # 0 .. 0.5
    swing = torch.where(since < 0.0, 1.0 - swing, swing)
    share = torch.where(
        since.abs() <= half, 0.0 * swing, swing**3 * (10 - 15 * swing + 6 * swing**2)
    )
    before = torch.where((since < -half), number - 1.0, number)
    offset = HIP if side == "Left" else -HIP

    def planted(stance: Tensor) -> Tensor:
        at = ((stance - phase[0]) * gait.stride * fps).numpy()
        frames = np.arange(len(path))
        x, z, angle = (_beyond(at, frames, v.numpy()) for v in (path[:, 0], path[:, 2], heading))
        return torch.stack(
            (x + offset * angle.cos(), 0.0 * x + ANKLE, z - offset * angle.sin()), -1
        )

    place = torch.lerp(planted(before), planted(before + 1.0), share.unsqueeze(-1))
    raised = gait.lift * effort * (torch.pi * share).sin().square()
    return place + torch.nn.functional.pad(raised.unsqueeze(-1), (1, 1))


def _beyond(at: np.ndarray, frames: np.ndarray, values: np.ndarray) -> Tensor:
    """Linear interpolation that goes on straight beyond the ends."""
    inside = np.interp(at, frames, values)
    before = np.minimum(at, 0.0) * (values[1] - values[0])
    after = np.maximum(at - frames[-1], 0.0) * (values[-1] - values[-2])
    return torch.from_numpy(inside + before + after)


def _leg(
    root: Float[Tensor, "t 3"], facing: Float[Tensor, "t 4"], ankle: Float[Tensor, "t 3"], side: str
) -> tuple[Float[Tensor, "t 4"], Float[Tensor, "t 4"]]:
    """World orientations of thigh and shin whose knee points ahead."""
    hip = root + rotate(facing, FIGURE.offsets[FIGURE.index(f"{side}UpLeg")])
    way = ankle - hip
    length = way.norm(dim=-1).clamp(max=0.999 * (THIGH + SHIN))
    down = torch.nn.functional.normalize(way, dim=-1)
    left = rotate(facing, torch.tensor([1.0, 0.0, 0.0], dtype=root.dtype))
    left = torch.nn.functional.normalize(left - (left * down).sum(-1, keepdim=True) * down, dim=-1)
    bend = (length / (2.0 * THIGH)).acos()  # equal bones: an isosceles triangle
    return _hanging(down, left, bend), _hanging(down, left, -bend)


def _hanging(
    down: Float[Tensor, "t 3"], left: Float[Tensor, "t 3"], bend: Float[Tensor, "t"]
) -> Float[Tensor, "t 4"]:
    """Orientation of a bone that hangs along `down`, turned ahead by an angle."""
    ahead = torch.linalg.cross(down, left)  # -y cross x = z
    c, s = bend.cos().unsqueeze(-1), bend.sin().unsqueeze(-1)
    up = -(c * down + s * ahead)
    return quaternion_from_matrix(torch.stack((left, up, torch.linalg.cross(left, up)), dim=-1))
