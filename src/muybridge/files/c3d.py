"""C3D files of optical motion capture, through ezc3d.

C3D states no axes of its own: most laboratories use Z up. The reader looks at POINT:X_SCREEN and
POINT:Y_SCREEN (the axes that point right and up on the screen); where they are absent it takes
`up`. Z-up points become Y-up by (x, y, z) -> (y, z, x). The writer writes metres, Y up, as they
are, and states X_SCREEN = +X, Y_SCREEN = +Y, so that its files return unchanged.

T frames, M markers. A point with a negative residual was not seen: NaN here.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any, Literal

import ezc3d
import numpy as np
import torch
from jaxtyping import Float64

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes, writing
from muybridge.files.names import unique_names
from muybridge.motion.markers import Markers

__all__ = ["MOST_FRAMES", "read_c3d", "write_c3d"]

METRES = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "": 0.001}
MOST_FRAMES, MOST_MARKERS = 65_535, 255  # that its header and labels can count
BLOCK = 512  # bytes
RESIDUAL = 0.0005  # metres; the step in which residuals are written
MOST_SECONDS = 300  # for ezc3d to read one file; a large one takes some seconds


def read_c3d(path: Path, up: Literal["y", "z"] = "z") -> Markers:
    """Read the points of a C3D file: metres, Y up, NaN where unseen.

    Args:
        path: The file.
        up: The vertical axis, where the file does not state it.
    Raises:
        InputError: If the file is damaged, holds no points or states an unknown unit.
    """
    content = read_bytes(path, "C3D")
    try:
        _check_structure(content)
        found = _read(Path(path))
        unit, x_screen, y_screen = (
            "".join(found[name][:1].tolist()).strip() for name in ("unit", "x_screen", "y_screen")
        )
        if unit.lower() not in METRES:
            raise InputError(f"expected POINT:UNITS m, cm or mm, got {unit[:20]!r}; correct it")
        points, rate = found["points"].astype(np.float64), float(found["rate"])
        if points.size == 0:
            raise InputError("expected points, got a C3D file without any; export the markers too")
        if not 0.0 < rate < 1e6:
            raise InputError(f"expected a frame rate above 0, got POINT:RATE {rate}; correct it")
        seen = np.isfinite(points).all(-1) & (found["residuals"] >= 0.0)
        points = METRES[unit.lower()] * np.where(seen[..., None], points, np.nan)
        world = torch.from_numpy(points @ _axes(x_screen, y_screen, up).T)
        return Markers(_labels(found["labels"].tolist(), points.shape[1]), world, rate)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_structure(content: bytes) -> None:
    """Refuse a file whose announced sizes do not fit in it, before ezc3d follows them."""
    if len(content) < 2 * BLOCK or content[1] != 0x50:
        raise InputError("expected a C3D header (byte 0x50), got another file; export as .c3d")
    start = BLOCK * (content[0] - 1)
    if start < BLOCK or start + 4 > len(content):
        raise InputError("expected a parameter section, got none within the file; it is cut short")
    processor = content[start + 3] - 83
    if processor not in (1, 2, 3):
        raise InputError(
            f"expected Intel, DEC or SGI numbers, got processor type {processor}; export it again"
        )
    order = ">" if processor == 3 else "<"
    _check_parameters(content, start + 4, order)
    points, analog, first, last = struct.unpack_from(f"{order}4H", content, 2)
    if points == 0:
        raise InputError("expected points, got a C3D file without any; export the markers too")
    data = BLOCK * (struct.unpack_from(f"{order}H", content, 16)[0] - 1)
    real = content[{1: 15, 2: 13, 3: 12}[processor]] & 0x80  # sign of the scale: below 0 is float
    frame_bytes = (16 if real else 8) * points + (4 if real else 2) * analog
    frames = last - first + 1
    if frames <= 0 or (last < MOST_FRAMES and data + frames * frame_bytes > len(content)):
        raise InputError(
            f"expected {frames} frames of {points} points, got a file too short for them; "
            "it is cut short, copy it again"
        )


def _check_parameters(content: bytes, position: int, order: str) -> None:
    """Walk the chain of groups and parameters: each must end within the file."""
    while position + 2 <= len(content):
        letters = abs(struct.unpack_from("b", content, position)[0])
        link = position + 2 + letters
        if letters == 0:
            return
        if link + 2 > len(content):
            break
        step = struct.unpack_from(f"{order}h", content, link)[0]
        if struct.unpack_from("b", content, position + 1)[0] > 0:
            _check_parameter(content, link + 2)
        if step == 0:
            return
        if step < 2:
            break
        position = link + step
    raise InputError("expected whole parameters, got a damaged chain; the file is cut short")


def _check_parameter(content: bytes, position: int) -> None:
    kind, rank = struct.unpack("bB", content[position : position + 2].ljust(2, b"\0"))
    sizes = content[position + 2 : position + 2 + rank]
    need = abs(kind) * int(np.prod([int(size) for size in sizes], dtype=object))
    if kind not in (-1, 1, 2, 4) or rank > 7 or position + 2 + rank + need > len(content):
        raise InputError(
            "expected whole parameters, got one that ends outside the file; it is cut short"
        )


def _read(path: Path) -> dict[str, Any]:
    """Points, residuals, rate, unit, screen axes and labels, as ezc3d finds them."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "points.npz"
        command = [sys.executable, "-m", "muybridge.files.c3d_process", str(path), str(target)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=MOST_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise InputError(
                "expected a C3D file, got one that ezc3d never finishes; export it again"
            ) from None
        if done.returncode != 0 or not target.is_file():
            last = done.stderr.decode(errors="replace").strip().split("\n")[-1][:200]
            why = last or f"it crashed, code {done.returncode}"
            raise InputError(
                f"expected a C3D file, got one that ezc3d cannot read ({why}); export it again"
            )
        with np.load(target) as found:
            return {name: found[name] for name in found.files}


def _axes(x_screen: str, y_screen: str, up: Literal["y", "z"]) -> Float64[np.ndarray, "3 3"]:
    """Matrix that takes the file's axes to ours (Y up)."""
    vertical = y_screen.strip().upper()[-2:] or f"+{up.upper()}"
    if vertical == "+Z":
        return np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    if vertical == "+Y":
        return np.eye(3)
    rows = {
        f"{s}{a}": v * np.eye(3)[k] for s, v in (("+", 1), ("-", -1)) for k, a in enumerate("XYZ")
    }
    right, above = rows.get(x_screen.strip().upper()), rows.get(vertical)
    if right is None or above is None or right @ above != 0.0:
        raise InputError(
            f"expected POINT:X_SCREEN and Y_SCREEN such as +X and +Z, got {x_screen!r} and "
            f"{y_screen!r}; correct them"
        )
    return np.stack((right, above, np.cross(right, above)))


def _labels(found: list[str], count: int) -> tuple[str, ...]:
    """A unique name for each marker; nameless ones are numbered."""
    found = [label.strip() for label in (*found[:count], *[""] * (count - len(found)))]
    return unique_names(label or f"point{k}" for k, label in enumerate(found, 1))


def write_c3d(path: Path, markers: Markers) -> None:
    """Write markers as a C3D file, whole or not at all: metres, Y up (X_SCREEN +X, Y_SCREEN +Y).

    An unseen point gets residual -1 and zeros, as the format asks; a seen one the one-sigma
    uncertainty of its position in steps of half a millimetre, up to 127 mm (0 where unknown).

    Raises:
        InputError: If there is nothing to write, or more than 65,535 frames or 255 markers.
    """
    frames, count = markers.points_world.shape[:2]
    if frames == 0 or count == 0:
        raise InputError(
            f"expected markers to write, got {frames} frames of {count} markers; record some first"
        )
    if frames > MOST_FRAMES or count > MOST_MARKERS:
        raise InputError(
            f"expected at most {MOST_FRAMES} frames of {MOST_MARKERS} markers in a C3D file, got "
            f"{frames} of {count}; "
            "write parts, or TRC"
        )
    seen = markers.seen.numpy()
    points = np.where(seen[..., None], markers.points_world.double().numpy(), 0.0)
    std = markers.position_std
    residual = np.zeros(seen.shape) if std is None else std.double().nan_to_num(0.0).numpy()
    residual = np.minimum(residual, 255 * RESIDUAL)  # a byte in the file
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["UNITS"]["value"] = ["m"]
    file["parameters"]["POINT"]["RATE"]["value"] = [markers.fps]
    file["parameters"]["POINT"]["SCALE"]["value"] = [-RESIDUAL]  # negative: numbers are floats
    file["parameters"]["POINT"]["LABELS"]["value"] = list(markers.names)
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    homogeneous = np.concatenate((points, np.ones((frames, count, 1))), axis=-1)
    file["data"]["points"] = np.ascontiguousarray(homogeneous.transpose(2, 1, 0))
    residuals = np.where(seen, residual, -1.0).T[None]
    file["data"]["meta_points"]["residuals"] = np.ascontiguousarray(residuals)
    file["data"]["meta_points"]["camera_masks"] = np.zeros((7, count, frames), dtype=bool)
    with writing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.write(str(temporary))
