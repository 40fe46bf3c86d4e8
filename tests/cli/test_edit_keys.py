"""`muybridge edit keys`: a clip as keys, keys as a clip, and what is said about it."""

from pathlib import Path

import pytest

from muybridge.cli.edit_keys import Keys
from muybridge.edit.key_file import is_keyed, load_keyed
from muybridge.edit.keys import reduction
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.files.clip import save_clip
from tests.edit.swing import swing


def test_to_keys_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bvh(tmp_path / "swing.bvh", swing())
    Keys(tmp_path / "swing.bvh", tmp_path / "keys.npz", 1.0, 2.0).run()
    said = capsys.readouterr().out
    assert "times fewer" in said
    assert "121 frames" in said
    keyed = load_keyed(tmp_path / "keys.npz")
    assert reduction(read_bvh(tmp_path / "swing.bvh").clip, keyed).error <= 0.001
    Keys(tmp_path / "keys.npz", tmp_path / "again.bvh").run()
    assert len(read_bvh(tmp_path / "again.bvh").clip) == 121


def test_what_is_keyed_and_what_is_not(tmp_path: Path) -> None:
    save_clip(tmp_path / "clip.npz", swing())
    assert not is_keyed(tmp_path / "clip.npz")
    assert not is_keyed(tmp_path / "absent.npz")
    with pytest.raises(InputError, match="choose one of these formats"):
        Keys(tmp_path / "clip.npz", tmp_path / "keys.txt").run()
