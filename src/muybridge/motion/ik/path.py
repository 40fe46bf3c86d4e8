"""A chain of joints between any two joints of a skeleton, through the root where need be.

T frames, K joints on the way, K - 1 bones. From the foot up to the hips and out to the hand: the
start stays in place and keeps its orientation if the way leads up from it, and the root is carried
along. Where the way turns from up to down, the joint of the turn is no joint of the chain: its two
neighbours are fixed to the same body and keep their distance.

CCD and FABRIK solve the points; the bodies follow by the smallest turns from old bones to new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import conjugate, multiply, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.ik.ccd import ccd
from muybridge.motion.ik.fabrik import fabrik
from muybridge.motion.ik.points import PointOptions, PointSolution
from muybridge.motion.ik.two_bone import align
from muybridge.motion.kinematics import Pose, forward_clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["METHODS", "Method", "Path", "path_between", "posed", "reach_along"]

Method = Literal["ccd", "fabrik"]
Solver = Callable[
    [Float[Tensor, "t k 3"], Float[Tensor, "t 3"], PointOptions | None], PointSolution
]
METHODS: dict[Method, Solver] = {"ccd": ccd, "fabrik": fabrik}


@dataclass(frozen=True)
class Path:
    """The way from one joint to another.

    Attributes:
        joints: The K joints of the chain, the first of which stays.
        owners: Joint whose body each of the K - 1 bones is part of: it turns with the bone.
    """

    joints: tuple[int, ...]
    owners: tuple[int, ...]


def path_between(skeleton: Skeleton, start: int, end: int) -> Path:
    """The chain from `start` to `end`.

    Raises:
        InputError: If there is no bone between them.
    """
    up, down = skeleton.lineage(start), skeleton.lineage(end)
    shared = next(joint for joint in up if joint in down)
    up, down = up[: up.index(shared)], down[: down.index(shared)][::-1]
    if not up and not down:
        raise InputError(
            f"expected two different joints, got {skeleton.names[start]!r} twice; name the start "
            "and the end of the chain"
        )
    rising = [skeleton.parents[joint] for joint in up]  # the bone to its parent is the parent's
    falling = [skeleton.parents[joint] for joint in down]
    if not up or not down:  # no turn: the upper end is a joint like the others
        return Path((*up, shared, *down), (*rising, *falling))
    return Path((*up, *down), (*rising[:-1], shared, *falling[1:]))


def reach_along(
    clip: Clip,
    start: str,
    end: str,
    target: Float[Tensor, "t 3"],
    method: Method = "fabrik",
    options: PointOptions | None = None,
) -> Clip:
    """Bring one joint to a target by a chain that begins at another.

    Args:
        clip: The motion; each frame is solved from its own pose.
        start: Joint that stays.
        end: Joint that is to reach.
        target: Where to, world, metres.
        method: Solver of the chain.
        options: When to stop.
    """
    path = path_between(clip.skeleton, clip.skeleton.index(start), clip.skeleton.index(end))
    pose = forward_clip(clip)
    solution = METHODS[method](pose.positions[:, list(path.joints)], target, options)
    return posed(clip, pose, path, solution.points)


def posed(clip: Clip, pose: Pose, path: Path, points: Float[Tensor, "t k 3"]) -> Clip:
    """The clip with a chain's joints moved to new places.

    Args:
        clip: The motion.
        pose: Its world pose.
        path: The chain.
        points: New places of its joints; its bones must keep their lengths.
    """
    parents, orientations = clip.skeleton.parents, dict(enumerate(pose.orientations.unbind(1)))
    old = pose.positions[:, list(path.joints)]
    for k, owner in enumerate(path.owners):
        before, after = old[:, k + 1] - old[:, k], points[:, k + 1] - points[:, k]
        turn = align(before, after, _crosswise(before))
        orientations[owner] = multiply(turn, pose.orientations[:, owner])
    if path.joints[0] not in path.owners:  # the way leads up: the start keeps its orientation
        orientations[path.joints[0]] = pose.orientations[:, path.joints[0]]
    fixed = {*path.owners, path.joints[0]}
    rotations = clip.rotations.clone()
    for joint, parent in enumerate(parents):
        if joint not in fixed:
            carrier = orientations[parent] if parent >= 0 else None
            local = clip.rotations[:, joint]
            orientations[joint] = local if carrier is None else multiply(carrier, local)
            continue
        own = orientations[joint]
        local = own if parent < 0 else multiply(conjugate(orientations[parent]), own)
        rotations[:, joint] = local / local.norm(dim=-1, keepdim=True)
    root = _root(clip, path.joints, orientations, points)
    moving = clip.translations
    if moving is not None:
        moving = torch.cat((root.unsqueeze(1), moving[:, 1:]), dim=1)
    return replace(clip, rotations=rotations, root=root, translations=moving)


def _root(
    clip: Clip,
    joints: Sequence[int],
    orientations: dict[int, Tensor],
    points: Float[Tensor, "t k 3"],
) -> Float[Tensor, "t 3"]:
    """Where the root must be for the first joint of the chain to stay."""
    place, joint, local = points[:, 0], joints[0], clip.local_translations()
    while joint > 0:
        parent = clip.skeleton.parents[joint]
        place = place - rotate(orientations[parent], local[:, joint])
        joint = parent
    return place


def _crosswise(vector: Float[Tensor, "t 3"]) -> Float[Tensor, "t 3"]:
    """A unit vector that is not parallel to this one, for half turns."""
    return torch.nn.functional.one_hot(vector.abs().argmin(-1), 3).to(vector.dtype)
