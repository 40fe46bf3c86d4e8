"""Keypoints that a person moved by hand (rotoscoping), as a JSON list beside the take.

Each entry is {camera, frame, person, joint, x, y}: the camera's own frame number, the person's slot
in the detections of that frame, pixels of the original picture. One entry a joint: the last wins.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.atomic import write_text
from muybridge.motion.keypoints import Keypoints

__all__ = ["NAME", "Correction", "add_correction", "own_frame", "read_corrections", "slot_of"]

NAME = "corrections.json"


@dataclass(frozen=True)
class Correction:
    """One joint in one picture, moved to (x, y) pixels."""

    camera: str
    frame: int
    person: int
    joint: str
    x: float
    y: float

    @property
    def place(self) -> tuple[str, int, int, str]:
        """What is corrected: one entry each."""
        return self.camera, self.frame, self.person, self.joint


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """All corrections in the file; none if it does not exist.

    Raises:
        InputError: If the file is not a list of corrections.
    """
    if not path.is_file():
        return ()
    try:
        return tuple(
            Correction(
                str(e["camera"]), int(e["frame"]), int(e["person"]), str(e["joint"]),
                float(e["x"]), float(e["y"]),
            )
            for e in json.loads(path.read_text(encoding="utf-8"))
        )  # fmt: skip
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"expected a list of {{camera, frame, person, joint, x, y}} in {path}, got something "
            f"else ({error}); mend or remove the file"
        ) from error


def add_correction(path: Path, correction: Correction) -> tuple[Correction, ...]:
    """Write the correction into the file, in place of an older one for the same joint."""
    others = [c for c in read_corrections(path) if c.place != correction.place]
    entries = tuple(sorted((*others, correction), key=lambda c: c.place))
    lines = ",\n".join(" " + json.dumps(asdict(entry)) for entry in entries)
    write_text(path, f"[\n{lines}\n]\n")
    return entries


def own_frame(frame: int, offset_frames: float) -> int:
    """The camera's own frame that shows an instant of the take: t + offset is the instant."""
    return round(frame - offset_frames)


def slot_of(detections: Keypoints, camera: int, frame: int, points_px: Float[Tensor, "j 2"]) -> int:
    """Which slot of the detections holds the person whose joints are seen at these pixels.

    Args:
        detections: As detected; its joints are those of `points_px`, in the same order.
        camera: Index of the camera.
        frame: Of the camera's own clock.
        points_px: The person's joints in this picture; NaN where unseen.
    """
    if not 0 <= frame < detections.frame_count:
        return 0
    apart = (detections.points_px[camera, frame] - points_px).norm(dim=-1).nanmedian(-1).values
    return int(apart.nan_to_num(nan=torch.inf).argmin())
