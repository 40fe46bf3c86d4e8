"""Every example runs and says what the docs promise."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from muybridge.capture.pipeline import CaptureOptions, capture
from muybridge.capture.session import open_session
from tests.sessions import make_session

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small session and its captured take."""
    folder = tmp_path_factory.mktemp("example")
    make_session(folder / "session", 20)
    capture(open_session(folder / "session"), folder / "take", CaptureOptions(fps=30.0))
    return folder


def _run(name: str, *arguments: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return run.stdout


def test_triangulate() -> None:
    assert "from 4 views" in _run("triangulate.py")


def test_read_bvh(walk: Path, tmp_path: Path) -> None:
    said = _run("read_bvh.py", walk / "take" / "take.bvh", tmp_path / "walk.glb")
    assert "20 frames at 30.00 Hz" in said
    assert "Head" in said
    assert (tmp_path / "walk.glb").stat().st_size > 10_000


def test_solve_markers(walk: Path, tmp_path: Path) -> None:
    said = _run("solve_markers.py", walk / "take" / "take.trc", tmp_path / "walk.bvh")
    assert "typical uncertainty" in said
    assert (tmp_path / "walk.bvh").read_text().startswith("HIERARCHY")


def test_capture_session(walk: Path, tmp_path: Path) -> None:
    said = _run("capture_session.py", walk / "session", tmp_path / "take")
    assert "person1: 20 frames" in said


def test_vanishing_gradient(tmp_path: Path) -> None:
    lines = _run("vanishing_gradient.py", tmp_path).splitlines()
    right = {line[:20].strip(): float(line.split()[-1].rstrip("%")) for line in lines}
    assert right["LSTM, forget bias 3"] > 90 > 50 > right["RNN"]
    assert (tmp_path / "vanishing_gradient.png").stat().st_size > 10_000


def test_every_example_has_a_test() -> None:
    here = Path(__file__).read_text()
    assert all(path.name in here for path in EXAMPLES.glob("*.py"))
