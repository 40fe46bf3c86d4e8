"""The human skeleton that is fitted to markers: joints, proportions, limits, landmarks.

J joints, M markers. T-pose at rest: Y up, facing +Z, the left side at +X, soles on y = 0. Names are
those that animation tools know (Mixamo without its prefix). Lengths are fractions of the stature.

What is measured and what is assumed. Hips, knees, ankles, shoulders, elbows and wrists are seen by
every detector. The pelvis' pitch, the two spine joints and the collar bones are not: they share the
bend between hips and shoulders as evenly as they can. Hands follow the forearm, toes follow the
foot, and without heel and toe markers (COCO_17) the foot keeps its right angle to the shank:
`EVIDENCE` says which joints rest on what, and `Clip.filled` marks the rest.

References:
    Drillis & Contini, Body segment parameters, 1966, as given by Winter, Biomechanics and motor
    control of human movement, 4th ed., 2009, figure 4.1 (proportions).
    American Academy of Orthopaedic Surgeons, Joint motion: method of measuring and recording, 1965;
    Norkin & White, Measurement of joint motion, 5th ed., 2016 (ranges, rounded outwards).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.jacobian import Freedoms
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "EVIDENCE",
    "FEET",
    "REQUIRED",
    "SPANS",
    "Body",
    "Limit",
    "evidence",
    "stature_from_spans",
    "template",
]

FREE = 60.0  # degrees: the pull to rest of a joint that has no prior of its own


class Bone(NamedTuple):
    """A joint: its parent and its offset from it, left side, fractions of the stature."""

    parent: str
    offset: tuple[float, float, float]


class Limit(NamedTuple):
    """How a joint may turn: swing-twist angles about x, y, z (`jacobian.joint_angles`), degrees.

    A range (0, 0) takes the freedom away. `prior` is the one-sigma pull to the rest pose.
    `agility` is the angular acceleration, rad/s^2, that is ordinary for the joint.
    """

    axis: str
    x: tuple[float, float]
    y: tuple[float, float]
    z: tuple[float, float]
    prior: tuple[float, float, float]
    agility: float


class Span(NamedTuple):
    """A distance between two markers (or mid-points), its usual value in fractions of stature."""

    start: tuple[str, ...]
    end: tuple[str, ...]
    fraction: float


_TRUNK = {
    "Hips": Bone("", (0.0, 0.530, 0.0)),
    "Spine": Bone("Hips", (0.0, 0.070, 0.0)),
    "Spine1": Bone("Spine", (0.0, 0.095, 0.0)),
    "Neck": Bone("Spine1", (0.0, 0.135, 0.0)),
    "Head": Bone("Neck", (0.0, 0.055, 0.0)),
    "Head_end": Bone("Head", (0.0, 0.115, 0.0)),
}
_LEFT = {
    "LeftShoulder": Bone("Spine1", (0.020, 0.123, 0.0)),
    "LeftArm": Bone("LeftShoulder", (0.095, 0.0, 0.0)),
    "LeftForeArm": Bone("LeftArm", (0.186, 0.0, 0.0)),
    "LeftHand": Bone("LeftForeArm", (0.146, 0.0, 0.0)),
    "LeftHand_end": Bone("LeftHand", (0.108, 0.0, 0.0)),
    "LeftUpLeg": Bone("Hips", (0.050, 0.0, 0.0)),
    "LeftLeg": Bone("LeftUpLeg", (0.0, -0.245, 0.0)),
    "LeftFoot": Bone("LeftLeg", (0.0, -0.246, 0.0)),
    "LeftToeBase": Bone("LeftFoot", (0.0, -0.030, 0.080)),
    "LeftToeBase_end": Bone("LeftToeBase", (0.0, -0.009, 0.042)),
}  # the sum of the leg bones, 0.530, is the height of the hips above the floor

_LANDMARKS = {
    "nose": ("Head", (0.0, 0.028, 0.065)),
    "left_eye": ("Head", (0.018, 0.051, 0.052)),
    "left_ear": ("Head", (0.043, 0.045, 0.0)),
    "head": ("Head", (0.0, 0.115, 0.0)),
    "neck": ("Spine1", (0.0, 0.123, 0.0)),
    "left_shoulder": ("LeftArm", (0.0, 0.0, 0.0)),
    "left_elbow": ("LeftForeArm", (0.0, 0.0, 0.0)),
    "left_wrist": ("LeftHand", (0.0, 0.0, 0.0)),
    "mid_hip": ("Hips", (0.0, 0.0, 0.0)),
    "left_hip": ("LeftUpLeg", (0.0, 0.0, 0.0)),
    "left_knee": ("LeftLeg", (0.0, 0.0, 0.0)),
    "left_ankle": ("LeftFoot", (0.0, 0.0, 0.0)),
    "left_heel": ("LeftFoot", (0.0, -0.030, -0.030)),
    "left_big_toe": ("LeftFoot", (-0.012, -0.032, 0.112)),
    "left_small_toe": ("LeftFoot", (0.022, -0.034, 0.090)),
}
FEET = ("heel", "big_toe", "small_toe")

_LIMITS = {
    "Hips": Limit("y", (-720, 720), (-720, 720), (-720, 720), (math.inf,) * 3, 40.0),
    "Spine": Limit("y", (-20, 50), (-25, 25), (-25, 25), (10.0, 10.0, 10.0), 20.0),
    "Spine1": Limit("y", (-20, 50), (-25, 25), (-25, 25), (10.0, 10.0, 10.0), 20.0),
    "Neck": Limit("y", (-40, 40), (-45, 45), (-30, 30), (15.0, 15.0, 15.0), 25.0),
    "Head": Limit("y", (-40, 40), (-45, 45), (-30, 30), (15.0, 15.0, 15.0), 25.0),
    "LeftShoulder": Limit("x", (0, 0), (-30, 30), (-15, 40), (FREE, 6.0, 6.0), 25.0),
    "LeftArm": Limit("x", (-100, 100), (-140, 60), (-120, 110), (30.0, FREE, FREE), 55.0),
    "LeftForeArm": Limit("x", (0, 0), (-155, 0), (-12, 12), (FREE, FREE, 3.0), 80.0),
    "LeftUpLeg": Limit("y", (-130, 35), (-50, 50), (-35, 55), (FREE, 15.0, FREE), 40.0),
    "LeftLeg": Limit("y", (0, 155), (0, 0), (-8, 8), (FREE, FREE, 2.0), 80.0),
    "LeftFoot": Limit("y", (-35, 60), (-35, 35), (-35, 35), (20.0, 10.0, 10.0), 65.0),
}

_LIMBS = {
    "LeftLeg": Span(("left_hip",), ("left_knee",), 0.245),
    "LeftFoot": Span(("left_knee",), ("left_ankle",), 0.246),
    "LeftForeArm": Span(("left_shoulder",), ("left_elbow",), 0.186),
    "LeftHand": Span(("left_elbow",), ("left_wrist",), 0.146),
}
_LEFT_EVIDENCE: dict[str, tuple[tuple[str, ...], ...]] = {
    "LeftShoulder": (("left_shoulder",), ("right_shoulder",)),
    "LeftArm": (("left_shoulder",),),
    "LeftForeArm": (("left_elbow",),),
    "LeftHand": (("left_wrist",),),
    "LeftHand_end": ((),),
    "LeftUpLeg": (("left_hip",),),
    "LeftLeg": (("left_knee",),),
    "LeftFoot": (("left_ankle",),),
    "LeftToeBase": (("left_big_toe", "left_small_toe"),),
    "LeftToeBase_end": (("left_big_toe", "left_small_toe"),),
}
_HIPS, _SHOULDERS = (("left_hip",), ("right_hip",)), (("left_shoulder",), ("right_shoulder",))
_HEAD = (*_SHOULDERS, ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head"))
REQUIRED = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")


def _mirror_name(name: str) -> str:
    """The same thing on the right side."""
    return name.replace("Left", "Right").replace("left_", "right_")


def _mirror_names(groups: Iterable[Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    def swap(name: str) -> str:
        if name.startswith("right_"):
            return name.replace("right_", "left_")
        return _mirror_name(name)

    return tuple(tuple(swap(name) for name in group) for group in groups)


def _mirror_bone(bone: Bone) -> Bone:
    x, y, z = bone.offset
    return Bone(_mirror_name(bone.parent), (-x, y, z))


def _mirror_limit(limit: Limit) -> Limit:
    """Reflection at x = 0 keeps turns about x and reverses those about y and z."""
    (y0, y1), (z0, z1) = limit.y, limit.z
    return limit._replace(y=(-y1, -y0), z=(-z1, -z0))


def _mirror_span(span: Span) -> Span:
    start, end = _mirror_names((span.start, span.end))
    return Span(start, end, span.fraction)


BONES: dict[str, Bone] = {
    **_TRUNK,
    **{name: bone for name, bone in _LEFT.items() if "Leg" not in name and "Foot" not in name
       and "Toe" not in name},
    **{_mirror_name(name): _mirror_bone(bone) for name, bone in _LEFT.items()
       if "Leg" not in name and "Foot" not in name and "Toe" not in name},
    **{name: bone for name, bone in _LEFT.items() if "Leg" in name or "Foot" in name
       or "Toe" in name},
    **{_mirror_name(name): _mirror_bone(bone) for name, bone in _LEFT.items() if "Leg" in name
       or "Foot" in name or "Toe" in name},
}  # fmt: skip
LANDMARKS: dict[str, tuple[str, tuple[float, float, float]]] = {
    **_LANDMARKS,
    **{
        _mirror_name(name): (_mirror_name(joint), (-x, y, z))
        for name, (joint, (x, y, z)) in _LANDMARKS.items()
        if name.startswith("left_")
    },
}
LIMITS: dict[str, Limit] = {
    **_LIMITS,
    **{_mirror_name(n): _mirror_limit(v) for n, v in _LIMITS.items() if n.startswith("Left")},
}
SPANS: dict[str, Span] = {
    "pelvis": Span(("left_hip",), ("right_hip",), 0.100),
    "shoulders": Span(("left_shoulder",), ("right_shoulder",), 0.230),
    "torso": Span(("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"), 0.288),
    **_LIMBS,
    **{_mirror_name(name): _mirror_span(span) for name, span in _LIMBS.items()},
}
EVIDENCE: dict[str, tuple[tuple[str, ...], ...]] = {
    "Hips": _HIPS,
    "Spine": (*_HIPS, *_SHOULDERS),
    "Spine1": (*_HIPS, *_SHOULDERS),
    "Neck": _SHOULDERS,
    "Head": _HEAD,
    "Head_end": _HEAD,
    **_LEFT_EVIDENCE,
    **{_mirror_name(name): _mirror_names(groups) for name, groups in _LEFT_EVIDENCE.items()},
}  # a joint is measured where every group has a marker that is seen


@dataclass(frozen=True)
class Body:
    """A skeleton, what moves in it and where its markers sit.

    Attributes:
        skeleton: J joints in T-pose, metres.
        markers: Names of the M markers that it explains.
        marker_joints: Joint that each marker is fixed to.
        marker_offsets: Place of each marker in that joint's frame, metres.
        freedoms: What may turn.
        axes: Bone axis of each joint, for swing-twist angles.
        lower: Least swing-twist angle of each joint, radians.
        upper: Greatest.
        prior_std: One-sigma pull to the rest pose, radians; infinite where there is none.
        agility: Ordinary angular acceleration of each joint, rad/s^2.
    """

    skeleton: Skeleton
    markers: tuple[str, ...]
    marker_joints: tuple[int, ...]
    marker_offsets: Float[Tensor, "m 3"]
    freedoms: Freedoms
    axes: Float[Tensor, "j 3"]
    lower: Float[Tensor, "j 3"]
    upper: Float[Tensor, "j 3"]
    prior_std: Float[Tensor, "j 3"]
    agility: Float[Tensor, "j"]

    @property
    def turning(self) -> tuple[int, ...]:
        """Joints that have a freedom."""
        return tuple(sorted(set(self.freedoms.joints)))

    def clearance(self, joint: str) -> float:
        """Height of a joint above the floor in the rest pose, metres."""
        height, index = 0.0, self.skeleton.index(joint)
        while index >= 0:
            height += float(self.skeleton.offsets[index, 1])
            index = self.skeleton.parents[index]
        return height


def stature_from_spans(spans: Mapping[str, float]) -> float | None:
    """Body height, metres, that explains the measured spans best; None without a long bone."""
    limbs = [spans[name] / SPANS[name].fraction for name in spans if name not in ("pelvis",)]
    return median(limbs) if limbs else None


def _offsets(stature: float, spans: Mapping[str, float]) -> dict[str, list[float]]:
    """Rest offset of every joint, metres: the proportions, corrected by what was measured."""
    offsets = {name: [stature * v for v in bone.offset] for name, bone in BONES.items()}
    for name in set(spans) & set(offsets):
        ratio = spans[name] / math.hypot(*offsets[name])
        offsets[name] = [ratio * v for v in offsets[name]]
    torso = spans.get("torso", SPANS["torso"].fraction * stature) / (
        SPANS["torso"].fraction * stature
    )
    for name in ("Spine", "Spine1", "Neck", "LeftShoulder", "RightShoulder"):
        offsets[name][1] *= torso
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        if "pelvis" in spans:
            offsets[f"{side}UpLeg"][0] = sign * spans["pelvis"] / 2.0
        if "shoulders" in spans:
            inner = offsets[f"{side}Shoulder"][0]
            offsets[f"{side}Arm"][0] = sign * spans["shoulders"] / 2.0 - inner
    leg = sum(offsets[f"{side}{bone}"][1] for side in ("Left", "Right") for bone in ("Leg", "Foot"))
    offsets["Hips"] = [0.0, 0.039 * stature - leg / 2.0, 0.0]
    return offsets


def _freedoms(names: Sequence[str], markers: Sequence[str]) -> Freedoms:
    """The turns that the limits leave, without feet that no marker shows."""
    joints, axes = [], []
    for index, name in enumerate(names):
        side = "left" if name.startswith("Left") else "right"
        blind = name.endswith("Foot") and not any(f"{side}_{part}" in markers for part in FEET)
        if name not in LIMITS or blind:
            continue
        for column, (low, high) in enumerate((LIMITS[name].x, LIMITS[name].y, LIMITS[name].z)):
            if low < high:
                joints.append(index)
                axes.append([float(column == k) for k in range(3)])
    return Freedoms(tuple(joints), torch.tensor(axes, dtype=torch.float64))


def template(
    markers: Sequence[str], spans: Mapping[str, float] | None = None, stature: float | None = None
) -> Body:
    """The body that explains these markers.

    Args:
        markers: Names as in `motion.keypoints`; others are left out.
        spans: Measured distances, metres, by their name in `SPANS`; the proportions give the rest.
        stature: Body height, metres; estimated from the spans, or 1.75, when absent.
    Raises:
        InputError: If hips or shoulders are not among the markers, or a length is not positive.
    """
    missing = [name for name in REQUIRED if name not in markers]
    if missing:
        raise InputError(
            f"expected markers for both hips and both shoulders, got none for "
            f"{', '.join(missing)}; there are {', '.join(markers) or 'none at all'}"
        )
    spans = spans or {}
    stature = stature or stature_from_spans(spans) or 1.75
    if not all(math.isfinite(v) and v > 0.0 for v in (stature, *spans.values())):
        raise InputError(
            f"expected positive lengths in metres, got stature {stature} and {dict(spans)}; "
            "check the units of the markers"
        )
    names = tuple(BONES)
    offsets = _offsets(stature, spans)
    skeleton = Skeleton(
        names=names,
        parents=tuple(names.index(b.parent) if b.parent else -1 for b in BONES.values()),
        offsets=torch.tensor([offsets[name] for name in names], dtype=torch.float64),
        end_sites=tuple(name.endswith("_end") for name in names),
    )
    used = tuple(name for name in markers if name in LANDMARKS)
    places = [[stature * v for v in LANDMARKS[name][1]] for name in used]
    still = Limit("y", (0, 0), (0, 0), (0, 0), (FREE, FREE, FREE), 60.0)
    limits = [LIMITS.get(name, still) for name in names]
    bounds = torch.tensor([(v.x, v.y, v.z) for v in limits], dtype=torch.float64).deg2rad()
    body = Body(
        skeleton=skeleton,
        markers=used,
        marker_joints=tuple(names.index(LANDMARKS[name][0]) for name in used),
        marker_offsets=torch.tensor(places, dtype=torch.float64),
        freedoms=_freedoms(names, used),
        axes=torch.eye(3, dtype=torch.float64)[["xyz".index(v.axis) for v in limits]],
        lower=bounds[..., 0],
        upper=bounds[..., 1],
        prior_std=torch.tensor([v.prior for v in limits], dtype=torch.float64).deg2rad(),
        agility=torch.tensor([v.agility for v in limits], dtype=torch.float64),
    )
    if "neck" in used:  # it lies on the line between the shoulders, whatever the torso's length
        line = skeleton.offsets[names.index("LeftShoulder"), 1]
        body.marker_offsets[used.index("neck"), 1] = line
    return body


def evidence(markers: Sequence[str], seen: Bool[Tensor, "t m"]) -> Bool[Tensor, "t j"]:
    """True where a joint of the template is measured: every group of `EVIDENCE` has a seen marker.

    Args:
        markers: Marker names.
        seen: Which of them are known in each frame.
    """
    columns = []
    for name in BONES:
        known = torch.ones(len(seen), dtype=torch.bool)
        for group in EVIDENCE[name]:
            index = [markers.index(marker) for marker in group if marker in markers]
            known &= seen[:, index].any(dim=1)
        columns.append(known)
    return torch.stack(columns, dim=1)
