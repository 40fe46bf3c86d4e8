"""Clips, markers and what refinement learned: everything, losslessly, in one .npz file.

An `archive` whose header holds names, frame rate and captions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from muybridge.files.archive import read_archive, write_archive
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.markers import Markers
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "load_clip", "load_learned", "load_markers", "save_clip", "save_learned", "save_markers",
]  # fmt: skip

UNIT = 1e-3  # of a quaternion's length: more, and it is none
CLIP_TENSORS = {
    "rotations": "tj4", "root": "t3", "translations": "tj3", "position_std": "tj",
    "contacts": "tj", "filled": "tj",
}  # fmt: skip  # shapes, T frames, J joints
MARKER_TENSORS = {"points_world": "tm3", "covariance": "tm33", "views": "tm"}  # M markers
LEARNED_TENSORS = {"offset_px": "cj2", "bone_lengths": "b"}  # C cameras, B bones
FLAGS = ("contacts", "filled")


def save_clip(path: Path, clip: Clip) -> None:
    """Write a clip with uncertainty, contacts, filled spans and captions, whole or not at all."""
    header = {
        "kind": "clip",
        "name": clip.name,
        "fps": clip.fps,
        "joints": clip.skeleton.names,
        "parents": clip.skeleton.parents,
        "end_sites": clip.skeleton.end_sites,
        "captions": [[c.text, c.start, c.end] for c in clip.captions],
    }
    tensors = {name: getattr(clip, name) for name in CLIP_TENSORS}
    write_archive(path, header, {"offsets": clip.skeleton.offsets, **tensors})


def load_clip(path: Path) -> Clip:
    """Read a clip written by `save_clip`.

    Raises:
        InputError: If the file is damaged or holds something else.
    """
    return read_archive(path, "clip", _clip)


def save_markers(path: Path, markers: Markers) -> None:
    """Write markers with covariance and views, whole or not at all."""
    header = {"kind": "markers", "names": markers.names, "fps": markers.fps}
    write_archive(path, header, {name: getattr(markers, name) for name in MARKER_TENSORS})


def load_markers(path: Path) -> Markers:
    """Read markers written by `save_markers`.

    Raises:
        InputError: If the file is damaged or holds something else.
    """
    return read_archive(path, "markers", _markers)


def save_learned(path: Path, offset_px: Tensor, bone_lengths: Tensor) -> None:
    """Write what refinement learned beside the cameras, whole or not at all.

    Args:
        path: Usually refine.npz.
        offset_px: What the detector adds to each joint in each camera, pixels, C x J x 2.
        bone_lengths: Of the main person, metres, in the order of `bone_pairs`; NaN where unknown.
    """
    write_archive(path, {"kind": "learned"}, {"offset_px": offset_px, "bone_lengths": bone_lengths})


def load_learned(path: Path) -> tuple[Tensor, Tensor]:
    """Read detector offsets, C x J x 2, pixels, and bone lengths, B, metres.

    Raises:
        InputError: If the file is damaged or holds something else.
    """
    return read_archive(path, "learned", _learned)


def _clip(header: dict[str, Any], tensors: dict[str, Tensor]) -> Clip:
    names, sizes = _names(header["joints"]), {"j": len(header["joints"])}
    parents = tuple(int(parent) for parent in header["parents"])
    end_sites = tuple(bool(flag) for flag in header["end_sites"])
    offsets: Any = _fields(tensors, {"offsets": "j3"}, sizes)["offsets"]
    fields: dict[str, Any] = _fields(tensors, CLIP_TENSORS, sizes)
    apart = (fields["rotations"].norm(dim=-1) - 1.0).abs()  # NaN, a missing pose, is not apart
    if bool((apart > UNIT).any()):
        raise ValueError(
            f"expected unit quaternions, got one {float(apart.nan_to_num().max()):g} off"
        )
    return Clip(
        skeleton=Skeleton(names, parents, offsets, end_sites),
        fps=float(header["fps"]),
        name=str(header["name"]),
        captions=tuple(Caption(str(t), float(a), float(b)) for t, a, b in header["captions"]),
        **fields,
    )


def _markers(header: dict[str, Any], tensors: dict[str, Tensor]) -> Markers:
    names = _names(header["names"])
    fields: dict[str, Any] = _fields(tensors, MARKER_TENSORS, {"m": len(names)})
    return Markers(names=names, fps=float(header["fps"]), **fields)


def _learned(_: dict[str, Any], tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    offset, lengths = _fields(tensors, LEARNED_TENSORS, {}).values()
    if offset is None or lengths is None:
        raise ValueError("expected bone_lengths, got none")
    return offset, lengths


def _names(words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"expected a list of names, got {words!r}")
    return tuple(words)


def _fields(
    tensors: Mapping[str, Tensor], shapes: Mapping[str, str], sizes: dict[str, int]
) -> dict[str, Tensor | None]:
    """The tensors of these names, each of its shape; only the first may not be absent."""
    fields: dict[str, Tensor | None] = {}
    for name, shape in shapes.items():
        tensor = tensors.get(name)
        if tensor is None and not fields:
            raise ValueError(f"expected {name}, got none")
        fields[name] = tensor
        if tensor is None:
            continue
        kind = torch.bool if name in FLAGS else tensor.is_floating_point() and tensor.dtype
        wanted = [
            sizes.setdefault(letter, size) if letter.isalpha() else int(letter)
            for letter, size in zip(shape, tensor.shape, strict=True)
        ]
        if list(tensor.shape) != wanted or tensor.dtype != kind:
            raise ValueError(f"expected {name} of shape {wanted}, got {tuple(tensor.shape)}")
    return fields
