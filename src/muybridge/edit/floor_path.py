"""Paths on the floor that a character is to follow, drawn by hand or by a script.

P points, *b any batch. World frame: metres; x and z, since y is up; seconds.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes

__all__ = ["LONGEST", "FloorPath", "read_floor_path"]

LONGEST = 6.0 * 3600.0  # seconds of motion that are made in one go
FARTHEST = 20_000.0  # metres
FORM = '[[x, z], ...] in metres, or {"points": [[x, z], ...], "times": [seconds, ...]}'


@dataclass(frozen=True)
class FloorPath:
    """Straight lines from point to point; many points make a curve.

    Attributes:
        points: x and z, metres; neighbours differ.
        times: When each point is to be reached, rising; None if the path says only where.
    """

    points: Float[Tensor, "p 2"]
    times: Float[Tensor, "q"] | None = None  # q = p, which the constructor checks

    def __post_init__(self) -> None:
        if len(self.points) < 2 or not bool(self.points.isfinite().all()):
            raise InputError(
                f"expected a path of at least two points, all finite, got {len(self.points)}; "
                f"write {FORM}"
            )
        if self.length <= 0.0:
            raise InputError(
                "expected a path that goes somewhere, got the same point again and again; "
                "give points some metres apart"
            )
        if self.length > FARTHEST:
            raise InputError(
                f"expected a path of up to {FARTHEST / 1000.0:g} km, got "
                f"{self.length / 1000.0:g} km; are the points in metres?"
            )
        if self.times is None:
            return
        if len(self.times) != len(self.points) or bool((self.times.diff() <= 0.0).any()):
            raise InputError(
                f"expected one rising time for each of {len(self.points)} points, got "
                f"{self.times.tolist()[:8]}; give seconds such as [0, 1, 2]"
            )
        if self.duration > LONGEST:
            raise InputError(
                f"expected a path of up to {LONGEST / 3600.0:g} hours, got "
                f"{self.duration / 3600.0:g}; give a shorter one or a higher --speed"
            )

    @cached_property
    def distances(self) -> Float[Tensor, "p"]:
        """Way along the path to each point, metres."""
        steps = self.points.diff(dim=0).norm(dim=-1)
        return torch.cat((steps.new_zeros(1), steps.cumsum(0)))

    @cached_property
    def length(self) -> float:
        """Metres from end to end."""
        return float(self.distances[-1])

    @property
    def duration(self) -> float:
        """Seconds from end to end; only of a path with times."""
        assert self.times is not None, "this path has no times"
        return float(self.times[-1] - self.times[0])

    def at_distance(self, distance: Float[Tensor, "*b"]) -> Float[Tensor, "*b 2"]:
        """Points after some way, metres; the first and last point beyond the ends."""
        return self._between(self.distances, distance)

    def at_time(self, seconds: Float[Tensor, "*b"]) -> Float[Tensor, "*b 2"]:
        """Points some time after the beginning; the first and last point beyond the ends."""
        assert self.times is not None, "this path has no times"
        return self._between(self.times - self.times[0], seconds)

    def timed(self, speed: float) -> FloorPath:
        """The path with its own times, or else walked at a speed, metres/second."""
        if self.times is not None:
            return self
        if not 0.0 < speed < float("inf"):
            raise InputError(f"expected a speed above 0 m/s, got {speed}; give --speed 1.2")
        return FloorPath(self.points, self.distances / speed)

    def apart(self, points: Float[Tensor, "t 2"]) -> Float[Tensor, "t"]:
        """Distance of points to the nearest place of the path, metres."""
        start, step = self.points[:-1], self.points.diff(dim=0)
        square = step.square().sum(-1).clamp(min=1e-12)
        along = ((points.unsqueeze(1) - start) * step).sum(-1) / square
        foot = start + along.clamp(0.0, 1.0).unsqueeze(-1) * step
        return (points.unsqueeze(1) - foot).norm(dim=-1).amin(1)

    def _between(self, knots: Tensor, where: Tensor) -> Tensor:
        at, known = where.numpy(), knots.numpy()
        columns = [np.interp(at, known, column) for column in self.points.numpy().T]
        return torch.from_numpy(np.stack(columns, axis=-1))


def read_floor_path(path: Path) -> FloorPath:
    """Read a path: a JSON list of points, or an object with points and times.

    Raises:
        InputError: If the file is absent, no JSON, or holds something else.
    """
    content = read_bytes(path, "path (JSON)")
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON in {path}, got {error}; write {FORM}") from error
    found = data if isinstance(data, dict) else {"points": data}
    unknown = sorted(set(found) - {"points", "times"})
    if unknown or "points" not in found:
        raise InputError(
            f"expected points and times in {path}, got {', '.join(map(str, found)) or 'nothing'}; "
            f"write {FORM}"
        )
    points = _numbers(path, found["points"], 2)
    times = None if found.get("times") is None else _numbers(path, found["times"], 1)
    try:
        return FloorPath(points, None if times is None else times[:, 0])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _numbers(path: Path, rows: Any, width: int) -> Float[Tensor, "p n"]:
    """Rows of so many numbers."""
    if isinstance(rows, list) and rows:
        table = [row if isinstance(row, list) else [row] for row in rows]
        if all(_is_row(row, width) for row in table):
            return torch.tensor(table, dtype=torch.float64)
    what = "[x, z]" if width == 2 else "seconds"
    raise InputError(
        f"expected a list of {what} in {path}, got {json.dumps(rows)[:60]}; write {FORM}"
    )


def _is_row(row: Sequence[Any], width: int) -> bool:
    plain = all(isinstance(v, int | float) and not isinstance(v, bool) for v in row)
    return len(row) == width and plain and all(abs(v) < 1e9 for v in row)
