"""Keyed clips on disk: one .npz a clip, a `files.archive`.

For all tracks of a kind one after another it holds the counts, times, values, velocities and ways
of their keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from muybridge.edit.keyed import KeyedClip, Track, Way
from muybridge.files.archive import archive_kind, read_archive, write_archive
from muybridge.motion.clip import Caption
from muybridge.motion.skeleton import Skeleton

__all__ = ["is_keyed", "load_keyed", "save_keyed"]

KIND = "keyed clip"
WAYS = get_args(Way)
EXTRAS = ("position_std", "contacts", "filled")


def save_keyed(path: Path, keyed: KeyedClip) -> None:
    """Write a keyed clip, whole or not at all."""
    header = {
        "kind": KIND,
        "name": keyed.name,
        "fps": keyed.fps,
        "frames": keyed.frames,
        "joints": keyed.skeleton.names,
        "parents": keyed.skeleton.parents,
        "end_sites": keyed.skeleton.end_sites,
        "captions": [[c.text, c.start, c.end] for c in keyed.captions],
    }
    tensors: dict[str, Tensor | None] = {"offsets": keyed.skeleton.offsets}
    kinds = {"rotations": keyed.rotations, "root": (keyed.root,), "places": keyed.places}
    for kind, tracks in kinds.items():
        tensors |= {} if tracks is None else _packed(kind, tracks)
    tensors |= {name: getattr(keyed, name) for name in EXTRAS}
    write_archive(path, header, tensors)


def _packed(kind: str, tracks: tuple[Track, ...]) -> dict[str, Tensor | None]:
    ways = [WAYS.index(way) for track in tracks for way in track.ways]
    return {
        f"{kind}.counts": torch.tensor([len(track) for track in tracks]),
        f"{kind}.times": torch.cat([track.times for track in tracks]),
        f"{kind}.values": torch.cat([track.values for track in tracks]),
        f"{kind}.velocities": torch.cat([track.velocities for track in tracks]),
        f"{kind}.ways": torch.tensor(ways, dtype=torch.uint8),
    }


def is_keyed(path: Path) -> bool:
    """Whether a file says of itself that it is a keyed clip; a damaged or absent one does not."""
    return archive_kind(path) == KIND


def load_keyed(path: Path) -> KeyedClip:
    """Read a keyed clip written by `save_keyed`.

    Raises:
        InputError: If the file is damaged or holds something else.
    """
    return read_archive(path, KIND, _keyed, "make keys of a clip with `muybridge edit keys`")


def _keyed(header: dict[str, Any], tensors: dict[str, Tensor]) -> KeyedClip:
    skeleton = Skeleton(
        tuple(str(name) for name in header["joints"]),
        tuple(int(parent) for parent in header["parents"]),
        tensors["offsets"],
        tuple(bool(flag) for flag in header["end_sites"]),
    )
    extras: dict[str, Any] = {name: tensors.get(name) for name in EXTRAS}
    return KeyedClip(
        skeleton,
        _tracks("rotations", tensors, 4),
        _tracks("root", tensors, 3)[0],
        float(header["fps"]),
        int(header["frames"]),
        str(header["name"]),
        _tracks("places", tensors, 3) if "places.times" in tensors else None,
        **extras,
        captions=tuple(Caption(str(t), float(a), float(b)) for t, a, b in header["captions"]),
    )


def _tracks(kind: str, tensors: dict[str, Tensor], width: int) -> tuple[Track, ...]:
    counts = [int(count) for count in tensors[f"{kind}.counts"]]
    parts = [tensors[f"{kind}.{part}"] for part in ("times", "values", "velocities")]
    ways = tuple(WAYS[int(code)] for code in tensors[f"{kind}.ways"])
    shapes = [tuple(part.shape[1:]) for part in parts]
    if shapes != [(), (width,), (3,)] or {len(part) for part in parts} != {sum(counts)}:
        raise ValueError(f"expected {sum(counts)} keys of {width} numbers, got {shapes}")
    times, values, velocities = (part.split(counts) for part in parts)
    starts = np.cumsum([0, *counts])
    return tuple(
        Track(*key, ways[start : start + len(key[0])])
        for key, start in zip(zip(times, values, velocities, strict=True), starts, strict=False)
    )
