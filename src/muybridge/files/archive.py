"""A header and named tensors in one .npz file, the form in which muybridge keeps what it made.

The archive holds `header.json` (kind, version and what the kind needs) and one .npy a tensor, so
that numpy alone can read it. Equal content gives equal bytes: entries carry no date.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes, writing

__all__ = ["archive_kind", "read_archive", "write_archive"]

T = TypeVar("T")
Header = dict[str, Any]
Tensors = dict[str, Tensor]

VERSION = 1
HEADER = "header.json"
BROKEN = (
    zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, TypeError, EOFError,
    NotImplementedError, MemoryError, OverflowError, RuntimeError, IndexError, AttributeError,
    SyntaxError,
)  # fmt: skip  # what zipfile, numpy, json and the types raise on a damaged archive


def write_archive(
    path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor | None]
) -> None:
    """Write an archive, whole or not at all.

    Args:
        path: Usually .npz.
        header: What JSON can hold; its `kind` is asked for on reading. The version is added.
        tensors: By name; None is left out.
    Raises:
        InputError: If the place cannot be written.
    """
    with writing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        text = json.dumps({**header, "version": VERSION}, ensure_ascii=False, indent=1)
        archive.writestr(zipfile.ZipInfo(HEADER), text)
        for name, tensor in tensors.items():
            if tensor is None:
                continue
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, tensor.detach().numpy(), allow_pickle=False)


def read_archive(
    path: Path, kind: str, build: Callable[[Header, Tensors], T], advice: str = "make it again"
) -> T:
    """What `build` makes of the header and the tensors of an archive of this kind.

    Args:
        path: Written by `write_archive`.
        kind: The header's `kind`.
        build: What it raises on values that do not fit means a damaged file.
        advice: What to do about a file that cannot be used.
    Raises:
        InputError: If the file is absent, damaged, or of another kind or version.
    """
    content = read_bytes(path, f"muybridge {kind}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            header = json.loads(archive.read(HEADER))
            tensors = {
                name.removesuffix(".npy"): _tensor(archive.read(name))
                for name in archive.namelist()
                if name.endswith(".npy")
            }
        found, version = header["kind"], header["version"]
        if (found, version) == (kind, VERSION):
            return build(header, tensors)
    except BROKEN as error:
        raise InputError(
            f"expected {kind} saved by muybridge, got a damaged file {path} ({error}); {advice}"
        ) from error
    raise InputError(
        f"expected {kind} of version {VERSION}, got {found} of version {version} in {path}; "
        f"choose another file or {advice}"
    )


def archive_kind(path: Path) -> str | None:
    """What a file says of itself that it is; None where it is absent, damaged or no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read(HEADER))["kind"])
    except BROKEN:
        return None


def _tensor(content: bytes) -> Tensor:
    return torch.from_numpy(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
