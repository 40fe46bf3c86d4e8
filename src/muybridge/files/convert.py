"""From one motion file to another by their suffixes: .bvh, .glb, .c3d, .trc, .npz."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from muybridge.errors import InputError
from muybridge.files.bvh import Unit, read_bvh, write_bvh
from muybridge.files.c3d import read_c3d, write_c3d
from muybridge.files.clip import load_clip, save_clip
from muybridge.files.gltf import read_glb, write_glb
from muybridge.files.trc import read_trc, write_trc
from muybridge.motion.clip import Clip
from muybridge.motion.facing import rest_positions
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "SUFFIXES",
    "check_suffix",
    "convert",
    "markers_from_clip",
    "read_clip",
    "read_motion",
    "write_motion",
]

GIANT = 5.0  # metres; a body of this size was not meant in metres
SUFFIXES = (".bvh", ".glb", ".npz", ".c3d", ".trc")  # the first three hold clips, the others points


def convert(source: Path, target: Path, unit: Unit = "cm") -> None:
    """Write the motion of one file as another.

    A clip becomes markers by the world positions of its joints. Markers do not become a clip: that
    takes a skeleton fitted to them.

    Args:
        source: A .bvh, .glb, .npz (clip), .c3d or .trc file.
        target: Where to; its suffix says the format.
        unit: Unit of BVH files read or written; they do not state theirs.
    Raises:
        InputError: If a suffix is unknown, the source is damaged, or the way does not exist.
    """
    check_suffix(target)
    write_motion(target, read_motion(source, unit), unit)


def read_motion(path: Path, unit: Unit = "cm") -> Clip | Markers:
    """Read any motion file: a clip, or markers where the format holds points only."""
    match path.suffix.lower():
        case ".bvh":
            return read_bvh(path, unit).clip
        case ".glb":
            return read_glb(path)
        case ".npz":
            return load_clip(path)
        case ".c3d":
            return read_c3d(path)
        case ".trc":
            return read_trc(path)
    raise InputError(_unknown(path))


def read_clip(path: Path, unit: Unit | Literal["auto"] = "auto") -> Clip:
    """Read a clip from any motion file that holds one.

    Args:
        path: A .bvh, .glb or .npz file.
        unit: Of a BVH file; "auto" takes metres where the body would be a giant in them otherwise.
    Raises:
        InputError: If the file cannot be read or holds points only.
    """
    bvh = path.suffix.lower() == ".bvh"
    if bvh and unit == "auto":
        unit = "m" if _size(read_bvh(path, "m").skeleton) < GIANT else "cm"
    motion = read_motion(path, "cm" if unit == "auto" else unit)
    if isinstance(motion, Markers):
        raise InputError(
            f"expected a motion with a skeleton, got points alone in {path}; fit a skeleton to "
            "them with `muybridge solve`"
        )
    return motion


def _size(skeleton: Skeleton) -> float:
    """Longest side of the box around the rest pose, metres."""
    points = rest_positions(skeleton)
    return float((points.amax(0) - points.amin(0)).max())


def write_motion(path: Path, motion: Clip | Markers, unit: Unit = "cm") -> None:
    """Write a clip or markers in the format of the suffix."""
    check_suffix(path)
    suffix = path.suffix.lower()
    if suffix in (".c3d", ".trc"):
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
            write_glb(path, motion)
        case _:
            save_clip(path, motion)


def markers_from_clip(clip: Clip) -> Markers:
    """The world positions of all joints, metres; NaN in frames whose pose is not known."""
    return Markers(clip.skeleton.names, forward_clip(clip).positions, clip.fps)


def check_suffix(path: Path, known: Sequence[str] = SUFFIXES) -> None:
    """Refuse a file to write whose ending is unknown, best before the work that fills it.

    Raises:
        InputError: If the suffix is none of those known.
    """
    if path.suffix.lower() not in known:
        raise InputError(_unknown(path, known))


def _unknown(path: Path, known: Sequence[str] = SUFFIXES) -> str:
    return (
        f"expected a file ending in {', '.join(known)}, got {path.name!r}; "
        "choose one of these formats"
    )
