"""Reading and writing whole files: each thing that can be wrong is one sentence."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes, write_parts, writing


def test_parts_are_joined(tmp_path: Path) -> None:
    write_parts(tmp_path / "a.bin", (bytes([k]) * k for k in range(4)))
    assert read_bytes(tmp_path / "a.bin", "test") == b"\1\2\2\3\3\3"


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\0" * 5000])
def test_a_file_full_of_nothing_is_empty(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.bvh"
    path.write_bytes(content)
    with pytest.raises(InputError, match="expected a BVH file, got an empty one"):
        read_bytes(path, "BVH")


def test_blanks_before_the_content_do_not_make_it_empty(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\0" * 100 + b"x")
    assert read_bytes(tmp_path / "a", "test")[-1:] == b"x"


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError, match="expected a BVH file, found none at"):
            read_bytes(path, "BVH")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got the folder"), writing(tmp_path):
        pytest.fail("nothing may be written to a folder's name")
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(InputError, match=r"expected to write .*b\.trc, got"),
        writing(tmp_path / "file" / "b.trc"),
    ):
        pytest.fail("nothing may be written below a file")


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.trc"
    target.write_text("old")

    def parts() -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match="No space left on device; free some space"):
        write_parts(target, parts())
    assert target.read_text() == "old"
