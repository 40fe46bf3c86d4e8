"""A stage runs when its input, options or output changed, and only then."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from muybridge.capture.stages import Workshop, content_hash


@dataclass(frozen=True)
class _Options:
    gain: float = 1.0


class _Counter:
    def __init__(self, source: Path, target: Path) -> None:
        self.source, self.target, self.runs = source, target, 0

    def __call__(self) -> None:
        self.runs += 1
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.target.write_text(self.source.read_text().upper())


@pytest.fixture
def job(tmp_path: Path) -> _Counter:
    (tmp_path / "in.txt").write_text("one")
    return _Counter(tmp_path / "in.txt", tmp_path / "out" / "result.txt")


def _run(job: _Counter, options: object = _Options()) -> str:
    workshop = Workshop(job.target.parent)
    return workshop.run("shout", [job.source], options, [job.target], job).state


def test_unchanged_is_kept_across_runs(job: _Counter) -> None:
    assert [_run(job), _run(job), _run(job)] == ["done", "kept", "kept"]
    assert job.runs == 1


def test_same_bytes_with_a_new_time_stamp_are_kept(job: _Counter) -> None:
    _run(job)
    job.source.write_text("one")
    assert _run(job) == "kept"


def test_changed_input_options_or_output_redo(job: _Counter) -> None:
    _run(job)
    job.source.write_text("two")
    assert _run(job) == "done"
    assert _run(job, _Options(2.0)) == "done"
    job.target.write_text("tampered")
    assert _run(job, _Options(2.0)) == "done"
    assert job.target.read_text() == "TWO"
    job.target.unlink()
    assert _run(job, _Options(2.0)) == "done"


def test_a_stage_that_fails_is_not_remembered(job: _Counter) -> None:
    def broken() -> None:
        raise KeyboardInterrupt

    _run(job)
    job.source.write_text("two")
    workshop = Workshop(job.target.parent)
    with pytest.raises(KeyboardInterrupt):
        workshop.run("shout", [job.source], _Options(), [job.target], broken)
    job.source.write_text("one")
    assert _run(job) == "done", "the old record must not vouch for a half-finished redo"


def test_folder_hash_sees_names_and_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    first = content_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert content_hash(tmp_path) != first
