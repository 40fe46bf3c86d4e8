"""Feet on the ground: which joints, when they stand, and how far they slide while they do.

T frames, J joints, K foot joints (ankles and toes). World frame: metres, Y up.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.clip import Clip
from muybridge.motion.contacts import ContactOptions, detect
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import Pose, forward_clip
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "LOWEST",
    "Foot",
    "contact_heights",
    "contact_options",
    "feet",
    "foot_contacts",
    "foot_slide",
]

LOWEST = 0.05  # quantile of a foot joint's height that counts as standing


class Foot(NamedTuple):
    """Joint indices of a leg's end: the ankle, and the base of the toes where there is one."""

    ankle: int
    toes: int | None

    @property
    def joints(self) -> tuple[int, ...]:
        """The ones that there are."""
        return (self.ankle,) if self.toes is None else (self.ankle, self.toes)


def feet(skeleton: Skeleton) -> tuple[Foot, ...]:
    """The feet of a body, left and right.

    Raises:
        InputError: If no foot is known by its name.
    """
    parts = humanoid(skeleton)
    found = []
    for side in ("left", "right"):
        if f"{side}_foot" in parts:
            ankle, toes = parts[f"{side}_foot"], parts.get(f"{side}_toes")
            below = toes is not None and skeleton.parents[toes] == ankle
            found.append(Foot(ankle, toes if below else None))
    if not found:
        raise InputError(
            "expected a skeleton with feet (LeftFoot, ankle.L, foot_l, ...), got "
            f"{', '.join(skeleton.names[:6])}...; name its joints in one of these ways"
        )
    return tuple(found)


def contact_heights(positions: Float[Tensor, "t k 3"]) -> Float[Tensor, "k"]:
    """Height of each foot joint as it stands, metres: near the lowest that it comes."""
    return positions[..., 1].quantile(LOWEST, dim=0)


def contact_options(speed: float) -> ContactOptions:
    """Thresholds for feet that slide: all of them grow with the speed at which a contact begins.

    Args:
        speed: Metres/second; the usual 0.2 gives the usual options.
    Raises:
        InputError: If it is not positive.
    """
    if not 0.0 < speed < 5.0:
        raise InputError(f"expected a speed of feet from 0 to 5 m/s, got {speed:g}; 0.2 is usual")
    usual = ContactOptions()
    factor = speed / usual.speed
    return replace(
        usual,
        speed=speed,
        release_speed=factor * usual.release_speed,
        radius=factor * usual.radius,
    )


def foot_contacts(clip: Clip, options: ContactOptions | None = None) -> Bool[Tensor, "t j"]:
    """True where an ankle or the base of the toes stands on level ground.

    Left and right stand at the same height: the lower of both.

    Args:
        clip: A body with feet.
        options: Thresholds.
    """
    pose, found = forward_clip(clip), feet(clip.skeleton)
    contacts = torch.zeros(clip.rotations.shape[:2], dtype=torch.bool)
    for kind in ("ankle", "toes"):
        joints = [j for foot in found if (j := getattr(foot, kind)) is not None]
        if not joints:
            continue
        points = pose.positions[:, joints].detach()
        resting = contact_heights(points).amin().expand(len(joints))
        contacts[:, joints] = detect(points, clip.fps, resting, options)
    return contacts


def foot_slide(clip: Clip, contacts: Bool[Tensor, "t j"], pose: Pose | None = None) -> float:
    """Mean horizontal speed of the joints in contact, metres/second: the foot-skate metric.

    A joint counts from each frame of a contact to the next frame of the same contact.

    Args:
        clip: The motion that is judged.
        contacts: Who stands; of this clip or of the one that it was made from.
        pose: Of the clip, if known already.
    Returns:
        0 without contacts.
    """
    positions = (pose or forward_clip(clip)).positions
    moved = positions.diff(dim=0)[..., [0, 2]].norm(dim=-1)
    standing = contacts[1:] & contacts[:-1]
    return float(moved[standing].mean()) * clip.fps if bool(standing.any()) else 0.0
