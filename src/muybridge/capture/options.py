"""What a user may choose about a whole capture, refused at once where it makes no sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from muybridge.capture.associate import AssociateOptions
from muybridge.capture.crop import parse_grid
from muybridge.capture.detect import DetectOptions
from muybridge.capture.solve import FASTEST_FPS, SLOWEST_FPS, SolveOptions
from muybridge.errors import InputError

__all__ = ["CaptureOptions"]


@dataclass(frozen=True)
class CaptureOptions:
    """What a user may choose about a whole capture.

    Attributes:
        keypoints: Start from SESSION/keypoints instead of from the videos.
        fps: Frames a second of those keypoints where neither they nor videos tell it.
        backend: What runs the detector.
        finder_side: Longer side of the picture in which people are looked for; see DetectOptions.
        workers: Videos looked at at a time.
        grid: ROWSxCOLUMNS of a four-up video; found from the pictures when None.
        refine: "auto" refines the cameras from the person where that helps; "off" never does.
        people: Keep at most this many people; all that enough cameras saw when None.
        min_views: Cameras that must see a person for them to be captured.
        smoothness: Of the solved motion; 1 is the default, 0 follows the markers.

    Raises:
        InputError: If a value is out of its range, before any work is done.
    """

    keypoints: bool = False
    fps: float | None = None
    backend: Literal["torch", "onnx"] = "torch"
    finder_side: Literal[256, 512] = 256
    workers: int = 2
    grid: str | None = None
    refine: Literal["auto", "off"] = "auto"
    people: int | None = None
    min_views: int = 2
    smoothness: float = 1.0

    def __post_init__(self) -> None:
        if self.fps is not None and not SLOWEST_FPS <= self.fps <= FASTEST_FPS:
            raise InputError(
                f"expected --fps between {SLOWEST_FPS:g} and {FASTEST_FPS:g} frames a second, got "
                f"{self.fps:g}; give the rate at which the cameras filmed"
            )
        if self.people is not None and self.people < 1:
            raise InputError(
                f"expected --people of 1 or more, got {self.people}; leave it out to keep everybody"
            )
        if self.grid is not None:
            parse_grid(self.grid)
        _ = self.detection, self.identities, self.fitting  # these check their own values

    @property
    def detection(self) -> DetectOptions:
        """Options of the stage that finds joints in pictures."""
        return DetectOptions(self.finder_side, self.backend, workers=self.workers)

    @property
    def identities(self) -> AssociateOptions:
        """Options of the stage that tells people apart."""
        return AssociateOptions(min_views=self.min_views)

    @property
    def fitting(self) -> SolveOptions:
        """Options of the stage that fits the skeleton."""
        return SolveOptions(smoothness=self.smoothness)
