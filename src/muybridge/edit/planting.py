"""Which feet of a made motion can be pinned to the ground.

New motion knows from its clips when feet stood. Where clips were blended, jumped between or drawn
along, a foot that stood may have been dragged so far that no leg reaches back: it is let go.

T frames, J joints. World frame: metres, Y up.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from muybridge.edit.pin import PinOptions, pin
from muybridge.errors import InputError
from muybridge.motion.clip import Clip
from muybridge.motion.contacts import anchors, runs
from muybridge.motion.kinematics import forward_clip

__all__ = ["pinned", "planted"]


def pinned(clip: Clip, radius: float = 0.12) -> Clip:
    """The clip with the feet that can stand still standing still.

    Raises:
        InputError: If the skeleton has no feet.
    """
    return pin(clip, planted(clip, radius), PinOptions(ease=0.3))


def planted(clip: Clip, radius: float = 0.12, shortest: float = 0.1) -> Bool[Tensor, "t j"]:
    """The clip's contacts without the frames in which a foot has been dragged away.

    Args:
        clip: With contacts.
        radius: A foot stays within this distance of its mean place, metres.
        shortest: Contacts and breaks shorter than this are none, seconds.
    Raises:
        InputError: If the clip has no contacts.
    """
    if clip.contacts is None:
        raise InputError(
            "expected a clip that knows when its feet stand, got one that does not; "
            "name its feet, such as LeftFoot"
        )
    contacts, least = clip.contacts.clone(), max(1, round(shortest * clip.fps))
    joints = torch.nonzero(contacts.any(0))[:, 0]
    positions, standing = forward_clip(clip).positions[:, joints], contacts[:, joints]
    standing = ~_without_short(~standing, least)
    for _ in range(3):  # without the farthest frames the mean is another
        away = (positions - anchors(positions, standing)).norm(dim=-1)  # NaN outside: not near
        standing = _without_short(standing & (away < radius), least)
    contacts[:, joints] = standing
    return contacts


def _without_short(mask: Bool[Tensor, "t k"], least: int) -> Bool[Tensor, "t k"]:
    """Without runs of fewer frames, unless they touch an end of the clip."""
    label = runs(mask)
    length = torch.bincount(label.flatten())
    length[0] = 0
    length[label[[0, -1]]] = least  # what lies beyond the ends is not known
    return mask & (length[label] >= least)
