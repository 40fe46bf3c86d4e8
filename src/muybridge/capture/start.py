"""A first pose straight from marker positions, all frames at once.

T frames, J joints, M markers. Exact for clean markers of a rigid body with hinged knees and elbows;
the solver only has to polish it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from muybridge.geometry.rotation import (
    conjugate,
    identity_quaternion,
    matrix_from_quaternion,
    multiply,
    nearest_rotation,
    quaternion_from_matrix,
    quaternion_from_rotvec,
    rotate,
    rotvec_from_quaternion,
    unroll,
)
from muybridge.motion.body import Body

__all__ = ["State", "first_pose"]

HINGES = {
    "LeftArm": ("left_shoulder", "left_elbow", "left_wrist", (0.0, -1.0, 0.0)),
    "RightArm": ("right_shoulder", "right_elbow", "right_wrist", (0.0, 1.0, 0.0)),
    "LeftUpLeg": ("left_hip", "left_knee", "left_ankle", (1.0, 0.0, 0.0)),
    "RightUpLeg": ("right_hip", "right_knee", "right_ankle", (1.0, 0.0, 0.0)),
}  # upper joint: its three markers, and the axis of the lower joint's positive bend
STRAIGHT = 0.2  # below about this sine of the bend the hinge axis comes from the rest pose


class State(NamedTuple):
    """The unknowns: local rotations and the path of the root, metres."""

    rotations: Float[Tensor, "t j 4"]
    root: Float[Tensor, "t 3"]


def _unit(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-9)


def _frame(x: Tensor, y: Tensor) -> Tensor:
    """Orientation whose x axis is `x` and whose y axis lies nearest `y`."""
    x = _unit(x)
    y = _unit(y - (x * y).sum(-1, keepdim=True) * x)
    return quaternion_from_matrix(torch.stack((x, y, torch.linalg.cross(x, y)), dim=-1))


def _shortest_arc(start: Tensor, end: Tensor) -> Tensor:
    """Rotation that carries one unit vector onto another."""
    w = 1.0 + (start * end).sum(-1, keepdim=True)
    return _unit(torch.cat((torch.linalg.cross(start, end), w.clamp(min=1e-6)), dim=-1))


def _part(quaternion: Tensor, share: float) -> Tensor:
    return quaternion_from_rotvec(share * rotvec_from_quaternion(quaternion))


def _limb(
    parent: Float[Tensor, "t 4"],
    upper: Float[Tensor, "t 3"],
    lower: Float[Tensor, "t 3"],
    rest: Float[Tensor, "3 3"],
    calm: int,
) -> tuple[Float[Tensor, "t 4"], Float[Tensor, "t"]]:
    """World orientation of the upper bone, and the bend of the hinge below it, radians.

    The hinge axis is the normal of the plane of both bones. A straight limb has none, and noise
    may turn it over: so the normals, as long as the sine of the bend, are averaged over
    neighbouring frames (in a frame that follows the bone) and pulled to the rest pose's axis.

    Args:
        parent: World orientation of the parent.
        upper: Upper bone, world frame.
        lower: Lower bone.
        rest: Columns: upper bone, hinge axis and their product in the rest pose.
        calm: Frames on either side to average over.
    """
    upper, lower = _unit(upper), _unit(lower)
    swing = _shortest_arc(rotate(parent, rest[:, 0].expand_as(upper)), upper)
    carried = matrix_from_quaternion(multiply(swing, parent)) @ rest
    bent = torch.linalg.cross(upper, lower)
    plane = (carried[..., 1:].mT @ bent.unsqueeze(-1)).squeeze(-1)
    mean = torch.from_numpy(uniform_filter1d(plane.numpy(), 2 * calm + 1, axis=0, mode="nearest"))
    mean[:, 0] += STRAIGHT
    axis = (carried[..., 1:] @ _unit(mean).unsqueeze(-1)).squeeze(-1)
    now = torch.stack((upper, axis, torch.linalg.cross(upper, axis)), dim=-1)
    bend = torch.atan2((bent * axis).sum(-1), (upper * lower).sum(-1))
    return quaternion_from_matrix(now @ rest.mT), bend.clamp(min=0.0)


def _kabsch(local: Float[Tensor, "n 3"], world: Float[Tensor, "t n 3"]) -> Float[Tensor, "t 4"]:
    """Orientations that carry a rigid set of points onto its places in each frame."""
    a, b = local - local.mean(0), world - world.mean(1, keepdim=True)
    return quaternion_from_matrix(nearest_rotation(b.mT @ a))


def first_pose(body: Body, points: Float[Tensor, "t m 3"], calm: int = 0) -> State:
    """Pose every frame from its markers: pelvis, chest, limbs as hinges, head and feet as clusters.

    Args:
        body: The skeleton; its hips and shoulders must be among the markers.
        points: World positions of `body.markers`, metres, without gaps; a marker that was never
            seen is NaN in all frames and its bones rest.
        calm: Frames on either side over which hinge axes are averaged; 0 for unrelated frames.
    """
    skeleton, track = body.skeleton, dict(zip(body.markers, points.unbind(1), strict=True))
    rotations = identity_quaternion(len(points), len(skeleton))
    hips = (track["left_hip"] + track["right_hip"]) / 2.0
    shoulders = (track["left_shoulder"] + track["right_shoulder"]) / 2.0
    up = shoulders - hips
    pelvis = _frame(track["left_hip"] - track["right_hip"], up)
    chest = _frame(track["left_shoulder"] - track["right_shoulder"], up)
    half = _part(multiply(conjugate(pelvis), chest), 0.5)
    rotations[:, 0] = pelvis
    rotations[:, skeleton.index("Spine")] = half
    rotations[:, skeleton.index("Spine1")] = half
    for name, (first, middle, last, axis) in HINGES.items():
        joint = skeleton.index(name)
        lower_joint = skeleton.children(joint)[0]
        if middle not in track or not bool(track[middle].isfinite().all()):
            continue
        parent = pelvis if "Leg" in name else chest
        bone, hinge = _unit(skeleton.offsets[lower_joint]), skeleton.offsets.new_tensor(axis)
        rest = torch.stack((bone, hinge, torch.linalg.cross(bone, hinge)), dim=-1)
        upper = track[middle] - track[first]
        known = last in track and bool(track[last].isfinite().all())
        lower = track[last] - track[middle] if known else upper
        world, bend = _limb(parent, upper, lower, rest, calm)
        rotations[:, joint] = multiply(conjugate(parent), world)
        rotations[:, lower_joint] = quaternion_from_rotvec(bend.unsqueeze(-1) * hinge)
    _pose_clusters(body, points, rotations)
    return State(unroll(rotations), hips)


def _pose_clusters(
    body: Body, points: Float[Tensor, "t m 3"], rotations: Float[Tensor, "t j 4"]
) -> None:
    """Turn the joints that carry three or more markers of their own, in place."""
    skeleton, known = body.skeleton, points.isfinite().all(-1).all(0)
    for name in ("Head", "LeftFoot", "RightFoot"):
        joint = skeleton.index(name)
        rows = [m for m, j in enumerate(body.marker_joints) if j == joint and bool(known[m])]
        if len(rows) < 3 or joint not in body.freedoms.joints:
            continue
        world, above = _kabsch(body.marker_offsets[rows], points[:, rows]), joint
        chain = []
        while (above := skeleton.parents[above]) >= 0:
            chain.append(above)
        parent = rotations[:, chain[-1]]
        for link in reversed(chain[:-1]):
            parent = multiply(parent, rotations[:, link])
        rotations[:, joint] = multiply(conjugate(parent), world)
