"""From one motion file to another by their suffixes: .bvh, .glb, .fbx, .npz, .c3d, .trc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from muybridge.errors import InputError
from muybridge.files.bvh import Unit, UnitChoice, read_bvh, write_bvh
from muybridge.files.c3d import read_c3d, write_c3d
from muybridge.files.clip import load_clip, save_clip
from muybridge.files.fbx import find_blender, read_fbx, write_fbx
from muybridge.files.gltf import Interpolation, read_glb, write_glb
from muybridge.files.trc import read_trc, write_trc
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers

__all__ = [
    "SUFFIXES",
    "Up",
    "check_suffix",
    "convert",
    "markers_from_clip",
    "read_clip",
    "read_motion",
    "write_motion",
    "y_up_from_z_up",
]

Up = Literal["y", "z"]

SUFFIXES = (".bvh", ".glb", ".fbx", ".npz", ".c3d", ".trc")
POINTS = (".c3d", ".trc")  # hold points only; the others hold clips


def convert(
    source: Path,
    target: Path,
    unit: UnitChoice = "auto",
    interpolation: Interpolation | None = None,
    up: Up = "y",
) -> None:
    """Write the motion of one file as another.

    A clip becomes markers by the world positions of its joints. Markers do not become a clip: that
    takes a skeleton fitted to them.

    Args:
        source: A .bvh, .glb, .fbx, .npz (clip), .c3d or .trc file.
        target: Where to; its suffix says the format.
        unit: Unit of BVH files read or written; they do not state theirs. "auto" guesses what is
            read by the size of the body and writes centimetres.
        interpolation: Between the frames of a .glb file; LINEAR where nothing is said.
        up: What is up in a BVH file that is read; they do not state it. Written is Y up.
    Raises:
        InputError: If a suffix is unknown, the source is damaged, or the way does not exist.
    """
    check_suffix(target)
    suffixes = {source.suffix.lower(), target.suffix.lower()}
    if unit != "auto" and ".bvh" not in suffixes:
        raise InputError(
            f"expected --unit with a BVH file, got {source.name} and {target.name}, which state "
            "their units; leave it away"
        )
    if interpolation and target.suffix.lower() != ".glb":
        raise InputError(
            f"expected --interpolation with a .glb file to write, got {target.name}, which has "
            "frames only; leave it away"
        )
    if up != "y" and source.suffix.lower() != ".bvh":
        raise InputError(
            f"expected --up with a BVH file to read, got {source.name}, which states it; "
            "leave it away"
        )
    motion = read_motion(source, unit)
    if up == "z" and isinstance(motion, Clip):
        motion = y_up_from_z_up(motion)
    write_motion(target, motion, "cm" if unit == "auto" else unit, interpolation or "LINEAR")


def y_up_from_z_up(clip: Clip) -> Clip:
    """The clip of a world with Z up in one with Y up, skeleton and all: (x, y, z) -> (y, z, x)."""
    turn = [1, 2, 0]
    moved = None if clip.translations is None else clip.translations[..., turn]
    return replace(
        clip,
        skeleton=replace(clip.skeleton, offsets=clip.skeleton.offsets[:, turn]),
        rotations=clip.rotations[..., [*turn, 3]],  # a conjugation turns the axis of a rotation
        root=clip.root[:, turn],
        translations=moved,
    )


def read_motion(path: Path, unit: UnitChoice = "auto") -> Clip | Markers:
    """Read any motion file: a clip, or markers where the format holds points only."""
    match path.suffix.lower():
        case ".bvh":
            return read_bvh(path, unit).clip
        case ".glb":
            return read_glb(path)
        case ".fbx":
            return read_fbx(path)
        case ".npz":
            return load_clip(path)
        case ".c3d":
            return read_c3d(path)
        case ".trc":
            return read_trc(path)
    raise InputError(_unknown(path))


def read_clip(path: Path, unit: UnitChoice = "auto") -> Clip:
    """Read a clip from any motion file that holds one.

    Args:
        path: A .bvh, .glb, .fbx or .npz file.
        unit: Of a BVH file; "auto" guesses by the size of the body.
    Raises:
        InputError: If the file cannot be read or holds points only.
    """
    motion = read_motion(path, unit)
    if isinstance(motion, Markers):
        raise InputError(
            f"expected a motion with a skeleton, got points alone in {path}; fit a skeleton to "
            "them with `muybridge solve`"
        )
    return motion


def write_motion(
    path: Path,
    motion: Clip | Markers,
    unit: Unit = "cm",
    interpolation: Interpolation = "LINEAR",
) -> None:
    """Write a clip or markers in the format of the suffix."""
    check_suffix(path)
    suffix = path.suffix.lower()
    if suffix in POINTS:
        markers = markers_from_clip(motion) if isinstance(motion, Clip) else motion
        (write_c3d if suffix == ".c3d" else write_trc)(path, markers)
        return
    if isinstance(motion, Markers):
        raise InputError(
            f"expected a motion with a skeleton to write {path}, got markers alone; fit a skeleton "
            "to them with `muybridge solve`"
        )
    match suffix:
        case ".bvh":
            write_bvh(path, motion, unit)
        case ".glb":
            write_glb(path, motion, interpolation)
        case ".fbx":
            write_fbx(path, motion)
        case _:
            save_clip(path, motion)


def markers_from_clip(clip: Clip) -> Markers:
    """The world positions of all joints, metres; NaN in frames whose pose is not known."""
    return Markers(clip.skeleton.names, forward_clip(clip).positions, clip.fps)


def check_suffix(path: Path, known: Sequence[str] = SUFFIXES) -> None:
    """Refuse a file to write whose ending is unknown, best before the work that fills it.

    Raises:
        InputError: If the suffix is none of those known, or .fbx and there is no Blender.
    """
    if path.suffix.lower() not in known:
        raise InputError(_unknown(path, known))
    if path.suffix.lower() == ".fbx":
        find_blender()


def _unknown(path: Path, known: Sequence[str] = SUFFIXES) -> str:
    return (
        f"expected a file ending in {', '.join(known)}, got {path.name!r}; "
        "choose one of these formats"
    )
