"""Files that are whole or absent: written beside their place and moved there when complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["remove_unfinished", "replacing", "write_bytes", "write_text"]

MARK = ".unfinished-"  # in the names of temporary files, so that they can be told from any other


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the same folder that takes the place of `path` on success.

    On any exception, Ctrl-C included, the temporary file is removed and an older `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.stem}{MARK}"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path, deep: bool = True) -> None:
    """Remove what processes that were killed have left in a folder and, if `deep`, below.

    Only for a folder in which nobody writes at the moment; see `lock`.
    """
    for path in list((folder.rglob if deep else folder.glob)(f".*{MARK}*")):
        path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write all of `data` or nothing."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    r"""Write all of `text` as UTF-8, or nothing; bytes that no encoding explains become \udcXX."""
    write_bytes(path, text.encode(errors="backslashreplace"))
