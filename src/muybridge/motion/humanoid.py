"""Which joint is which part of a body: names of many programs, read as one.

Limbs are told by their names, in the habits of Mixamo, CMU, Bandai Namco, Rigify, Unreal, VRM, 3ds
Max Biped, SMPL and others; the trunk is told by the tree, since programs agree neither on the
number nor on the names of its joints. A part is named for the bone that BEGINS at its joint:
`left_lower_leg` is the left knee, `left_foot` the ankle, `left_hand` the wrist.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from muybridge.errors import InputError
from muybridge.motion.skeleton import Skeleton

__all__ = ["GROUPS", "LIMBS", "PARTS", "humanoid", "part", "parts", "plain_name"]

# Names of a limb's joints without side and prefix, in the order in which they are tried: a joint is
# taken once, so that "shoulder" is the collar bone where there is an arm, and the arm otherwise.
LIMBS: dict[str, tuple[str, ...]] = {
    "upper_arm": ("upperarm", "uparm", "arm", "humerus", "shoulderjoint", "shoulder"),
    "lower_arm": ("lowerarm", "forearm", "elbow", "elbowjoint", "loarm", "radius"),
    "hand": ("wrist", "hand", "wristjoint"),
    "shoulder": ("clavicle", "collar", "collarbone", "torsoclavicle", "shoulder", "inshoulder"),
    "upper_leg": ("upperleg", "upleg", "thigh", "femur", "hip", "hipjoint"),
    "lower_leg": ("lowerleg", "shin", "calf", "knee", "kneejoint", "tibia", "loleg", "leg"),
    "foot": ("ankle", "anklejoint", "foot"),
    "toes": ("toebase", "toes", "toe", "toejoint", "ball", "forefoot", "toe0", "foot"),
}  # fmt: skip
NECKS = ("neck", "neck1", "neck01", "lowerneck", "spine3neck")
HEADS = ("head", "skull", "torsohead", "spine006")
TRUNK = ("hips", "spine", "chest", "neck", "head")
SIDES = ("left", "right")
PARTS = (*TRUNK, *(f"{side}_{limb}" for side in SIDES for limb in LIMBS))
GROUPS: dict[str, tuple[str, ...]] = {
    "feet": ("left_foot", "right_foot"),
    "toes": ("left_toes", "right_toes"),
    "hands": ("left_hand", "right_hand"),
}

NOISE = {
    "mixamorig", "bip", "j", "def", "org", "cc", "base", "valvebiped", "m",
    "avg", "f", "character", "rig", "armature", "bone", "b",
}  # fmt: skip
WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
SIDE_WORDS = {"left": "left", "l": "left", "right": "right", "r": "right"}


def humanoid(skeleton: Skeleton) -> dict[str, int]:
    """Joint index of each part of `PARTS` that the skeleton has.

    Returns:
        Parts in the order of `PARTS`; those that were not found are absent.
    """
    found = dict(_limbs(skeleton))
    legs = [found[n] for n in ("left_upper_leg", "right_upper_leg") if n in found]
    arms = [found[n] for n in ("left_upper_arm", "right_upper_arm") if n in found]
    hips = _meeting(skeleton, legs) if len(legs) == 2 else 0
    found["hips"] = hips
    if len(arms) == 2:
        chest = _meeting(skeleton, arms)
        trunk = [j for j in skeleton.lineage(chest) if hips in skeleton.lineage(j)[1:]]
        found |= {"spine": trunk[-1]} if trunk else {}
        found |= {"chest": trunk[0]} if len(trunk) > 1 else {}
    for name, spellings in (("neck", NECKS), ("head", HEADS)):
        joint = _first(skeleton, "", spellings, set(found.values()))
        found |= {} if joint is None else {name: joint}
    return {name: found[name] for name in PARTS if name in found}


def part(skeleton: Skeleton, name: str) -> int:
    """Joint index of a joint's own name or of a part.

    Raises:
        InputError: If there is neither such a joint nor such a part.
    """
    if name in skeleton.names:
        return skeleton.names.index(name)
    known = humanoid(skeleton)
    if name in known:
        return known[name]
    raise InputError(
        f"expected a joint ({_listed(skeleton.names)}) or a part of the body "
        f"({', '.join(known)}), got {name!r}; check the spelling"
    )


def parts(skeleton: Skeleton, names: Iterable[str]) -> tuple[int, ...]:
    """Joint indices of joints, parts, or groups of parts (feet, toes, hands).

    Raises:
        InputError: If a name is unknown.
    """
    own = set(skeleton.names)
    single = (n for name in names for n in ([name] if name in own else GROUPS.get(name, [name])))
    return tuple(part(skeleton, name) for name in single)


def plain_name(name: str) -> tuple[str, str]:
    """The side ("left", "right" or "") and the name without side, prefix, case and separators."""
    words = [word.lower() for word in WORDS.findall(name)]
    while len(words) > 1 and (words[0] in NOISE or words[0].isdigit()):
        words = words[1:]  # "Bip01 ", "mixamorig:", "J_Bip_"
    sides = [SIDE_WORDS[word] for word in words if word in SIDE_WORDS]
    return (sides[0] if sides else ""), "".join(w for w in words if w not in SIDE_WORDS)


def _limbs(skeleton: Skeleton) -> Iterable[tuple[str, int]]:
    for side in SIDES:
        taken: set[int] = set()
        for limb, spellings in LIMBS.items():
            joint = _first(skeleton, side, spellings, taken)
            if joint is not None:
                taken.add(joint)
                yield f"{side}_{limb}", joint


def _first(
    skeleton: Skeleton, side: str, spellings: tuple[str, ...], taken: set[int]
) -> int | None:
    """The joint with the first of these spellings that is there and free."""
    plain: Mapping[tuple[str, str], int] = {
        plain_name(name): joint
        for joint, name in reversed(list(enumerate(skeleton.names)))
        if not skeleton.end_sites[joint] and joint not in taken
    }
    return next((plain[side, name] for name in spellings if (side, name) in plain), None)


def _meeting(skeleton: Skeleton, joints: list[int]) -> int:
    """The lowest joint above both."""
    first, second = (skeleton.lineage(joint) for joint in joints)
    return next(joint for joint in first[1:] + first[:1] if joint in second)


def _listed(names: tuple[str, ...], most: int = 12) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
