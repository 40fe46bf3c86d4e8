"""Pin feet to the ground: what stands does not slide.

Each contact gets an anchor, the mean place of the joint while it stands. The ankle is brought there
by two-bone inverse kinematics, the foot keeps its orientation but for the small turn that keeps the
base of the toes on its own anchor; while the heel has left and the toes still stand, the ankle is
carried about the toes. Before and after a contact the correction fades, beginning with its own
speed, so that nothing jumps. Where a leg is too short for its anchor the hips come down, smoothly.

T frames, J joints. World frame: metres, Y up.

References:
    Kovar, Schreiner & Gleicher, Footskate cleanup for motion capture editing, SCA 2002.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d, maximum_filter1d
from torch import Tensor

from muybridge.edit.fade import fade
from muybridge.edit.feet import Foot, feet, foot_contacts
from muybridge.edit.sequence import posed
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_rotvec,
    rotate,
    rotvec_from_quaternion,
)
from muybridge.motion.clip import Clip
from muybridge.motion.contacts import anchors
from muybridge.motion.humanoid import humanoid
from muybridge.motion.ik.two_bone import Limb, TwoBoneOptions, align, two_bone
from muybridge.motion.kinematics import Pose, forward, forward_clip

__all__ = ["PinOptions", "fade_out", "pin"]

LONGEST_EASE_S = 60.0
BENT = 0.995  # of a leg's length: beyond it a knee moves far for little, so the hips come down


@dataclass(frozen=True)
class PinOptions:
    """How feet are pinned.

    Attributes:
        ease: Seconds over which a correction comes and goes.
        toes: Hold the base of the toes too, also while the heel is up.
        hips: Let the hips come down where a leg is too short.
    """

    ease: float = 0.2
    toes: bool = True
    hips: bool = True

    def __post_init__(self) -> None:
        if not 0.0 <= self.ease <= LONGEST_EASE_S:
            raise InputError(
                f"expected an ease of 0 to {LONGEST_EASE_S:g} s, got {self.ease:g}; 0.2 is usual"
            )


class _Aim(NamedTuple):
    """Where a foot is to be: the ankle's place and the turn of the foot, in the world."""

    ankle: Float[Tensor, "t 3"]
    turn: Float[Tensor, "t 4"]


def pin(
    clip: Clip, contacts: Bool[Tensor, "t j"] | None = None, options: PinOptions | None = None
) -> Clip:
    """The clip with feet that stand still where they are in contact.

    Args:
        clip: A body with legs of two bones, complete.
        contacts: True where an ankle or toe base stands; those of the clip, or detected, when None.
        options: Ease, toes, hips.
    Returns:
        The clip with these contacts.
    Raises:
        InputError: If the skeleton has no feet, or poses are missing.
    """
    options = options or PinOptions()
    refuse_missing(clip)
    found = feet(clip.skeleton)
    contacts = clip.contacts if contacts is None else contacts
    contacts = foot_contacts(clip) if contacts is None else contacts
    pose = forward_clip(clip)
    aims = [_aim(pose, contacts, foot, clip.fps, options) for foot in found]
    limbs = [_leg(clip, foot) for foot in found]
    places, rotations = clip.local_translations(), clip.rotations
    if options.hips:
        drop = _drop(pose, limbs, aims, clip.fps)
        down = torch.stack((torch.zeros_like(drop), -drop, torch.zeros_like(drop)), dim=-1)
        places = torch.cat((places[:, :1] + down.unsqueeze(1), places[:, 1:]), dim=1)
    for foot, limb, aim in zip(found, limbs, aims, strict=True):
        now = forward(clip.skeleton, rotations, places)
        rotations = two_bone(
            clip.skeleton, rotations, now, limb, aim.ankle, options=TwoBoneOptions()
        )
        rotations = _turned(clip, rotations, pose.orientations[:, foot.ankle], foot, aim)
    return replace(posed(clip, rotations, places), contacts=contacts)


def _leg(clip: Clip, foot: Foot) -> Limb:
    """Hip, knee and ankle: by their names, so that twist bones between them do no harm."""
    parts = humanoid(clip.skeleton)
    for side in ("left", "right"):
        if parts.get(f"{side}_foot") == foot.ankle:
            wanted = [f"{side}_upper_leg", f"{side}_lower_leg"]
            if all(name in parts for name in wanted):
                return Limb(parts[wanted[0]], parts[wanted[1]], foot.ankle)
    raise InputError(
        f"expected a leg of two bones above {clip.skeleton.names[foot.ankle]}, got none known by "
        "its name; name hip and knee, such as LeftUpLeg and LeftLeg"
    )


def _turned(
    clip: Clip,
    rotations: Float[Tensor, "t j 4"],
    orientation: Float[Tensor, "t 4"],
    foot: Foot,
    aim: _Aim,
) -> Float[Tensor, "t j 4"]:
    """The foot's world orientation as it was, but for the turn of its aim."""
    above = _orientation(clip, rotations, clip.skeleton.parents[foot.ankle])
    local = multiply(conjugate(above), multiply(aim.turn, orientation))
    changed = rotations.clone()
    changed[:, foot.ankle] = local / local.norm(dim=-1, keepdim=True)
    return changed


def _orientation(clip: Clip, rotations: Float[Tensor, "t j 4"], joint: int) -> Tensor:
    """World orientation of one joint: the product down its chain."""
    turn = rotations[:, joint]
    while (joint := clip.skeleton.parents[joint]) >= 0:
        turn = multiply(rotations[:, joint], turn)
    return turn


def _aim(
    pose: Pose, contacts: Bool[Tensor, "t j"], foot: Foot, fps: float, options: PinOptions
) -> _Aim:
    """Anchors where the foot stands, fading corrections where it does not."""
    ankle = pose.positions[:, foot.ankle]
    heel = contacts[:, foot.ankle]
    still = torch.zeros_like(ankle)
    window = max(1, round(options.ease * fps))
    place = _run_means(ankle, heel)
    if foot.toes is None or not options.toes:
        shift = fade_out(torch.where(heel[:, None], place - ankle, still), heel, window)
        return _Aim(ankle + shift, quaternion_from_rotvec(still))
    toes, ball = pose.positions[:, foot.toes], contacts[:, foot.toes]
    bone = toes - ankle
    both = heel & ball
    spot = _run_means(toes, ball)
    place = _at_length(place, heel, spot, both, bone.norm(dim=-1, keepdim=True))
    turn = align(bone, torch.where(both[:, None], spot - place, bone), still + 1.0)
    rotvec = fade_out(torch.where(both[:, None], rotvec_from_quaternion(turn), still), both, window)
    turn = quaternion_from_rotvec(rotvec)
    about = spot - rotate(turn, bone)  # where the ankle is as the toes stand
    wanted = torch.where(heel[:, None], place, torch.where(ball[:, None], about, ankle))
    shift = fade_out(wanted - ankle, heel | ball, window)
    return _Aim(ankle + shift, turn)


def _run_means(points: Float[Tensor, "t 3"], mask: Bool[Tensor, "t"]) -> Float[Tensor, "t 3"]:
    """The mean of each run of True; the points themselves elsewhere."""
    if not bool(mask.any()):
        return points
    mean = anchors(points.unsqueeze(1), mask.unsqueeze(1))[:, 0]
    return torch.where(mask[:, None], mean, points)


def _at_length(
    place: Float[Tensor, "t 3"],
    heel: Bool[Tensor, "t"],
    spot: Float[Tensor, "t 3"],
    both: Bool[Tensor, "t"],
    length: Float[Tensor, "t 1"],
) -> Float[Tensor, "t 3"]:
    """The ankle's anchors, moved to be as far from those of the toes as the foot is long.

    One anchor for each run of the heel: the mean over the frames in which the toes stand as well.
    """
    if not bool(both.any()):
        return place
    away = place - spot
    fitted = spot + away * (length / away.norm(dim=-1, keepdim=True).clamp(min=1e-9))
    share = _run_means(both[:, None].to(spot).expand(-1, 3), heel)
    sums = _run_means(torch.where(both[:, None], fitted, torch.zeros_like(spot)), heel)
    known = heel[:, None] & (share > 0.0)
    return torch.where(known, sums / share.clamp(min=1e-9), place)


def fade_out(
    values: Float[Tensor, "t n"], known: Bool[Tensor, "t"], window: int
) -> Float[Tensor, "t n"]:
    """Values where they are known; elsewhere what fades from the nearest known on either side.

    Each side begins with the slope that it has at the end of its run and is gone after the window,
    or where the next run begins if that is nearer; the sum of both fades is smooth.

    Args:
        values: Corrections, any unit.
        known: Where they hold.
        window: Frames.
    """
    if not bool(known.any()):
        return torch.zeros_like(values)
    frame = torch.arange(len(values))
    none = len(values) + window + 1
    before = torch.where(known, frame, -none).cummax(0).values
    after = torch.where(known, frame, 2 * none).flip(0).cummin(0).values.flip(0)
    width = (after - before).clamp(1, window).to(values.dtype)
    if len(values) < 2:
        return values
    inside = known[1:] & known[:-1]
    steps = torch.where(inside[:, None], values.diff(dim=0), torch.zeros_like(values[1:]))
    faded = torch.zeros_like(values)
    for place, sign in ((before, 1), (after, -1)):
        here = place.clamp(0, len(values) - 1)
        slope = (
            steps[(here - 1).clamp(min=0)] if sign > 0 else -steps[here.clamp(max=len(steps) - 1)]
        )
        value, rise = fade((((frame - place) * sign).to(values.dtype) / width)[:, None])
        faded = faded + value * values[here] + width[:, None] * rise * slope
    return torch.where(known[:, None], values, faded)


def _drop(pose: Pose, limbs: list[Limb], aims: list[_Aim], fps: float) -> Float[Tensor, "t"]:
    """How far the hips come down so that every ankle is within reach, metres.

    A leg may be as straight as it was; if it was not, it is not stretched further than `BENT`.
    """
    drops = []
    for limb, aim in zip(limbs, aims, strict=True):
        hip, knee, ankle = (pose.positions[:, joint].detach() for joint in limb)
        length = (knee - hip).norm(dim=-1) + (ankle - knee).norm(dim=-1)
        reach = torch.maximum((hip - ankle).norm(dim=-1), BENT * length)
        apart = hip - aim.ankle.detach()
        level = apart[:, [0, 2]].square().sum(-1)
        height = (reach.square() - level).clamp(min=0.0).sqrt()
        drops.append((apart[:, 1] - height).clamp(min=0.0))
    drop = torch.stack(drops).amax(0)
    if not bool((drop > 1e-6).any()):
        return torch.zeros_like(drop)
    width = max(1, round(0.1 * fps))
    wide = maximum_filter1d(drop.numpy(), 2 * width + 1)
    return torch.from_numpy(gaussian_filter1d(wide, width / 2.0, truncate=2.0))
