"""`muybridge demo`: the session is laid out from the installed package; its absence is told."""

from pathlib import Path

import pytest

from muybridge.cli import demo
from muybridge.errors import InputError
from tests.demo import demo_folder


def test_the_session_is_laid_out_and_then_kept(tmp_path: Path) -> None:
    source = demo_folder()
    demo.lay_out_session(source, tmp_path)
    files = {p.relative_to(tmp_path).as_posix(): p for p in tmp_path.rglob("*") if p.is_file()}
    assert {f"videos/cam0{c}.mp4" for c in (1, 2, 3, 4)} <= set(files)
    assert "calibration/Calib.qca.txt" in files
    assert sum(name.startswith("keypoints/cam03/") for name in files) == 100
    stamps = {name: path.stat().st_mtime_ns for name, path in files.items()}
    files["videos/cam01.mp4"].write_bytes(b"cut off while copying")
    demo.lay_out_session(source, tmp_path)
    changed = [name for name, path in files.items() if path.stat().st_mtime_ns != stamps[name]]
    assert changed == ["videos/cam01.mp4"]
    film = source / demo.TRIAL / "videos" / "cam01.mp4"
    assert files["videos/cam01.mp4"].read_bytes() == film.read_bytes()


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install --no-deps pose2sim==0\.6\.1"):
        demo.demo_folder()
