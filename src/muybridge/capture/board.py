"""Calibration boards and where cameras saw their corners.

N corners, V views. Board frame: metres, x along the columns, y along the rows, z out of the back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Board", "BoardViews"]


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
    """

    camera: str
    size_px: tuple[int, int]
    board: Board
    instants: tuple[str, ...]
    points_px: Float[Tensor, "v n 2"]
