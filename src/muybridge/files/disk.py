"""Reading and writing whole motion files, with errors that a user can act on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from muybridge.atomic import replacing
from muybridge.errors import InputError

__all__ = ["read_bytes", "write_parts", "writing"]

EMPTY = b"\0 \r\n\t"  # what a file may be full of and still hold nothing


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well; see `atomic.replacing`.

    Raises:
        InputError: If the place cannot be written or the disk is full; the old file stays.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"expected a file name to write to, got the folder {path}; add a name")
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as error:
        raise InputError(
            f"expected to write {path}, got {error.strerror or error}; free some space or write "
            "elsewhere"
        ) from error


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write the parts one after another as one file, whole or not at all."""
    with writing(path) as temporary, temporary.open("wb") as file:
        file.writelines(parts)


def read_bytes(path: Path, kind: str) -> bytes:
    """Content of a file that must exist and hold something; `kind` names it in the error."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"expected a {kind} file, found none at {path}; check the path")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"expected a readable {kind} file, got {error.strerror} for {path}; check its rights"
        ) from error
    if not content[:64].strip(EMPTY) and not content.strip(EMPTY):
        raise InputError(f"expected a {kind} file, got an empty one at {path}; export it again")
    return content
