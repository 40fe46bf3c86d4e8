"""What the command does around a verb: odd paths, defects of our own, memory, signals to end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from muybridge.cli.main import main
from tests.sessions import make_session, make_video

HARMLESS = {
    "brackets": "[red]x[bold",
    "a path like markup": "x[/b]",
    "spaces, other alphabets, a line end": "a b \u00e9\u6f22 \n x",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_odd_paths_work(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = make_session(tmp_path / HARMLESS[name] / "session", frames=2)
    target = source.parent / "out.yaml"
    main(["calibrate", str(source / "calibration"), "--out", str(target)])
    assert target.is_file()
    assert "wrote" in capsys.readouterr().out


class TestDefects:
    """What no user can have caused is owned up to, with a file to report."""

    @pytest.fixture
    def arguments(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        self.error: Exception = RuntimeError("a [b] \n of ours")

        def fail(_: object) -> None:
            raise self.error

        monkeypatch.setattr("muybridge.cli.inspect.Inspect.run", fail)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        return ["inspect", str(tmp_path)]

    def test_one_sentence_and_a_file(
        self, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        said = capsys.readouterr().err.strip()
        (report,) = tmp_path.glob("muybridge-crash-*.txt")
        assert stop.value.code == 1
        assert "\n" not in said
        assert str(report) in said
        assert "Traceback" in report.read_text()

    def test_debugging_shows_the_traceback(
        self, arguments: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MUYBRIDGE_DEBUG", "1")
        with pytest.raises(RuntimeError, match="of ours"):
            main(arguments)

    @pytest.mark.parametrize(
        "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 GB")]
    )
    def test_no_memory_is_no_defect(
        self, error: Exception, arguments: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.error = error
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert "expected enough memory" in capsys.readouterr().err


# -- signals, to a real process ---------------------------------------------------------------
def _start(words: list[str], mark: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "muybridge.cli.main", *words],
        env={**os.environ, mark: "1", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _alive(mark: str) -> list[str]:
    """Processes, of any age, that inherited this mark."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and f"{mark}=1".encode() in (place / "environ").read_bytes():
                found.append((place / "cmdline").read_text().replace("\0", " ")[:120])
        except OSError:
            continue  # it ended meanwhile
    return [command for command in found if command]


def _wait_until_gone(mark: str, seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    while (left := _alive(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films long enough that detection is still at work when a signal comes."""
    folder = tmp_path_factory.mktemp("films")
    for name in ("a", "b"):
        make_video(folder / f"{name}.mp4", frames=150)
    return folder


def _wait_for_workers(mark: str) -> None:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        if sum("spawn_main" in command for command in _alive(mark)) >= 2:
            time.sleep(1.0)
            return
        time.sleep(0.1)
    pytest.fail("no worker process started")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        pytest.param([signal.SIGINT], 2, marks=pytest.mark.slow),
        ([signal.SIGINT, signal.SIGINT], 2),
        pytest.param([signal.SIGTERM], 2, marks=pytest.mark.slow),
        ([signal.SIGKILL], -9),
    ],
    ids=["Ctrl-C", "Ctrl-C twice", "terminated", "killed"],
)
def test_ended_while_workers_detect(
    signals: list[signal.Signals], code: int, videos: Path, tmp_path: Path
) -> None:
    """One sentence, exit code 2, and no process stays behind, whoever was told first."""
    mark = f"MUYBRIDGE_TEST_{os.getpid()}_{time.monotonic_ns()}"
    process = _start(["detect", str(videos), "--out", str(tmp_path / "k.npz")], mark)
    try:
        _wait_for_workers(mark)
        for number in signals:
            # Ctrl-C reaches the whole group; other signals are sent to one process
            (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
            time.sleep(0.05)
        _, said = process.communicate(timeout=60)
        assert process.returncode == code
        if code == 2:
            assert said.strip().startswith("muybridge: interrupted")
            assert said.strip().count("\n") == 0, said
        assert _wait_until_gone(mark, 10.0) == []
        assert not (tmp_path / "k.npz").exists()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="no pipe that closes")
def test_a_closed_pipe_is_no_traceback(tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_video(tmp_path / f"{name}.mp4", frames=2)
    process = _start(["inspect", str(tmp_path)], "PIPE")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 2
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    assert "closed pipe" in said
