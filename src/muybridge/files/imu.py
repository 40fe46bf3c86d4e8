"""Logs of inertial sensors: a folder a sensor, each with Inertial.csv and what else was recorded.

    take/pelvis/Inertial.csv       stamp, gyroscope X Y Z, accelerometer X Y Z
    take/pelvis/Magnetometer.csv   stamp, X Y Z                      (optional)
    take/pelvis/Quaternion.csv     stamp, W, X, Y, Z                 (optional)

The folder's name is the part of the body. Every column states its unit in brackets, as x-io's
recorders write it; deg/s and rad/s, g and m/s^2, microseconds to seconds are known. The magnetic
field keeps its unit, since only its direction and its changes are used. Values become SI here and
stay in the sensor's axes; world frames are the business of `capture.imu.conventions`.

T samples.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from muybridge.atomic import write_text
from muybridge.errors import InputError
from muybridge.files.disk import read_bytes

__all__ = ["GRAVITY", "ImuLog", "Series", "read_imu_folder", "read_imu_log", "write_imu_log"]

GRAVITY = 9.80665  # m/s^2, the standard value that "1 g" means in a log
SECONDS = {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "ns": 1e-9}
GYRO = {"deg/s": math.pi / 180.0, "dps": math.pi / 180.0, "°/s": math.pi / 180.0, "rad/s": 1.0}
ACC = {"g": GRAVITY, "mg": GRAVITY / 1000.0, "m/s^2": 1.0, "m/s²": 1.0, "m/s2": 1.0}
FEWEST = 10  # samples; fewer is no motion
MOST_LOST = 0.5  # share of lines of one file without a number; beyond it the sensor was broken


@dataclass(frozen=True)
class Series:
    """Stamped values of one kind, in order of time and each stamp once.

    Attributes:
        seconds: Stamps on the clock of the recording.
        values: One row a stamp; NaN where the log had no number.
        dropped: Lines that were left out: repeated or backward stamps.
    """

    seconds: Float[Tensor, "t"]
    values: Float[Tensor, "t n"]
    dropped: int = 0


@dataclass(frozen=True)
class ImuLog:
    """What one sensor recorded, in its own axes.

    Attributes:
        name: Part of the body, the folder's name.
        inertial: Angular velocity, rad/s, and specific force, m/s^2: six columns.
        magnetic: Magnetic field, any unit: three columns.
        orientation: The sensor's own opinion, quaternion x, y, z, w: earth from sensor.
    """

    name: str
    inertial: Series
    magnetic: Series | None = None
    orientation: Series | None = None


def read_imu_folder(folder: Path) -> tuple[ImuLog, ...]:
    """Read every sensor of a take, in alphabetical order.

    Raises:
        InputError: If the folder holds no sensor, or a file cannot be used.
    """
    if not folder.is_dir():
        raise InputError(
            f"expected a folder with one folder a sensor, found no folder {folder}; "
            "give the folder of the take"
        )
    places = sorted(path.parent for path in folder.glob("*/Inertial.csv"))
    if not places:
        raise InputError(
            f"expected folders such as pelvis/ with an Inertial.csv in {folder}, found none; "
            "give the folder above those of the sensors"
        )
    return tuple(read_imu_log(place) for place in places)


def read_imu_log(folder: Path) -> ImuLog:
    """Read one sensor's folder.

    Raises:
        InputError: If Inertial.csv is absent, or a file lacks its columns, units or numbers.
    """
    inertial = _series(folder / "Inertial.csv", ("gyroscope", "accelerometer"), "XYZ")
    magnetic, quaternion = folder / "Magnetometer.csv", folder / "Quaternion.csv"
    field = _series(magnetic, ("",), "XYZ") if magnetic.is_file() else None
    own = _orientation(quaternion) if quaternion.is_file() else None
    return ImuLog(folder.name, inertial, field, own)


def write_imu_log(folder: Path, log: ImuLog) -> None:
    """Write one sensor's folder in the form that `read_imu_log` reads; stamps to a microsecond."""
    gyro = log.inertial.values[:, :3] / GYRO["deg/s"]
    acc = log.inertial.values[:, 3:] / GRAVITY
    head = [f"Gyroscope {a} (deg/s)" for a in "XYZ"] + [f"Accelerometer {a} (g)" for a in "XYZ"]
    _write(folder / "Inertial.csv", head, log.inertial.seconds, torch.cat((gyro, acc), dim=1))
    if log.magnetic is not None:
        head = [f"{a} (a.u.)" for a in "XYZ"]
        _write(folder / "Magnetometer.csv", head, log.magnetic.seconds, log.magnetic.values)
    if log.orientation is not None:
        turned = log.orientation.values[:, [3, 0, 1, 2]]
        _write(folder / "Quaternion.csv", list("WXYZ"), log.orientation.seconds, turned)


def _write(
    path: Path, head: list[str], seconds: Float[Tensor, "t"], values: Float[Tensor, "t n"]
) -> None:
    lines = [",".join(["Timestamp (us)", *head])]
    for stamp, row in zip((1e6 * seconds).round().long().tolist(), values.tolist(), strict=True):
        lines.append(",".join([str(stamp), *("" if v != v else f"{v:.6f}" for v in row)]))
    write_text(path, "\n".join(lines) + "\n")


def _orientation(path: Path) -> Series:
    """Quaternion.csv with unit length; rows of zeros become NaN."""
    series = _series(path, ("",), "WXYZ")
    turned = series.values[:, [1, 2, 3, 0]]
    length = turned.norm(dim=-1, keepdim=True)
    bad = (length < 0.5) | (length > 2.0)
    if bool(bad.all()):
        raise InputError(
            f"{path}: expected quaternions of length 1, got none in {len(turned)} lines; "
            "export the quaternions again or remove the file"
        )
    return Series(series.seconds, torch.where(bad, torch.nan, turned / length), series.dropped)


def _series(path: Path, kinds: tuple[str, ...], axes: str) -> Series:
    """Read a table and turn its columns to SI."""
    lines = read_bytes(path, "IMU").decode("utf-8", errors="replace").splitlines()
    try:
        head = _header(lines)
        scales = [_scale(head[0], "timestamp", SECONDS)]
        picked = [0]
        for kind in kinds:
            for axis in axes:
                column = _column(head, kind, axis)
                picked.append(column)
                units = {"gyroscope": GYRO, "accelerometer": ACC}.get(kind)
                scales.append(_scale(head[column], kind, units) if units else 1.0)
        table = _numbers(lines, len(head))[:, picked] * np.array(scales)
        return _ordered(table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _header(lines: list[str]) -> list[str]:
    head = [cell.strip() for cell in lines[0].lstrip("\ufeff").split(",")] if lines else []
    if not head or not head[0].lower().startswith("time"):
        got = repr(lines[0][:40]) if lines else "an empty file"
        raise InputError(
            f"expected a first line that begins with 'Timestamp (us)', got {got}; "
            "export the log as CSV with its header"
        )
    return head


def _column(head: list[str], kind: str, axis: str) -> int:
    """The one column of this axis."""
    wanted = re.compile(rf"{kind}\s*{axis}\b", re.IGNORECASE)
    found = [i for i, cell in enumerate(head) if i and wanted.match(cell)]
    if len(found) != 1:
        name = f"{kind} {axis}".strip().capitalize()
        raise InputError(
            f"expected one column {name!r}, got {len(found)} among {', '.join(head)}; "
            "correct the header"
        )
    return found[0]


def _scale(cell: str, kind: str, units: dict[str, float]) -> float:
    """What a number of this column is worth in SI."""
    inside = re.search(r"\(([^)]*)\)", cell)
    unit = inside.group(1).strip().lower() if inside else ""
    if unit not in units:
        raise InputError(
            f"expected the unit of the {kind} in brackets, one of {', '.join(units)}, "
            f"got {cell!r}; correct the header"
        )
    return units[unit]


def _numbers(lines: list[str], columns: int) -> NDArray[np.float64]:
    """All rows; NaN where a cell is empty or no number; short rows are filled up with NaN."""
    rows = [line for line in lines[1:] if line.strip()]
    table = np.full((len(rows), columns), np.nan)
    for row, line in zip(table, rows, strict=True):
        cells = line.split(",")
        if len(cells) > columns:
            raise InputError(
                f"expected {columns} columns as in the header, got {len(cells)} in the line "
                f"{line[:40]!r}; mend that line"
            )
        row[: len(cells)] = [_number(cell) for cell in cells]
    usable = np.isfinite(table).all(axis=1)
    if len(table) < FEWEST or usable.sum() < MOST_LOST * len(table):
        raise InputError(
            f"expected at least {FEWEST} lines and numbers in half of them, got {usable.sum()} "
            f"usable lines of {len(table)}; record again or leave this sensor out"
        )
    return table


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if abs(value) < 1e15 else math.nan  # no sensor and no clock counts that far


def _ordered(table: NDArray[np.float64]) -> Series:
    """Only rows whose stamp is later than all before: duplicates and steps backward are dropped.

    A clock that starts again would lose everything after it, so that is refused.
    """
    stamped = table[np.isfinite(table[:, 0])]
    before = np.concatenate(([-np.inf], stamped[:-1, 0]))[: len(stamped)]
    kept = stamped[stamped[:, 0] > np.maximum.accumulate(before)]
    if len(kept) < max(FEWEST, MOST_LOST * len(table)):
        raise InputError(
            f"expected stamps that grow from line to line, got {len(kept)} such lines of "
            f"{len(table)}; cut the log where its clock starts again"
        )
    seconds, values = torch.from_numpy(kept[:, 0].copy()), torch.from_numpy(kept[:, 1:].copy())
    return Series(seconds, values, len(table) - len(kept))
