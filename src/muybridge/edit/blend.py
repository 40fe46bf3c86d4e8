"""Blends and transitions of motions, each in its own facing frame.

What a body does on the floor is taken apart: its heading, its steps in the direction it faces, and
the pose above them. These are blended, (1 - w) a + w b with slerp for rotations, and the path is
walked anew from the blended turns and steps. So a walk to the left and one straight on give a
gentler curve wherever they were recorded, a weight of 0 or 1 gives the motion itself, and since
speeds are blended and not places, no transition tears a body across the floor.

T frames, J joints, C clips.

References:
    Kovar, Gleicher & Pighin, Motion graphs, SIGGRAPH 2002 (transitions in aligned floor frames).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.sequence import concatenate, posed, same_skeleton
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import multiply, rotate, slerp
from muybridge.motion.clip import Clip
from muybridge.motion.facing import heading, placed, wrap, yaw, yaw_quaternion

__all__ = ["Faced", "blend", "blend_many", "ease", "faced", "transition", "walked"]


class Faced(NamedTuple):
    """A motion as its own facing frame sees it.

    Attributes:
        start: Floor point (x, z) of the first frame, metres.
        heading: Of the first frame, radians.
        turns: From each frame to the next, radians about +Y.
        steps: From each frame to the next, in the facing frame of the former, x and z, metres.
        rotations: Local rotations; the root's without its turn about the vertical.
        places: Local positions; of the root only the height is kept.
    """

    start: Float[Tensor, "2"]
    heading: Float[Tensor, ""]
    turns: Float[Tensor, "s"]
    steps: Float[Tensor, "s 2"]
    rotations: Float[Tensor, "t j 4"]
    places: Float[Tensor, "t j 3"]


def faced(clip: Clip) -> Faced:
    """A clip taken apart; `walked` puts it together again."""
    facing = heading(clip)
    back = yaw_quaternion(-facing)
    rotations, places = clip.rotations.clone(), clip.local_translations()
    rotations[:, 0] = multiply(back, clip.rotations[:, 0])
    steps = rotate(back[:-1], clip.root.diff(dim=0))[:, [0, 2]]
    places[:, 0] = places[:, 0] * places.new_tensor([0.0, 1.0, 0.0])
    return Faced(clip.root[0, [0, 2]], facing[0], wrap(facing.diff()), steps, rotations, places)


def walked(clip: Clip, motion: Faced) -> Clip:
    """The clip with the motion of a body that walked these turns and steps."""
    facing = torch.cat((motion.heading[None], motion.turns)).cumsum(0)
    turn = yaw_quaternion(facing)
    level = torch.stack(
        (motion.steps[:, 0], torch.zeros_like(motion.turns), motion.steps[:, 1]), dim=-1
    )
    way = rotate(turn[:-1], level)[:, [0, 2]]
    floor = torch.cat((motion.start[None], way)).cumsum(0)
    rotations, places = motion.rotations.clone(), motion.places.clone()
    rotations[:, 0] = multiply(turn, motion.rotations[:, 0])
    places[:, 0] = torch.stack((floor[:, 0], places[:, 0, 1], floor[:, 1]), dim=-1)
    return posed(clip, rotations, places)


def ease(share: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """From 0 to 1 with no speed and no acceleration at either end: 10 x^3 - 15 x^4 + 6 x^5."""
    x = share.clamp(0.0, 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def blend(first: Clip, second: Clip, weight: float | Float[Tensor, "t"]) -> Clip:
    """A motion between two of equal length, in the facing frame; differentiable.

    The result begins at the first clip's place with its heading, both weighted towards the
    second's pose. Of captions, contacts and flags those of the heavier clip are kept.

    Args:
        first: Weight 1 - w.
        second: Weight w; the same skeleton, frame rate and number of frames (`timewarp` makes
            strides match first).
        weight: In [0, 1], for all frames or one each.
    Raises:
        InputError: If the clips do not fit each other, or a weight lies outside [0, 1].
    """
    second = _fitting(first, second)
    w = torch.as_tensor(weight, dtype=first.root.dtype).expand(len(first))
    if not bool(((w >= 0.0) & (w <= 1.0)).all()):
        raise InputError(f"expected weights from 0 to 1, got {float(w.min())}; choose one between")
    a, b = faced(first), faced(second)
    between = (w[1:] + w[:-1]) / 2.0
    motion = Faced(
        a.start,
        a.heading,
        torch.lerp(a.turns, b.turns, between),
        torch.lerp(a.steps, b.steps, between.unsqueeze(-1)),
        slerp(a.rotations, b.rotations, w.unsqueeze(-1)),
        torch.lerp(a.places, b.places, w[:, None, None]),
    )
    kept = first if float(w.mean()) <= 0.5 else replace(second, name=first.name)
    return walked(_described(kept, first, second, w), motion)


def _fitting(first: Clip, second: Clip) -> Clip:
    for clip in (first, second):
        refuse_missing(clip)
    if len(first) != len(second):
        raise InputError(
            f"expected two clips of one length, got {len(first)} and {len(second)} frames; make "
            "their strides meet with `muybridge edit timewarp`"
        )
    return same_skeleton(second, first)


def _described(kept: Clip, first: Clip, second: Clip, w: Float[Tensor, "t"]) -> Clip:
    """The heavier clip's contacts frame by frame; filled where a clip that counts is."""
    moving = first.translations is not None or second.translations is not None
    heavy = (w > 0.5).unsqueeze(-1)
    contacts, filled, std = None, None, None
    if first.contacts is not None and second.contacts is not None:
        contacts = torch.where(heavy, second.contacts, first.contacts)
    if first.filled is not None or second.filled is not None:
        none = torch.zeros(first.rotations.shape[:2], dtype=torch.bool)
        a, b = (none if c.filled is None else c.filled for c in (first, second))
        filled = (a & (w < 1.0).unsqueeze(-1)) | (b & (w > 0.0).unsqueeze(-1))
    if first.position_std is not None and second.position_std is not None:
        part = w.unsqueeze(-1).to(first.position_std)
        std = torch.hypot((1.0 - part) * first.position_std, part * second.position_std)
    return replace(
        kept,
        translations=kept.local_translations() if moving else None,
        contacts=contacts,
        filled=filled,
        position_std=std,
    )


def transition(first: Clip, second: Clip, seconds: float = 0.3) -> Clip:
    """Two clips one after the other, cross-faded where they meet.

    The second is turned and moved so that the walk goes on; the weight eases from 0 to 1.

    Args:
        first: Its last `seconds` are blended.
        second: Its first `seconds` are blended.
        seconds: Length of the blend; both clips must be longer.
    Raises:
        InputError: If the clips do not fit each other, or one is shorter than the blend.
    """
    second = same_skeleton(second, first)
    overlap = round(seconds * first.fps)
    if not 1 <= overlap < min(len(first), len(second)):
        shorter = min(first.duration, second.duration)
        raise InputError(
            f"expected a blend of at least one frame and shorter than both clips ({shorter:.2f} "
            f"s), got {seconds:g} s; choose another length"
        )
    share = torch.arange(1, overlap + 1, dtype=first.root.dtype) / (overlap + 1)
    head = first.frames(0, len(first) - overlap)
    last = first.frames(len(first) - overlap, len(first))
    mixed = blend(last, second.frames(0, overlap), ease(share))
    begun = concatenate(head, mixed)
    tail = second.frames(overlap - 1, len(second))  # its first step is taken as it was recorded
    tail = placed(tail, 0, yaw(begun.rotations[-1, 0]), begun.root[-1, [0, 2]])
    return concatenate(begun, tail.frames(1, len(tail)))


def _usable(weights: Float[Tensor, "c"]) -> bool:
    """True if they are finite, none is negative and one is positive."""
    return bool((weights >= 0.0).all() and weights.isfinite().all() and weights.sum() > 0.0)


def blend_many(clips: Sequence[Clip], weights: Float[Tensor, "c"]) -> Clip:
    """The weighted mean of several clips of equal length: a point of a blend space.

    Rotations are averaged as quaternions in the hemisphere of the heaviest clip's, which for poses
    of one action is within a hair of the exact mean.

    Args:
        clips: The same skeleton, frame rate and number of frames.
        weights: Not negative; they are divided by their sum.
    Raises:
        InputError: If the clips do not fit each other or no weight is positive.
    References:
        Markley et al., Averaging quaternions, 2007.
    """
    if len(clips) != len(weights) or not _usable(weights):
        raise InputError(
            f"expected one finite weight for each of {len(clips)} clips, none negative and one "
            f"positive, got {weights.tolist()}; correct the weights"
        )
    heaviest = int(weights.argmax())
    leader = clips[heaviest]
    motions = [faced(_fitting(leader, clip)) for clip in clips]
    share = (weights / weights.sum()).to(leader.root)

    def mean(values: Sequence[Tensor]) -> Tensor:
        return torch.tensordot(share, torch.stack(list(values)), dims=1)

    guide = motions[heaviest].rotations
    turned = [
        torch.where((m.rotations * guide).sum(-1, keepdim=True) < 0.0, -m.rotations, m.rotations)
        for m in motions
    ]
    return walked(
        leader,
        motions[heaviest]._replace(
            turns=mean([m.turns for m in motions]),
            steps=mean([m.steps for m in motions]),
            rotations=torch.nn.functional.normalize(mean(turned), dim=-1),
            places=mean([m.places for m in motions]),
        ),
    )
