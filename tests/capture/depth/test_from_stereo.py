"""Two textured views, or a four-up recording of them, as a depth camera: error against truth."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.capture.crop import crop_video, even_grid
from muybridge.capture.depth.backproject import backproject, ray_grid, to_world
from muybridge.capture.depth.from_stereo import depth_from_stereo
from muybridge.capture.depth.raycast import raycast
from muybridge.capture.depth.take import capture_take
from muybridge.capture.stereo import DepthOptions
from muybridge.errors import InputError
from muybridge.files.calibration import write_calibration
from muybridge.files.depth import read_depth
from muybridge.files.video import write_frames
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec
from tests.depth_person import Person, depth_camera, person, room, some_frames

SIZE = (480, 360)
NAMES = ("cam01", "cam02")
RANGE = DepthOptions(near_m=1.2, far_m=6.0)


def pair() -> Cameras:
    """Two cameras 24 cm apart, the second slightly turned, with lenses that bend."""
    first = depth_camera(0.0, 2.6, SIZE, height=1.1, tilt_deg=-5.0)
    turn = matrix_from_rotvec(torch.tensor([0.01, 0.02, -0.01], dtype=torch.float64))
    right = first.rotation[0, 0]
    centre = first.centres_world[0] + 0.24 * right
    rotation = torch.stack((first.rotation[0], turn @ first.rotation[0]))
    centres = torch.stack((first.centres_world[0], centre))
    both = Cameras(
        NAMES, first.size_px.repeat(2, 1), first.matrix.repeat(2, 1, 1),
        torch.tensor([[-0.05, 0.02, 0.0, 0.0, 0.0], [-0.04, 0.01, 0.0005, 0.0, 0.0]]).double(),
        rotation, first.translation.repeat(2, 1),
    )  # fmt: skip
    return both.with_extrinsics(Rigid(rotation, -(rotation @ centres[..., None])[..., 0]))


@cache
def texture() -> tuple[np.ndarray, np.ndarray]:
    """Waves of 3 to 15 cm in all directions of space."""
    random = np.random.default_rng(2)
    direction = random.normal(size=(80, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = random.uniform(0.03, 0.15, (80, 1))
    return 2.0 * np.pi * direction / length, random.uniform(0.0, 2.0 * np.pi, 80)


def picture(someone: Person, frame: int, camera: Cameras) -> tuple[np.ndarray, torch.Tensor]:
    """RGB of the person and the room, and the depth behind it."""
    grid = ray_grid(camera)
    planes = room(pair().select([0]))
    depth = raycast(camera, someone.starts[frame], someone.ends[frame], someone.radii, planes, grid)
    points = to_world(backproject(depth, grid), camera).nan_to_num(nan=0.0).numpy()
    waves, phase = texture()
    grey = np.cos(points @ waves.T + phase).sum(-1) * 14.0 + 128.0
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, -1), depth


@cache
def views(frames: int = 4) -> tuple[Person, list[list[np.ndarray]], torch.Tensor]:
    """The person, the pictures of both cameras, the first one's true depth."""
    someone = some_frames(person(step=4), slice(8, 8 + frames))
    shots = [[picture(someone, t, pair().select([c])) for t in range(frames)] for c in (0, 1)]
    return (
        someone,
        [[image for image, _ in shot] for shot in shots],
        torch.stack([depth for _, depth in shots[0]]),
    )


def session(folder: Path, four_up: bool) -> Path:
    """Videos and calibration; the four-up one shows both cameras twice and is cut up again."""
    someone, pictures, _ = views()
    (folder / "videos").mkdir(parents=True)
    if four_up:
        rows = [np.concatenate(shots, axis=1) for shots in zip(*pictures, strict=True)]
        write_frames(
            folder / "all.mp4", [np.concatenate((row, row[::-1])) for row in rows], someone.fps
        )
        crop_video(
            folder / "all.mp4", even_grid((2 * SIZE[0], 2 * SIZE[1]), 2, 2), folder / "videos"
        )
        (folder / "all.mp4").unlink()
    else:
        for name, shots in zip(NAMES, pictures, strict=True):
            write_frames(folder / "videos" / f"{name}.mp4", shots, someone.fps)
    write_calibration(folder / "calibration.yaml", pair())
    return folder


@pytest.mark.parametrize("four_up", [False, True], ids=["two videos", "four-up video"])
def test_depth_of_a_stereo_pair_against_truth(tmp_path: Path, four_up: bool) -> None:
    """Median error below 20 mm at 2.6 m, where a pixel is 73 mm; bias below 15 mm."""
    someone, _, _ = views()
    count = depth_from_stereo(session(tmp_path / "s", four_up), NAMES, tmp_path / "d", RANGE)
    assert count == 4
    take = read_depth(tmp_path / "d")
    assert take.fps == pytest.approx(someone.fps)
    errors, shares = [], []
    for t in range(count):
        found = take.frame(t)[0]
        alone = raycast(take.cameras, someone.starts[t], someone.ends[t], someone.radii)
        here = alone.isfinite()
        errors.append((found - alone)[here])
        shares.append(float(found[here].isfinite().double().mean()))
    error = torch.cat(errors)
    error = error[error.isfinite()]
    assert float(error.abs().median()) < 0.020
    assert abs(float(error.median())) < 0.015
    assert min(shares) > 0.6


def test_stereo_depth_carries_the_whole_way_to_joints(tmp_path: Path) -> None:
    """Mean joint error below 75 mm: matched depth is rough at the edges of limbs."""
    someone, _, _ = views()
    depth_from_stereo(session(tmp_path / "s", True), NAMES, tmp_path / "d", RANGE)
    capture = capture_take(read_depth(tmp_path / "d"))
    points = capture.markers.points_world
    index = [capture.markers.names.index(name) for name in someone.names]
    errors = (points[:, index] - someone.joints).norm(dim=-1)
    assert float(errors.nanmean()) < 0.075


def test_missing_parts_are_told(tmp_path: Path) -> None:
    folder = session(tmp_path / "s", False)
    with pytest.raises(InputError, match="found none called cam07"):
        depth_from_stereo(folder, ("cam01", "cam07"), tmp_path / "d")
    (folder / "calibration.yaml").unlink()
    with pytest.raises(InputError, match="muybridge calibrate"):
        depth_from_stereo(folder, NAMES, tmp_path / "d")
    assert not (tmp_path / "d").exists()
