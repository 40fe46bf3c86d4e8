"""Associate people across cameras and over time, and list those who cannot be reconstructed.

C cameras, T frames, P person slots, J joints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.capture.identity import NOBODY, Person, follow_in_space
from muybridge.capture.swaps import SwapOptions, repair_swaps
from muybridge.capture.tracks import NO_SLOT, follow_people
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import Keypoints

__all__ = ["AssociateOptions", "Association", "associate"]

LISTED_PEOPLE = 8  # per camera; more than that are a crowd in the background


@dataclass(frozen=True)
class AssociateOptions:
    """Whom to believe in.

    Attributes:
        min_views: Cameras that must see a person at once; who is seen by fewer is only listed.
        min_frames: Frames for which they must; shorter sights are dismissed as false detections.
            At most a quarter of the take is asked.
        min_confidence: Detections below this are left out of all comparisons (not of the result).
        repair: Repair left/right swaps of every person.
    """

    min_views: int = 2
    min_frames: int = 15
    min_confidence: float = 0.2
    repair: bool = True

    def __post_init__(self) -> None:
        if self.min_views < 2:
            raise InputError(
                f"expected two or more views of a person, got a minimum of {self.min_views}; one "
                "camera gives no depth"
            )


@dataclass(frozen=True)
class Association:
    """People with an identity of their own.

    Attributes:
        people: One `Keypoints` (P = 1) per person, the longest and best seen first.
        slots: Which slot of the input each person is, (C, T) per person; -1 where unseen.
        listed: People seen by too few cameras.
        findings: Everything there is to say, `listed` included.
    """

    people: tuple[Keypoints, ...]
    slots: tuple[Int[Tensor, "c t"], ...]
    listed: tuple[Finding, ...]
    findings: tuple[Finding, ...]

    @property
    def main(self) -> Keypoints:
        """The longest and best seen person.

        Raises:
            InputError: If nobody was seen by enough cameras.
        """
        if not self.people:
            raise InputError(
                "expected a person whom several cameras see at once, got none; check that the "
                "calibration belongs to these cameras and that they are synchronised"
            )
        return self.people[0]


def associate(
    keypoints: Keypoints, cameras: Cameras, options: AssociateOptions | None = None
) -> Association:
    """Find out who is who across views and over time.

    Args:
        keypoints: Synchronised detections, any number of slots in any order.
        cameras: Calibrated cameras in the same order.
        options: See `AssociateOptions`.
    Returns:
        People, each in all cameras that see them; missing views are NaN. No detection is used
        twice and none is moved.
    Raises:
        InputError: If the cameras differ from those of the keypoints.
    """
    options = options or AssociateOptions()
    if keypoints.cameras != cameras.names:
        raise InputError(
            f"expected a calibration of the cameras {', '.join(keypoints.cameras)}, got "
            f"{', '.join(cameras.names)}; match the calibration to the keypoints first"
        )
    followed = follow_in_space(keypoints, cameras, options.min_confidence)
    enough = max(2, min(options.min_frames, keypoints.frame_count // 4))
    followed = [p for p in followed if _frames_with(p, 2) >= enough]
    followed.sort(key=_worth, reverse=True)
    kept = [p for p in followed if _frames_with(p, options.min_views) >= enough]
    listed = [_few_views(keypoints, p, options) for p in followed if p not in kept]
    listed += _alone(keypoints, followed, enough, options)
    people, findings = [], []
    for number, person in enumerate(kept, start=1):
        own = take_slots(keypoints, torch.from_numpy(person.slots))
        findings.append(_seen(own, number))
        if options.repair:
            repaired = repair_swaps(own, cameras, SwapOptions())
            own = repaired.keypoints
            findings += repaired.findings
        people.append(own)
    slots = tuple(torch.from_numpy(p.slots) for p in kept)
    return Association(tuple(people), slots, tuple(listed), (*findings, *listed))


def take_slots(keypoints: Keypoints, slots: Int[Tensor, "c t"]) -> Keypoints:
    """Keypoints of the person in the given slot of each camera and frame; NaN where -1."""
    cameras, frames = slots.shape
    c = torch.arange(cameras).unsqueeze(1)
    t = torch.arange(frames)
    index = slots.clamp_min(0)
    unseen = (slots < 0)[..., None]
    points = torch.where(unseen.unsqueeze(-1), torch.nan, keypoints.points_px[c, t, index])
    confidence = torch.where(unseen, 0.0, keypoints.confidence[c, t, index])
    corrected = keypoints.corrected
    if corrected is not None:
        corrected = (corrected[c, t, index] & ~unseen).unsqueeze(2)
    return replace(
        keypoints,
        points_px=points.unsqueeze(2),
        confidence=confidence.unsqueeze(2),
        corrected=corrected,
    )


def _frames_with(person: Person, views: int) -> int:
    return int(((person.slots != NOBODY).sum(0) >= views).sum())


def _worth(person: Person) -> float:
    """Frames times views: how long and how well somebody is seen."""
    return float((person.slots != NOBODY).sum())


def _span(seen: Bool[np.ndarray, "t"]) -> str:
    frames = np.flatnonzero(seen)
    return f"frames {frames[0]} to {frames[-1]}"


def _seen(person: Keypoints, number: int) -> Finding:
    """Who was found, where and how long."""
    seen = person.seen[:, :, 0].any(-1)
    names = [name for name, row in zip(person.cameras, seen, strict=True) if bool(row.any())]
    sentence = f"Person {number} is seen by {', '.join(names)} in {_span(seen.any(0).numpy())}."
    return Finding("associate", "info", sentence)


def _few_views(keypoints: Keypoints, person: Person, options: AssociateOptions) -> Finding:
    seen = person.slots != NOBODY
    names = [name for name, row in zip(keypoints.cameras, seen, strict=True) if row.any()]
    sentence = (
        f"Somebody is seen by only {len(names)} camera(s), {', '.join(names)}, in "
        f"{_span(seen.any(0))}, where {options.min_views} are asked; not reconstructed."
    )
    return Finding("associate", "info", sentence, "Ask for fewer views, or add a camera.")


def _steady(seen: Bool[np.ndarray, "t"], enough: int) -> bool:
    """True for somebody who is there, not for scattered false detections."""
    frames = np.flatnonzero(seen)
    return len(frames) >= enough and 2 * len(frames) > int(frames[-1] - frames[0])


def _alone(
    keypoints: Keypoints, people: list[Person], enough: int, options: AssociateOptions
) -> list[Finding]:
    """People whom a single camera sees."""
    found = []
    for c, name in enumerate(keypoints.cameras):
        left = keypoints.points_px[c].double().clone()
        left[keypoints.confidence[c] < options.min_confidence] = torch.nan
        for person in people:
            t = np.flatnonzero(person.slots[c] != NOBODY)
            left[t, person.slots[c, t]] = torch.nan
        if not bool(left.isfinite().any()):
            continue
        for track in follow_people(left, keep=LISTED_PEOPLE).T:
            if _steady(track != NO_SLOT, enough):
                sentence = f"Somebody is seen by {name} alone in {_span(track != NO_SLOT)}; "
                sentence += "not reconstructed, one camera gives no depth."
                found.append(Finding("associate", "info", sentence, camera=name))
    return found
