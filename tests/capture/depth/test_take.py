"""From depth pictures to a clip: truth of a body that is not ours, several cameras, bad input.

The person has the bones of a recorded walk where it is present and flesh of its own; the pictures
have 5 mm of noise, 1 cm steps, 15 % holes, a floor and a wall. Synthetic all the same.
"""

from functools import cache
from pathlib import Path

import pytest
import torch

from muybridge.capture.depth.take import DepthCapture, DepthOptions, capture_take
from muybridge.errors import InputError
from muybridge.files.depth import read_depth, write_depth
from muybridge.geometry.camera import Cameras
from muybridge.motion.kinematics import forward_clip
from tests.depth_person import Faults, Person, depth_camera, filmed, person, room, some_frames

JOINT_OF = {
    "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
}  # fmt: skip
SIZE = (160, 120)
GONE = slice(9, 11)  # frames in which the one camera sees nobody


@cache
def walk() -> Person:
    """Sixteen frames, 15 a second."""
    return some_frames(person(step=4), slice(6, 22))


def camera(bearing: float) -> Cameras:
    """At 2.7 m."""
    return depth_camera(bearing, 2.7, SIZE, height=1.1, tilt_deg=-5.0)


def joint_errors(capture: DepthCapture, someone: Person, first: Cameras) -> torch.Tensor:
    """Distance of the clip's joints to the truth, metres, (t, j)."""
    own = capture.cameras.names.index(first.names[0]) if len(capture.cameras) > 1 else 0
    there = capture.cameras.select([own]).camera_from_world.inverse()
    moved = there.compose(first.camera_from_world).apply(someone.joints.reshape(1, -1, 3))
    index = []
    for name in someone.names:
        side, part = name.split("_")
        index.append(capture.clip.skeleton.index(side.title() + JOINT_OF[part]))
    found = forward_clip(capture.clip).positions[:, index]
    return (found - moved.reshape(someone.joints.shape)).norm(dim=-1)


@cache
def one_camera(folder: Path) -> DepthCapture:
    view = camera(30.0)
    pictures = filmed(walk(), view, Faults())
    empty = walk()._replace(starts=walk().starts + 50.0, ends=walk().ends + 50.0)
    pictures[GONE] = filmed(some_frames(empty, GONE), view, Faults())
    write_depth(folder, view, pictures, walk().fps, placed=False)
    return capture_take(read_depth(folder))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> DepthCapture:
    """One camera that does not know where it stands, 30 degrees off the walk's direction."""
    return one_camera(tmp_path_factory.mktemp("one") / "take")


def test_joints_of_a_walk_seen_by_one_camera(capture: DepthCapture) -> None:
    """Mean below 30 mm; an arm that the body hides may be worse."""
    errors = joint_errors(capture, walk(), camera(30.0))
    seen = capture.track.seen
    assert float(errors[seen].mean()) < 0.030
    assert float(errors[seen].mean(0).amax()) < 0.060
    assert len(capture.clip) == len(walk().joints)
    assert capture.clip.fps == pytest.approx(walk().fps)


def test_residuals_and_findings_are_reported(capture: DepthCapture) -> None:
    assert float(capture.residual_m.mean()) < 0.010
    said = [finding.sentence for finding in capture.findings]
    assert any("synthetic pictures only" in sentence for sentence in said)
    assert any("mm from the fitted body" in sentence for sentence in said)


def test_the_floor_gives_the_vertical(capture: DepthCapture) -> None:
    """The camera's tilt and height come back from the floor it sees."""
    up = capture.cameras.rotation[0] @ torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    truth = camera(30.0).rotation[0] @ torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    assert float(torch.rad2deg((up @ truth).clamp(max=1.0).acos())) < 0.3
    assert float(capture.cameras.centres_world[0, 1]) == pytest.approx(1.1, abs=0.01)
    lowest = forward_clip(capture.clip).positions[..., 1].min()
    assert -0.08 < float(lowest) < 0.08


def test_frames_without_a_person_are_bridged(capture: DepthCapture) -> None:
    assert not bool(capture.markers.seen[GONE].any())
    assert bool(capture.clip.filled[GONE].all())
    assert float(joint_errors(capture, walk(), camera(30.0))[GONE].mean()) < 0.08
    assert any("2 of 16 frames" in finding.sentence for finding in capture.findings)


def test_bones_keep_their_length(capture: DepthCapture) -> None:
    positions = forward_clip(capture.clip).positions
    parents = torch.tensor(capture.clip.skeleton.parents[1:])
    lengths = (positions[:, 1:] - positions[:, parents]).norm(dim=-1)
    assert float(lengths.std(0).amax()) < 1e-9


def test_two_cameras_see_more_than_one(capture: DepthCapture, tmp_path: Path) -> None:
    """From both sides nothing is hidden for long: no joint is worse than 45 mm on average."""
    cameras = [camera(30.0), camera(-120.0)]
    for view in cameras:
        write_depth(tmp_path / view.names[0], view, filmed(walk(), view, Faults()), walk().fps)
    both = capture_take(read_depth(tmp_path))
    errors = joint_errors(both, walk(), cameras[0])
    alone = joint_errors(capture, walk(), cameras[0])
    assert float(errors.mean()) < 0.030
    assert float(errors.mean(0).amax()) < 0.045
    arms = [n for n, name in enumerate(walk().names) if name.endswith(("elbow", "wrist"))]
    assert float(errors[:, arms].mean()) <= float(alone[:, arms].mean()) + 0.005


def test_nothing_in_sight_is_told(tmp_path: Path) -> None:
    view = camera(0.0)
    blank = torch.full((3, SIZE[1], SIZE[0]), torch.nan, dtype=torch.float64)
    write_depth(tmp_path / "zero", view, blank, 30.0)
    with pytest.raises(InputError, match="got 0 pixels that are not 0"):
        capture_take(read_depth(tmp_path / "zero"))
    empty = walk()._replace(starts=walk().starts + 50.0, ends=walk().ends + 50.0)
    write_depth(tmp_path / "empty", view, filmed(some_frames(empty, slice(0, 3)), view), 30.0)
    with pytest.raises(InputError, match="expected a person who stands free"):
        capture_take(read_depth(tmp_path / "empty"))


def test_the_empty_room_must_be_of_the_same_size(tmp_path: Path) -> None:
    view = camera(0.0)
    write_depth(tmp_path, view, filmed(some_frames(walk(), slice(0, 2)), view), 30.0)
    wrong = DepthOptions(background=(torch.ones(3, 4, dtype=torch.float64),))
    with pytest.raises(InputError, match="record it with the same cameras"):
        capture_take(read_depth(tmp_path), wrong)


def test_the_room_of_the_tests_is_one_the_person_is_in() -> None:
    """Guards the truth itself: nobody walks through the wall or below the floor."""
    floor, wall = room(camera(30.0))
    for plane in (floor, wall):
        heights = walk().joints @ plane[:3] - plane[3]
        assert float(heights.min()) > 0.05
