"""Calibration boards and where cameras saw their corners.

N corners, V views. Board frame: metres, x along the columns, y along the rows, z out of the back;
the origin is the first inner corner. A chessboard's first square, outside that corner, is black.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["DICTIONARIES", "Board", "BoardViews", "read_board", "select_views", "spread_views"]

DICTIONARIES = (
    *(f"DICT_{n}X{n}_{count}" for n in (4, 5, 6, 7) for count in (50, 100, 250, 1000)),
    "DICT_ARUCO_ORIGINAL",
    *(f"DICT_APRILTAG_{name}" for name in ("16h5", "25h9", "36h10", "36h11")),
    "DICT_ARUCO_MIP_36h12",
)
LARGEST = 60  # columns or rows; more is a slip of the pen
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "inch": 0.0254}


@dataclass(frozen=True)
class Board:
    """A chessboard or a ChArUco board.

    Attributes:
        kind: Which.
        columns: Inner corners along x for a chessboard; squares along x for ChArUco.
        rows: The same along y.
        square_m: Side of a square, metres.
        marker_ratio: ChArUco only: marker side divided by square side.
        dictionary: ChArUco only: OpenCV's name, such as "DICT_4X4_1000".
        inverted: Printed with black and white exchanged.
        legacy: ChArUco only: the pattern of OpenCV before 4.6.
    """

    kind: Literal["chessboard", "charuco"]
    columns: int
    rows: int
    square_m: float
    marker_ratio: float = 0.75
    dictionary: str = "DICT_4X4_50"
    inverted: bool = False
    legacy: bool = False

    @property
    def corner_grid(self) -> tuple[int, int]:
        """Inner corners along x and y."""
        if self.kind == "chessboard":
            return self.columns, self.rows
        return self.columns - 1, self.rows - 1

    def corners_board(self) -> Float[Tensor, "n 3"]:
        """Corner positions in the board's frame, row by row, metres."""
        columns, rows = self.corner_grid
        y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
        flat = torch.stack((x, y, torch.zeros_like(x)), dim=-1).reshape(-1, 3)
        return flat.to(torch.float64) * self.square_m


@dataclass(frozen=True)
class BoardViews:
    """The corners of one board that one camera saw.

    Attributes:
        camera: Camera name.
        size_px: Width and height of its pictures.
        board: The board.
        instants: Name of each view; views of different cameras with the same name were taken at
            the same instant (a frame number or a common picture name).
        points_px: Corner pixels; NaN where a corner was not seen.
        mirrored: The pictures are mirrored left-right. The corners are those of the picture flipped
            back, so everything filmed by this camera must be flipped back too.
    """

    camera: str
    size_px: tuple[int, int]
    board: Board
    instants: tuple[str, ...]
    points_px: Float[Tensor, "v n 2"]
    mirrored: bool = False

    def __len__(self) -> int:
        return len(self.instants)


def select_views(views: BoardViews, indices: Int64[Tensor, "k"]) -> BoardViews:
    """The views at these indices, in this order."""
    instants = tuple(views.instants[i] for i in indices.tolist())
    return replace(views, instants=instants, points_px=views.points_px[indices])


def spread_views(views: BoardViews, count: int) -> BoardViews:
    """At most `count` views that differ most in place, size and tilt, in their given order.

    Farthest-point sampling on where the board's four quarters lie in the picture, which place,
    size and tilt all move. Views with fewer corners lose against views with more at the same place.

    Args:
        views: Many views, such as all frames of a video.
        count: How many to keep; all when there are no more.
    """
    if len(views) <= count:
        return views
    place = _quarters(views) / max(views.size_px)
    seen = (~views.points_px.isnan().any(-1)).double().mean(-1)
    chosen = [int(seen.argmax())]
    distance = (place - place[chosen[0]]).norm(dim=-1)
    for _ in range(count - 1):
        chosen.append(int((distance * seen).argmax()))
        distance = torch.minimum(distance, (place - place[chosen[-1]]).norm(dim=-1))
    return select_views(views, torch.tensor(sorted(chosen)))


def _quarters(views: BoardViews) -> Float[Tensor, "v 8"]:
    """Mean pixel of the corners in each quarter of the board; of all where it shows none."""
    columns, rows = views.board.corner_grid
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    quarter = (2 * (2 * row >= rows) + (2 * column >= columns)).flatten()
    middle = views.points_px.nanmean(1)
    means = [views.points_px[:, quarter == q].nanmean(1) for q in range(4)]
    return torch.cat([torch.where(mean.isnan(), middle, mean) for mean in means], dim=-1)


def read_board(path: Path) -> Board:
    """Read a board's description.

    Ours is a TOML file with `kind` ("chessboard" or "charuco"), `columns`, `rows` (inner corners of
    a chessboard, squares of a ChArUco board), the side of a square as `square_m`, `square_cm` or
    `square_mm`, and for ChArUco `marker_ratio`, `dictionary`, `legacy`, and for both `inverted`.
    caliscope's charuco.toml is understood too.

    Raises:
        InputError: If the file is absent, or a value is missing or makes no sense.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"expected the description of a board, found none at {path}; write one")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"expected a TOML file, got {path} ({error}); correct it") from error
    table = _from_caliscope(table) if "aruco_scale" in table else table
    if table.get("kind") not in ("chessboard", "charuco"):
        raise InputError(
            f'expected kind = "chessboard" or "charuco" in {path}, got {table.get("kind")!r}; '
            "say which board it is"
        )
    return Board(
        table["kind"],
        _count(table, "columns", path),
        _count(table, "rows", path),
        _square_m(table, path),
        _number(table, "marker_ratio", path, 0.75, below=1.0),
        _dictionary(table, path),
        _flag(table, "inverted", path),
        _flag(table, "legacy", path),
    )


def _from_caliscope(table: Mapping[str, Any]) -> dict[str, Any]:
    """caliscope's keys in our words; the square is measured, or fills the sheet."""
    ours = {"kind": "charuco", "marker_ratio": table["aruco_scale"]}
    ours |= {k: table[k] for k in ("columns", "rows", "dictionary", "inverted") if k in table}
    ours["legacy"] = table.get("legacy_pattern", False)
    if table.get("square_size_override_cm") is not None:
        return ours | {"square_cm": table["square_size_override_cm"]}
    try:
        side = min(table["board_width"] / table["columns"], table["board_height"] / table["rows"])
        return ours | {"square_m": side * METRES[table.get("units", "inch")]}
    except (KeyError, TypeError, ZeroDivisionError):
        return ours


def _count(table: Mapping[str, Any], key: str, path: Path) -> int:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 3 <= value <= LARGEST:
        raise InputError(
            f"expected {key} from 3 to {LARGEST} in {path}, got {value!r}; count the inner corners "
            "of a chessboard or the squares of a ChArUco board"
        )
    return value


def _number(
    table: Mapping[str, Any], key: str, path: Path, default: float, below: float = math.inf
) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 < value < below:
        limit = "" if below == math.inf else f" and below {below:g}"
        raise InputError(f"expected {key} above 0{limit} in {path}, got {value!r}; correct it")
    return float(value)


def _square_m(table: Mapping[str, Any], path: Path) -> float:
    for unit in ("m", "cm", "mm"):
        if f"square_{unit}" in table:
            return _number(table, f"square_{unit}", path, 0.0, below=1e5) * METRES[unit]
    raise InputError(
        f"expected square_m, the side of a square, in {path}, got none; measure it with a ruler"
    )


def _dictionary(table: Mapping[str, Any], path: Path) -> str:
    name = table.get("dictionary", "DICT_4X4_50")
    if name not in DICTIONARIES:
        raise InputError(
            f"expected dictionary to be one of {', '.join(DICTIONARIES)} in {path}, got {name!r}; "
            "correct it, or leave it out and let the pictures tell"
        )
    return str(name)


def _flag(table: Mapping[str, Any], key: str, path: Path) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise InputError(f"expected {key} = true or false in {path}, got {value!r}; correct it")
    return value
