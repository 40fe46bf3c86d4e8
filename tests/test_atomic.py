"""Files are whole or absent, whatever interrupts their writing."""

from pathlib import Path

import pytest

from muybridge.atomic import remove_unfinished, replacing, write_bytes, write_text


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError, SystemExit])
def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def write_half() -> None:
        with replacing(target) as temporary:
            temporary.write_text("half of the n")
            assert target.read_text() == "old", "nothing changes before the end"
            raise interruption

    with pytest.raises(interruption):
        write_half()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_folders_are_made_and_the_suffix_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "take.glb"
    with replacing(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".glb"  # writers choose the format by it
        temporary.write_bytes(b"x")
    assert target.read_bytes() == b"x"
    assert target.stat().st_mode & 0o777 == 0o644


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / "kept.npz", b"1")
    (tmp_path / ".hidden").write_text("also kept")
    writing = replacing(tmp_path / "work" / "lost.npz")
    writing.__enter__().write_bytes(b"never finished")
    remove_unfinished(tmp_path)
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == [".hidden", "kept.npz"]
