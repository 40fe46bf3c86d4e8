"""The demo trial that the package pose2sim==0.6.1 carries: 4 cameras, 100 frames, one person."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from muybridge.cli import demo
from muybridge.errors import InputError
from muybridge.files.calibration import match_cameras, read_calibration
from muybridge.files.keypoints import read_keypoints_folder
from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import COCO_17, Keypoints

CAMERAS = ("cam01", "cam02", "cam03", "cam04")
FPS = 60.0
BODY = COCO_17[5:]  # shoulders to ankles; OpenPose's face and feet are defined otherwise


def demo_folder() -> Path:
    """The demo session, or a skipped test."""
    try:
        return demo.demo_folder()
    except InputError as error:
        pytest.skip(str(error))


def demo_trial() -> Path:
    """Its one trial: videos/ and OpenPose's pose/."""
    return demo_folder() / demo.TRIAL


@cache
def demo_cameras() -> Cameras:
    """Its Qualisys calibration, cameras in order."""
    path = demo_folder() / "S00_Calibration" / "Calib.qca.txt"
    return match_cameras(read_calibration(path), CAMERAS)


@cache
def demo_people() -> Keypoints:
    """All people of its OpenPose BODY_25B detections, the largest first."""
    return read_keypoints_folder(demo_trial() / "pose", FPS)


@cache
def demo_person() -> Keypoints:
    """The largest person in each camera and frame."""
    people = demo_people()
    return replace(
        people, points_px=people.points_px[:, :, :1], confidence=people.confidence[:, :, :1]
    )


def distances_px(found: Keypoints) -> Tensor:
    """Distance (camera, frame, joint) to OpenPose's joint; NaN where OpenPose is below 0.3.

    The largest person counts in both. OpenPose is a second opinion, not the truth.
    """
    reference, ours = demo_person().select_joints(BODY), found.select_joints(BODY)
    frames = ours.frame_count
    apart = (ours.points_px[:, :, 0] - reference.points_px[:, :frames, 0]).norm(dim=-1)
    return torch.where(reference.confidence[:, :frames, 0] > 0.3, apart, torch.nan)
