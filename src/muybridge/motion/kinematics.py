"""Forward kinematics: local rotations to world positions and orientations.

P_child = P_parent + Q_parent l_child;  Q_child = Q_parent R_child.

T frames, J joints. Joints are few and frames many, so each joint's components are kept as rows of
all frames that lie together in memory, and the joints are walked one by one: no gathering, no small
matrices, and autograd sees plain products. Long motions go in blocks of frames whose rows the
allocator keeps: in one piece, 10,000 frames spend four fifths of their time in page faults. Where
no gradient is asked for the same products are made in place, by `kinematics_rows`: twice as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, addcmul
from torch.autograd import forward_ad

from muybridge.geometry.rotation import conjugate, multiply, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics_rows import walk_rows
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "Pose", "forward", "forward_clip", "local_rotations", "local_translations", "points_in_frame",
]  # fmt: skip

BLOCK = 1 << 16  # joints times frames in one go
FEWEST = 512  # frames in one go; fewer, and Python's share shows

Rows = tuple[Tensor, ...]  # components x, y, z (and w) of one joint, a number a frame each


class Pose(NamedTuple):
    """World positions (metres) and orientations (quaternions x, y, z, w) of all joints."""

    positions: Float[Tensor, "*t j 3"]
    orientations: Float[Tensor, "*t j 4"]


def forward(
    skeleton: Skeleton, rotations: Float[Tensor, "*t j 4"], translations: Float[Tensor, "*t j 3"]
) -> Pose:
    """World pose of every joint; differentiable.

    Args:
        skeleton: Parents; its offsets are not used here, see `translations`.
        rotations: Local rotations, unit quaternions; the root's is its world orientation.
        translations: Position of each joint in its parent's frame, metres; the root's is its
            world position (`Clip.local_translations`).
    """
    batch, joints = rotations.shape[:-2], len(skeleton)
    dtype = torch.promote_types(rotations.dtype, translations.dtype)
    rotations = rotations.to(dtype).reshape(-1, joints, 4)
    translations = translations.to(dtype).expand(*batch, -1, 3).reshape(-1, joints, 3)
    frames = max(FEWEST, BLOCK // joints)
    if plain := _in_place(skeleton, rotations, translations, frames):
        return Pose(
            plain.positions.reshape(*batch, joints, 3),
            plain.orientations.reshape(*batch, joints, 4),
        )
    blocks = zip(rotations.split(frames), translations.split(frames), strict=True)
    poses = [_walk(skeleton.parents, q, p) for q, p in blocks]
    positions, orientations = (
        torch.cat(p) if len(p) > 1 else p[0] for p in zip(*poses, strict=True)
    )
    shape = (*batch, joints)
    return Pose(positions.reshape(*shape, 3), orientations.reshape(*shape, 4))


def forward_clip(clip: Clip) -> Pose:
    """World pose of every frame of a clip."""
    return forward(clip.skeleton, clip.rotations, clip.local_translations())


def _in_place(
    skeleton: Skeleton, rotations: Float[Tensor, "t j 4"], translations: Float[Tensor, "t j 3"],
    frames: int,
) -> Pose | None:  # fmt: skip
    """The pose without a record of how it was made; None where someone needs that record."""
    inputs = (rotations, translations)
    for tensor in inputs:
        tracked = tensor.requires_grad and torch.is_grad_enabled()
        if tracked or forward_ad.unpack_dual(tensor).tangent is not None:
            return None
    try:
        arrays = [tensor.detach().numpy() for tensor in inputs]
    except (RuntimeError, TypeError):  # on another device, or a tensor of vmap and its kin
        return None
    positions, orientations = torch.empty_like(translations), torch.empty_like(rotations)
    for start in range(0, len(rotations), frames):
        block = slice(start, start + frames)
        local_q, local_p = (array[block] for array in arrays)
        world_p, world_q = positions.numpy()[block], orientations.numpy()[block]
        walk_rows(skeleton.parents, local_q, local_p, world_p, world_q)
    return Pose(positions, orientations)


def points_in_frame(
    pose: Pose, points: Float[Tensor, "*t n 3"], joint: int, frame: int | None = None
) -> Float[Tensor, "*t n 3"]:
    """Points given in one joint's frame, as seen from another's: an ancestor, or any other.

    x' = Q_f^T (P_j + Q_j x - P_f), for an ancestor the product of all turns between the two.

    Args:
        pose: World pose of the joints.
        points: In the frame of `joint`, metres.
        joint: Whose frame that is.
        frame: Joint whose frame the answer is in; None for the world.
    """

    def at(values: Tensor, index: int) -> Tensor:
        return values[..., index, :].unsqueeze(-2)

    world = rotate(at(pose.orientations, joint), points) + at(pose.positions, joint)
    if frame is None:
        return world
    return rotate(conjugate(at(pose.orientations, frame)), world - at(pose.positions, frame))


def local_rotations(
    skeleton: Skeleton, orientations: Float[Tensor, "*t j 4"]
) -> Float[Tensor, "*t j 4"]:
    """Local rotations from world orientations, R_i = Q_parent^T Q_i; the root's is unchanged."""
    above = list(skeleton.parents[1:])
    turned = multiply(conjugate(orientations[..., above, :]), orientations[..., 1:, :])
    return torch.cat((orientations[..., :1, :], turned), dim=-2)


def local_translations(skeleton: Skeleton, pose: Pose) -> Float[Tensor, "*t j 3"]:
    """Places of all joints in their parents' frames, metres; the root's is its world position."""
    above = list(skeleton.parents[1:])
    arms = pose.positions[..., 1:, :] - pose.positions[..., above, :]
    places = rotate(conjugate(pose.orientations[..., above, :]), arms)
    return torch.cat((pose.positions[..., :1, :], places), dim=-2)


def _walk(
    parents: Sequence[int], rotations: Float[Tensor, "t j 4"], translations: Float[Tensor, "t j 3"]
) -> Pose:
    """From the root outwards, each joint from its parent."""
    local_rotations, local_positions = _rows(rotations), _rows(translations)
    positions, orientations = [local_positions[0]], [local_rotations[0]]
    for joint, parent in enumerate(parents[1:], start=1):
        turn, place = orientations[parent], positions[parent]
        positions.append(_rotate_add(turn, local_positions[joint], place))
        orientations.append(_multiply(turn, local_rotations[joint]))
    return Pose(_from_rows(positions), _from_rows(orientations))


def _rows(values: Float[Tensor, "t j n"]) -> list[Rows]:
    """J tuples of n rows over all frames."""
    rows = values.flatten(1).T.contiguous().unbind(0)
    width = values.shape[-1]
    return [rows[start : start + width] for start in range(0, len(rows), width)]


def _from_rows(joints: list[Rows]) -> Float[Tensor, "t j n"]:
    """The inverse of `_rows`."""
    rows = torch.stack([row for joint in joints for row in joint])
    return rows.T.contiguous().unflatten(-1, (len(joints), -1))


def _multiply(a: Rows, b: Rows) -> Rows:
    """Hamilton product a b, as `geometry.rotation.multiply`."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    x = addcmul(addcmul(addcmul(aw * bx, ax, bw), ay, bz), az, by, value=-1)
    y = addcmul(addcmul(addcmul(aw * by, ay, bw), az, bx), ax, bz, value=-1)
    z = addcmul(addcmul(addcmul(aw * bz, az, bw), ax, by), ay, bx, value=-1)
    w = addcmul(addcmul(addcmul(aw * bw, ax, bx, value=-1), ay, by, value=-1), az, bz, value=-1)
    return x, y, z, w


def _rotate_add(q: Rows, v: Rows, p: Rows) -> Rows:
    """p + q v q*:  p + v + 2 w (u x v) + 2 u x (u x v), with u the vector part of q."""
    ux, uy, uz, w = q
    vx, vy, vz = v
    tx, ty, tz = (
        addcmul(uy * vz, uz, vy, value=-1),
        addcmul(uz * vx, ux, vz, value=-1),
        addcmul(ux * vy, uy, vx, value=-1),
    )
    x = addcmul(addcmul(w * tx, uy, tz), uz, ty, value=-1)
    y = addcmul(addcmul(w * ty, uz, tx), ux, tz, value=-1)
    z = addcmul(addcmul(w * tz, ux, ty), uy, tx, value=-1)
    return tuple(torch.add(a + b, c, alpha=2) for a, b, c in zip(p, v, (x, y, z), strict=True))
