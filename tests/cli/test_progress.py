"""What the terminal shows: findings with their advice, stages, files with their purpose."""

from pathlib import Path

import pytest

from muybridge.capture.finding import Finding
from muybridge.capture.stages import Outcome
from muybridge.cli.progress import StageDisplay, progress_bar, show_files, show_findings

FINDINGS = (
    Finding("sync", "warning", "cam02 [left] lags by 3 frames.", "Nothing need be done."),
    Finding("sync", "info", "All is well."),
)


def test_findings_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings(FINDINGS)
    said = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in said] == [
        "! cam02 [left] lags by 3 frames. Nothing need be done.",
        "· All is well.",
    ]


def test_stages_end_with_their_time_and_findings(capsys: pytest.CaptureFixture[str]) -> None:
    with StageDisplay() as display:
        display.started("sync")
        display.update(1, 2)
        display.ended(Outcome("sync", "done", 1.26, ""), FINDINGS[:1])
        display.ended(Outcome("solve_person1", "kept", 0.0, ""), ())
    said = capsys.readouterr().out
    assert "sync                   1.3 s\n" in said
    assert "solve person1          kept, nothing changed\n" in said
    assert "cam02 [left]" in said


def test_a_bar_goes_away(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("crop") as update:
        update(1, 3)
        update(3, 3)
    assert "Error" not in capsys.readouterr().err


def test_files_are_shown_with_their_purpose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("report.html", "take.bvh", "take_person2.bvh"):
        (tmp_path / name).write_text("x")
    (tmp_path / "work").mkdir()
    show_files(tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3
    assert said[0].endswith("report.html  open this first")
    assert said[2].endswith("another person")
