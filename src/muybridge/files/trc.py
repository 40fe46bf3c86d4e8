"""TRC marker files (Motion Analysis), as OpenSim and Pose2Sim read and write them.

Y up, in the unit the file states (mm or m). An unseen marker is an empty cell. Five header lines,
then a line a frame: number, time in seconds, x y z of each marker, separated by tabs.

T frames, M markers.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes, write_parts
from muybridge.motion.markers import Markers

__all__ = ["read_trc", "write_trc"]

METRES = {"m": 1.0, "meters": 1.0, "metres": 1.0, "cm": 0.01, "mm": 0.001}
DECIMALS = {"m": 8, "mm": 5}  # ten nanometres: nothing to see, and small files
UNSEEN = {"", "nan", "NaN", "NAN", "-nan", "null"}
MOST_FRAMES = 10**9


def read_trc(path: Path) -> Markers:
    """Read a TRC file; positions in metres, NaN where a cell is empty or "nan".

    Raises:
        InputError: If the header or a cell is malformed, or the frame count is wrong.
    """
    text = read_bytes(path, "TRC").decode("utf-8", errors="replace")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    try:
        header = _header(lines)
        names = _names(lines)
        rows = [(n, line) for n, line in enumerate(lines[5:], 6) if line.strip()]
        table = np.array([_cells(line, n, len(names)) for n, line in rows])
        _check(header, names, len(rows))
        unit = header["Units"].strip().lower()
        if unit not in METRES:
            raise InputError(f"expected Units m, cm or mm, got {header['Units']!r}; correct it")
        points = METRES[unit] * table.reshape(len(rows), len(names), 3)
        return Markers(names, torch.from_numpy(points), _rate(header))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _header(lines: list[str]) -> dict[str, str]:
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise InputError(
            "expected a TRC header that begins with PathFileType, got another file; export as .trc"
        )
    return dict(zip(lines[1].split(), lines[2].split(), strict=False))


def _names(lines: list[str]) -> tuple[str, ...]:
    """Marker names of line 4: each heads three columns, the last two of them empty."""
    cells = [cell.strip() for cell in lines[3].split("\t")]
    names = tuple(cell for cell in cells[2:] if cell)
    if cells[0] != "Frame#" or not names:
        raise InputError(
            "expected 'Frame#', 'Time' and marker names in line 4, got others; mend that line"
        )
    if len(set(names)) < len(names):
        raise InputError("expected every marker named once in line 4, got a name twice; rename it")
    return names


def _cells(line: str, number: int, markers: int) -> list[float]:
    """Coordinates of one frame. Blanks may stand for tabs where no cell is empty."""
    cells = line.split("\t")
    if len(cells) < 2 + 3 * markers and len(line.split()) == 2 + 3 * markers:
        cells = line.split()
    cells = [cell.strip() for cell in cells[2:]]
    cells += [""] * (3 * markers - len(cells))  # some writers drop empty cells at the end
    if any(cells[3 * markers :]):
        raise InputError(f"expected {3 * markers} coordinates in line {number}, got more; mend it")
    return [_coordinate(cell, number) for cell in cells[: 3 * markers]]


def _coordinate(cell: str, number: int) -> float:
    if cell in UNSEEN:
        return np.nan
    try:
        value = float(cell)
    except ValueError:
        value = np.inf
    if np.isinf(value):
        raise InputError(f"expected numbers in line {number}, got {cell[:20]!r}; mend it")
    return value


def _check(header: dict[str, str], names: tuple[str, ...], frames: int) -> None:
    if frames == 0:
        raise InputError("expected at least one frame, got only a header; export it again")
    if header.get("NumFrames") != str(frames):
        raise InputError(
            f"expected NumFrames {header.get('NumFrames')} frames, got {frames}; "
            "the file is cut short or its header is wrong"
        )
    if header.get("NumMarkers") != str(len(names)):
        raise InputError(
            f"expected NumMarkers {header.get('NumMarkers')} markers, got {len(names)} names; "
            "correct the header"
        )
    if "Units" not in header:
        raise InputError("expected Units in the header, got none; add them")


def _rate(header: dict[str, str]) -> float:
    text = header.get("DataRate", "")
    if not re.fullmatch(r"\d{1,7}(\.\d*)?", text) or not float(text) > 0.0:
        raise InputError(f"expected a DataRate above 0 frames/s, got {text[:20]!r}; correct it")
    return float(text)


def write_trc(path: Path, markers: Markers, unit: Literal["m", "mm"] = "m") -> None:
    """Write markers, whole or not at all; an unseen point becomes three empty cells.

    Covariance and views have no place in a TRC file.

    Raises:
        InputError: If there is no frame or no marker.
    """
    frames, count = markers.points_world.shape[:2]
    if frames == 0 or count == 0:
        raise InputError(
            f"expected markers to write, got {frames} frames of {count} markers; record some first"
        )
    names = _safe_names(markers.names)
    rate = f"{markers.fps:.12g}"
    axes = "\t".join(f"X{k}\tY{k}\tZ{k}" for k in range(1, count + 1))
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{Path(path).name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame"
        "\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{count}\t{unit}\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t",
        f"\t\t{axes}",
    ]
    rows = _rows(markers, unit)
    write_parts(path, ("\n".join((*head, *rows, "")).encode(),))


def _safe_names(names: tuple[str, ...]) -> list[str]:
    """Names without tabs and line ends, which part the cells."""
    return [re.sub(r"\s+", " ", name).strip() or f"marker{k}" for k, name in enumerate(names, 1)]


def _rows(markers: Markers, unit: Literal["m", "mm"]) -> list[str]:
    points: Float64[np.ndarray, "t m 3"] = markers.points_world.double().numpy() / METRES[unit]
    unseen = ~np.isfinite(points).all(-1, keepdims=True)
    points = np.where(unseen, np.nan, points)
    decimals = DECIMALS[unit]
    return [
        f"{k + 1}\t{k / markers.fps:.9f}\t"
        + "\t".join("" if v != v else f"{v:.{decimals}f}" for v in row)
        for k, row in enumerate(points.reshape(len(points), -1).tolist())
    ]
