"""The command answers at once: the parser knows no heavy library."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "cv2", "av", "scipy", "numpy", "viser", "onnxruntime", "ezc3d"}
MOST_SECONDS = 0.5


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("words", [["--help"], ["capture", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom muybridge.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print('LOADED', *sys.modules)"
    )
    done = _run(code)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("LOADED ")[2].split())
    assert "muybridge.cli.main" in loaded
    assert not HEAVY & loaded


def test_help_takes_less_than_half_a_second() -> None:
    """Processor time of the best of three, so that a busy machine does not count."""
    code = (
        "import time\nfrom muybridge.cli.main import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    print('TOOK', time.process_time())"
    )
    took = [float(_run(code).stdout.rpartition("TOOK ")[2]) for _ in range(3)]
    assert min(took) < MOST_SECONDS


def test_version_is_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "muybridge.cli.main", "--version"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("muybridge ")
    assert done.stdout.count("\n") == 1
