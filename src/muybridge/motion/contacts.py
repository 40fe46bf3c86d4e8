"""Ground contacts: the floor's height, who stands on it and when, where feet are planted.

T frames, K contact joints. World frame: metres, Y up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["ContactOptions", "anchors", "detect", "floor_height", "runs", "settled", "slide"]


@dataclass(frozen=True)
class ContactOptions:
    """When a joint counts as standing on the ground.

    Attributes:
        speed: Slower than this, metres/second, a contact may begin.
        release_speed: Faster than this it has ended (hysteresis).
        height: Lower than this above its resting height, metres, a contact may begin.
        release_height: Higher than this it has ended.
        radius: A planted joint stays within this distance of its mean place, metres; a foot that
            rolls on is let go.
        shortest: Contacts and breaks shorter than this, seconds, are ignored.
        baseline: Speed is measured over twice this time, seconds, so that jitter is not motion.
        settled_speed: A joint that moves faster from one frame to the next, metres/second, does
            not stand yet or any more, see `settled`.
        settled_step: The same for the distance between two frames, metres, at low frame rates.
    """

    speed: float = 0.20
    release_speed: float = 0.35
    height: float = 0.05
    release_height: float = 0.08
    radius: float = 0.03
    shortest: float = 0.08
    baseline: float = 0.05
    settled_speed: float = 0.25
    settled_step: float = 0.0045


def floor_height(
    positions: Float[Tensor, "t k 3"], clearance: Float[Tensor, "k"]
) -> Float[Tensor, ""]:
    """Height of the level floor, metres: where the lowest feet stand.

    Args:
        positions: Foot joints, world frame, metres; NaN is ignored.
        clearance: Height of each joint above the floor when it stands, metres.
    Returns:
        The 5 % quantile over the frames of the lowest joint's height less its clearance.
    """
    heights = positions[..., 1] - clearance
    lowest = heights.nan_to_num(nan=torch.inf).amin(dim=-1)
    lowest = lowest[lowest.isfinite()]
    if not len(lowest):
        return torch.zeros((), dtype=positions.dtype)
    return lowest.sort().values[int(0.05 * (len(lowest) - 1))]


def runs(mask: Bool[Tensor, "t k"]) -> Int[Tensor, "t k"]:
    """Number the runs of True in each column from 1; 0 where False. Columns share no numbers."""
    first = mask.clone()
    first[1:] &= ~mask[:-1]
    count = first.T.flatten().cumsum(0).view(mask.shape[1], mask.shape[0]).T
    return torch.where(mask, count, torch.zeros_like(count))


def _run_length(label: Int[Tensor, "t k"]) -> Int[Tensor, "t k"]:
    """Length in frames of the run that each frame belongs to; 0 outside."""
    count = torch.bincount(label.flatten())
    count[0] = 0
    return count[label]


def _speed(positions: Float[Tensor, "t k 3"], fps: float, baseline: float) -> Float[Tensor, "t k"]:
    """Speed over `baseline` seconds to either side, metres/second; one-sided at the ends."""
    last = len(positions) - 1
    half = max(1, round(baseline * fps))
    frame = torch.arange(last + 1)
    before, after = (frame - half).clamp(min=0), (frame + half).clamp(max=last)
    seconds = (after - before).clamp(min=1).to(positions.dtype) / fps
    return (positions[after] - positions[before]).norm(dim=-1) / seconds.unsqueeze(-1)


def _lasting(contact: Bool[Tensor, "t k"], shortest: int) -> Bool[Tensor, "t k"]:
    """Without contacts and without breaks that are too short to be true."""
    breaks = _run_length(runs(~contact))
    inside = (contact.cumsum(0) > 0) & (contact.flip(0).cumsum(0).flip(0) > 0)
    contact = contact | ((breaks < shortest) & inside)
    return contact & (_run_length(runs(contact)) >= min(shortest, len(contact)))


def detect(
    positions: Float[Tensor, "t k 3"],
    fps: float,
    resting_height: Float[Tensor, "k"],
    options: ContactOptions | None = None,
) -> Bool[Tensor, "t k"]:
    """True where a joint stands on the ground, by speed and height with hysteresis.

    Args:
        positions: Foot joints, world frame, metres.
        fps: Frames a second.
        resting_height: World height of each joint when it stands: floor plus clearance, metres.
        options: Thresholds.
    """
    options = options or ContactOptions()
    speed = _speed(positions, fps, options.baseline)
    height = positions[..., 1] - resting_height
    loose = (speed < options.release_speed) & (height < options.release_height)
    strict = loose & (speed < options.speed) & (height < options.height)
    shortest = max(1, round(options.shortest * fps))
    label = runs(loose)
    sure = torch.zeros(int(label.max()) + 1, dtype=torch.bool)
    sure[label[strict]] = True
    contact = _lasting(sure[label] & loose, shortest)
    away = (positions - anchors(positions, contact)).norm(dim=-1)  # NaN outside: not near
    near = contact & (away < options.radius)
    return near & (_run_length(runs(near)) >= min(shortest, len(near)))


def anchors(
    positions: Float[Tensor, "t k 3"], contacts: Bool[Tensor, "t k"]
) -> Float[Tensor, "t k 3"]:
    """Where each contact is planted: the mean position over its run, metres; NaN outside."""
    label = runs(contacts).flatten()
    sums = torch.zeros(int(label.max()) + 1, 3, dtype=positions.dtype)
    sums.index_add_(0, label, positions.reshape(-1, 3))
    count = torch.bincount(label, minlength=len(sums)).unsqueeze(-1)
    mean = sums / count
    mean[0] = torch.nan
    return mean[label].view_as(positions)


def settled(
    positions: Float[Tensor, "t k 3"],
    contacts: Bool[Tensor, "t k"],
    fps: float,
    options: ContactOptions | None = None,
) -> Bool[Tensor, "t k"]:
    """The contacts without the frames in which a planted joint still lands or already leaves.

    Args:
        positions: Joints after planting, metres.
        contacts: As used for planting.
        fps: Frames a second.
        options: Its `settled_speed` and `settled_step` bound the motion from frame to frame.
    """
    options = options or ContactOptions()
    if len(positions) < 2:
        return contacts
    most = min(options.settled_speed / fps, options.settled_step)
    fast = slide(positions, contacts).nan_to_num(nan=0.0) > most
    still = contacts.clone()
    still[1:] &= ~fast
    still[:-1] &= ~fast
    shortest = max(1, round(options.shortest * fps))
    return still & (_run_length(runs(still)) >= min(shortest, len(still)))


def slide(positions: Float[Tensor, "t k 3"], contacts: Bool[Tensor, "t k"]) -> Float[Tensor, "s k"]:
    """Distance moved from frame to frame within one contact, metres; NaN elsewhere; s = t - 1."""
    moved = (positions[1:] - positions[:-1]).norm(dim=-1)
    return torch.where(contacts[1:] & contacts[:-1], moved, torch.nan)
