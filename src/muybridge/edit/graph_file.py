"""A motion graph in one .npz file, a `files.archive`: its clips and its transitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from muybridge.edit.graph import MotionGraph, Transitions
from muybridge.edit.library import Library
from muybridge.files.archive import read_archive, write_archive
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["load_graph", "save_graph"]

KIND = "motion graph"


def save_graph(path: Path, graph: MotionGraph) -> None:
    """Write a graph, whole or not at all."""
    library, skeleton = graph.library, graph.library.skeleton
    header = {
        "kind": KIND,
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
    write_archive(path, header, tensors)


def load_graph(path: Path) -> MotionGraph:
    """Read a graph written by `save_graph`.

    Raises:
        InputError: If the file is absent, damaged or holds something else.
    """
    return read_archive(path, KIND, _graph, "build it again with `muybridge graph build`")


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
