"""From depth pictures to a clip: truth of a body that is not ours, baselines, faults, bad input."""

from functools import cache
from pathlib import Path

import pytest
import torch

from muybridge.capture.depth.take import DepthCapture, capture_take
from muybridge.files.depth import read_depth, write_depth
from muybridge.geometry.camera import Cameras
from muybridge.motion.kinematics import forward_clip
from tests.depth_person import Faults, Person, depth_camera, filmed, person

JOINT_OF = {
    "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
}  # fmt: skip


def captured(
    folder: Path, someone: Person, cameras: list[Cameras], placed: bool, faults: Faults
) -> DepthCapture:
    """Write, read and capture what the cameras saw."""
    for camera in cameras:
        place = folder / camera.names[0] if len(cameras) > 1 else folder
        pictures = filmed(someone, camera, faults)
        write_depth(place, camera, pictures, someone.fps, placed=placed)
    return capture_take(read_depth(folder))


def joint_errors(capture: DepthCapture, someone: Person, camera: Cameras) -> torch.Tensor:
    """Distance of the clip's joints to the truth, metres, (t, j)."""
    there = capture.cameras.select([0]).camera_from_world.inverse()
    moved = there.compose(camera.camera_from_world).apply(someone.joints.reshape(1, -1, 3))
    index = []
    for name in someone.names:
        side, part = name.split("_")
        index.append(capture.clip.skeleton.index(side.title() + JOINT_OF[part]))
    found = forward_clip(capture.clip).positions[:, index]
    return (found - moved.reshape(someone.joints.shape)).norm(dim=-1)


@cache
def walk() -> Person:
    """Every fourth frame of the walk, or of the model person's."""
    return person(step=4)


def test_joints_of_a_walk_seen_by_one_camera(tmp_path: Path) -> None:
    """Mean below 30 mm, with a floor and a wall, 5 mm noise, 1 cm steps, 15 % holes."""
    camera = depth_camera(30.0, 2.7, height=1.1, tilt_deg=-5.0)
    capture = captured(tmp_path, walk(), [camera], False, Faults())
    errors = joint_errors(capture, walk(), camera)
    print(f"mean {1e3 * float(errors.mean()):.1f} mm")
    assert float(errors.mean()) < 0.030
    assert len(capture.clip) == len(walk().joints)
    assert capture.clip.fps == pytest.approx(walk().fps)
    assert any("synthetic" in finding.sentence for finding in capture.findings)
