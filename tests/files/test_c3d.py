"""C3D: real files against ezc3d, round trips with gaps, axes and units, damaged files."""

import subprocess
from dataclasses import replace
from pathlib import Path

import ezc3d
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.files import c3d as c3d_module
from muybridge.files.c3d import read_c3d, write_c3d
from muybridge.motion.markers import Markers
from tests.motions import DATA, damaged

FILES = sorted((DATA / "c3d").glob("*.c3d"))
UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001}


def random_markers(seed: int, frames: int = 6, count: int = 4, fps: float = 60.0) -> Markers:
    """Markers within some metres, with covariance; a fifth of the points unseen."""
    generator = torch.Generator().manual_seed(seed)
    points = 2.0 * torch.randn(frames, count, 3, generator=generator, dtype=torch.float64)
    points[torch.rand(frames, count, generator=generator) < 0.2] = torch.nan
    covariance = 1e-4 * torch.eye(3, dtype=torch.float64).expand(frames, count, 3, 3)
    return Markers(tuple(f"M{k}" for k in range(count)), points, fps, covariance)


@pytest.mark.parametrize(("seed", "frames", "count", "fps"), [
    (0, 1, 1, 60.0), (1, 6, 4, 29.97), (2, 300, 26, 120.0), (3, 5, 255, 100.0),
])  # fmt: skip
def test_markers_survive(tmp_path: Path, seed: int, frames: int, count: int, fps: float) -> None:
    markers = random_markers(seed, frames, count, fps)
    if not bool(markers.seen.any()):
        markers.points_world[:] = 1.0
    write_c3d(tmp_path / "a.c3d", markers)
    again = read_c3d(tmp_path / "a.c3d")
    assert again.names == markers.names
    assert again.fps == pytest.approx(fps, rel=1e-7)
    torch.testing.assert_close(
        again.points_world, markers.points_world, atol=1e-6, rtol=0, equal_nan=True
    )


def test_ezc3d_reads_what_the_format_asks(tmp_path: Path) -> None:
    markers = random_markers(5)
    write_c3d(tmp_path / "a.c3d", markers)
    file = ezc3d.c3d(str(tmp_path / "a.c3d"))
    point = file["parameters"]["POINT"]
    assert point["UNITS"]["value"] == ["m"]
    assert (point["X_SCREEN"]["value"], point["Y_SCREEN"]["value"]) == (["+X"], ["+Y"])
    residuals = file["data"]["meta_points"]["residuals"][0].T
    seen = markers.seen.numpy()
    assert (residuals[~seen] == -1.0).all()
    np.testing.assert_allclose(residuals[seen], 0.01, atol=0.0003)


@pytest.mark.skipif(not FILES, reason="the C3D files of ../shared/data are absent")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_laboratory_files_equal_ezc3d(path: Path, tmp_path: Path) -> None:
    file = ezc3d.c3d(str(path))
    scale = UNITS[file["parameters"]["POINT"]["UNITS"]["value"][0]]
    theirs = scale * file["data"]["points"][[1, 2, 0]].transpose(2, 1, 0)  # Z up to Y up
    theirs[(file["data"]["meta_points"]["residuals"][0] < 0).T] = np.nan
    markers = read_c3d(path)
    np.testing.assert_allclose(markers.points_world.numpy(), theirs, rtol=0, atol=1e-12)
    assert markers.names == tuple(file["parameters"]["POINT"]["LABELS"]["value"])
    assert markers.fps == file["parameters"]["POINT"]["RATE"]["value"][0]
    write_c3d(tmp_path / "a.c3d", markers)
    again = read_c3d(tmp_path / "a.c3d")
    assert (again.fps, len(again)) == (markers.fps, len(markers))
    torch.testing.assert_close(
        again.points_world, markers.points_world, atol=1e-6, rtol=0, equal_nan=True
    )


def _foreign(path: Path, unit: str, screen: tuple[str, str] | None) -> None:
    file = ezc3d.c3d()
    point = file["parameters"]["POINT"]
    point["UNITS"]["value"], point["RATE"]["value"] = [unit], [50.0]
    point["LABELS"]["value"] = ["a", "a"]
    if screen:
        file.add_parameter("POINT", "X_SCREEN", [screen[0]])
        file.add_parameter("POINT", "Y_SCREEN", [screen[1]])
    points = np.ones((4, 2, 3))
    points[:3, 0] = np.array([[1.0], [2.0], [3.0]])
    file["data"]["points"] = points
    file.write(str(path))


@pytest.mark.parametrize(("unit", "screen", "up", "expected"), [
    ("m", None, "z", [2.0, 3.0, 1.0]),
    ("mm", None, "y", [0.001, 0.002, 0.003]),
    ("cm", ("+X", "+Z"), "y", [0.02, 0.03, 0.01]),
    ("m", ("+X", "+Y"), "z", [1.0, 2.0, 3.0]),
    ("m", ("+Y", "-X"), "z", [2.0, -1.0, 3.0]),
])  # fmt: skip
def test_units_and_axes(
    tmp_path: Path, unit: str, screen: tuple[str, str] | None, up: str, expected: list[float]
) -> None:
    _foreign(tmp_path / "a.c3d", unit, screen)
    markers = read_c3d(tmp_path / "a.c3d", up)
    torch.testing.assert_close(markers.points_world[0, 0], torch.tensor(expected).double())
    assert markers.names == ("a", "a_2")


@pytest.mark.parametrize(("unit", "screen"), [("furlong", None), ("m", ("+X", "+X"))])
def test_unknown_units_and_axes_are_refused(
    tmp_path: Path, unit: str, screen: tuple[str, str] | None
) -> None:
    _foreign(tmp_path / "a.c3d", unit, screen)
    with pytest.raises(InputError, match="POINT:"):
        read_c3d(tmp_path / "a.c3d")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three markers, four frames."""
    path = tmp_path_factory.mktemp("c3d") / "small.c3d"
    write_c3d(path, random_markers(0, 4, 3))
    return path


@pytest.mark.parametrize("change", [
    lambda b: b"", lambda b: b[:600], lambda b: b[:-400], lambda b: b"no c3d" * 300,
    lambda b: b[:2] + b"\0\0" + b[4:], lambda b: b[:512] + b"\xff" * 600 + b[1112:],
    lambda b: bytes([200]) + b[1:],
], ids=["empty", "header only", "cut", "text", "no points", "parameters", "pointer"])  # fmt: skip
def test_malformed_files_get_one_sentence(small: Path, tmp_path: Path, change) -> None:
    path = tmp_path / "broken.c3d"
    path.write_bytes(change(small.read_bytes()))
    with pytest.raises(InputError, match=r"broken\.c3d") as raised:
        read_c3d(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("code", "words"), [(-11, "code -11"), (1, "no such thing")])
def test_a_crash_of_the_parser_is_a_sentence(
    small: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    """ezc3d 1.7.2 stops with a segmentation fault on some damaged files."""
    error = b"Traceback\nValueError: no such thing\n" if code > 0 else b""
    done = subprocess.CompletedProcess([], code, b"", error)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(InputError, match=words):
        read_c3d(small)


def test_a_parser_that_never_ends_is_a_sentence(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c3d_module, "MOST_SECONDS", 0.01)
    with pytest.raises(InputError, match="never finishes"):
        read_c3d(small)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_damaged_files_read_or_are_refused(small: Path, data: st.DataObject) -> None:
    path = small.with_name("damaged.c3d")
    content = small.read_bytes()
    head = data.draw(damaged(content[:1100]))
    path.write_bytes(head[:1100].ljust(1100, b"\0") + content[1100:])
    try:
        markers = read_c3d(path)
    except InputError:
        return
    assert markers.fps > 0.0


def test_too_much_for_the_format_is_refused(tmp_path: Path) -> None:
    points = torch.zeros(1, 256, 3, dtype=torch.float64)
    many = Markers(tuple(f"m{k}" for k in range(256)), points, 60.0)
    with pytest.raises(InputError, match="255 markers"):
        write_c3d(tmp_path / "a.c3d", many)
    with pytest.raises(InputError, match="0 frames"):
        write_c3d(tmp_path / "a.c3d", replace(many, points_world=points[:0]))
    assert list(tmp_path.iterdir()) == []
