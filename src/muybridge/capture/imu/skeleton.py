"""Which bone a sensor turns, and a skeleton of just the parts that sensors show.

Sensors measure no lengths: the proportions are those of `motion.body`, scaled by the stature.

J joints. T-pose at rest: Y up, facing +Z, the left side at +X, metres.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.body import BONES
from muybridge.motion.skeleton import Skeleton

__all__ = ["BONE_OF_PART", "SOLE", "SOLE_POINTS", "bones_of", "skeleton_of", "sole_points"]

_SIDED = {
    "shoulder": "Shoulder", "upper_arm": "Arm", "lower_arm": "ForeArm", "hand": "Hand",
    "upper_leg": "UpLeg", "lower_leg": "Leg", "foot": "Foot",
}  # fmt: skip
BONE_OF_PART = {
    "pelvis": "Hips",
    "chest": "Spine1",
    "head": "Head",
    **{f"{side.lower()}_{k}": side + v for side in ("Left", "Right") for k, v in _SIDED.items()},
}
_OTHER_WORDS = {
    "hips": "pelvis", "hip": "pelvis", "sacrum": "pelvis", "sternum": "chest", "torso": "chest",
    "spine": "chest", "trunk": "chest", "t8": "chest", "thigh": "upper_leg", "shank": "lower_leg",
    "shin": "lower_leg", "calf": "lower_leg", "lower_leg": "lower_leg", "upper_leg": "upper_leg",
    "forearm": "lower_arm", "fore_arm": "lower_arm", "arm": "upper_arm", "scapula": "shoulder",
    "upleg": "upper_leg", "leg": "lower_leg", "wrist": "hand",
}  # fmt: skip
SOLE = 0.039  # fractions of the stature: from the ankle down to the sole
SOLE_POINTS = ((0.0, -SOLE, -0.030), (0.0, -SOLE, 0.080), (0.0, -SOLE, 0.122))  # heel, ball, toes
_LIMBS = {
    "Left arm": ("LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "LeftHand_end"),
    "Left leg": ("LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "LeftToeBase_end"),
}
LIMBS = (
    *_LIMBS.values(),
    *(tuple(name.replace("Left", "Right") for name in limb) for limb in _LIMBS.values()),
    ("Spine", "Spine1", "Neck", "Head", "Head_end"),
)


def _part(name: str) -> str | None:
    """The canonical part that a folder's name means, if any."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = re.sub(r"[\s\-.]+", "_", words).strip("_")
    side = next((s for s in ("left", "right") if words.startswith(s) or words.endswith(s)), "")
    if not side and re.search(r"^[lr]_|_[lr]$", words):
        side = "left" if re.search(r"^l_|_l$", words) else "right"
        words = re.sub(r"^[lr]_|_[lr]$", "", words)
    words = words.removeprefix(side).removesuffix(side).strip("_") if side else words
    words = _OTHER_WORDS.get(words, words)
    known = f"{side}_{words}" if side else words
    return known if known in BONE_OF_PART else None


def bones_of(names: Sequence[str]) -> dict[str, int]:
    """Bone that each sensor turns -> its index among the names.

    Raises:
        InputError: If a name means no part of the body, or two mean the same.
    """
    bones: dict[str, int] = {}
    for index, name in enumerate(names):
        part = _part(name)
        if part is None:
            raise InputError(
                f"expected sensors named for a part such as {', '.join(list(BONE_OF_PART)[:8])}, "
                f"got {name!r}; rename its folder"
            )
        bone = BONE_OF_PART[part]
        if bone in bones:
            raise InputError(
                f"expected one sensor a bone, got {names[bones[bone]]!r} and {name!r} for {part}; "
                "remove one of them"
            )
        bones[bone] = index
    return bones


def skeleton_of(bones: Collection[str], stature: float) -> Skeleton:
    """The pelvis and every limb on which a sensor sits, whole, with what carries it.

    Args:
        bones: Bones with sensors.
        stature: Body height, metres.
    """
    kept = {"Hips"}
    for limb in LIMBS:
        if any(bone in limb for bone in bones):
            kept.update(limb)
            if limb[0].endswith("Shoulder"):
                kept.update(("Spine", "Spine1"))
    names = tuple(name for name in BONES if name in kept)
    offsets = torch.tensor([BONES[name].offset for name in names], dtype=torch.float64)
    offsets[0] = torch.tensor([0.0, 0.530, 0.0])
    parents = tuple(names.index(BONES[n].parent) if BONES[n].parent else -1 for n in names)
    ends = tuple(name.endswith("_end") for name in names)
    return Skeleton(names, parents, stature * offsets, ends)


def sole_points(stature: float) -> Float[Tensor, "3 3"]:
    """Heel, ball and tip of the sole in the frame of the foot, metres."""
    return stature * torch.tensor(SOLE_POINTS, dtype=torch.float64)
