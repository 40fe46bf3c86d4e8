"""Local rotations from joint positions alone: the inverse of forward kinematics.

Positions do not say how a bone is turned about itself. A joint with two children or more that are
not in one line at rest is known fully (least squares over its bones); any other gets the smallest
turn from its parent's frame that lays its bone where it belongs, so that no twist is made up.

T frames, J joints. World frame: metres.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import (
    identity_quaternion,
    multiply,
    nearest_rotation,
    quaternion_from_matrix,
    rotate,
    shortest_arc,
    unroll,
)
from muybridge.motion.kinematics import local_rotations
from muybridge.motion.skeleton import Skeleton

__all__ = ["rotations_from_positions"]

LINE = 1e-3  # second singular value of the bones at rest, per first, below which they are one line


def rotations_from_positions(
    skeleton: Skeleton, positions: Float[Tensor, "t j 3"]
) -> Float[Tensor, "t j 4"]:
    """Local rotations that lay every bone along the line between its joints.

    Forward kinematics gives the positions back where the bones have their rest lengths and joints
    with several children keep the angles between those.

    Args:
        skeleton: Rest offsets; a zero offset says nothing about its parent's rotation.
        positions: World positions of all joints, metres; differentiable, NaN stays NaN.
    References:
        Kabsch, A solution for the best rotation to relate two sets of vectors, 1976.
    """
    identity = identity_quaternion(len(positions), dtype=positions.dtype)
    world: list[Tensor] = []
    for joint, parent in enumerate(skeleton.parents):
        above = identity if parent < 0 else world[parent]
        bones = [c for c in skeleton.children(joint) if float(skeleton.offsets[c].norm()) > 0.0]
        rest = skeleton.offsets[bones].to(positions)
        arms = positions[:, bones] - positions[:, joint : joint + 1]
        world.append(_orientation(above, rest, arms) if bones else above)
    return unroll(local_rotations(skeleton, torch.stack(world, dim=1)))


def _orientation(
    above: Float[Tensor, "t 4"], rest: Float[Tensor, "c 3"], arms: Float[Tensor, "t c 3"]
) -> Float[Tensor, "t 4"]:
    """World orientation of a joint whose bones `rest` point along `arms`."""
    spread = torch.linalg.svdvals(rest.detach())
    if len(spread) > 1 and float(spread[1]) > LINE * float(spread[0]):
        broken = arms.isnan().any(-1).any(-1)
        product = torch.einsum("tcx,cy->txy", arms.masked_fill(broken[:, None, None], 0.0), rest)
        eye = torch.eye(3, dtype=rest.dtype).expand_as(product)
        product = torch.where(broken[:, None, None], eye, product)
        fitted = quaternion_from_matrix(nearest_rotation(product))
        return torch.where(broken[:, None], torch.nan, fitted)
    longest = int(rest.norm(dim=-1).argmax())
    laid = rotate(above, rest[longest].expand(len(above), 3))
    return multiply(shortest_arc(laid, arms[:, longest]), above)
