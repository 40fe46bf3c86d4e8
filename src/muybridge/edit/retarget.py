"""Retargeting: the motion of one skeleton on another.

1. Joints are matched (`joint_map`): limbs one to one; the joints of the trunk, of which rigs have
   few or many, by where they lie between hips and arms and between arms and head.
2. World orientations are carried over, corrected by the constant turn between the two rest poses
   (`rest_pose`). Joints without a partner stay at rest on their parents.
3. The hips' path is scaled by the length of the legs, at the height at which the lowest point of
   the feet comes down to the same floor.
4. Feet that stood in the source stand in the target (`pin`): contacts are kept, not copied slides.
5. Hands that were outside of the trunk stay outside (`clearance`). No other parts are kept from
   piercing each other, and hands that touched may miss.

From A to B and back to A is the identity for rigs of one topology, steps 4 and 5 apart.

T frames, J joints. World frame: metres, Y up.

References:
    Gleicher, Retargetting motion to new characters, SIGGRAPH 1998.
    Monzani et al., Using an intermediate skeleton and inverse kinematics for motion retargeting,
    Eurographics 2000 (rest-pose correction).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.clearance import clear_hands
from muybridge.edit.feet import LOWEST, foot_contacts
from muybridge.edit.joint_map import Pair, joint_map
from muybridge.edit.pin import PinOptions, pin
from muybridge.edit.rest_pose import pose_of_frame, rest_pose, rest_turns
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import conjugate, multiply, rotate, slerp
from muybridge.motion.clip import Clip
from muybridge.motion.facing import yaw, yaw_quaternion
from muybridge.motion.kinematics import Pose, forward_clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["RetargetOptions", "leg_length", "retarget"]

Parts = tuple[Mapping[str, int], Mapping[str, int]]  # of the source and of the target


@dataclass(frozen=True)
class RetargetOptions:
    """How a motion is carried over.

    Attributes:
        feet: Pin the feet where they stood in the source.
        hands: Keep hands out of the trunk if they were outside.
        scale: Of the hips' path; the ratio of the legs' lengths when None.
        rest_frame: Frame of the source that is its rest pose, for files whose skeleton is not
            drawn in one; the skeleton at rest when None.
    """

    feet: bool = True
    hands: bool = True
    scale: float | None = None
    rest_frame: int | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0.0):
            raise InputError(f"expected a positive scale, got {self.scale:g}; 1 keeps the path")


def retarget(
    clip: Clip,
    target: Skeleton,
    own: Mapping[str, Pair] | None = None,
    options: RetargetOptions | None = None,
) -> Clip:
    """The clip's motion on another skeleton.

    Args:
        clip: The motion; complete.
        target: The skeleton that is to move likewise.
        own: Joint names that go before those known, see `joint_map`.
        options: Feet, scale, rest pose.
    Returns:
        A clip of the target skeleton; flags and uncertainty go with the joints that were matched.
    Raises:
        InputError: If the skeletons cannot be matched, or poses are missing.
    """
    options = options or RetargetOptions()
    refuse_missing(clip)
    parts_s, parts_t = joint_map(clip.skeleton, target, own)
    at_rest = options.rest_frame is None
    rest_s = rest_pose(clip.skeleton) if at_rest else pose_of_frame(clip, options.rest_frame or 0)
    rest_t = rest_pose(target)
    turns = rest_turns((rest_s, parts_s), (rest_t, parts_t))
    pose = forward_clip(clip)
    moved = multiply(pose.orientations, conjugate(rest_s.orientations))
    wanted: dict[int, Tensor] = {
        parts_t[name]: multiply(moved[:, parts_s[name]], turn.expand(len(clip), 4))
        for name, turn in turns.items()
    }
    whole = turns["hips"]
    for joint, turn in _trunk_turns(moved, (rest_s, rest_t), (parts_s, parts_t), clip, target):
        wanted[joint] = multiply(turn, whole.expand(len(clip), 4))
    hips = _hips_path(pose, (rest_s, rest_t), (parts_s, parts_t), options.scale)
    rotations, root = _locals(target, wanted, parts_t["hips"], hips)
    made = _described(clip, target, rotations, root, (parts_s, parts_t))
    made = _grounded(made, clip, pose, (parts_s, parts_t))
    made = clear_hands(made, parts_t, pose, parts_s) if options.hands else made
    if not options.feet:
        return made
    contacts = clip.contacts if clip.contacts is not None else foot_contacts(clip)
    return pin(made, _carried(contacts, target, (parts_s, parts_t), feet_only=True), PinOptions())


def leg_length(pose: Pose, parts: Mapping[str, int]) -> float:
    """Thigh and shank, the mean of both sides, metres."""
    length = 0.0
    for side in ("left", "right"):
        joints = [parts[f"{side}_{limb}"] for limb in ("upper_leg", "lower_leg", "foot")]
        length += float(pose.positions[joints].diff(dim=0).norm(dim=-1).sum()) / 2.0
    return length


def _chain(skeleton: Skeleton, parts: Mapping[str, int]) -> tuple[list[int], list[int]]:
    """Joints from the hips to where the arms branch off, and from there to the head or neck."""
    top = parts.get("head", parts.get("neck", parts["left_upper_arm"]))
    up = skeleton.lineage(top)
    arm = skeleton.lineage(parts["left_upper_arm"])
    fork = next(joint for joint in up if joint in arm)
    if parts["hips"] not in up:
        return [parts["hips"]], []
    chain = up[: up.index(parts["hips"]) + 1][::-1]
    place = chain.index(fork) if fork in chain else 0
    return chain[: place + 1], chain[place:] if top != parts["left_upper_arm"] else []


def _trunk_turns(
    moved: Float[Tensor, "t j 4"],
    rests: tuple[Pose, Pose],
    parts: Parts,
    clip: Clip,
    target: Skeleton,
) -> list[tuple[int, Float[Tensor, "t 4"]]]:
    """World turns away from rest of the target's trunk, read off the source's along its length."""
    sources, targets = _chain(clip.skeleton, parts[0]), _chain(target, parts[1])
    turns: list[tuple[int, Tensor]] = []
    for chain_s, chain_t in zip(sources, targets, strict=True):
        if len(chain_s) < 2 or len(chain_t) < 2:
            turns += [(joint, moved[:, chain_s[-1]]) for joint in chain_t[1:] if chain_s]
            continue
        share_s, share_t = (
            _along(chain, rest) for chain, rest in zip((chain_s, chain_t), rests, strict=True)
        )
        if len(chain_s) == len(chain_t):
            share_t = share_s
        for joint, share in zip(chain_t, share_t, strict=True):
            turns.append((joint, _between(moved[:, chain_s], share_s, share)))
    return turns


def _along(chain: Sequence[int], rest: Pose) -> list[float]:
    """Where each joint of a chain lies, 0 at its begin and 1 at its end."""
    steps = rest.positions[list(chain)].diff(dim=0).norm(dim=-1)
    length = torch.cat((torch.zeros_like(steps[:1]), steps.cumsum(0)))
    return (length / length[-1].clamp(min=1e-9)).tolist()


def _between(
    turns: Float[Tensor, "t n 4"], shares: Sequence[float], share: float
) -> Float[Tensor, "t 4"]:
    """The turn at a place of a chain: that of the joint there, or between its neighbours."""
    after = next((i for i, s in enumerate(shares) if s >= share - 1e-9), len(shares) - 1)
    if after == 0 or abs(shares[after] - share) < 1e-9:
        return turns[:, after]
    gap = shares[after] - shares[after - 1]
    part = torch.full_like(turns[:, 0, 0], (share - shares[after - 1]) / gap)
    return slerp(turns[:, after - 1], turns[:, after], part)


def _hips_path(
    pose: Pose, rests: tuple[Pose, Pose], parts: Parts, scale: float | None
) -> Float[Tensor, "t 3"]:
    """The hips' places, scaled with the legs; `_grounded` sets the height."""
    legs = [leg_length(rest, part) for rest, part in zip(rests, parts, strict=True)]
    if min(legs) < 1e-6:
        raise InputError(
            f"expected legs of some length, got {legs[0]:g} m and {legs[1]:g} m; check the "
            "skeletons' offsets"
        )
    ratio = legs[1] / legs[0] if scale is None else scale
    return ratio * pose.positions[:, parts[0]["hips"]]


def _grounded(made: Clip, clip: Clip, pose: Pose, parts: Parts) -> Clip:
    """The clip at the height at which its feet come down as low as the source's do."""
    floors = [
        _floor(skeleton, part, where)
        for skeleton, part, where in (
            (clip.skeleton, parts[0], pose),
            (made.skeleton, parts[1], forward_clip(made)),
        )
    ]
    up = made.root.new_tensor([0.0, 1.0, 0.0])
    return replace(made, root=made.root + (floors[0] - floors[1]) * up)


def _floor(skeleton: Skeleton, parts: Mapping[str, int], pose: Pose) -> Float[Tensor, ""]:
    """Near the lowest that any point of the feet comes, metres."""
    ankles = parts["left_foot"], parts["right_foot"]
    below = [j for j in range(len(skeleton)) if set(skeleton.lineage(j)) & set(ankles)]
    return pose.positions[:, below, 1].amin(-1).quantile(LOWEST)


def _locals(
    target: Skeleton,
    wanted: Mapping[int, Float[Tensor, "t 4"]],
    hips: int,
    path: Float[Tensor, "t 3"],
) -> tuple[Float[Tensor, "t j 4"], Float[Tensor, "t 3"]]:
    """Local rotations and the root's path from world orientations and the hips' path.

    A root above the hips takes their heading, so that it still says where the body faces.
    """
    heading = yaw_quaternion(yaw(wanted[hips]))
    world: list[Tensor] = []
    for joint, parent in enumerate(target.parents):
        follows = heading if parent < 0 else world[parent]
        world.append(wanted.get(joint, follows))
    local = [
        world[joint] if parent < 0 else multiply(conjugate(world[parent]), world[joint])
        for joint, parent in enumerate(target.parents)
    ]
    root, joint = path, hips
    while (parent := target.parents[joint]) >= 0:
        root = root - rotate(world[parent], target.offsets[joint].to(path).expand_as(path))
        joint = parent
    rotations = torch.stack(local, dim=1)
    return rotations / rotations.norm(dim=-1, keepdim=True), root


def _described(
    clip: Clip,
    target: Skeleton,
    rotations: Float[Tensor, "t j 4"],
    root: Float[Tensor, "t 3"],
    parts: Parts,
) -> Clip:
    return replace(
        clip,
        skeleton=target,
        rotations=rotations,
        root=root,
        translations=None,
        position_std=_carried(clip.position_std, target, parts),
        contacts=_carried(clip.contacts, target, parts, feet_only=True),
        filled=_carried(clip.filled, target, parts),
    )


def _carried(
    values: Tensor | None, target: Skeleton, parts: Parts, feet_only: bool = False
) -> Tensor | None:
    """What the source knows of each joint; a joint without partner takes it of its parent."""
    if values is None:
        return None
    partner = {parts[1][name]: joint for name, joint in parts[0].items() if name in parts[1]}
    feet = {j for name, j in parts[1].items() if name.endswith(("_foot", "_toes"))}
    origin: list[int] = []
    for joint, parent in enumerate(target.parents):
        above = parts[0]["hips"] if parent < 0 else origin[parent]
        origin.append(partner.get(joint, above))
    carried = values[:, origin]
    if feet_only:
        carried = carried & torch.tensor([j in feet and j in partner for j in range(len(target))])
    return carried
