"""Reach and pin parts of a body, in a clip or in one pose, with the least change of the pose.

T frames, J joints. World frame: metres, Y up. A goal moves a part to a place, for the whole clip
or around a moment; a pin holds a part where the clip has it, place and orientation.

Only the joints between the parts and the root are looked at: a hand with five fingers costs no
more than one without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.clip import Clip
from muybridge.motion.facing import yaw
from muybridge.motion.ik.full_body import (
    Aims,
    FullBodyProblem,
    change_pose,
    full_body_problem,
)
from muybridge.motion.ik.goals import Goal, aims_of, check
from muybridge.motion.ik.plan import Plan, facing_at_rest, joint_of, joints_of, plan
from muybridge.motion.kinematics import forward
from muybridge.motion.skeleton import Skeleton

__all__ = ["Goal", "Outcome", "ReachOptions", "Reached", "reach", "reach_take", "solve_pose"]

BLOCK = 1024  # frames solved at once


@dataclass(frozen=True)
class ReachOptions:
    """How to reach.

    Attributes:
        limits: Keep joints within human ranges where the parts of the body are known; what is
            beyond them in the clip may stay there.
        root: Whether the root may move and turn; None lets it where something is pinned, or where
            it is a goal itself.
        iterations: At most so many steps in each of two passes.
    """

    limits: bool = True
    root: bool | None = None
    iterations: int = 30


class Outcome(NamedTuple):
    """Largest distance of a part from where it is to be, metres, where the goal holds in full."""

    part: str
    pinned: bool
    before: float
    after: float


@dataclass(frozen=True)
class Reached:
    """The changed clip, and how near each goal and each pin came."""

    clip: Clip
    outcomes: tuple[Outcome, ...]


def reach(
    clip: Clip,
    goals: Sequence[Goal],
    pins: Sequence[str] = (),
    options: ReachOptions | None = None,
) -> Clip:
    """The clip with parts of the body where they are wanted; see `reach_take`."""
    return reach_take(clip, goals, pins, options).clip


def solve_pose(
    skeleton: Skeleton,
    rotations: Float[Tensor, "j 4"],
    root: Float[Tensor, "3"],
    goals: Sequence[Goal],
    pins: Sequence[str] = (),
    options: ReachOptions | None = None,
) -> tuple[Float[Tensor, "j 4"], Float[Tensor, "3"]]:
    """One pose with parts where they are wanted, as for dragging a handle; see `reach_take`."""
    pose = Clip(skeleton, rotations.unsqueeze(0), root.unsqueeze(0), 1.0)
    changed = reach(pose, goals, pins, options)
    return changed.rotations[0], changed.root[0]


def reach_take(
    clip: Clip,
    goals: Sequence[Goal],
    pins: Sequence[str] = (),
    options: ReachOptions | None = None,
) -> Reached:
    """Move parts to their goals and hold the pinned ones, changing the pose as little as possible.

    A goal out of reach is approached as far as the pins let it; `Outcome` says what is left. Frames
    in which no goal holds, and frames whose pose is not known (NaN), stay as they are.

    Args:
        clip: The motion.
        goals: At least one; several goals of one part may follow each other in time.
        pins: Parts, joints, or groups of parts (feet, toes, hands) that stay as they are.
        options: Limits, root.
    Raises:
        InputError: If a part is unknown, a goal says nothing, or its moment is outside the clip.
    """
    options = options or ReachOptions()
    check(goals, len(clip), clip.fps)
    skeleton = clip.skeleton
    named = [(joint_of(skeleton, goal.part), goal) for goal in goals]
    moved = {joint for joint, _ in named}
    held = [joint for joint in joints_of(skeleton, tuple(pins)) if joint not in moved]
    tree = _planned(skeleton, named, held, options)
    rotations = clip.rotations[:, list(tree.kept)].double()
    translations = clip.local_translations()[:, list(tree.kept)].double()
    pose = forward(tree.skeleton, rotations, translations)
    aims, share = aims_of(
        [(tree.number[joint], goal) for joint, goal in named],
        [tree.number[joint] for joint in held],
        pose,
        yaw(rotations[:, 0]) + facing_at_rest(skeleton),
        clip.fps,
    )
    asked = (share[:, : len(moved)] > 0.0).any(1) & pose.positions.isfinite().flatten(1).all(1)
    problem = full_body_problem(tree.rig, rotations, translations, aims)
    rows = asked.nonzero().squeeze(-1)
    rotations, translations = _solved(problem, rotations, rows, options.iterations)
    after = forward(tree.skeleton, rotations, translations).positions
    changed = _written(clip, tree.kept, rows, rotations, translations)
    names = {tree.number[joint]: goal.part for joint, goal in named}
    labels = [names.get(joint, tree.skeleton.names[joint]) for joint in aims.joints]
    full = (share >= 1.0 - 1e-9) & asked.unsqueeze(-1)
    before, left = (_farthest(aims, places, full) for places in (pose.positions, after))
    pinned = [column >= len(moved) for column in range(len(labels))]
    return Reached(changed, tuple(map(Outcome, labels, pinned, before, left)))


def _planned(
    skeleton: Skeleton,
    goals: Sequence[tuple[int, Goal]],
    held: Sequence[int],
    options: ReachOptions,
) -> Plan:
    """Which joints may turn, and whether the root may move."""
    root = options.root
    if root is None:
        root = bool(held) or any(joint == 0 for joint, _ in goals)
    turning: set[int] = set()
    for joint, goal in goals:
        turning |= _limb(skeleton, joint, goal)
    for joint in held if root else ():
        turning |= set(skeleton.lineage(joint))
    turning -= {joint for joint in turning if skeleton.end_sites[joint]}
    turning -= set() if root else {0}
    joints = (*(joint for joint, _ in goals), *held)
    return plan(skeleton, joints, frozenset(turning), root, options.limits)


def _limb(skeleton: Skeleton, joint: int, goal: Goal) -> set[int]:
    """Joints that may help with a goal: above the part, and the part where it is to be turned."""
    chain = skeleton.lineage(joint)
    if goal.start is not None:
        start = joint_of(skeleton, goal.start)
        if start not in chain[1:]:
            raise InputError(
                f"expected the limb to begin above {goal.part}, got {goal.start!r}; choose one of "
                f"{', '.join(skeleton.names[j] for j in chain[1:])}"
            )
        chain = chain[: chain.index(start) + 1]
    own = goal.orientation is None and joint != 0
    return set(chain[1:] if own else chain)


def _solved(
    problem: FullBodyProblem,
    rotations: Float[Tensor, "t j 4"],
    rows: Int[Tensor, "k"],
    iterations: int,
) -> tuple[Float[Tensor, "t j 4"], Float[Tensor, "t j 3"]]:
    """Rotations and translations of all frames, those of the rows solved, block by block."""
    changed, translations = rotations.clone(), problem.translations.clone()
    turning = torch.tensor(problem.rig.turning, dtype=torch.long)
    for block in rows.split(BLOCK) if len(rows) else ():
        turned, translations[block], _ = change_pose(problem.take(block), iterations)
        old, new = rotations[block][:, turning], turned[:, turning]
        sign = torch.where((old * new).sum(-1, keepdim=True) < 0.0, -1.0, 1.0)
        changed[block[:, None], turning] = sign * new
    return changed, translations


def _written(
    clip: Clip,
    kept: tuple[int, ...],
    rows: Int[Tensor, "k"],
    rotations: Float[Tensor, "t j 4"],
    translations: Float[Tensor, "t j 3"],
) -> Clip:
    """The clip with the new poses in these rows."""
    turned, root = clip.rotations.clone(), clip.root.clone()
    turned[rows[:, None], torch.tensor(kept)] = rotations[rows].to(turned)
    root[rows] = translations[rows, 0].to(root)
    local = clip.translations
    if local is not None:
        local = torch.cat((root.unsqueeze(1), local[:, 1:]), dim=1)
    return replace(clip, rotations=turned, root=root, translations=local)


def _farthest(
    aims: Aims, positions: Float[Tensor, "t j 3"], full: Bool[Tensor, "t m"]
) -> list[float]:
    """How far each aim is off at most where it holds in full, metres; free coordinates apart."""
    lacking = (aims.positions - positions[:, list(aims.joints)]).nan_to_num(nan=0.0)
    return torch.where(full, lacking.norm(dim=-1), 0.0).amax(0).tolist()
