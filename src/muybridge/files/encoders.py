"""Logs of joint encoders: a CSV of angles or counts, and what the suit is, in JSON beside it.

    suit.csv        time_s, elbow_l, elbow_r, ...     one column an encoder, one line a sample
    suit.json       which joint and axis each column turns, its bits, the skeleton, the T-pose
    skeleton.bvh    the wearer: bone lengths, and the rest pose in which all angles are zero

Without suit.json the header names joint and axis, as BVH does: "LeftForeArm.z [12 bit]" or
"LeftForeArm Zrotation [deg]", and the skeleton is skeleton.bvh beside the log. The rotation of a
joint is the product of its encoders' turns in their order, the one nearest to the trunk first.

    {"skeleton": "skeleton.bvh", "bits": 12, "calibration_s": [0, 2],
     "encoders": [{"column": "elbow_l", "joint": "LeftForeArm", "axis": "z", "sign": -1}]}

T samples, N encoders.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from muybridge.atomic import write_text
from muybridge.errors import InputError
from muybridge.files.bvh import UnitChoice, read_bvh
from muybridge.files.disk import read_bytes
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "Encoder", "EncoderLog", "EncoderRig", "Root", "read_encoders", "write_encoder_log",
]  # fmt: skip

Root = Literal["fixed", "feet"]
AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0}
PER_TURN = {"deg": 360.0, "°": 360.0, "degrees": 360.0, "rad": 2.0 * math.pi, "": 360.0}
UNIT = r"\s*(?:[\[(](?P<unit>[^\])]*)[\])])?\s*$"
COLUMN = re.compile(
    r"^\s*(?P<joint>.+?)[\s._:/-]\s*(?P<axis>[xyz])(?:rotation)?" + UNIT, re.IGNORECASE
)
TIME = re.compile(r"^\s*(?:time(?:stamp)?|t|seconds)(?:[_ ](?P<suffix>s|ms|us))?" + UNIT, re.I)
BITS = re.compile(r"^(\d+)[\s-]*bits?$", re.IGNORECASE)
MOST_BITS = 32
SKELETON = "skeleton.bvh"


@dataclass(frozen=True)
class Encoder:
    """One axis of one joint.

    Attributes:
        column: Its name in the log.
        joint: Index of the joint that it turns.
        axis: Unit axis in the joint's own frame when all angles are zero.
        per_turn: What the log counts in a whole turn: 360 for degrees, 4096 for 12 bits.
        counts: True where the log holds counts of an absolute encoder, 0 to `per_turn` - 1.
        gear: Turns of the joint in a turn of the encoder; negative where it is mounted reversed.
        offset: What the log reads at angle zero; a calibration pose replaces it.
        pose: Angle of the joint in the calibration pose, radians.
    """

    column: str
    joint: int
    axis: tuple[float, float, float]
    per_turn: float = 360.0
    counts: bool = False
    gear: float = 1.0
    offset: float = 0.0
    pose: float = 0.0

    @property
    def step(self) -> float:
        """Angle of the joint that one count stands for, radians; 0 where the log is continuous."""
        return 2.0 * math.pi * abs(self.gear) / self.per_turn if self.counts else 0.0


@dataclass(frozen=True)
class EncoderRig:
    """A suit and its wearer.

    Attributes:
        skeleton: Of the wearer, metres; its rest pose has all angles zero.
        encoders: In the order in which the turns of a joint are multiplied.
        calibration: Seconds from the start between which the calibration pose is held; None where
            the offsets are known.
        fps: Of the clip; the log's own rate when None.
        longest_gap: Seconds without a reading that are bridged.
        root: "fixed": the hips stay where they are; "feet": the lowest foot stays where it is.
    """

    skeleton: Skeleton
    encoders: tuple[Encoder, ...]
    calibration: tuple[float, float] | None = None
    fps: float | None = None
    longest_gap: float = 0.5
    root: Root = "fixed"


@dataclass(frozen=True)
class EncoderLog:
    """What the encoders said.

    Attributes:
        columns: Names of the N encoders.
        seconds: Stamps on the log's own clock, each later than the one before.
        values: As logged: counts, degrees or radians; NaN where a cell holds no number.
        dropped: Lines left out because their stamp is missing, repeated, or goes backwards.
    """

    columns: tuple[str, ...]
    seconds: Float[Tensor, "t"]
    values: Float[Tensor, "t n"]
    dropped: int = 0


def read_encoders(path: Path) -> tuple[EncoderLog, EncoderRig]:
    """Read a log and what is known of its suit.

    Args:
        path: The .csv file; PATH with the suffix .json describes the suit.
    Raises:
        InputError: If the log or the description cannot be used; one sentence says why.
    """
    head, table = _table(path)
    description = path.with_suffix(".json")
    if description.is_file():
        rig = _described(description, head[1:])
    else:
        rig = _from_header(path, head[1:])
    seconds, values, dropped = _in_order(path, head[0], table)
    picked = [head[1:].index(encoder.column) for encoder in rig.encoders]
    columns = tuple(encoder.column for encoder in rig.encoders)
    chosen = torch.from_numpy(values[:, picked].copy())
    return EncoderLog(columns, torch.from_numpy(seconds), chosen, dropped), rig


def write_encoder_log(path: Path, log: EncoderLog) -> None:
    """Write a log with stamps in seconds, whole or not at all; NaN becomes an empty cell."""
    lines = [",".join(("time_s", *log.columns))]
    for stamp, row in zip(log.seconds.tolist(), log.values.tolist(), strict=True):
        cells = ("" if value != value else f"{value:.10g}" for value in row)
        lines.append(",".join((f"{stamp:.6f}", *cells)))
    write_text(path, "\n".join(lines) + "\n")


def _table(path: Path) -> tuple[list[str], Float64[np.ndarray, "t n"]]:
    """Header and numbers; NaN where a cell is empty or holds no number."""
    lines = read_bytes(path, "suit log").decode("utf-8-sig", errors="replace").splitlines()
    rows = [line.split(",") for line in lines if line.strip()]
    head = [cell.strip() for cell in rows[0]]
    if len(head) < 2 or not TIME.match(head[0]):
        raise InputError(
            f"{path}: expected a first line with time_s and one column for each encoder, got "
            f"{rows[0][0][:40]!r}; write such a header"
        )
    twice = sorted({cell for cell in head if head.count(cell) > 1})
    if twice:
        raise InputError(f"{path}: expected each column once, got {twice[0]!r} twice; rename one")
    if len(rows) < 3:
        raise InputError(
            f"{path}: expected two samples or more, got {len(rows) - 1}; record the motion again"
        )
    width = len(head)
    cells = [[_number(cell) for cell in (row + [""] * width)[:width]] for row in rows[1:]]
    return head, np.array(cells)


def _number(cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _in_order(
    path: Path, title: str, table: Float64[np.ndarray, "lines n"]
) -> tuple[Float64[np.ndarray, "t"], Float64[np.ndarray, "t m"], int]:
    """Stamps in seconds that increase, the other columns, and how many lines were left out."""
    found = TIME.match(title)
    assert found, title
    unit = (found["suffix"] or found["unit"] or "").lower()
    if unit not in SECONDS:
        raise InputError(f"{path}: expected time in s, ms or us, got {title!r}; correct the header")
    seconds = SECONDS[unit] * table[:, 0]
    known = np.isfinite(seconds)
    latest = np.maximum.accumulate(np.where(known, seconds, -np.inf))
    later = known.copy()
    later[1:] &= seconds[1:] > latest[:-1]
    if np.count_nonzero(later) < max(2, len(seconds) // 2):
        raise InputError(
            f"{path}: expected stamps that increase, got {np.count_nonzero(later)} such lines of "
            f"{len(seconds)}; sort the log by time"
        )
    return seconds[later], table[later, 1:], int(np.count_nonzero(~later))


def _from_header(path: Path, columns: Sequence[str]) -> EncoderRig:
    """A suit whose columns name joint, axis and unit."""
    source = path.with_name(SKELETON)
    if not source.is_file():
        raise InputError(
            f"expected {path.with_suffix('.json').name} or {SKELETON} beside {path}, found neither;"
            " describe the suit there, or put a BVH file of the wearer's skeleton there"
        )
    skeleton, encoders = read_bvh(source, "auto").skeleton, []
    for column in columns:
        found = COLUMN.match(column)
        if not found:
            raise InputError(
                f"{path}: expected a column named like 'LeftForeArm.z [deg]', got {column!r}; "
                "rename it or describe the suit in a .json file beside the log"
            )
        per_turn, counts = _unit((found["unit"] or "").strip(), f"{path}: column {column!r}")
        joint = skeleton.index(found["joint"].strip())
        encoders.append(Encoder(column, joint, AXES[found["axis"].lower()], per_turn, counts))
    return EncoderRig(skeleton, tuple(encoders))


def _unit(unit: str, where: str) -> tuple[float, bool]:
    """What a whole turn reads, and whether those are counts."""
    bits = BITS.match(unit)
    if bits and 1 <= int(bits[1]) <= MOST_BITS:
        return 2.0 ** int(bits[1]), True
    if unit.lower() in PER_TURN:
        return PER_TURN[unit.lower()], False
    raise InputError(
        f"{where}: expected the unit deg, rad or so many bit, got {unit!r}; correct it"
    )


def _described(path: Path, columns: Sequence[str]) -> EncoderRig:
    """The suit of a JSON file."""
    try:
        text = json.loads(read_bytes(path, "suit description"))
        return _rig(text, path, columns)
    except InputError as error:
        said = str(error)
        raise InputError(said if str(path) in said else f"{path}: {said}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = f"{type(error).__name__} {error}"[:100].replace("\n", " ")
        raise InputError(
            f"{path}: expected a suit as in docs/encoders.md, got something else ({what}); mend it"
        ) from None


def _rig(text: Any, path: Path, columns: Sequence[str]) -> EncoderRig:
    known = (
        "skeleton",
        "unit",
        "bits",
        "encoders",
        "calibration_s",
        "fps",
        "longest_gap_s",
        "root",
    )
    _known_only(text, known)
    unit = text.get("unit", "auto")
    if unit not in get_args(UnitChoice):
        raise InputError(
            f"expected a unit among {', '.join(get_args(UnitChoice))}, got {unit!r}; correct it"
        )
    skeleton = read_bvh(path.parent / str(text.get("skeleton", SKELETON)), unit).skeleton
    if not isinstance(text["encoders"], list) or not text["encoders"]:
        raise InputError(
            "expected a list of encoders, got none; name a column, joint and axis each"
        )
    encoders = tuple(
        _encoder(entry, skeleton, columns, text.get("bits")) for entry in text["encoders"]
    )
    used = [encoder.column for encoder in encoders]
    if len(set(used)) != len(used):
        raise InputError("expected a column for each encoder, got one for two; correct the columns")
    root = text.get("root", "fixed")
    if root not in get_args(Root):
        raise InputError(f"expected root fixed or feet, got {root!r}; choose one")
    return EncoderRig(
        skeleton,
        encoders,
        _span(text.get("calibration_s")),
        None if text.get("fps") is None else _real(text["fps"], "fps", _positive),
        _real(text.get("longest_gap_s", 0.5), "longest_gap_s", _positive),
        root,
    )


def _encoder(entry: Any, skeleton: Skeleton, columns: Sequence[str], bits: Any) -> Encoder:
    known = ("column", "joint", "axis", "bits", "unit", "sign", "gear", "offset", "pose_deg")
    _known_only(entry, known)
    column = str(entry["column"])
    if column not in columns:
        raise InputError(
            f"expected a column {column!r} in the log, got {', '.join(columns)}; correct the name"
        )
    bits = entry.get("bits", None if "unit" in entry else bits)
    where = f"encoder {column!r}"
    unit = str(entry.get("unit", "deg")) if bits is None else f"{bits} bit"
    per_turn, counts = _unit(unit, where)
    gear = _real(entry.get("gear", 1.0), f"gear of {where}", lambda value: 0.0 < abs(value) < 1e6)
    gear *= _real(entry.get("sign", 1.0), f"sign of {where}", lambda value: abs(value) == 1.0)
    return Encoder(
        column,
        skeleton.index(str(entry["joint"])),
        _axis(entry["axis"], where),
        per_turn,
        counts,
        gear,
        _real(entry.get("offset", 0.0), f"offset of {where}"),
        math.radians(_real(entry.get("pose_deg", 0.0), f"pose_deg of {where}")),
    )


def _known_only(entry: Any, known: tuple[str, ...]) -> None:
    if not isinstance(entry, dict):
        raise InputError(f"expected an object with {', '.join(known)}, got {entry!r}; mend it")
    unknown = sorted(set(entry) - set(known))
    if unknown:
        raise InputError(
            f"expected keys among {', '.join(known)}, got {unknown[0]!r}; correct its spelling"
        )


def _axis(value: Any, where: str) -> tuple[float, float, float]:
    if isinstance(value, str) and value.lower() in AXES:
        return AXES[value.lower()]
    if isinstance(value, list) and len(value) == 3:
        x, y, z = (_real(part, f"axis of {where}") for part in value)
        length = math.hypot(x, y, z)
        if length > 1e-6:
            return x / length, y / length, z / length
    raise InputError(
        f"expected x, y, z or three numbers as axis of {where}, got {value!r}; mend it"
    )


def _span(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"expected calibration_s as [from, to], got {value!r}; give two numbers")
    first, last = (_real(part, "calibration_s", lambda number: number >= 0.0) for part in value)
    if not first < last:
        raise InputError(f"expected calibration_s as [from, to], got {value!r}; give a later end")
    return first, last


def _positive(value: float) -> bool:
    return 0.0 < value < 1e6


def _real(value: Any, what: str, allowed: Callable[[float], bool] = math.isfinite) -> float:
    """A finite number in its range; True is none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not allowed(float(value)):
        raise InputError(f"expected a number in range as {what}, got {value!r}; correct it")
    return float(value)
