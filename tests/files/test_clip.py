"""Clips and markers in .npz: everything returns, equal content gives equal bytes."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.clip import (
    load_clip,
    load_learned,
    load_markers,
    save_clip,
    save_learned,
    save_markers,
)
from muybridge.motion.clip import Clip
from muybridge.motion.markers import Markers
from tests.motions import clip_makers, damaged, random_clip


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit, NaN included."""
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and np.array_equal(
            a.numpy(), b.numpy(), equal_nan=a.dtype != torch.bool
        )
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return bool(a == b)


def some_markers(frames: int = 4) -> Markers:
    """Markers with gaps, covariance and views."""
    points = torch.rand(frames, 3, 3, dtype=torch.float64)
    points[1, 2] = torch.nan
    covariance = torch.rand(frames, 3, 3, 3, dtype=torch.float64)
    return Markers(("a", "ü", "c d"), points, 59.94, covariance, torch.ones(frames, 3))


@settings(max_examples=30, deadline=None)
@given(clip_makers())
def test_everything_of_a_clip_returns(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[[], Clip]
) -> None:
    path, clip = tmp_path_factory.getbasetemp() / "any.npz", make()
    clip.rotations[0, 0, 0] = torch.nan  # gaps are kept here
    save_clip(path, clip)
    assert same(load_clip(path), clip)


def test_absent_fields_stay_absent(tmp_path: Path) -> None:
    clip = random_clip(0)
    bare = Clip(clip.skeleton, clip.rotations, clip.root, 30.0)
    save_clip(tmp_path / "a.npz", bare)
    assert same(load_clip(tmp_path / "a.npz"), bare)


def test_everything_of_markers_returns(tmp_path: Path) -> None:
    markers = some_markers()
    save_markers(tmp_path / "a.npz", markers)
    assert same(load_markers(tmp_path / "a.npz"), markers)
    bare = Markers(markers.names, markers.points_world, 10.0)
    save_markers(tmp_path / "b.npz", bare)
    assert same(load_markers(tmp_path / "b.npz"), bare)


def test_what_refinement_learned_returns_and_damage_is_named(tmp_path: Path) -> None:
    offset, bones = torch.randn(3, 5, 2, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
    bones[1] = torch.nan
    path = tmp_path / "refine.npz"
    save_learned(path, offset, bones)
    torch.testing.assert_close(load_learned(path), (offset, bones), equal_nan=True)
    save_learned(path, offset[..., :1], bones)
    with pytest.raises(InputError, match="make it again"):
        load_learned(path)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="damaged"):
        load_learned(path)


def test_equal_content_gives_equal_bytes_and_numpy_reads_them(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_clip(tmp_path / name, random_clip(3))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz") as archive:
        np.testing.assert_array_equal(archive["rotations"], random_clip(3).rotations.numpy())


def test_one_kind_is_not_the_other(tmp_path: Path) -> None:
    save_clip(tmp_path / "a.npz", random_clip(0))
    with pytest.raises(InputError, match="expected markers of version 1, got clip"):
        load_markers(tmp_path / "a.npz")


def _rewritten(path: Path, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["header.json"] = json.dumps({**json.loads(entries["header.json"]), **header}).encode()
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array)
        entries[f"{name}.npy"] = buffer.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


DAMAGE: list[tuple[dict[str, Any], dict[str, np.ndarray]]] = [
    ({"fps": 0.0}, {}), ({"fps": "fast"}, {}), ({"fps": None}, {}), ({"joints": 3}, {}),
    ({"joints": ["a"] * 6}, {}), ({"parents": [0] * 6}, {}), ({"parents": ["x"] * 6}, {}),
    ({"end_sites": [True]}, {}), ({"captions": [["a"]]}, {}), ({"version": 99}, {}),
    ({}, {"rotations": np.zeros((5, 6, 3))}), ({}, {"rotations": np.zeros((5, 6, 4), int)}),
    ({}, {"root": np.zeros(5)}), ({}, {"contacts": np.zeros((5, 6))}),
    ({}, {"offsets": np.zeros((7, 3))}), ({}, {"position_std": np.zeros((4, 6))}),
]  # fmt: skip


@pytest.mark.parametrize("change", DAMAGE, ids=lambda change: str(change)[:40])
def test_wrong_content_gets_one_sentence(tmp_path: Path, change) -> None:
    path = tmp_path / "a.npz"
    save_clip(path, random_clip(0))
    _rewritten(path, *change)
    with pytest.raises(InputError, match=r"a\.npz") as raised:
        load_clip(path)
    assert "\n" not in str(raised.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_read_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    save_markers(path, some_markers(2))
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    try:
        markers = load_markers(path)
    except InputError:
        return
    assert len(markers) == 2


def test_a_clip_without_unit_quaternions_is_damaged(tmp_path: Path) -> None:
    clip = random_clip(3)
    save_clip(tmp_path / "a.npz", replace(clip, rotations=0.0 * clip.rotations))
    with pytest.raises(InputError, match="expected unit quaternions"):
        load_clip(tmp_path / "a.npz")
    save_clip(tmp_path / "b.npz", replace(clip, rotations=float("nan") * clip.rotations))
    assert bool(load_clip(tmp_path / "b.npz").rotations.isnan().all())
