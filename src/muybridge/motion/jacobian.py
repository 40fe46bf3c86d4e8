"""Analytic derivatives of forward kinematics and of joint angles.

T frames, J joints, M points, R rotational freedoms, D = 3 + R freedoms (root translation first).
Rotations are moved on the manifold, R <- R exp(e delta): a freedom is a joint and a unit axis e in
that joint's own frame. No Euler angles, so nothing locks. A hinge is a joint with one axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import cross_matrix, multiply, quaternion_from_rotvec, rotate
from muybridge.motion.kinematics import Pose
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "Freedoms",
    "angles_jacobian",
    "exponential_jacobian",
    "joint_angles",
    "orientation_jacobian",
    "point_jacobian",
    "retract",
    "rotation_from_angles",
    "turns_jacobian",
]


@dataclass(frozen=True)
class Freedoms:
    """The ways in which a skeleton may move: the root's three translations, then R turns.

    Attributes:
        joints: Joint that each turn belongs to.
        axes: Unit axis of each turn in the joint's own frame.
    """

    joints: tuple[int, ...]
    axes: Float[Tensor, "r 3"]

    def __len__(self) -> int:
        return 3 + len(self.joints)

    def reach(self, skeleton: Skeleton, joints: tuple[int, ...]) -> Float[Tensor, "m r"]:
        """1 where a turn moves what is fixed to a joint (itself or a descendant), else 0."""
        return _reach(skeleton.parents, joints, self.joints, self.axes.dtype)


@lru_cache(maxsize=256)
def _reach(
    parents: tuple[int, ...],
    joints: tuple[int, ...],
    owners: tuple[int, ...],
    dtype: torch.dtype,
) -> Float[Tensor, "m r"]:
    """Row by row, which turns belong to a joint or to one above it; never written to."""
    reach = torch.zeros(len(joints), len(owners), dtype=dtype)
    for row, joint in enumerate(joints):
        chain = set()
        while joint >= 0:
            chain.add(joint)
            joint = parents[joint]
        reach[row] = torch.tensor([float(own in chain) for own in owners])
    return reach


def point_jacobian(
    skeleton: Skeleton,
    pose: Pose,
    points_world: Float[Tensor, "t m 3"],
    point_joints: tuple[int, ...],
    freedoms: Freedoms,
) -> Float[Tensor, "t m 3 d"]:
    """Derivative of points fixed to joints with respect to all freedoms.

    A turn about the world axis w through the joint at p moves the point x by w x (x - p).

    Args:
        skeleton: The tree.
        pose: World pose of the joints, from `forward`.
        points_world: The points, metres.
        point_joints: Joint that each point is fixed to.
        freedoms: What may move.
    Returns:
        Metres per metre (first three columns) and metres per radian.
    References:
        Buss, Introduction to inverse kinematics with Jacobian transpose, pseudoinverse and damped
        least squares methods, 2004.
    """
    owners = list(freedoms.joints)
    axes_world = rotate(pose.orientations[:, owners], freedoms.axes)
    reach = freedoms.reach(skeleton, point_joints)
    turns = turns_jacobian(pose.positions[:, owners], axes_world, points_world, reach)
    shift = torch.eye(3, dtype=turns.dtype).expand(*points_world.shape[:2], 3, 3)
    return torch.cat((shift, turns), dim=-1)


def turns_jacobian(
    pivots_world: Float[Tensor, "t r 3"],
    axes_world: Float[Tensor, "t r 3"],
    points_world: Float[Tensor, "t m 3"],
    reach: Float[Tensor, "m r"],
) -> Float[Tensor, "t m 3 r"]:
    """How points move with turns about axes through pivots: w x (x - p), where the turn reaches.

    Args:
        pivots_world: A point of each axis, metres.
        axes_world: Axes; a length other than one scales the turn.
        points_world: The points, metres.
        reach: 1 where a turn moves a point, else 0; `Freedoms.reach`.
    """
    arms = points_world.unsqueeze(2) - pivots_world.unsqueeze(1)
    turns = torch.linalg.cross(axes_world.unsqueeze(1).expand_as(arms), arms)
    return (turns * reach.unsqueeze(-1)).mT


def orientation_jacobian(
    skeleton: Skeleton, pose: Pose, joints: tuple[int, ...], freedoms: Freedoms
) -> Float[Tensor, "t m 3 d"]:
    """Derivative of the world orientation of joints: Q <- exp(J step) Q, radians a metre or radian.

    A turn about the world axis w turns all that hangs on it by w; moving the root turns nothing.

    Args:
        skeleton: The tree.
        pose: World pose of the joints, from `forward`.
        joints: The joints whose orientation is asked for.
        freedoms: What may move.
    """
    owners = list(freedoms.joints)
    axes_world = rotate(pose.orientations[:, owners], freedoms.axes)
    reach = freedoms.reach(skeleton, joints)
    turns = axes_world.mT.unsqueeze(1) * reach.unsqueeze(-2)
    return torch.nn.functional.pad(turns, (3, 0))


def exponential_jacobian(rotvec: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3 3"]:
    """J with exp(v + d) = exp(v) exp(J d) for small d: the right Jacobian of the exponential map.

    J = I - (1 - cos a) / a^2 [v] + (a - sin a) / a^3 [v]^2, with a = |v|.
    """
    squared = rotvec.square().sum(-1)
    near = squared < 1e-6
    safe = torch.where(near, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    first = torch.where(near, 0.5 - squared / 24.0, (1.0 - angle.cos()) / safe)
    second = torch.where(near, 1.0 / 6.0 - squared / 120.0, (angle - angle.sin()) / (safe * angle))
    across = cross_matrix(rotvec)
    eye = torch.eye(3, dtype=rotvec.dtype)
    return eye - first[..., None, None] * across + second[..., None, None] * across @ across


def retract(
    rotations: Float[Tensor, "t j 4"],
    root: Float[Tensor, "t 3"],
    step: Float[Tensor, "t d"],
    freedoms: Freedoms,
) -> tuple[Float[Tensor, "t j 4"], Float[Tensor, "t 3"]]:
    """Move a pose by a step of the freedoms: R <- R exp(delta), root <- root + delta."""
    rotvec = torch.zeros_like(rotations[..., :3])
    owners = torch.tensor(freedoms.joints)
    rotvec.index_add_(1, owners, step[:, 3:].unsqueeze(-1) * freedoms.axes)
    moved = multiply(rotations, quaternion_from_rotvec(rotvec))
    return moved / moved.norm(dim=-1, keepdim=True), root + step[:, :3]


def _swing(
    quaternion: Float[Tensor, "*b 4"], axis: Float[Tensor, "*#b 3"]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Direction d = R a, a x d, and theta / sin(theta) with its derivative by cos(theta)."""
    direction = rotate(quaternion, axis)
    across = torch.linalg.cross(axis.expand_as(direction), direction)
    sine, cosine = across.norm(dim=-1), (axis * direction).sum(-1)
    theta = torch.atan2(sine, cosine)
    near = sine < 1e-4
    safe = torch.where(near, torch.ones_like(sine), sine)
    factor = torch.where(near, 1.0 + theta.square() / 6.0, theta / safe)
    slope = torch.where(
        near, -1.0 / 3.0 - theta.square() / 5.0 * 2.0 / 3.0, -(safe - theta * cosine) / safe**3
    )
    return direction, across, factor, slope


def joint_angles(
    quaternion: Float[Tensor, "*b 4"], axis: Float[Tensor, "*#b 3"]
) -> Float[Tensor, "*b 3"]:
    """Swing-twist angles of a local rotation about its bone axis, radians.

    R = exp(s) exp(tau a): a twist tau about the bone axis a, then the swing s, perpendicular to a,
    that carries the bone into place. The result is s + tau a: along the bone axis it is the twist,
    along the two others the swing. The only singularity is a bone swung by pi.

    Args:
        quaternion: Local rotation, unit quaternion.
        axis: Unit bone axis in the rest pose.
    References:
        Grassia, Practical parameterization of rotations using the exponential map, 1998.
    """
    _, across, factor, _ = _swing(quaternion, axis)
    along = (quaternion[..., :3] * axis).sum(-1)
    w = quaternion[..., 3]
    sign = torch.where(w < 0.0, -1.0, 1.0)
    twist = 2.0 * torch.atan2(sign * along, sign * w)
    return factor.unsqueeze(-1) * across + twist.unsqueeze(-1) * axis


def angles_jacobian(
    quaternion: Float[Tensor, "*b 4"], axis: Float[Tensor, "*#b 3"]
) -> Float[Tensor, "*b 3 3"]:
    """Derivative of `joint_angles` with respect to delta in R <- R exp(delta)."""
    direction, across, factor, slope = _swing(quaternion, axis)
    basis = torch.eye(3, dtype=quaternion.dtype).expand(*direction.shape, 3)  # rows: unit deltas
    axis_rows = axis.expand_as(direction).unsqueeze(-2).expand_as(basis)
    turned = torch.linalg.cross(basis, axis_rows)
    moved = rotate(quaternion.unsqueeze(-2).expand(*direction.shape, 4), turned)  # d of R a
    change = (axis_rows * moved).sum(-1, keepdim=True)
    swing = slope[..., None, None] * change * across.unsqueeze(-2)
    swing = swing + factor[..., None, None] * torch.linalg.cross(axis_rows, moved)
    vector, w = quaternion[..., :3], quaternion[..., 3:]
    a = axis.expand_as(vector)
    along = (vector * a).sum(-1, keepdim=True)
    numerator = w.square() * a + w * torch.linalg.cross(a, vector) + along * vector
    twist = numerator / (w.square() + along.square())
    return swing.mT + a.unsqueeze(-1) * twist.unsqueeze(-2)


def rotation_from_angles(
    angles: Float[Tensor, "*b 3"], axis: Float[Tensor, "*#b 3"]
) -> Float[Tensor, "*b 4"]:
    """Local rotation from swing-twist angles, the inverse of `joint_angles`."""
    twist = (angles * axis).sum(-1, keepdim=True) * axis
    return multiply(quaternion_from_rotvec(angles - twist), quaternion_from_rotvec(twist))
