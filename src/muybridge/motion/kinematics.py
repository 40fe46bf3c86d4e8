"""Forward kinematics: local rotations to world positions and orientations.

T frames, J joints. P_child = P_parent + Q_parent l_child; Q_child = Q_parent R_child.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import multiply, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["Pose", "forward", "forward_clip"]


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
    positions: list[Tensor] = []
    orientations: list[Tensor] = []
    for joint, parent in enumerate(skeleton.parents):
        local_rotation, local_position = rotations[..., joint, :], translations[..., joint, :]
        if parent < 0:
            positions.append(local_position)
            orientations.append(local_rotation)
        else:
            turned = rotate(orientations[parent], local_position)
            positions.append(positions[parent] + turned)
            orientations.append(multiply(orientations[parent], local_rotation))
    return Pose(torch.stack(positions, dim=-2), torch.stack(orientations, dim=-2))


def forward_clip(clip: Clip) -> Pose:
    """World pose of every frame of a clip."""
    return forward(clip.skeleton, clip.rotations, clip.local_translations())
