"""A motion graph in one .npz file: its clips and its transitions.

The archive holds `header.json` and one .npy a tensor, so that numpy alone can read it. Equal graphs
give equal bytes: entries carry no date.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from muybridge.edit.graph import MotionGraph, Transitions
from muybridge.edit.library import Library
from muybridge.errors import InputError
from muybridge.files.disk import read_bytes, writing
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["load_graph", "save_graph"]

KIND, VERSION, HEADER = "motion graph", 1, "header.json"
BROKEN = (
    zipfile.BadZipFile, zlib.error, OSError, ValueError, KeyError, TypeError, EOFError,
    NotImplementedError, MemoryError, OverflowError, RuntimeError, IndexError, AttributeError,
    SyntaxError,
)  # fmt: skip  # what zipfile, numpy, json and the types raise on a damaged archive


def save_graph(path: Path, graph: MotionGraph) -> None:
    """Write a graph, whole or not at all."""
    library, skeleton = graph.library, graph.library.skeleton
    header = {
        "kind": KIND,
        "version": VERSION,
        "fps": library.fps,
        "clips": [[clip.name, len(clip)] for clip in library.clips],
        "joints": skeleton.names,
        "parents": skeleton.parents,
        "end_sites": skeleton.end_sites,
        "length": graph.length,
        "threshold": graph.threshold,
        "moving": library.moving,
    }
    tensors = {
        "offsets": skeleton.offsets,
        "rotations": library.rotations,
        "places": library.translations if library.moving else library.translations[:, 0],
        **graph.transitions._asdict(),
    }
    with writing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(zipfile.ZipInfo(HEADER), json.dumps(header, indent=1))
        for name, tensor in tensors.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, tensor.numpy(), allow_pickle=False)


def load_graph(path: Path) -> MotionGraph:
    """Read a graph written by `save_graph`.

    Raises:
        InputError: If the file is absent, damaged or holds something else.
    """
    content = read_bytes(path, KIND)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            header = json.loads(archive.read(HEADER))
            tensors = {
                name.removesuffix(".npy"): _tensor(archive.read(name))
                for name in archive.namelist()
                if name.endswith(".npy")
            }
        found = header["kind"], header["version"]
        graph = _graph(header, tensors) if found == (KIND, VERSION) else None
    except BROKEN as error:
        raise InputError(
            f"expected a {KIND} saved by muybridge, got a damaged file {path} ({error}); build it "
            "again with `muybridge graph build`"
        ) from error
    if graph is None:
        raise InputError(
            f"expected a {KIND} of version {VERSION}, got {found[0]} of version {found[1]} in "
            f"{path}; build it again with `muybridge graph build`"
        )
    return graph


def _tensor(content: bytes) -> Tensor:
    return torch.from_numpy(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))


def _graph(header: dict[str, Any], tensors: dict[str, Tensor]) -> MotionGraph:
    library = _library(header, tensors)
    transitions = Transitions(*(tensors[name] for name in Transitions._fields))
    length = int(header["length"])
    _check(transitions, library, length)
    return MotionGraph(library, transitions, length, float(header["threshold"]))


def _library(header: dict[str, Any], tensors: dict[str, Tensor]) -> Library:
    names = [str(name) for name, _ in header["clips"]]
    lengths = [int(count) for _, count in header["clips"]]
    skeleton = Skeleton(
        tuple(map(str, header["joints"])),
        tuple(map(int, header["parents"])),
        _double(tensors["offsets"], (len(header["joints"]), 3)),
        tuple(map(bool, header["end_sites"])),
    )
    frames, joints = sum(lengths), len(skeleton)
    moving = bool(header["moving"])
    rotations = _double(tensors["rotations"], (frames, joints, 4))
    places = _double(tensors["places"], (frames, joints, 3) if moving else (frames, 3))
    if min(lengths) < 1 or bool((rotations.norm(dim=-1) - 1.0).abs().max() > 1e-3):
        raise ValueError("clips without frames, or rotations that are none")
    clips = []
    for name, turned, put in zip(
        names, rotations.split(lengths), places.split(lengths), strict=True
    ):
        root = put[:, 0] if moving else put
        clips.append(
            Clip(skeleton, turned, root, float(header["fps"]), name, put if moving else None)
        )
    return Library(tuple(clips))


def _double(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    if tuple(tensor.shape) != shape or tensor.dtype != torch.float64:
        raise ValueError(f"expected shape {shape}, got {tuple(tensor.shape)}")
    if not bool(tensor.isfinite().all()):
        raise ValueError("numbers that are not finite")
    return tensor


def _check(transitions: Transitions, library: Library, length: int) -> None:
    """That each transition's two windows, and a frame after the second, lie in one clip."""
    count = len(transitions.sources)
    for frames, after in ((transitions.sources, 0), (transitions.targets, 1)):
        if frames.shape != (count,) or frames.dtype != torch.int64:
            raise ValueError("frame numbers that are none")
        inside = bool(((frames >= 0) & (frames < len(library))).all())
        if not inside or bool((library.left[frames] < length - 1 + after).any()):
            raise ValueError("transitions that lead out of their clips")
    if length < 1 or bool((transitions.sources.diff() < 0).any()):
        raise ValueError("transitions out of order")
    for values, shape in (
        (transitions.costs, (count,)), (transitions.angles, (count,)),
        (transitions.offsets_xz, (count, 2)),
    ):  # fmt: skip
        _double(values, shape)
