"""Keyed clips on disk: what comes back is what went, and damage is told."""

from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.key_file import load_keyed, save_keyed
from muybridge.edit.keyed import KeyedClip
from muybridge.edit.keys import key_clip, set_interpolation
from muybridge.errors import InputError
from muybridge.files.clip import save_clip
from tests.edit.swing import swing
from tests.motions import damaged, random_clip

KEYED = set_interpolation(key_clip(swing(), 0.004), "LeftArm", "linear", 1)


def equal(a: KeyedClip, b: KeyedClip) -> bool:
    plain = [(k.name, k.fps, k.frames, k.captions, k.skeleton.names) for k in (a, b)]
    tracks = list(zip(a.tracks(), b.tracks(), strict=True))
    parts = [
        (getattr(x, part), getattr(y, part))
        for x, y in tracks
        for part in ("times", "values", "velocities")
    ]
    return (
        plain[0] == plain[1]
        and all(x.ways == y.ways for x, y in tracks)
        and all(torch.equal(p.nan_to_num(9.0), q.nan_to_num(9.0)) for p, q in parts)
    )


def test_comes_back(tmp_path: Path) -> None:
    for keyed in (KEYED, key_clip(random_clip(1, 5, 6, moving=True), 0.1)):
        save_keyed(tmp_path / "keys.npz", keyed)
        again = load_keyed(tmp_path / "keys.npz")
        assert equal(keyed, again)
        assert (again.contacts is None) == (keyed.contacts is None)
        first = (tmp_path / "keys.npz").read_bytes()
        save_keyed(tmp_path / "again.npz", again)
        assert (tmp_path / "again.npz").read_bytes() == first


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    save_keyed(folder / "whole.npz", KEYED)
    return folder


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_damage_is_told_or_harmless(folder: Path, data: st.DataObject) -> None:
    content = data.draw(damaged((folder / "whole.npz").read_bytes()))
    (folder / "damaged.npz").write_bytes(content)
    with suppress(InputError):  # any other exception fails the test
        load_keyed(folder / "damaged.npz")


def test_another_kind_is_named(tmp_path: Path) -> None:
    save_clip(tmp_path / "clip.npz", swing())
    with pytest.raises(InputError, match="got clip of version 1"):
        load_keyed(tmp_path / "clip.npz")
    with pytest.raises(InputError, match="found none"):
        load_keyed(tmp_path / "absent.npz")
