"""The demo trial's videos and OpenPose detections, and how far ours are from them."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from muybridge.files.keypoints import read_keypoints_folder
from muybridge.motion.keypoints import COCO_17, Keypoints

BODY = COCO_17[5:]  # shoulders to ankles; OpenPose's face and feet are defined otherwise


def trial_folder() -> Path | None:
    """Where pip put the trial of pose2sim 0.6.1; None if it is not installed."""
    spec = find_spec("Pose2Sim")
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob("Demo/S00*/S00_P00*/S00_P00_T01*"), None)


def distances_px(found: Keypoints, trial: Path) -> Tensor:
    """Distance (camera, frame, joint) to OpenPose's joint; NaN where OpenPose is below 0.3.

    The largest person counts in both. OpenPose is a second opinion, not the truth.
    """
    reference = read_keypoints_folder(trial / "pose", found.fps).select_joints(BODY)
    ours = found.select_joints(BODY)
    frames = ours.frame_count
    apart = (ours.points_px[:, :, 0] - reference.points_px[:, :frames, 0]).norm(dim=-1)
    return torch.where(reference.confidence[:, :frames, 0] > 0.3, apart, torch.nan)
