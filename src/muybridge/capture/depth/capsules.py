"""The body that is fitted to points: the template skeleton in capsules, and what shapes it.

K capsules, J joints, S shape parameters, T frames. A capsule is all that lies within a radius of a
line; each is fixed to one joint. Lengths and girths are fractions of the stature, times scales that
are the same on the left and on the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.depth.posed import Posed
from muybridge.motion.body import SPANS, Body, template
from muybridge.motion.keypoints import HALPE_26

__all__ = ["SHAPE", "SHAPE_STD", "CapsuleBody", "capsule_body", "rest_shape"]

Triple = tuple[float, float, float]


class Part(NamedTuple):
    """A capsule of the left side or the middle.

    An end is a share of the way to `child`, plus a place in the joint's frame in statures.
    """

    joint: str
    child: str
    start: tuple[float, Triple]
    end: tuple[float, Triple]
    radius: float
    girth: str


HERE: Triple = (0.0, 0.0, 0.0)
PARTS = (
    Part("Hips", "", (0.0, (-0.036, 0.005, 0.0)), (0.0, (0.036, 0.005, 0.0)), 0.058, "trunk"),
    Part("Spine", "", (0.0, (-0.032, 0.020, 0.0)), (0.0, (0.032, 0.020, 0.0)), 0.056, "trunk"),
    Part("Spine1", "", (0.0, (-0.036, 0.020, 0.0)), (0.0, (0.036, 0.020, 0.0)), 0.059, "trunk"),
    Part("Spine1", "", (0.0, (-0.050, 0.080, 0.0)), (0.0, (0.050, 0.080, 0.0)), 0.053, "trunk"),
    Part("Spine1", "", (0.0, (-0.070, 0.113, 0.0)), (0.0, (0.070, 0.113, 0.0)), 0.034, "shoulder"),
    Part("Neck", "Head", (0.0, HERE), (1.0, HERE), 0.034, "head"),
    Part("Head", "", (0.0, (0.0, 0.028, 0.008)), (0.0, (0.0, 0.060, 0.004)), 0.053, "head"),
    Part("LeftArm", "LeftForeArm", (0.0, HERE), (0.9, HERE), 0.028, "upper_arm"),
    Part("LeftForeArm", "LeftHand", (0.0, HERE), (0.5, HERE), 0.024, "forearm"),
    Part("LeftForeArm", "LeftHand", (0.5, HERE), (1.0, HERE), 0.019, "forearm"),
    Part("LeftHand", "LeftHand_end", (0.1, HERE), (0.75, HERE), 0.020, "forearm"),
    Part("LeftUpLeg", "LeftLeg", (0.0, HERE), (0.5, HERE), 0.050, "thigh"),
    Part("LeftUpLeg", "LeftLeg", (0.5, HERE), (0.95, HERE), 0.039, "thigh"),
    Part("LeftLeg", "LeftFoot", (0.0, HERE), (0.5, HERE), 0.033, "shin"),
    Part("LeftLeg", "LeftFoot", (0.5, HERE), (1.0, HERE), 0.025, "shin"),
    Part("LeftFoot", "", (0.0, (0.0, -0.012, -0.015)), (0.0, (0.0, -0.022, 0.090)), 0.019, "foot"),
)

SHAPE: dict[str, float] = {
    "stature": 0.08,
    "trunk": 0.12, "neck": 0.20, "pelvis": 0.15, "shoulders": 0.15,
    "upper_arm": 0.10, "forearm": 0.10, "thigh": 0.08, "shin": 0.08,
    "trunk_girth": 0.15, "shoulder_girth": 0.15, "head_girth": 0.10, "upper_arm_girth": 0.15,
    "forearm_girth": 0.15, "thigh_girth": 0.15, "shin_girth": 0.15, "foot_girth": 0.15,
}  # fmt: skip  # natural logarithms of scales, and how much they vary from person to person
SHAPE_STD = torch.tensor(list(SHAPE.values()), dtype=torch.float64)
_SPAN_OF = {
    "pelvis": ("pelvis",), "shoulders": ("shoulders",), "trunk": ("torso",),
    "upper_arm": ("LeftForeArm", "RightForeArm"), "forearm": ("LeftHand", "RightHand"),
    "thigh": ("LeftLeg", "RightLeg"), "shin": ("LeftFoot", "RightFoot"),
}  # fmt: skip
ARM_DOWN, ARM_STD = 1.25, 0.6  # radians below the horizontal, and how much that varies
ELBOW_BENT, ELBOW_STD = 0.35, 0.7
MEAN_STATURE = 1.70  # metres: where all shape parameters are zero


@dataclass(frozen=True)
class CapsuleBody:
    """A skeleton with K capsules around it.

    Attributes:
        body: The skeleton, its freedoms and limits.
        joints: Joint that each capsule is fixed to.
        starts: One end of each axis in that joint's frame, metres.
        ends: The other end.
        radii: Metres.
        shape: Logarithms of the scales, in the order of `SHAPE`.
        usual: Swing-twist angles to which what nobody sees returns, radians: arms that hang.
        usual_std: How far from them joints ordinarily are, radians.
    """

    body: Body
    joints: tuple[int, ...]
    starts: Float[Tensor, "k 3"]
    ends: Float[Tensor, "k 3"]
    radii: Float[Tensor, "k"]
    shape: Float[Tensor, "s"]
    usual: Float[Tensor, "j 3"]
    usual_std: Float[Tensor, "j 3"]

    def axes_world(self, pose: Posed) -> tuple[Float[Tensor, "t k 3"], Float[Tensor, "t k 3"]]:
        """Both ends of every axis in each frame, metres."""
        owners = list(self.joints)
        ends = torch.stack((self.starts, self.ends), dim=-1)
        moved = pose.turns[:, owners] @ ends + pose.positions[:, owners].unsqueeze(-1)
        return moved[..., 0], moved[..., 1]


def rest_shape(stature: float = MEAN_STATURE) -> Float[Tensor, "s"]:
    """Ordinary proportions at a body height, metres."""
    shape = torch.zeros(len(SHAPE), dtype=torch.float64)
    shape[0] = torch.tensor(stature / MEAN_STATURE, dtype=torch.float64).log()
    return shape


def capsule_body(shape: Float[Tensor, "s"]) -> CapsuleBody:
    """The body of these shape parameters."""
    scale = dict(zip(SHAPE, shape.exp().tolist(), strict=True))
    stature = MEAN_STATURE * scale["stature"]
    spans = {
        span: SPANS[span].fraction * stature * scale[name]
        for name, names in _SPAN_OF.items()
        for span in names
    }
    body = template(HALPE_26, spans, stature)
    index, offsets = body.skeleton.index, body.skeleton.offsets
    offsets[index("Head")] *= scale["neck"]
    trunk = {"Spine": scale["trunk"], "Spine1": scale["trunk"]}
    joints: list[int] = []
    starts: list[Tensor] = []
    ends: list[Tensor] = []
    radii: list[float] = []
    for part in _both_sides():
        reach = offsets[index(part.child)] if part.child else torch.zeros_like(offsets[0])
        stretch = offsets.new_tensor([1.0, trunk.get(part.joint, 1.0), 1.0]) * stature
        stretch[0] *= scale["shoulders"] if part.joint == "Spine1" else 1.0
        joints.append(index(part.joint))
        for ends_of, (share, place) in ((starts, part.start), (ends, part.end)):
            ends_of.append(share * reach + stretch * offsets.new_tensor(place))
        radii.append(part.radius * stature * scale[f"{part.girth}_girth"])
    return CapsuleBody(
        body,
        tuple(joints),
        torch.stack(starts),
        torch.stack(ends),
        torch.tensor(radii, dtype=torch.float64),
        shape,
        *_usual(body),
    )


def _usual(body: Body) -> tuple[Float[Tensor, "j 3"], Float[Tensor, "j 3"]]:
    """The template's rest pose and pull, but arms at the sides instead of stretched out."""
    angles, std = torch.zeros_like(body.prior_std), body.prior_std.clone()
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        arm, forearm = (body.skeleton.index(f"{side}{name}") for name in ("Arm", "ForeArm"))
        angles[arm, 2], angles[forearm, 1] = -sign * ARM_DOWN, -sign * ELBOW_BENT
        std[arm, 1:], std[forearm, 1] = ARM_STD, ELBOW_STD
    return angles, std


def _both_sides() -> list[Part]:
    """The table with every left part mirrored."""
    mirrored = [
        part._replace(
            joint=part.joint.replace("Left", "Right"),
            child=part.child.replace("Left", "Right"),
            start=(part.start[0], _mirror(part.start[1])),
            end=(part.end[0], _mirror(part.end[1])),
        )
        for part in PARTS
        if part.joint.startswith("Left")
    ]
    return [*PARTS, *mirrored]


def _mirror(place: Triple) -> Triple:
    return (-place[0], place[1], place[2])
