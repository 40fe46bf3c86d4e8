"""Which part of a skeleton a task is about, and what may move in it; remembered from task to task.

J joints. When a handle is dragged the same task comes again with every move: reading names, ranges
and costs anew would take as long as solving the pose. A skeleton is never written to, so that what
was found for it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.motion.facing import rest_heading
from muybridge.motion.humanoid import part, parts
from muybridge.motion.ik.full_body import Rig
from muybridge.motion.ik.limits import Limits, human_limits
from muybridge.motion.skeleton import Skeleton

__all__ = ["Plan", "facing_at_rest", "joint_of", "joints_of", "plan"]

CHEAPEST = 0.02  # cost of a turn that moves next to nothing, relative to the mean of all joints


@dataclass(frozen=True)
class Plan:
    """The joints at and above some joints as a skeleton of their own, and what may move in it.

    Attributes:
        skeleton: The smaller tree.
        kept: Which joints of the whole it has.
        number: Joint of the smaller tree by joint of the whole.
        rig: What may move.
    """

    skeleton: Skeleton
    kept: tuple[int, ...]
    number: dict[int, int]
    rig: Rig


@lru_cache(maxsize=64)
def plan(
    skeleton: Skeleton,
    joints: tuple[int, ...],
    turning: frozenset[int],
    root: bool,
    limited: bool,
) -> Plan:
    """The plan of a task.

    Args:
        skeleton: The whole.
        joints: Joints that have aims.
        turning: Joints that may turn.
        root: Whether the root may be shifted.
        limited: Whether human ranges hold.
    """
    kept = tuple(sorted({0}.union(*(skeleton.lineage(joint) for joint in joints))))
    number = {joint: k for k, joint in enumerate(kept)}
    small = Skeleton(
        tuple(skeleton.names[j] for j in kept),
        tuple(number.get(skeleton.parents[j], -1) for j in kept),
        skeleton.offsets[list(kept)],
        tuple(skeleton.end_sites[j] for j in kept),
    )
    limits = _human(skeleton).take(tuple(turning) if limited else (), number)
    free = tuple(sorted({number[joint] for joint in turning} - set(limits.joints)))
    dear = _moved_by_turning(skeleton)[[*kept, len(skeleton)]]
    return Plan(small, kept, number, Rig(small, free, limits, root, dear))


@lru_cache(maxsize=256)
def joint_of(skeleton: Skeleton, name: str) -> int:
    """The joint of a part, `humanoid.part`."""
    return part(skeleton, name)


@lru_cache(maxsize=64)
def joints_of(skeleton: Skeleton, names: tuple[str, ...]) -> tuple[int, ...]:
    """The joints of parts and groups, `humanoid.parts`, each once."""
    return tuple(dict.fromkeys(parts(skeleton, names)))


@lru_cache(maxsize=16)
def facing_at_rest(skeleton: Skeleton) -> float:
    """Where the rest pose looks, `facing.rest_heading`."""
    return rest_heading(skeleton)


@lru_cache(maxsize=16)
def _human(skeleton: Skeleton) -> Limits:
    return human_limits(skeleton)


@lru_cache(maxsize=16)
def _moved_by_turning(skeleton: Skeleton) -> Float[Tensor, "costs"]:
    """What turning each joint costs, and last what shifting the root does: how far all joints move.

    The squared distances by which the rest pose's joints move, a square radian or square metre;
    relative to the mean over the joints. So an arm bends before the trunk does.
    """
    places, count = skeleton.rest_positions(), len(skeleton)
    costs = torch.zeros(count + 1, dtype=torch.float64)
    for joint in range(count):
        for turned in skeleton.lineage(joint)[1:]:
            costs[turned] += (places[joint] - places[turned]).square().sum()
    costs[-1] = count
    return (costs / costs[:-1].mean()).clamp(min=CHEAPEST)
