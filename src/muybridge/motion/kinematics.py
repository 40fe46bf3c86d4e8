"""Forward kinematics: local rotations to world positions and orientations.

P_child = P_parent + Q_parent l_child;  Q_child = Q_parent R_child.

T frames, J joints. Joints are few and frames many, so each joint's components are kept as rows of
all frames that lie together in memory, and the joints are walked one by one: no gathering, no small
matrices, and autograd sees plain products.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, addcmul

from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["Pose", "forward", "forward_clip"]

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
    batch = rotations.shape[:-2]
    dtype = torch.promote_types(rotations.dtype, translations.dtype)
    local_rotations = _rows(rotations.to(dtype), 4)
    local_positions = _rows(translations.to(dtype).expand(*batch, -1, 3), 3)
    positions, orientations = [local_positions[0]], [local_rotations[0]]
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        turn, place = orientations[parent], positions[parent]
        positions.append(_rotate_add(turn, local_positions[joint], place))
        orientations.append(_multiply(turn, local_rotations[joint]))
    return Pose(_from_rows(positions, batch), _from_rows(orientations, batch))


def forward_clip(clip: Clip) -> Pose:
    """World pose of every frame of a clip."""
    return forward(clip.skeleton, clip.rotations, clip.local_translations())


def _rows(values: Tensor, width: int) -> list[Rows]:
    """(*T, J, width) to J tuples of rows over all frames."""
    rows = values.reshape(-1, values.shape[-2] * width).T.contiguous().unbind(0)
    return [rows[start : start + width] for start in range(0, len(rows), width)]


def _from_rows(joints: list[Rows], batch: torch.Size) -> Tensor:
    """The inverse of `_rows`."""
    rows = torch.stack([row for joint in joints for row in joint])
    return rows.T.contiguous().reshape(*batch, len(joints), len(joints[0]))


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
