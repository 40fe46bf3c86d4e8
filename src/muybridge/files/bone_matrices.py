"""World matrices of bones, as other programs keep them, to a clip.

Bones of other programs point along their limbs and have a rest rotation; joints of ours are
parallel to the world at rest. What a joint does is its turn against its own rest.

T frames, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray

from muybridge.errors import InputError
from muybridge.geometry.rotation import nearest_rotation, quaternion_from_matrix, unroll
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["clip_from_matrices", "named_tips"]

STRETCH = 2e-6  # what float32 files need


def clip_from_matrices(
    rest: Float64[np.ndarray, "j 4 4"],
    world: Float64[np.ndarray, "t j 4 4"],
    tree: Skeleton,
    fps: float,
    name: str,
    *,
    stretch: float = STRETCH,
) -> Clip:
    """A clip whose joints are parallel to the world at rest.

    Args:
        rest: World matrices of the rest pose, metres; a scale is allowed and dropped.
        world: World matrices of every frame.
        tree: Names, parents and end sites; its offsets are not used.
        fps: Frames a second.
        name: Of the clip.
        stretch: What a joint may be off its place in its parent's frame, metres (half of that for
            each metre of the figure's size), before it gets a translation track.
    Raises:
        InputError: If a joint is scaled to nothing.
    """
    parents = tree.parents
    turned = torch.from_numpy(_rotations(world) @ _rotations(rest).swapaxes(-1, -2))
    positions = torch.from_numpy(world[..., :3, 3])
    rest_positions = torch.from_numpy(rest[:, :3, 3])
    above = [max(parent, 0) for parent in parents]
    offsets = rest_positions - rest_positions[above]
    offsets[0] = rest_positions[0]
    to_parent = turned[:, above].mT
    rotations = to_parent @ turned
    rotations[:, 0] = turned[:, 0]
    moved = (to_parent @ (positions - positions[:, above]).unsqueeze(-1)).squeeze(-1)
    size = float((rest_positions.amax(0) - rest_positions.amin(0)).max())
    stretched = (moved - offsets)[:, 1:].abs() > max(stretch, 0.5 * stretch * size)
    moved[:, 0] = positions[:, 0]
    return Clip(
        Skeleton(tree.names, parents, offsets, tree.end_sites),
        unroll(quaternion_from_matrix(rotations)),
        positions[:, 0].clone(),
        fps,
        name,
        moved if bool(stretched.any()) else None,
    )


def named_tips(names: Sequence[str], parents: Sequence[int]) -> tuple[bool, ...]:
    """Which joints are tips, in files that do not say so: leaves that are called "..._end"."""
    return tuple(j not in parents and name.endswith("_end") for j, name in enumerate(names))


def _rotations(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation part of affine matrices: exact for uniform scale, nearest otherwise."""
    linear = matrices[..., :3, :3]
    lengths = np.linalg.norm(linear, axis=-2, keepdims=True)
    if not (lengths > 1e-12).all():
        raise InputError("expected joints of some size, got a scale of zero; apply the scale")
    unit = linear / lengths
    skew = np.abs(unit.swapaxes(-1, -2) @ unit - np.eye(3)).max()
    if skew < 1e-5 and (np.linalg.det(unit) > 0.0).all():
        return unit
    nearest: NDArray[np.float64] = nearest_rotation(torch.from_numpy(unit)).numpy()
    return nearest
