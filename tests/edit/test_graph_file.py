"""Graphs in files: all of it comes back, and damage is told in one sentence."""

import json
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.graph import MotionGraph, build_graph
from muybridge.edit.graph_file import load_graph, save_graph
from muybridge.edit.graph_walk import random_route, shown
from muybridge.edit.library import library_from_clips
from muybridge.errors import InputError
from muybridge.files.clip import save_clip
from tests.edit.walks import walk, walks
from tests.motions import damaged


@pytest.fixture(scope="module")
def graph() -> MotionGraph:
    return build_graph(walks())


def test_a_graph_comes_back_and_walks_the_same_way(graph: MotionGraph, tmp_path: Path) -> None:
    save_graph(tmp_path / "a.npz", graph)
    again = load_graph(tmp_path / "a.npz")
    assert again.length == graph.length
    assert again.threshold == graph.threshold
    for ours, theirs in zip(graph.transitions, again.transitions, strict=True):
        assert torch.equal(ours, theirs)
    assert [clip.name for clip in again.library.clips] == [c.name for c in graph.library.clips]
    first, second = (shown(g, random_route(g, 20.0, 5)) for g in (graph, again))
    assert torch.equal(first.rotations, second.rotations)
    assert torch.equal(first.root, second.root)
    save_graph(tmp_path / "b.npz", again)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_damaged_files_are_told_or_open(data: st.DataObject) -> None:
    small = build_graph(library_from_clips([walk(1.2, 0.0, 1.0), walk(1.2, 0.5, 1.0)]))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.npz"
        save_graph(path, small)
        path.write_bytes(data.draw(damaged(path.read_bytes())))
        _opens_or_says_why(path, len(small.library))


def _opens_or_says_why(path: Path, frames: int) -> None:
    try:
        graph = load_graph(path)
    except InputError as error:
        assert "motion graph" in str(error)  # noqa: PT017
    else:
        assert len(graph.library) == frames


def _edited(path: Path, change: str, value: object) -> None:
    """The graph's file with another value in its header."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(entries["header.json"]) | {change: value}
    entries["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("change", "value"),
    [("length", 10_000), ("clips", [["a", 3]]), ("parents", [0]), ("clips", []), ("fps", -1.0),
     ("length", "ten"), ("clips", 7)],
)  # fmt: skip
def test_headers_that_do_not_fit(
    graph: MotionGraph, tmp_path: Path, change: str, value: object
) -> None:
    save_graph(tmp_path / "a.npz", graph)
    _edited(tmp_path / "a.npz", change, value)
    with pytest.raises(InputError, match="damaged file"):
        load_graph(tmp_path / "a.npz")


def test_files_of_other_kinds(graph: MotionGraph, tmp_path: Path) -> None:
    save_clip(tmp_path / "clip.npz", graph.library.clips[0])
    with pytest.raises(InputError, match="got clip of version 1"):
        load_graph(tmp_path / "clip.npz")
    with pytest.raises(InputError, match="found none at"):
        load_graph(tmp_path / "none.npz")
