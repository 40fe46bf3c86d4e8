"""Ground contacts: the floor's height, who stands on it and when, where feet are planted.

T frames, K contact joints. World frame: metres, Y up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["ContactOptions", "anchors", "detect", "floor_height", "ramps", "runs", "slide"]


@dataclass(frozen=True)
class ContactOptions:
    """When a joint counts as standing on the ground.

    Attributes:
        speed: Slower than this, metres/second, a contact may begin.
        release_speed: Faster than this it has ended (hysteresis).
        height: Lower than this above its resting height, metres, a contact may begin.
        release_height: Higher than this it has ended.
        shortest: Contacts and breaks shorter than this, seconds, are ignored.
    """

    speed: float = 0.15
    release_speed: float = 0.30
    height: float = 0.05
    release_height: float = 0.08
    shortest: float = 0.08


def floor_height(
    positions: Float[Tensor, "t k 3"], clearance: Float[Tensor, " k"]
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


def _speed(positions: Float[Tensor, "t k 3"], fps: float) -> Float[Tensor, "t k"]:
    """Speed by central differences, metres/second; one-sided at the ends."""
    if len(positions) < 2:
        return torch.zeros_like(positions[..., 0])
    (velocity,) = torch.gradient(positions, spacing=1.0 / fps, dim=0)
    return velocity.norm(dim=-1)


def detect(
    positions: Float[Tensor, "t k 3"],
    fps: float,
    resting_height: Float[Tensor, " k"],
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
    speed, height = _speed(positions, fps), positions[..., 1] - resting_height
    loose = (speed < options.release_speed) & (height < options.release_height)
    strict = loose & (speed < options.speed) & (height < options.height)
    shortest = max(1, round(options.shortest * fps)) if len(positions) > 1 else 1
    label = runs(loose)
    sure = torch.zeros(int(label.max()) + 1, dtype=torch.bool)
    sure[label[strict]] = True
    contact = sure[label] & loose
    breaks = runs(~contact)
    inside = (contact.cumsum(0) > 0) & (contact.flip(0).cumsum(0).flip(0) > 0)
    contact = contact | ((_run_length(breaks) < shortest) & inside)
    return contact & (_run_length(runs(contact)) >= shortest)


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


def ramps(contacts: Bool[Tensor, "t k"], frames: int) -> Float[Tensor, "t k"]:
    """Weight that rises from the edges of each contact to 1 over some frames; 0 outside.

    Contacts cut by the first or last frame of the take stay at 1 there.
    """
    rise = torch.arange(1, frames + 1, dtype=torch.float64) / (frames + 1)
    weight = contacts.to(torch.float64)
    for step, value in enumerate(rise.tolist(), start=1):
        before = torch.zeros_like(contacts)
        before[step:] = ~contacts[:-step]
        after = torch.zeros_like(contacts)
        after[:-step] = ~contacts[step:]
        weight = torch.where(contacts & (before | after), weight.clamp(max=value), weight)
    return weight


def slide(positions: Float[Tensor, "t k 3"], contacts: Bool[Tensor, "t k"]) -> Float[Tensor, "s k"]:
    """Distance moved from frame to frame within one contact, metres; NaN elsewhere; s = t - 1."""
    moved = (positions[1:] - positions[:-1]).norm(dim=-1)
    return torch.where(contacts[1:] & contacts[:-1], moved, torch.nan)
