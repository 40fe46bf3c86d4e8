"""What an animator asks for: goals in place and time, and the aims of each frame that follow.

T frames, M aims. World frame: metres, Y up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate, slerp
from muybridge.motion.facing import yaw_quaternion
from muybridge.motion.ik.full_body import Aims
from muybridge.motion.kinematics import Pose

__all__ = ["Goal", "aims_of", "check", "shares"]

PIN = 30.0  # weight of a pin beside a goal's 1: where not both can be, the goal gives way


@dataclass(frozen=True)
class Goal:
    """Where a part is to be, and how it is to be turned.

    Attributes:
        part: A part of the body (`motion.humanoid`) or a joint's own name.
        position: World, metres, for all frames or one a frame; NaN leaves a coordinate free. None
            leaves the place free.
        orientation: World orientation of the part; None leaves it free.
        relative: The position counts from the point of the floor below the root: x to the body's
            left, z ahead, y up from zero as ever.
        at: Second at which the goal is met; None holds it over the whole clip.
        ease: Seconds over which it comes, and goes again, around `at`.
        start: Part at which the reaching limb begins; None lets all joints above the part help.
    """

    part: str
    position: Float[Tensor, "3"] | Float[Tensor, "t 3"] | None = None
    orientation: Float[Tensor, "4"] | Float[Tensor, "t 4"] | None = None
    relative: bool = False
    at: float | None = None
    ease: float = 0.5
    start: str | None = None


def check(goals: Sequence[Goal], frames: int, fps: float) -> None:
    """Refuse goals that say nothing, nonsense, or something about another time.

    Raises:
        InputError: With what is wrong.
    """
    if not goals:
        raise InputError("expected at least one goal, got none; say which part is to reach where")
    for goal in goals:
        if goal.position is None and goal.orientation is None:
            raise InputError(
                f"expected a place or an orientation for {goal.part}, got neither; give one"
            )
        for value in (goal.position, goal.orientation):
            if value is not None and bool(value.isinf().any()):
                raise InputError(
                    f"expected finite numbers for {goal.part}, got infinity; give metres"
                )
            if value is not None and value.ndim == 2 and len(value) != frames:
                raise InputError(
                    f"expected one goal for {goal.part} or one for each of the {frames} frames, "
                    f"got {len(value)}; match the clip"
                )
        if not goal.ease > 0.0:
            raise InputError(
                f"expected a time above 0 to ease in and out, got {goal.ease:g} s; 0.5 is usual"
            )
        if goal.at is not None and not 0.0 <= goal.at <= (frames - 1) / fps:
            raise InputError(
                f"expected a moment within the {(frames - 1) / fps:.3g} s of the clip, got "
                f"{goal.at:g} s; choose one inside"
            )


def shares(goal: Goal, frames: int, fps: float) -> Float[Tensor, "t"]:
    """How far the goal holds in each frame, 0 to 1: a smooth bell around its moment.

    Minimum-jerk: 10 x^3 - 15 x^4 + 6 x^5 starts and ends without speed or acceleration. The moment
    is moved to the nearest frame, so that one frame has it all.
    """
    if goal.at is None:
        return torch.ones(frames, dtype=torch.float64)
    away = (torch.arange(frames, dtype=torch.float64) - round(goal.at * fps)).abs() / fps
    x = (1.0 - away / goal.ease).clamp(min=0.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


def aims_of(
    goals: Sequence[tuple[int, Goal]],
    held: Sequence[int],
    pose: Pose,
    facing: Float[Tensor, "t"],
    fps: float,
) -> tuple[Aims, Float[Tensor, "t m"]]:
    """The aims of each frame, and how far each holds in it.

    Args:
        goals: With the joint of each; several of one joint share it.
        held: Joints that are pinned.
        pose: World pose of the clip.
        facing: Heading of each frame, radians.
        fps: Frames a second.
    """
    moved = tuple(dict.fromkeys(joint for joint, _ in goals))
    joints, frames = (*moved, *held), len(facing)
    positions = pose.positions[:, list(joints)].clone()
    orientations = pose.orientations[:, list(joints)].clone()
    share = torch.ones(frames, len(joints), dtype=torch.float64)
    for column, joint in enumerate(moved):
        mine = [goal for other, goal in goals if other == joint]
        parts = torch.stack([shares(goal, frames, fps) for goal in mine])
        share[:, column] = parts.sum(0).clamp(max=1.0)
        parts = parts / parts.sum(0).clamp(min=1.0)
        here = positions[:, column]
        positions[:, column] = _place(mine, parts, here, pose.positions[:, 0], facing)
        orientations[:, column] = _turn(mine, parts, orientations[:, column])
    weights = torch.tensor([1.0] * len(moved) + [PIN] * len(held), dtype=torch.float64)
    return Aims(joints, positions, orientations, weights), share


def _place(
    goals: Sequence[Goal],
    parts: Float[Tensor, "g t"],
    here: Float[Tensor, "t 3"],
    root: Float[Tensor, "t 3"],
    facing: Float[Tensor, "t"],
) -> Float[Tensor, "t 3"]:
    """From where the part is towards its goals, as far as each holds."""
    if all(goal.position is None for goal in goals):
        return torch.full_like(here, torch.nan)
    place = here
    for goal, share in zip(goals, parts, strict=True):
        if goal.position is None:
            continue
        wanted = goal.position.to(here).expand_as(here)
        if goal.relative:
            wanted = _beside(wanted, here, root, facing)
        place = place + share.unsqueeze(-1) * (wanted - here)
    return place


def _beside(
    wanted: Float[Tensor, "t 3"],
    here: Float[Tensor, "t 3"],
    root: Float[Tensor, "t 3"],
    facing: Float[Tensor, "t"],
) -> Float[Tensor, "t 3"]:
    """World place of a goal beside the body; a free x or z stays as the part has it."""
    floor, turn = root * root.new_tensor([1.0, 0.0, 1.0]), yaw_quaternion(facing)
    now = rotate(yaw_quaternion(-facing), here - floor)
    place = floor + rotate(turn, torch.where(wanted.isnan(), now, wanted))
    return torch.stack((place[:, 0], wanted[:, 1], place[:, 2]), dim=-1)


def _turn(
    goals: Sequence[Goal], parts: Float[Tensor, "g t"], here: Float[Tensor, "t 4"]
) -> Float[Tensor, "t 4"]:
    """From how the part is turned towards its goals, as far as each holds."""
    if all(goal.orientation is None for goal in goals):
        return torch.full_like(here, torch.nan)
    turned = here
    for goal, share in zip(goals, parts, strict=True):
        if goal.orientation is not None:
            turned = slerp(turned, goal.orientation.to(here).expand_as(here), share)
    return turned
