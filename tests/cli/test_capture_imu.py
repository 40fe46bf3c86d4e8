"""`muybridge capture --imu`: a file, a table, and sentences."""

from pathlib import Path

import pytest

from muybridge.cli.capture_imu import ImuOptions, capture_imu
from muybridge.cli.main import main
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.files.imu import write_imu_log
from tests.capture.imu.walks import walk


@pytest.fixture
def take(tmp_path: Path) -> Path:
    for log in walk()[1]:
        write_imu_log(tmp_path / "take" / log.name, log)
    return tmp_path / "take"


def test_a_folder_becomes_an_animation(take: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = take.parent / "take.bvh"
    capture_imu(take, out)
    clip = read_bvh(out).clip
    truth = walk()[0]
    assert clip.skeleton.names[:3] == ("Hips", "LeftUpLeg", "LeftLeg")
    assert float((clip.root[-1] - clip.root[0]).norm()) == pytest.approx(
        float((truth.root[-1] - truth.root[0]).norm()), abs=0.1
    )
    said = capsys.readouterr().out
    for words in ("left_foot", "magnetometer", "100.00", "calibrated in the pose", "wrote"):
        assert words in said


@pytest.mark.parametrize("suffix", [".glb", ".npz", ".c3d"])
def test_other_formats(take: Path, suffix: str) -> None:
    out = (take.parent / "take").with_suffix(suffix)
    capture_imu(take, out, ImuOptions(fps=30.0, stature=1.6))
    assert out.stat().st_size > 1000


def test_nothing_is_written_when_something_is_wrong(take: Path) -> None:
    out = take.parent / "take.bvh"
    (take / "pelvis" / "Inertial.csv").write_text("nonsense")
    with pytest.raises(InputError, match="pelvis"):
        capture_imu(take, out)
    with pytest.raises(InputError, match=r"\.bvh"):
        capture_imu(take, take.parent / "take.mp4")
    with pytest.raises(InputError, match="found no folder"):
        capture_imu(take.parent / "absent", out)
    assert not out.exists()
    assert sorted(p.name for p in take.parent.iterdir()) == ["take"]


def test_the_command_line_writes_and_refuses(
    take: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = take.parent / "take.bvh"
    words = ["capture", "--imu", str(take), "--out", str(out)]
    main([*words, "--stature", "1.6", "--pose-at", "1.0", "--imu-fps", "50"])
    assert read_bvh(out).clip.fps == pytest.approx(50.0)
    assert "calibrated in the pose held from 0.5 to 1.5 s" in capsys.readouterr().out
    out.unlink()
    (take / "pelvis" / "Inertial.csv").write_text("Timestamp (us)\n1\n")
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert "expected one column" in capsys.readouterr().err
    assert not out.exists()
