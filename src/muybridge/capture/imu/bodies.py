"""Sensors with known seats become a clip: bone orientations, local rotations, root path, contacts.

F frames, J joints, S sensors. World of the clip: Y up, metres.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.imu.calibration import CalibrationPose, bone_in_pose
from muybridge.capture.imu.root import bearing, planted_root
from muybridge.capture.imu.skeleton import skeleton_of, sole_points
from muybridge.geometry.rotation import (
    conjugate,
    identity_quaternion,
    multiply,
    rotate,
    slerp,
    unroll,
)
from muybridge.motion.clip import Clip
from muybridge.motion.contacts import detect, settled
from muybridge.motion.facing import yaw_quaternion
from muybridge.motion.kinematics import forward
from muybridge.motion.skeleton import Skeleton

__all__ = ["body_clip", "bone_orientations", "with_root"]

FEET = ("LeftFoot", "RightFoot")
BETWEEN = {"Spine": ("Hips", "Spine1"), "Neck": ("Spine1", "Head")}  # half of the turn above


def bone_orientations(
    sensors: Float[Tensor, "f s 4"],
    in_pose: Float[Tensor, "s 4"],
    bones: Mapping[str, int],
    pose: CalibrationPose,
) -> dict[str, Float[Tensor, "f 4"]]:
    """World orientation of every bone that has a sensor.

    Args:
        sensors: Orientations in a world whose +Z the person faced in the pose.
        in_pose: The same, during the pose.
        bones: Bone -> sensor.
        pose: The calibration pose.
    """
    turned = {}
    for bone, sensor in bones.items():
        sensor_from_bone = multiply(conjugate(in_pose[sensor]), bone_in_pose(bone, pose))
        turned[bone] = multiply(sensors[:, sensor], sensor_from_bone)
    return turned


def body_clip(
    turned: Mapping[str, Float[Tensor, "f 4"]],
    bridged: Mapping[str, Bool[Tensor, "f"]],
    stature: float,
    fps: float,
) -> Clip:
    """A clip with its root at rest height; joints without a sensor are marked as filled.

    Args:
        turned: World orientation of each measured bone.
        bridged: Frames in which each was not measured after all.
        stature: Body height, metres.
        fps: Frames a second.
    """
    skeleton = skeleton_of(tuple(turned), stature)
    count = len(next(iter(turned.values())))
    world = dict(turned)
    if "Hips" not in world:
        world["Hips"] = _carrier(turned, count)
    for name, (below, above) in BETWEEN.items():
        if name in skeleton.names and above in world and below in world:
            half = torch.full((count,), 0.5, dtype=torch.float64)
            world[name] = slerp(world[below], world[above], half)
    rotations = _local(skeleton, world, count)
    filled = torch.ones(count, len(skeleton), dtype=torch.bool)
    for bone in turned:
        filled[:, skeleton.index(bone)] = bridged[bone]
    root = skeleton.offsets[:1].expand(count, -1).clone()
    return Clip(skeleton, unroll(rotations), root, fps, filled=filled)


def _carrier(turned: Mapping[str, Float[Tensor, "f 4"]], count: int) -> Float[Tensor, "f 4"]:
    """A pelvis that no sensor shows: it turns with the chest, or upright with the thighs."""
    if "Spine1" in turned:
        return turned["Spine1"]
    sides = [turned[name] for name in ("LeftUpLeg", "RightUpLeg") if name in turned]
    if not sides:
        return identity_quaternion(count)
    left = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    across = torch.stack([rotate(side, left) for side in sides]).mean(0)
    return yaw_quaternion(torch.atan2(-across[:, 2], across[:, 0]))


def _local(
    skeleton: Skeleton, world: Mapping[str, Float[Tensor, "f 4"]], count: int
) -> Float[Tensor, "f j 4"]:
    """Local rotations; a bone without an orientation of its own goes with its parent."""
    globals_: list[Tensor] = []
    local = []
    for joint, name in enumerate(skeleton.names):
        parent = skeleton.parents[joint]
        above = identity_quaternion(count) if parent < 0 else globals_[parent]
        globals_.append(world.get(name, above))
        local.append(multiply(conjugate(above), globals_[-1]))
    return torch.stack(local, dim=1)


def with_root(clip: Clip, stature: float) -> Clip:
    """The clip on its way over a level floor, by the feet that stand, with contacts.

    Feet without a sensor count too: their soles go with the shank. Without any leg the root stays.
    """
    skeleton = clip.skeleton
    feet = [skeleton.index(name) for name in FEET if name in skeleton.names]
    if not feet:
        return clip
    still = clip.local_translations().clone()
    still[:, 0] = 0.0
    pose = forward(skeleton, clip.rotations, still)
    points = sole_points(stature)
    soles, turning = [], []
    for foot in feet:
        turns = pose.orientations[:, foot]
        soles.append(pose.positions[:, foot, None] + rotate(turns[:, None], points))
        turning.append(_turning(turns, clip.fps).unsqueeze(-1).expand(-1, len(points)))
    flat = torch.cat(soles, dim=1)
    root = planted_root(flat, bearing(flat, torch.cat(turning, dim=1), clip.fps))
    contacts = torch.zeros(clip.rotations.shape[:2], dtype=torch.bool)
    for foot, sole in zip(feet, soles, strict=True):
        placed = (sole + root.unsqueeze(1))[:, :2]  # heel and ball
        found = detect(placed, clip.fps, torch.zeros(2, dtype=torch.float64))
        found = settled(placed, found, clip.fps)
        contacts[:, foot], contacts[:, skeleton.children(foot)[0]] = found[:, 0], found[:, 1]
    return Clip(
        skeleton, clip.rotations, root, clip.fps, clip.name, contacts=contacts, filled=clip.filled
    )


def _turning(turns: Float[Tensor, "f 4"], fps: float) -> Float[Tensor, "f"]:
    """Angular speed from frame to frame, rad/s."""
    relative = multiply(conjugate(turns[:-1]), turns[1:])
    angle = 2.0 * torch.atan2(relative[:, :3].norm(dim=-1), relative[:, 3].abs())
    return fps * torch.cat((angle, angle[-1:]))
