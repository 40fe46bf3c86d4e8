"""Hand corrections as the studio keeps them: in a file beside the take, one entry a joint.

An entry names the camera's own frame and the person's slot in the detections of that frame, not
what the take made of them. J joints.
"""

from __future__ import annotations

from pathlib import Path

from jaxtyping import Float
from torch import Tensor, inf

from muybridge.files.keypoints import Correction, read_corrections, save_corrections
from muybridge.motion.keypoints import Keypoints

__all__ = ["add_correction", "own_frame", "saved_corrections", "slot_of"]


def saved_corrections(path: Path) -> tuple[Correction, ...]:
    """All corrections in the file; none if it does not exist.

    Raises:
        InputError: If the file is not a list of corrections.
    """
    return read_corrections(path) if path.is_file() else ()


def add_correction(path: Path, correction: Correction) -> tuple[Correction, ...]:
    """Write the correction into the file, in place of an older one for the same joint."""
    others = [c for c in saved_corrections(path) if c.place != correction.place]
    entries = tuple(sorted((*others, correction), key=lambda c: c.place))
    save_corrections(path, entries)
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
    return int(apart.nan_to_num(nan=inf).argmin())
