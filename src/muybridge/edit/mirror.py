"""Left and right exchanged: the motion as a mirror beside the body would show it.

The mirror stands upright along the facing direction of the first known frame, through the root, so
that the mirrored motion starts at the same place with the same heading, and mirroring twice changes
nothing. A reflection S turns an orientation Q into S Q S: the rotation's axis is a pseudo-vector,
reflected and reversed, and its angle stays.

T frames, J joints.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import multiply, rotate
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.facing import yaw, yaw_quaternion
from muybridge.motion.humanoid import plain_name
from muybridge.motion.skeleton import Skeleton

__all__ = ["mirror", "mirror_joints", "sideways"]

WORDS = {
    "left": "right", "right": "left", "clockwise": "counterclockwise",
    "counterclockwise": "clockwise", "leftward": "rightward", "rightward": "leftward",
    "leftwards": "rightwards", "rightwards": "leftwards",
}  # fmt: skip
OTHER = {"left": "right", "right": "left"}
ASKEW = 0.35  # of a bone's length: how far the rest pose may be from its own mirror image


def mirror(clip: Clip) -> Clip:
    """The clip with left and right exchanged, words of its captions too; differentiable.

    Raises:
        InputError: If a left joint has no right one, or the rest pose is not symmetric.
    """
    pairs = list(mirror_joints(clip.skeleton))
    side = sideways(clip.skeleton, pairs)
    known = clip.rotations[:, 0].isfinite().all(-1) & clip.root.isfinite().all(-1)
    if not bool(known.any()):
        raise InputError(
            f"expected a frame with a known pose to mirror about, got none of {len(clip)}; capture "
            "again"
        )
    first = int(known.nonzero()[0])
    angle = yaw(clip.rotations[first, 0])
    turn, back = yaw_quaternion(angle), yaw_quaternion(-angle)
    floor = clip.root[first] * clip.root.new_tensor([1.0, 0.0, 1.0])

    rotations = _mirrored_turn(clip.rotations[:, pairs], side)
    faced = _mirrored_turn(multiply(back.expand(len(clip), 4), clip.rotations[:, 0]), side)
    rotations[:, 0] = multiply(turn.expand(len(clip), 4), faced)
    root = floor + rotate(turn, _mirrored(rotate(back, clip.root - floor), side))
    translations = clip.translations
    if translations is not None:
        moved = _mirrored(translations[:, pairs], side)
        translations = torch.cat((root.unsqueeze(1), moved[:, 1:]), dim=1)

    def exchanged(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[:, pairs]

    return replace(
        clip,
        rotations=rotations,
        root=root,
        translations=translations,
        position_std=exchanged(clip.position_std),
        contacts=exchanged(clip.contacts),
        filled=exchanged(clip.filled),
        captions=tuple(Caption(_mirrored_words(c.text), c.start, c.end) for c in clip.captions),
    )


def mirror_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """For each joint the one on the other side; itself for those of the middle.

    Raises:
        InputError: If a joint of one side has no partner.
    """
    names = [_sided(name) for name in skeleton.names]
    twice = [name for name, count in Counter(names).items() if count > 1 and name[0]]
    places = {name: joint for joint, name in enumerate(names)}
    alone = [
        skeleton.names[joint]
        for joint, (side, rest) in enumerate(names)
        if side and ((OTHER[side], rest) not in places or (side, rest) in twice)
    ]
    if alone or not any(side for side, _ in names):
        found = ", ".join(alone[:4]) or "no joint with a side in its name"
        raise InputError(
            f"expected joints in pairs of left and right, got {found}; name them alike, such as "
            "LeftHand and RightHand"
        )
    return tuple(
        places[OTHER[side], rest] if side else joint for joint, (side, rest) in enumerate(names)
    )


def _sided(name: str) -> tuple[str, str]:
    """Side and the rest of a name; an end site goes with the joint it ends."""
    side, rest = plain_name(name)
    return side, rest or name


def sideways(skeleton: Skeleton, pairs: list[int]) -> Float[Tensor, "3"]:
    """The axis that points from right to left in the rest pose: level, unit, x or z if near.

    Raises:
        InputError: If the rest pose is not its own mirror image.
    """
    offsets = skeleton.offsets.clone()
    offsets[0] = 0.0
    place = torch.zeros_like(offsets)
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        place[joint] = place[parent] + offsets[joint]
    across = torch.zeros(3, dtype=offsets.dtype)
    for joint, other in enumerate(pairs):
        if joint < other:
            apart = place[joint] - place[other]
            across += apart if _sided(skeleton.names[joint])[0] == "left" else -apart
    across[1] = 0.0
    side = across / across.norm().clamp(min=1e-12)
    snapped = torch.where(side.abs() > 0.98, side.sign(), torch.zeros_like(side))
    side = snapped if bool(snapped.any()) else side
    away = (_mirrored(offsets[pairs], side) - offsets).norm(dim=-1)
    length = offsets.norm(dim=-1).clamp(min=0.05)  # the way a short bone points hardly matters
    worst = int((away / length).argmax())
    if float(across.norm()) < 1e-6 or float(away[worst] / length[worst]) > ASKEW:
        raise InputError(
            "expected a rest pose with equal left and right sides, got one that is askew at "
            f"{skeleton.names[worst]}; carry the motion to a symmetric skeleton with "
            "`muybridge edit retarget`"
        )
    return side


def _mirrored(vectors: Float[Tensor, "*b 3"], side: Float[Tensor, "3"]) -> Float[Tensor, "*b 3"]:
    along = (vectors * side).sum(-1, keepdim=True)
    return vectors - 2.0 * along * side


def _mirrored_turn(
    rotations: Float[Tensor, "*b 4"], side: Float[Tensor, "3"]
) -> Float[Tensor, "*b 4"]:
    """S R S of a rotation: a pseudo-vector keeps what lies along the mirror's normal."""
    axis, w = rotations[..., :3], rotations[..., 3:]
    return torch.cat((-_mirrored(axis, side), w), dim=-1)


def _mirrored_words(text: str) -> str:
    def other(match: re.Match[str]) -> str:
        word = match.group()
        swapped = WORDS[word.lower()]
        return swapped.capitalize() if word[0].isupper() else swapped

    return re.sub(rf"\b({'|'.join(WORDS)})\b", other, text, flags=re.IGNORECASE)
