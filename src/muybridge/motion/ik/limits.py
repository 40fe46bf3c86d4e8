"""Joint limits of a skeleton: swing-twist angles within ranges, in a frame that fits its rest pose.

J joints, L of them limited. The human ranges are those of `motion.body`, given for a T-pose that
faces +Z; for another skeleton each joint's frame is turned so that its bone lies as in that T-pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import radians

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import (
    conjugate,
    cross_matrix,
    identity_quaternion,
    matrix_from_quaternion,
    multiply,
    rotate,
)
from muybridge.motion.body import LIMITS
from muybridge.motion.facing import rest_heading, yaw_quaternion
from muybridge.motion.humanoid import TRUNK, humanoid
from muybridge.motion.ik.two_bone import align
from muybridge.motion.jacobian import joint_angles, rotation_from_angles
from muybridge.motion.skeleton import Skeleton

__all__ = ["Limits", "human_limits"]

RANGES = {
    "spine": "Spine", "chest": "Spine1", "neck": "Neck", "head": "Head",
    "left_shoulder": "LeftShoulder", "left_upper_arm": "LeftArm", "left_lower_arm": "LeftForeArm",
    "left_upper_leg": "LeftUpLeg", "left_lower_leg": "LeftLeg", "left_foot": "LeftFoot",
}  # fmt: skip
BONES = {
    "spine": ("chest", "y", 1.0), "chest": ("neck", "y", 1.0), "neck": ("head", "y", 1.0),
    "left_shoulder": ("left_upper_arm", "x", 1.0),
    "left_upper_arm": ("left_lower_arm", "x", 1.0), "left_lower_arm": ("left_hand", "x", 1.0),
    "left_upper_leg": ("left_lower_leg", "y", -1.0), "left_lower_leg": ("left_foot", "y", -1.0),
}  # fmt: skip
HINGES = ("left_lower_arm", "right_lower_arm", "left_lower_leg", "right_lower_leg")
Row = tuple[int, Tensor, list[float], tuple[tuple[float, float], ...]]
ALIKE = radians(35.0)  # rest bones farther than this from the T-pose's have no comparable zero


@dataclass(frozen=True)
class Limits:
    """Ranges of swing-twist angles (`jacobian.joint_angles`).

    Attributes:
        joints: The limited joints.
        frames: Frame in which each joint's angles are taken, in that joint's own frame.
        axes: Twist axis, in that frame.
        lower, upper: Ranges, radians.
    """

    joints: tuple[int, ...]
    frames: Float[Tensor, "l 4"]
    axes: Float[Tensor, "l 3"]
    lower: Float[Tensor, "l 3"]
    upper: Float[Tensor, "l 3"]

    def take(self, joints: tuple[int, ...], rename: dict[int, int] | None = None) -> Limits:
        """The limits of these joints only, which get new numbers."""
        kept = [row for row, joint in enumerate(self.joints) if joint in joints]
        names = tuple((rename or {}).get(self.joints[k], self.joints[k]) for k in kept)
        return Limits(names, self.frames[kept], self.axes[kept], self.lower[kept], self.upper[kept])

    def angles(self, rotations: Float[Tensor, "*b l 4"]) -> Float[Tensor, "*b l 3"]:
        """Swing-twist angles of the local rotations of the limited joints, radians."""
        return joint_angles(self._inside(rotations), self.axes)

    def rotations(self, angles: Float[Tensor, "*b l 3"]) -> Float[Tensor, "*b l 4"]:
        """Local rotations from swing-twist angles."""
        turned = rotation_from_angles(angles, self.axes)
        return multiply(self.frames, multiply(turned, conjugate(self.frames)))

    @cached_property
    def frame(self) -> Float[Tensor, "l 3 3"]:
        """The frames as matrices."""
        return matrix_from_quaternion(self.frames)

    @cached_property
    def along(self) -> Float[Tensor, "l 3 3"]:
        """Projection on the twist axis."""
        return self.axes.unsqueeze(-1) * self.axes.unsqueeze(-2)

    @cached_property
    def across(self) -> Float[Tensor, "l 3 3"]:
        """Projection on the plane of the swing."""
        return torch.eye(3, dtype=self.axes.dtype) - self.along

    @cached_property
    def around(self) -> Float[Tensor, "l 3 3"]:
        """Cross product with the twist axis."""
        return cross_matrix(self.axes)

    def swing(self, angles: Float[Tensor, "*b l 3"]) -> Float[Tensor, "*b l 3"]:
        """Rotation vector of the swing: the part across the twist axis."""
        return angles - (angles * self.axes).sum(-1, keepdim=True) * self.axes

    def twist(self, angles: Float[Tensor, "*b l 3"]) -> Float[Tensor, "*b l 3 3"]:
        """Matrix of the twist: Rodrigues' formula about an axis that stays."""
        angle = (angles * self.axes).sum(-1)[..., None, None]
        return self.along + angle.cos() * self.across + angle.sin() * self.around

    def exceeded(self, rotations: Float[Tensor, "*b j 4"]) -> Float[Tensor, "*b l"]:
        """How far beyond its range each limited joint is, radians; 0 inside."""
        angles = self.angles(rotations[..., list(self.joints), :])
        return torch.maximum(self.lower - angles, angles - self.upper).clamp(min=0.0).amax(-1)

    def _inside(self, rotations: Float[Tensor, "*b l 4"]) -> Float[Tensor, "*b l 4"]:
        return multiply(conjugate(self.frames), multiply(rotations, self.frames))


def human_limits(skeleton: Skeleton) -> Limits:
    """Human ranges for the joints whose part of the body is known.

    Knees and elbows are always limited, since straight is straight in any rest pose; other joints
    only where their bone lies about as in a T-pose, which is where the ranges count from.
    """
    rows: list[Row] = []
    facing = yaw_quaternion(torch.tensor(rest_heading(skeleton), dtype=torch.float64))
    known = humanoid(skeleton)
    for part, joint in known.items():
        left = part.replace("right_", "left_")
        if left not in RANGES:
            continue
        limit = LIMITS[RANGES[left].replace("Left", "Right" if left != part else "Left")]
        frame = _frame(skeleton, known, part, facing)
        if frame is not None:
            axis = [float(letter == limit.axis) for letter in "xyz"]
            ranges = [(float(low), float(high)) for low, high in (limit.x, limit.y, limit.z)]
            rows.append((joint, frame, axis, tuple(ranges)))
    return _stacked(rows)


def _frame(
    skeleton: Skeleton, known: dict[str, int], part: str, facing: Float[Tensor, "4"]
) -> Float[Tensor, "4"] | None:
    """From the T-pose's axes to the joint's own; None if the rest poses are not alike."""
    left = part.replace("right_", "left_")
    if left not in BONES:
        return facing
    child, letter, sign = BONES[left]
    mirrored = -sign if left != part and letter == "x" else sign
    child = child if left == part else child.replace("left_", "right_")
    if child not in known:
        return facing if part in TRUNK else None
    usual = torch.tensor([mirrored * (c == letter) for c in "xyz"], dtype=torch.float64)
    usual = rotate(facing, usual)
    bone, joint = torch.zeros(3, dtype=torch.float64), known[child]
    while joint > known[part]:
        bone, joint = bone + skeleton.offsets[joint].double(), skeleton.parents[joint]
    turn = align(usual, bone, facing.new_tensor([0.0, 0.0, 1.0]))
    alike = 2.0 * float(turn[3].clamp(-1.0, 1.0).acos()) < ALIKE
    if joint != known[part] or not (alike or part in HINGES):
        return None
    return multiply(turn, facing)


def _stacked(rows: Sequence[Row]) -> Limits:
    if not rows:
        none = torch.zeros(0, 3, dtype=torch.float64)
        return Limits((), identity_quaternion(0), none, none, none)
    joints, frames, axes, ranges = zip(*rows, strict=True)
    bounds = torch.tensor(ranges, dtype=torch.float64).deg2rad()
    return Limits(
        tuple(joints),
        torch.stack(frames),
        torch.tensor(axes, dtype=torch.float64),
        bounds[..., 0],
        bounds[..., 1],
    )
