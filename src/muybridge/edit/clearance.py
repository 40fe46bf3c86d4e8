"""Hands that were outside of the body stay outside: limits what retargeting makes them pierce.

The trunk is a capsule about the line from the hips to the neck, as wide as the shoulders are apart.
On a body with a wider trunk or other arms, orientations alone bring hands into it. A hand that is
deeper in it than it was in the source, measured in widths, is moved straight out by two-bone
inverse kinematics of its arm; it keeps its orientation. Legs, forearms and the head are not looked
at, nor hands that touch each other.

T frames, H hands. World frame: metres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.motion.clip import Clip
from muybridge.motion.ik.two_bone import Limb, two_bone
from muybridge.motion.kinematics import Pose, forward_clip

__all__ = ["clear_hands", "hand_depths"]

ROUND = 0.40  # radius of the trunk, of the distance between the upper arms
HANDS = ("left_hand", "right_hand")


def hand_depths(pose: Pose, parts: Mapping[str, int]) -> Float[Tensor, "t h"]:
    """How deep each hand is in the trunk, in radii of the trunk; 0 outside.

    Args:
        pose: World pose.
        parts: Joints of the body's parts.
    """
    return torch.stack([1.0 - _distance(pose, parts, h)[0] for h in _hands(parts)], -1).clamp(min=0)


def _hands(parts: Mapping[str, int]) -> list[str]:
    """The hands whose whole arm is known, if the trunk is."""
    if not {"hips", "left_upper_arm", "right_upper_arm"} <= set(parts):
        return []
    return [h for h in HANDS if {h, h.replace("hand", "lower_arm")} <= set(parts)]


def _distance(
    pose: Pose, parts: Mapping[str, int], hand: str
) -> tuple[Float[Tensor, "t"], Float[Tensor, "t 3"], Float[Tensor, "t"]]:
    """Of a hand from the trunk's axis, in radii; the direction out; the radius, metres."""
    places = pose.positions
    arms = places[:, parts["left_upper_arm"]], places[:, parts["right_upper_arm"]]
    radius = ROUND * (arms[0] - arms[1]).norm(dim=-1)
    low, top = places[:, parts["hips"]], (arms[0] + arms[1]) / 2.0
    axis = top - low
    out = places[:, parts[hand]] - low
    along = ((out * axis).sum(-1) / axis.square().sum(-1).clamp(min=1e-9)).clamp(0.0, 1.0)
    out = out - along.unsqueeze(-1) * axis
    apart = out.norm(dim=-1)
    return apart / radius, out / apart.clamp(min=1e-6).unsqueeze(-1), radius


def clear_hands(
    clip: Clip, parts: Mapping[str, int], source: Pose, source_parts: Mapping[str, int]
) -> Clip:
    """The clip with hands no deeper in the trunk than they are in the source.

    Args:
        clip: Of the target.
        parts: The target's.
        source: World pose of the source, of the same frames.
        source_parts: The source's.
    """
    for hand in _hands(parts):
        if hand not in _hands(source_parts):
            continue
        pose = forward_clip(clip)
        now, out, radius = _distance(pose, parts, hand)
        before, _, _ = _distance(source, source_parts, hand)
        push = (before.clamp(max=1.0) - now).clamp(min=0.0) * radius
        if not bool((push > 1e-6).any()):
            continue
        arm = [parts[hand.replace("hand", name)] for name in ("upper_arm", "lower_arm", "hand")]
        goal = pose.positions[:, arm[2]] + push.unsqueeze(-1) * out
        goal = torch.where((push > 1e-6).unsqueeze(-1), goal, torch.nan)
        rotations = two_bone(clip.skeleton, clip.rotations, pose, Limb(*arm), goal)
        clip = replace(clip, rotations=rotations)
    return clip
