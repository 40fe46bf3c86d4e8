"""The verbs that do one stage each, on small input with a known result."""

from pathlib import Path

import pytest
import torch

from muybridge.cli.main import main
from muybridge.files.bvh import read_bvh
from muybridge.files.trc import read_trc, write_trc
from muybridge.files.video import probe
from tests.sessions import make_session, make_video
from tests.studio.synthetic_take import synthetic_take


def test_inspect_shows_every_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_video(tmp_path / "videos" / "cam01.mp4", 8, (64, 48))
    make_video(tmp_path / "videos" / "cam02.mp4", 20, (48, 64))
    main(["inspect", str(tmp_path)])
    said = capsys.readouterr().out
    for word in ("cam01", "64x48", "cam02", "48x64", "h264", "30.000", "differ in length"):
        assert word in said


def test_crop_cuts_and_writes_the_rectangles(tmp_path: Path) -> None:
    film = make_video(tmp_path / "four.mp4", 3, (128, 96))
    main(["crop", str(film), "--out", str(tmp_path / "session"), "--grid", "2x2"])
    cut = sorted((tmp_path / "session" / "videos").glob("*.mp4"))
    assert len(cut) == 4
    assert {(probe(path).width, probe(path).height) for path in cut} == {(64, 48)}
    again = tmp_path / "again"
    crop = str(tmp_path / "session" / "crop.yaml")
    main(["crop", str(film), "--out", str(again), "--crop", crop])
    assert [p.name for p in sorted((again / "videos").iterdir())] == [p.name for p in cut]


def test_reconstruct_gives_the_joints(tmp_path: Path) -> None:
    session = make_session(tmp_path / "session", 30)
    words = [str(session / "keypoints"), str(session / "calibration" / "calibration.yaml")]
    main(["reconstruct", *words, "--fps", "30", "--out", str(tmp_path / "points.trc")])
    found, truth = read_trc(tmp_path / "points.trc"), synthetic_take(frame_count=30)
    knees = ("left_knee", "right_knee")
    expected = truth.people[0].markers.select(knees).points_world
    assert float((found.select(knees).points_world - expected).norm(dim=-1).median()) < 0.03


def test_solve_gives_a_skeleton(tmp_path: Path) -> None:
    markers = synthetic_take(frame_count=12).people[0].markers
    write_trc(tmp_path / "points.trc", markers)
    main(["solve", str(tmp_path / "points.trc"), "--out", str(tmp_path / "take.bvh")])
    clip = read_bvh(tmp_path / "take.bvh").clip
    assert (len(clip), clip.skeleton.names[0]) == (12, "Hips")
    hips = markers.select(("left_hip", "right_hip")).points_world.mean(1)
    assert float((clip.root - hips).norm(dim=-1).max()) < 0.05
    assert bool(torch.isfinite(clip.rotations).all())
