"""A four-up video is found, cut and described; wrong sizes are refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muybridge.capture.crop import (
    Crop,
    View,
    crop_video,
    even_grid,
    find_grid,
    read_crop,
    write_crop,
)
from muybridge.errors import InputError
from muybridge.files.video import probe, read_frames, write_frames


def _scene(seed: int, height: int, width: int, frame: int) -> np.ndarray:
    """A smooth random picture with a moving disc: no edges but the disc's."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 220, (4, 5, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    return cv2.circle(
        picture.astype(np.uint8), (20 + 2 * frame, height // 2), 12, (250, 30, 30), -1
    )


def _grid_video(path: Path, rows: int, columns: int, size: tuple[int, int] = (160, 120)) -> None:
    width, height = size

    def frames():
        for t in range(12):
            cells = [_scene(seed, height, width, t) for seed in range(rows * columns)]
            lines = [np.hstack(cells[r * columns : (r + 1) * columns]) for r in range(rows)]
            yield np.vstack(lines)

    write_frames(path, frames(), 30.0)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (1, 2), (2, 1), (1, 4), (3, 3)])
def test_grid_is_found(tmp_path: Path, rows: int, columns: int) -> None:
    _grid_video(tmp_path / "up.mp4", rows, columns)
    assert find_grid(tmp_path / "up.mp4") == even_grid((160 * columns, 120 * rows), rows, columns)


def test_one_picture_is_no_grid(tmp_path: Path) -> None:
    _grid_video(tmp_path / "one.mp4", 1, 1, (320, 240))
    with pytest.raises(InputError, match="--grid"):
        find_grid(tmp_path / "one.mp4")


def test_crops_are_the_pictures_of_the_grid(tmp_path: Path) -> None:
    _grid_video(tmp_path / "up.mp4", 2, 2)
    crop = even_grid((320, 240), 2, 2)
    files = crop_video(tmp_path / "up.mp4", crop, tmp_path / "videos")
    assert [f.name for f in files] == ["cam01.mp4", "cam02.mp4", "cam03.mp4", "cam04.mp4"]
    for seed, file in enumerate(files):
        info = probe(file)
        assert (info.width, info.height, info.fps, info.frame_count) == (160, 120, 30.0, 12)
        for t, image in enumerate(read_frames(file)):
            wanted = _scene(seed, 120, 160, t)
            assert np.abs(image.astype(int) - wanted.astype(int)).mean() < 6.0


def test_crop_of_another_size_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    _grid_video(tmp_path / "up.mp4", 2, 2)
    with pytest.raises(InputError, match="320x240"):
        crop_video(tmp_path / "up.mp4", even_grid((640, 480), 2, 2), tmp_path / "videos")
    assert not list(tmp_path.glob("videos/*"))


def test_crop_yaml_round_trip_and_opencv_independent_text(tmp_path: Path) -> None:
    crop = Crop((321, 240), (View("left", 0, 0, 160, 240), View("right", 161, 0, 160, 240)))
    write_crop(tmp_path / "crop.yaml", crop)
    assert read_crop(tmp_path / "crop.yaml") == crop


@pytest.mark.parametrize(
    "text",
    ["", "size_px: [1, 2]", "size_px: x\nviews:\n", 'size_px: [10, 10]\nviews:\n  - {"name": "a"}',
     'size_px: [10, 10]\nviews:\n  - {"name": "a", "x": 5, "y": 0, "width": 9, "height": 9}',
     'size_px: [9, 9]\nviews:\n  - {"name": "../a", "x": 0, "y": 0, "width": 9, "height": 9}',
     'size_px: [9, 9]\nviews:\n  - {"name": 5, "x": 0, "y": 0, "width": 9, "height": 9}',
     'size_px: [9, 9]\nviews:\n  - {"name": "a", "x": 0, "y": 0, "width": 8.5, "height": true}',
     'size_px: [9, 9]\nviews:' + 2 * '\n  - {"name": "a", "x": 0, "y": 0, "width": 9, "height": 9}',
     'size_px: [Infinity, 9]\nviews:\n  - {"name": "a", "x": 0, "y": 0, "width": 9, "height": 9}'],
)  # fmt: skip
def test_broken_crop_yaml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "crop.yaml").write_text(text)
    with pytest.raises(InputError, match="muybridge crop"):
        read_crop(tmp_path / "crop.yaml")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 200), st.integers(0, 12), st.binary(max_size=12))
def test_damaged_crop_yaml_reads_or_is_refused(
    tmp_path: Path, at: int, cut: int, junk: bytes
) -> None:
    path = tmp_path / "crop.yaml"
    write_crop(path, even_grid((64, 48), 1, 2))
    data = path.read_bytes()
    path.write_bytes(data[:at] + junk + data[at + cut :])
    try:
        crop = read_crop(path)
    except InputError:
        return
    assert all(view.width > 0 and "/" not in view.name for view in crop.views)
