"""`muybridge capture --depth`: files on disk to an animation, and nothing half written."""

from pathlib import Path

import pytest
import torch

from muybridge.cli.capture_depth import capture_depth
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.files.depth import write_depth
from tests.depth_person import depth_camera, filmed, person, some_frames


def take(folder: Path, frames: int = 6) -> Path:
    """A few frames of a walk."""
    someone = some_frames(person(step=4), slice(8, 8 + frames))
    camera = depth_camera(20.0, 2.7, (160, 120), height=1.1, tilt_deg=-5.0)
    write_depth(folder, camera, filmed(someone, camera), someone.fps, placed=False)
    return folder


def test_folder_to_bvh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture_depth(take(tmp_path / "take"), tmp_path / "take.bvh", fps=25.0)
    clip = read_bvh(tmp_path / "take.bvh").clip
    assert len(clip) == 6
    assert clip.fps == pytest.approx(25.0, rel=1e-4)
    said = capsys.readouterr().out
    assert "synthetic pictures only" in said.replace("\n", " ")
    assert "points to body: mean" in said
    assert "wrote" in said


def test_the_empty_room_may_be_given(tmp_path: Path) -> None:
    someone = some_frames(person(step=4), slice(8, 10))
    away = someone._replace(starts=someone.starts + 50.0, ends=someone.ends + 50.0)
    camera = depth_camera(20.0, 2.7, (160, 120), height=1.1, tilt_deg=-5.0)
    write_depth(tmp_path / "room", camera, filmed(away, camera), 15.0)
    capture_depth(take(tmp_path / "take", 4), tmp_path / "a.glb", background=tmp_path / "room")
    assert (tmp_path / "a.glb").is_file()


@pytest.mark.parametrize("fault", ["suffix", "empty folder", "all zero", "no folder"])
def test_mistakes_are_one_sentence_and_leave_nothing(tmp_path: Path, fault: str) -> None:
    folder, out = tmp_path / "take", tmp_path / "out.bvh"
    match fault:
        case "suffix":
            take(folder, 2)
            out = tmp_path / "out.png"
        case "empty folder":
            folder.mkdir()
        case "all zero":
            camera = depth_camera(size=(160, 120))
            blank = torch.full((2, 120, 160), torch.nan, dtype=torch.float64)
            write_depth(folder, camera, blank, 30.0)
    with pytest.raises(InputError, match=r"^expected ") as told:
        capture_depth(folder, out)
    assert "\n" not in str(told.value)
    assert not [p for p in tmp_path.iterdir() if p != folder]
