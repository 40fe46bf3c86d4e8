"""A take: everything that is known of one recording once it has been captured."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.files.video import VideoInfo
from muybridge.geometry.camera import Cameras
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import Keypoints
from muybridge.motion.markers import Markers

__all__ = ["PersonTake", "Take"]


@dataclass(frozen=True)
class PersonTake:
    """One person's way from pixels to motion.

    Attributes:
        name: "person1" and so on; person1 is the main one.
        keypoints: P = 1; synchronised, associated and repaired, all cameras on one clock.
        markers: Triangulated joints with covariance and number of views.
        clip: The solved skeleton.
    """

    name: str
    keypoints: Keypoints
    markers: Markers
    clip: Clip


@dataclass(frozen=True)
class Take:
    """One recording.

    Attributes:
        name: Of the session.
        fps: Frames a second.
        videos: One per camera in camera order; None where only keypoints were given.
        cameras: Final calibration; world Y up, metres.
        people: The main person first.
        offsets_frames: Frame t of camera c shows the instant t + offset of camera 0.
        findings: What the stages had to say.
        seconds: Wall time of each stage.
        detector_offset_px: What the detector adds to each joint (of the keypoints) in each camera
            all through the take: detection = projection + offset; None where not estimated.
            Hand-corrected joints have none.
    """

    name: str
    fps: float
    videos: tuple[VideoInfo | None, ...]
    cameras: Cameras
    people: tuple[PersonTake, ...]
    offsets_frames: Float[Tensor, "c"]
    findings: tuple[Finding, ...]
    seconds: dict[str, float]
    detector_offset_px: Float[Tensor, "c j 2"] | None = None
