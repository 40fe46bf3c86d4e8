"""A body to look at: tapered capsules around the bones of any skeleton.

The thickness of a limb follows from what its lower joint is called; unknown names get a thickness
from the bone's length. Torso and head, which are no bones, are added where their joints are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from muybridge.motion.skeleton import Skeleton

__all__ = ["Capsule", "figure", "side_of"]

Side = Literal["left", "right", "middle"]

LIMBS: tuple[tuple[str, float, float], ...] = (  # name of the lower joint, radii (metres at 1.7 m)
    (r"thumb|index|finger|pinky|ring|middle\d", 0.014, 0.010),
    (r"handend|handtip", 0.034, 0.026),
    (r"toe|heel|ball", 0.040, 0.026),
    (r"ankle|foot", 0.056, 0.038),
    (r"knee|shin|calf|lowerleg|(?<!up)(?<!upper)leg$", 0.082, 0.056),
    (r"hip|upleg|upperleg|thigh", 0.096, 0.088),
    (r"wrist|hand", 0.042, 0.028),
    (r"elbow|forearm|lowerarm", 0.054, 0.041),
    (r"shoulder|clavicle|collar|arm", 0.066, 0.062),
    (r"neck", 0.085, 0.052),
    (r"head|skull|nose|eye|ear|jaw", 0.052, 0.050),
    (r"hips|pelvis|spine|chest|torso|back|abdomen|thorax", 0.106, 0.112),
)
GIRDLES = r"hip|upleg|upperleg|thigh|shoulder|clavicle|collar|(?<!fore)(?<!lower)arm$"  # trunk
HEAD_TOP = r"headend|headtop|headnub"
UPPER_ARM = r"(?<!fore)(?<!lower)arm$"
HEAD_M = 0.108
LENGTH_RATIO = 0.13  # radius over length of a bone of unknown name


@dataclass(frozen=True)
class Capsule:
    """A round limb between two joints; a ball where both are the same joint.

    Attributes:
        start: Index of the first joint.
        stop: Index of the second.
        start_m: Radius there, metres.
        stop_m: Radius there, metres.
        side: Of the body.
        near: Where the limb begins, as a share of the way from joint to joint.
        far: Where it ends.
    """

    start: int
    stop: int
    start_m: float
    stop_m: float
    side: Side
    near: float = 0.0
    far: float = 1.0


def figure(skeleton: Skeleton) -> tuple[Capsule, ...]:
    """Capsules for every bone, and for torso and head where they can be told."""
    scale = _scale(skeleton)
    lengths = skeleton.bone_lengths().tolist()
    limbs = []
    for child, parent in enumerate(skeleton.parents):
        if (
            parent < 0
            or lengths[child] < 1e-4
            or re.search(HEAD_TOP, _plain(skeleton.names[child]))
        ):
            continue
        start, stop = _radii(skeleton.names[child], lengths[child] / scale)
        name = skeleton.names[child]
        side: Side = "middle" if re.search(GIRDLES, _plain(name)) else side_of(name)
        limbs.append(Capsule(parent, child, start * scale, stop * scale, side))
    return (*limbs, *_torso(skeleton, scale), *_head(skeleton, scale))


def side_of(name: str) -> Side:
    """Which side of the body a joint's name says it is on."""
    if re.search(r"left|^l[_A-Z.]|[_.]l$", name) or name.startswith("Left"):
        return "left"
    if re.search(r"right|^r[_A-Z.]|[_.]r$", name) or name.startswith("Right"):
        return "right"
    return "middle"


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _radii(name: str, length_m: float) -> tuple[float, float]:
    for pattern, start, stop in LIMBS:
        if re.search(pattern, _plain(name)):
            return min(start, 0.8 * length_m + 0.02), stop
    radius = min(max(LENGTH_RATIO * length_m, 0.012), 0.06)
    return radius, radius


def _scale(skeleton: Skeleton) -> float:
    """Size of the body against a grown-up, from the longest chain of bones."""
    reach = [0.0] * len(skeleton)
    for joint, (parent, length) in enumerate(
        zip(skeleton.parents, skeleton.bone_lengths().tolist(), strict=True)
    ):
        reach[joint] = length + (reach[parent] if parent >= 0 else 0.0)
    longest = max(reach)
    return longest / 1.05 if longest > 0.0 else 1.0  # hips to toes of a grown-up: about 1.05 m


def _find(skeleton: Skeleton, side: Side, pattern: str) -> int | None:
    for joint, name in enumerate(skeleton.names):
        if side_of(name) == side and re.search(pattern, _plain(name)):
            return joint
    return None


def _torso(skeleton: Skeleton, scale: float) -> list[Capsule]:
    hips = [_find(skeleton, s, r"hip|upleg|upperleg|thigh") for s in ("left", "right")]
    arms = any(re.search(UPPER_ARM, _plain(name)) for name in skeleton.names)
    shoulders = [_find(skeleton, s, UPPER_ARM if arms else r"shoulder$") for s in ("left", "right")]
    corners = [j for j in (*hips, *shoulders) if j is not None]
    if len(corners) < 4:
        return []
    left_hip, right_hip, left_shoulder, right_shoulder = corners
    return [
        Capsule(left_hip, left_shoulder, 0.094 * scale, 0.072 * scale, "middle", 0.05, 0.88),
        Capsule(right_hip, right_shoulder, 0.094 * scale, 0.072 * scale, "middle", 0.05, 0.88),
        Capsule(left_hip, right_hip, 0.094 * scale, 0.094 * scale, "middle"),
        Capsule(left_shoulder, right_shoulder, 0.062 * scale, 0.062 * scale, "middle"),
    ]


def _head(skeleton: Skeleton, scale: float) -> list[Capsule]:
    ears = [j for j, n in enumerate(skeleton.names) if re.search(r"ear$", _plain(n))]
    heads = [j for j, n in enumerate(skeleton.names) if re.search(r"head|skull", _plain(n))]
    tops = [j for j, n in enumerate(skeleton.names) if re.search(HEAD_TOP, _plain(n))]
    if tops and skeleton.parents[tops[0]] >= 0:
        radius = 0.1 * scale
        return [Capsule(skeleton.parents[tops[0]], tops[0], radius, radius, "middle", 0.42, 0.58)]
    if len(ears) == 2:
        return [Capsule(ears[0], ears[1], 0.095 * scale, 0.095 * scale, "middle")]
    return [Capsule(heads[0], heads[0], HEAD_M * scale, HEAD_M * scale, "middle")] if heads else []
