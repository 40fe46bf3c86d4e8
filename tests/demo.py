"""The demo trial that the package pose2sim==0.6.1 carries: 4 cameras, 100 frames, one person."""

import importlib.util
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from muybridge.files.calibration import match_cameras, read_calibration
from muybridge.files.keypoints import read_keypoints_folder
from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import Keypoints

CAMERAS = ("cam01", "cam02", "cam03", "cam04")
FPS = 60.0


def demo_folder() -> Path:
    """The demo session, or a skipped test."""
    found = importlib.util.find_spec("Pose2Sim")
    if found is None or found.origin is None:
        pytest.skip("the demo trial is missing: pip install --no-deps pose2sim==0.6.1")
    return Path(found.origin).parent / "Demo" / "S00_Demo_Session"


@cache
def demo_cameras() -> Cameras:
    """Its Qualisys calibration, cameras in order."""
    path = demo_folder() / "S00_Calibration" / "Calib.qca.txt"
    return match_cameras(read_calibration(path), CAMERAS)


@cache
def demo_people() -> Keypoints:
    """All people of its OpenPose BODY_25B detections, in the files' order."""
    trial = demo_folder() / "S00_P00_Participant" / "S00_P00_T01_BalancingTrial" / "pose"
    return read_keypoints_folder(trial, FPS)


@cache
def demo_person() -> Keypoints:
    """The person with the largest box in each camera and frame."""
    people = demo_people()
    box = people.points_px.nan_to_num(-torch.inf).amax(3) - people.points_px.nan_to_num(
        torch.inf
    ).amin(3)
    largest = box.clamp(min=0.0).prod(-1).argmax(-1)  # c t
    camera = torch.arange(len(CAMERAS)).unsqueeze(-1)
    frame = torch.arange(people.frame_count)
    return replace(
        people,
        points_px=people.points_px[camera, frame, largest].unsqueeze(2),
        confidence=people.confidence[camera, frame, largest].unsqueeze(2),
    )
