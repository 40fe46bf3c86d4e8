"""Markers on a body whose motion is known: what a perfect optical system would have recorded.

T frames, J joints, M markers. World frame: metres, Y up. Any humanoid clip can be dressed: its
joints are found by name (`motion.humanoid`), and each marker keeps to the bone that carries it. The
rest pose should face +Z; arms may hang or be spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.markers.sets import FULL_BODY, Place
from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate
from muybridge.motion.body import BONES
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from muybridge.motion.skeleton import Skeleton

__all__ = ["Dress", "dress", "dressed"]

HEAD_HEIGHT = 0.885  # statures from the soles to the joint of the head, in `motion.body`
SHOULDER = 0.095  # statures from the inner end of the collar bone to the shoulder
PARTS = {
    "Hips": "hips", "Spine1": "chest", "Neck": "neck", "Head": "head",
    "Shoulder": "shoulder", "Arm": "upper_arm", "ForeArm": "lower_arm", "Hand": "hand",
    "UpLeg": "upper_leg", "Leg": "lower_leg", "Foot": "foot", "ToeBase": "toes",
}  # fmt: skip
CARRIERS = {"chest": ("spine", "hips"), "shoulder": ("chest", "spine", "hips"), "head": ("neck",)}


@dataclass(frozen=True)
class Dress:
    """Markers fixed to the joints of a skeleton.

    Attributes:
        names: Marker names.
        joints: Joint that carries each marker.
        offsets: Place in that joint's frame, metres.
    """

    names: tuple[str, ...]
    joints: tuple[int, ...]
    offsets: Float[Tensor, "m 3"]

    def markers(self, clip: Clip) -> Markers:
        """Where the markers are in each frame."""
        pose, owners = forward_clip(clip), list(self.joints)
        arms = rotate(pose.orientations[:, owners], self.offsets.to(pose.positions))
        return Markers(self.names, pose.positions[:, owners] + arms, clip.fps)


def dressed(clip: Clip, names: Sequence[str] = tuple(FULL_BODY)) -> Markers:
    """The markers of a set on a moving body; see `dress`."""
    return dress(clip.skeleton, names).markers(clip)


def dress(skeleton: Skeleton, names: Sequence[str] = tuple(FULL_BODY)) -> Dress:
    """Place the markers of a set on a humanoid skeleton.

    Args:
        skeleton: At rest it faces +Z.
        names: Markers of `sets.FULL_BODY`.
    Raises:
        InputError: If the skeleton lacks the head or a limb that carries a marker.
    """
    body = _Body(skeleton)
    joints, offsets = [], []
    for name in names:
        if name not in FULL_BODY:
            raise InputError(
                f"expected markers of the full-body set, got {name!r}; see FULL_BODY for the names"
            )
        joint, place = body.place(FULL_BODY[name])
        joints.append(joint)
        offsets.append(place - body.rest[joint])
    return Dress(tuple(names), tuple(joints), torch.stack(offsets))


class _Body:
    """A skeleton at rest with its parts by our template's names."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.rest = skeleton.rest_positions().double()
        self.parts = humanoid(skeleton)
        height = self.rest[self._joint("Head"), 1] - self.rest[:, 1].min()
        self.stature = float(height) / HEAD_HEIGHT

    def _joint(self, name: str) -> int:
        """The joint that stands for one of ours."""
        side = "left_" if name.startswith("Left") else "right_" if name.startswith("Right") else ""
        limb = PARTS[name.removeprefix("Left").removeprefix("Right")]
        choices = [f"{side}{limb}", *CARRIERS.get(limb, ())]
        for part in choices:
            if part in self.parts:
                return self.parts[part]
        raise InputError(
            f"expected a body with a joint for {choices[0]}, got one with {', '.join(self.parts)}; "
            "rename its joints"
        )

    def _ends(self, place: Place) -> tuple[Tensor, Tensor]:
        """World positions of the two ends of a bone at rest, metres."""
        ours = self.rest.new_tensor(BONES[place.end].offset) * self.stature
        if place.joint == "Spine1":
            arms = (self.rest[self._joint("LeftArm")] + self.rest[self._joint("RightArm")]) / 2.0
            neck = arms + ours / ours.norm() * 0.012 * self.stature
            return neck - ours, neck
        if place.joint.endswith("Shoulder"):
            end = self.rest[self._joint(place.end)]
            return end - ours, end
        start = self.rest[self._joint(place.joint)]
        if place.end.endswith("_end"):
            if place.end.endswith("Hand_end"):
                above = self.rest[self._joint(place.joint.replace("Hand", "ForeArm"))]
                ours = (start - above) / (start - above).norm() * ours.norm()
            return start, start + ours
        if place.joint == "Hips":  # between the hip joints, wherever the root is
            hips = [self.rest[self._joint(f"{side}UpLeg")] for side in ("Left", "Right")]
            start = (hips[0] + hips[1]) / 2.0
        return start, self.rest[self._joint(place.end)]

    def place(self, place: Place) -> tuple[int, Tensor]:
        """Joint that carries a marker and the marker's position at rest, metres."""
        start, end = self._ends(place)
        ours = self.rest.new_tensor(BONES[place.end].offset)
        turn = _shortest_arc(ours, end - start) if "Arm" in place.joint + place.end else None
        offset = self.rest.new_tensor(place.offset) * self.stature
        offset = offset if turn is None else rotate(turn, offset)
        return self._joint(place.joint), torch.lerp(start, end, place.along) + offset


def _shortest_arc(start: Float[Tensor, "3"], end: Float[Tensor, "3"]) -> Float[Tensor, "4"]:
    """Quaternion that turns one direction into another."""
    a, b = start / start.norm(), end / end.norm()
    quaternion = torch.cat((torch.linalg.cross(a, b), (1.0 + a @ b).clamp_min(1e-9).reshape(1)))
    return quaternion / quaternion.norm()
