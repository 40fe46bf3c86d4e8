"""`muybridge capture --markers`: files in, a clip out, one sentence where that cannot be."""

from pathlib import Path

import ezc3d
import pytest
import torch

from muybridge.capture.markers.virtual import dressed
from muybridge.cli.capture_markers import capture_markers
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.files.c3d import read_c3d, write_c3d
from muybridge.files.trc import write_trc
from muybridge.motion.markers import Markers
from tests.capture.markers.marked_walker import synthetic


def recorded(frames: int = 40) -> Markers:
    markers = dressed(synthetic(frames))
    markers.points_world[10:20, 7] = torch.nan
    return markers


@pytest.mark.parametrize("suffix", ["c3d", "trc"])
def test_a_recording_becomes_an_animation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    source, target = tmp_path / f"walk.{suffix}", tmp_path / "walk.bvh"
    (write_c3d if suffix == "c3d" else write_trc)(source, recorded())
    capture_markers(source, target)
    clip = read_bvh(target, "cm").clip
    assert len(clip) == 40
    assert "LeftForeArm" in clip.skeleton.names
    said = capsys.readouterr().out
    for words in ("41 in 40 frames at 60 fps", "gaps      1,", "person, 21 joints", "mm median"):
        assert words in said


def test_filled_markers_may_be_written_alone(tmp_path: Path) -> None:
    write_c3d(tmp_path / "a.c3d", recorded())
    capture_markers(tmp_path / "a.c3d", tmp_path / "b.c3d")
    assert bool(read_c3d(tmp_path / "b.c3d").seen.all())


def test_names_that_stand_twice_do_not_stop_it(tmp_path: Path) -> None:
    file = ezc3d.c3d()
    markers = dressed(synthetic(20))
    file["parameters"]["POINT"]["UNITS"]["value"] = ["m"]
    file["parameters"]["POINT"]["RATE"]["value"] = [60.0]
    file["parameters"]["POINT"]["LABELS"]["value"] = [*markers.names[:-1], markers.names[0]]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    points = torch.cat((markers.points_world, torch.ones(20, 41, 1, dtype=torch.float64)), dim=-1)
    file["data"]["points"] = points.permute(2, 1, 0).contiguous().numpy()
    file.write(str(tmp_path / "twice.c3d"))
    capture_markers(tmp_path / "twice.c3d", tmp_path / "twice.bvh")
    assert (tmp_path / "twice.bvh").is_file()


def _empty(path: Path) -> None:
    """A file whose header counts no points, as when only force plates were recorded."""
    write_c3d(path, recorded(4))
    content = bytearray(path.read_bytes())
    content[2:4] = b"\0\0"
    path.write_bytes(bytes(content))


def _unseen(path: Path) -> None:
    write_c3d(path, Markers(("a", "b"), torch.full((4, 2, 3), torch.nan).double(), 60.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_empty, "expected points, got a C3D file without any"),
        (_unseen, "expected markers that are seen somewhere"),
        (lambda path: path.write_bytes(b"not c3d"), "C3D"),
        (lambda path: None, "absent"),
    ],
)
def test_bad_input_is_said_in_a_sentence_and_nothing_is_written(
    tmp_path: Path, make, message: str
) -> None:
    make(tmp_path / "a.c3d")
    with pytest.raises(InputError) as error:
        capture_markers(tmp_path / "a.c3d", tmp_path / "b.bvh")
    if message != "absent":
        assert message in str(error.value)
    assert not (tmp_path / "b.bvh").exists()


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected recorded markers"):
        capture_markers(tmp_path / "a.bvh", tmp_path / "b.bvh")
    with pytest.raises(InputError, match="expected a file ending in"):
        capture_markers(tmp_path / "a.c3d", tmp_path / "b.docx")
