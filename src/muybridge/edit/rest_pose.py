"""Rest poses: how two skeletons stand at rest, and the constant turns between them.

At rest all joint frames of a skeleton are parallel to the world's, so its rest pose (A-pose,
T-pose, arms down) is in its offsets alone, and an orientation says how a joint has turned away from
it. Two rigs in one pose have the same bone directions, not the same orientations. The turn B of a
joint that lays the bone of one rest pose onto that of the other makes up for it once and for all:

    Q_target = Q_source B,   B u_target = u_source   (u: bone directions at rest).

B is the smallest turn after the body as a whole has been turned (rigs may look along other axes).
The joints of the trunk get no more than that: backs are drawn straight or curved at rest, but all
stand upright. Feet are turned about the vertical alone: soles are flat at rest, at whatever height
the ankle is drawn.

J joints.

References:
    GAMES-105, lab 1, part 3 (A-pose to T-pose by a constant turn of the shoulders).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import (
    conjugate,
    identity_quaternion,
    multiply,
    quaternion_from_matrix,
    rotate,
)
from muybridge.motion.clip import Clip
from muybridge.motion.ik.two_bone import align
from muybridge.motion.kinematics import Pose, forward, forward_clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["body_axes", "pose_of_frame", "rest_pose", "rest_turns"]

ALONG = {
    "upper_arm": ("lower_arm", "hand"), "lower_arm": ("hand",), "hand": (),
    "upper_leg": ("lower_leg", "foot"), "lower_leg": ("foot",), "foot": ("toes",), "toes": (),
}  # fmt: skip  # the part that a limb's bone points to
INHERITS = {"hand": "lower_arm", "toes": "foot"}  # no bone that both rigs have: as the one above
FLAT = ("foot",)
SIDES = ("left", "right")


def rest_pose(skeleton: Skeleton) -> Pose:
    """World pose at rest: the root at the origin, every orientation the identity."""
    offsets = skeleton.offsets.clone()
    offsets[0] = 0.0
    return forward(skeleton, identity_quaternion(len(skeleton), dtype=offsets.dtype), offsets)


def pose_of_frame(clip: Clip, frame: int) -> Pose:
    """The pose of one frame, to be used as rest pose: many recordings begin with a T-pose.

    Raises:
        InputError: If there is no such frame.
    """
    if not -len(clip) <= frame < len(clip):
        raise InputError(
            f"expected a frame of the {len(clip)} of {clip.name} as its rest pose, got {frame}; "
            "choose another one"
        )
    one = clip.frames(range(len(clip))[frame], range(len(clip))[frame] + 1)
    pose = forward_clip(one)
    return Pose(pose.positions[0], pose.orientations[0])


def body_axes(pose: Pose, parts: Mapping[str, int]) -> Float[Tensor, "4"]:
    """World from body: the turn from (left, up, front) = (x, y, z) to how a pose stands.

    Left is from right to left of hips and shoulders, up as near as can be to the world's vertical,
    so that a rest pose that looks another way is known. Of a skeleton that is drawn lying, as those
    of programs with Z up are, up is the axis along which the trunk lies.

    Raises:
        InputError: If neither hips nor shoulders are known.
    """
    left = torch.zeros(3, dtype=pose.positions.dtype)
    for limb in ("upper_leg", "upper_arm"):
        if f"left_{limb}" in parts and f"right_{limb}" in parts:
            left += pose.positions[parts[f"left_{limb}"]] - pose.positions[parts[f"right_{limb}"]]
    up = _up(pose, parts)
    left = left - left.dot(up) * up
    if float(left.norm()) < 1e-6:
        raise InputError(
            "expected left and right hips or shoulders apart from each other in the rest pose, got "
            "none; give the frame of a T-pose with --rest-frame, or names with --map"
        )
    left = left / left.norm()
    matrix = torch.stack((left, up, torch.linalg.cross(left, up)), dim=-1)
    return quaternion_from_matrix(matrix)


def _up(pose: Pose, parts: Mapping[str, int]) -> Float[Tensor, "3"]:
    """The world's vertical; the nearest axis to the trunk where that is farther than 60 degrees."""
    up = torch.tensor([0.0, 1.0, 0.0], dtype=pose.positions.dtype)
    arms = [parts[f"{side}_upper_arm"] for side in SIDES if f"{side}_upper_arm" in parts]
    if "hips" not in parts or not arms:
        return up
    trunk = pose.positions[arms].mean(0) - pose.positions[parts["hips"]]
    if float(trunk.dot(up)) >= 0.5 * float(trunk.norm()):
        return up
    axis = int(trunk.abs().argmax())
    return torch.eye(3, dtype=up.dtype)[axis] * trunk[axis].sign()


def rest_turns(
    source: tuple[Pose, Mapping[str, int]], target: tuple[Pose, Mapping[str, int]]
) -> dict[str, Float[Tensor, "4"]]:
    """The turn B of every part that both rigs have, from the target's rest pose to the source's.

    Args:
        source: Rest pose and parts of the rig that moves.
        target: Rest pose and parts of the rig that is to move likewise.
    """
    axes = body_axes(*source)
    whole = multiply(axes, conjugate(body_axes(*target)))
    (pose_s, parts_s), (pose_t, parts_t) = source, target
    turns: dict[str, Tensor] = {}
    shared = [name for name in parts_t if name in parts_s]
    for name in shared:
        side, _, limb = name.partition("_")
        aims = [f"{side}_{aim}" for aim in ALONG.get(limb, ())]
        aim = next((a for a in aims if a in shared), None)
        if aim is None:
            turns[name] = turns.get(f"{side}_{INHERITS.get(limb, '')}", whole)
            continue
        ends = [(parts_s[name], parts_s[aim]), (parts_t[name], parts_t[aim])]
        bone_s, bone_t = (
            pose.positions[b] - pose.positions[a]
            for pose, (a, b) in zip((pose_s, pose_t), ends, strict=True)
        )
        turns[name] = _lay(bone_t, bone_s, whole, axes, limb in FLAT)
    return turns


def _lay(
    bone: Float[Tensor, "3"],
    onto: Float[Tensor, "3"],
    whole: Float[Tensor, "4"],
    axes: Float[Tensor, "4"],
    flat: bool,
) -> Float[Tensor, "4"]:
    """The whole turn, then the smallest that lays one bone direction onto another."""
    up, front = rotate(axes.expand(2, 4), torch.eye(3, dtype=bone.dtype)[1:])
    turned, goal = rotate(whole, bone), onto
    if flat:
        turned, goal = (vector - vector.dot(up) * up for vector in (turned, goal))
    if min(float(turned.norm()), float(goal.norm())) < 1e-6:
        return whole
    return multiply(align(turned, goal, up if flat else front), whole)
