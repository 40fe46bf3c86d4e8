"""TRC: round trips with gaps, Pose2Sim's own files, damaged files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.files.trc import read_trc, write_trc
from muybridge.motion.markers import Markers
from tests.motions import DATA, RATES, damaged

POSE2SIM = sorted((DATA / "footage").glob("*.trc"))


def random_markers(seed: int, frames: int = 6, count: int = 4, fps: float = 60.0) -> Markers:
    """Markers within some metres; a fifth of the points unseen."""
    generator = torch.Generator().manual_seed(seed)
    points = 2.0 * torch.randn(frames, count, 3, generator=generator, dtype=torch.float64)
    points[torch.rand(frames, count, generator=generator) < 0.2] = torch.nan
    return Markers(tuple(f"M {k}" for k in range(count)), points, fps)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000), st.integers(1, 8), st.integers(1, 5), st.sampled_from(RATES),
    st.sampled_from(["m", "mm"]),
)  # fmt: skip
def test_any_markers_survive(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int, frames: int, count: int, fps: float, unit: str,
) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "any.trc"
    markers = random_markers(seed, frames, count, fps)
    write_trc(path, markers, unit)
    again = read_trc(path)
    assert again.names == markers.names
    assert again.fps == pytest.approx(fps, rel=1e-11)
    torch.testing.assert_close(
        again.points_world, markers.points_world, atol=1e-8, rtol=0, equal_nan=True
    )
    assert "nan" not in path.read_text()


@pytest.mark.skipif(not POSE2SIM, reason="the TRC files of ../shared/data are absent")
@pytest.mark.parametrize("path", POSE2SIM, ids=lambda path: path.stem)
def test_pose2sim_files_read(path: Path, tmp_path: Path) -> None:
    markers = read_trc(path)
    assert (len(markers), len(markers.names), markers.fps) == (100, 21, 60.0)
    first = path.read_text().splitlines()[5].split("\t")
    assert markers.points_world[0, 20].tolist() == [float(cell) for cell in first[62:65]]
    write_trc(tmp_path / "a.trc", markers)
    torch.testing.assert_close(
        read_trc(tmp_path / "a.trc").points_world, markers.points_world, atol=1e-8, rtol=0
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Two markers, two frames, all seen."""
    path = tmp_path / "small.trc"
    points = torch.arange(12, dtype=torch.float64).view(2, 2, 3) + 0.5
    write_trc(path, Markers(("left", "right"), points, 60.0))
    return path


ODD = {
    "nan in words": ("\t1.50000000", "\tnan"),
    "an empty cell": ("\t1.50000000", "\t"),
    "windows line ends": ("\n", "\r\n"),
    "empty lines": ("\n1\t", "\n\n1\t"),
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD.keys())
def test_odd_spelling_reads(small: Path, change: tuple[str, str]) -> None:
    plain = read_trc(small).points_world
    small.write_bytes(small.read_text().replace(*change).encode())
    markers = read_trc(small)
    seen = markers.points_world.isfinite()
    assert torch.equal(markers.points_world[seen], plain[seen])
    assert int((~seen).sum()) == (1 if change[0].startswith("\t1.5") else 0)


def test_cells_dropped_at_the_end_of_a_line_are_unseen(small: Path) -> None:
    lines = small.read_text().splitlines()
    lines[5] = "\t".join(lines[5].split("\t")[:5])
    small.write_text("\n".join(lines))
    assert read_trc(small).seen.tolist() == [[True, False], [True, True]]


def test_blanks_for_tabs(small: Path) -> None:
    lines = small.read_text().splitlines()
    plain = read_trc(small).points_world
    lines[5:] = [line.replace("\t", "  ") for line in lines[5:]]
    small.write_text("\n".join(lines))
    assert torch.equal(read_trc(small).points_world, plain)


MALFORMED = {
    "another file": ("PathFileType", "Path", "PathFileType"),
    "frame count lies": ("60\t2\t2\tm", "60\t3\t2\tm", "NumFrames 3"),
    "marker count lies": ("60\t2\t2\tm", "60\t2\t5\tm", "NumMarkers 5"),
    "inches": ("2\tm\t", "2\tin\t", "Units"),
    "no units": ("Units", "Unit", "Units"),
    "no frame rate": ("DataRate", "Rate", "DataRate"),
    "zero frame rate": ("\n60\t", "\n0\t", "DataRate"),
    "rate nan": ("\n60\t", "\nnan\t", "DataRate"),
    "text": ("\t1.50000000", "\tfast", "'fast'"),
    "infinity": ("\t1.50000000", "\tinf", "'inf'"),
    "a name twice": ("right", "left", "twice"),
    "no names": ("left\t\t\tright", "\t\t\t", "line 4"),
    "too many cells": ("\t1.50000000", "\t1.5\t1.5", "more"),
}


@pytest.mark.parametrize("case", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_files_get_one_sentence(small: Path, case: tuple[str, str, str]) -> None:
    text = small.read_text()
    assert case[0] in text
    small.write_text(text.replace(case[0], case[1]))
    with pytest.raises(InputError, match=case[2]) as raised:
        read_trc(small)
    assert "\n" not in str(raised.value)


def test_only_a_header_is_refused(small: Path) -> None:
    small.write_text("\n".join(small.read_text().splitlines()[:5]))
    with pytest.raises(InputError, match=r"TRC header|at least one frame"):
        read_trc(small)


def test_nothing_to_write_is_refused(tmp_path: Path) -> None:
    empty = replace(random_markers(0), points_world=torch.zeros(0, 4, 3, dtype=torch.float64))
    with pytest.raises(InputError, match="0 frames"):
        write_trc(tmp_path / "a.trc", empty)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_files_read_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.trc"
    write_trc(path, random_markers(0, 3, 2))
    path.write_bytes(data.draw(damaged(path.read_bytes(), b"0123456789.-e\t\n xmM#\xff")))
    try:
        markers = read_trc(path)
    except InputError:
        return
    assert len(markers) > 0
