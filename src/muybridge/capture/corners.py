"""Corners of a calibration board in pictures, to a few hundredths of a pixel.

OpenCV finds the board; the corners are then refined in the board's own coordinates: every corner is
the point where the grey slopes of the two edges through it cross, and slopes count by how near they
lie to those edges, measured in squares. The window thus follows size, slant and perspective of each
single square, and stays between a ChArUco marker and its corner. A window of fixed pixels reaches
the neighbouring corner on small squares and sees half an edge on large ones.

Pictures are uint8 grey, H x W. N corners. Pixel centres are whole numbers, as in OpenCV.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, UInt8
from torch import Tensor

from muybridge.capture.board import Board, BoardViews
from muybridge.errors import InputError
from muybridge.files.video import VIDEO_SUFFIXES, probe, read_frames

__all__ = [
    "PICTURE_SUFFIXES",
    "SOURCE_DOCUMENT_CORNERS",
    "CornerOptions",
    "Picture",
    "charuco_pattern",
    "describe",
    "find_corners",
    "find_views",
    "read_picture",
    "read_pictures",
]

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
BAND = 0.15  # half-width of the strip along an edge that counts, in squares
REACH = 0.4  # how far along the edge it counts, in squares
MARKER_BAND = 0.64  # ChArUco: the band as a part of the gap between a marker and its square
REACH_PX = 32.0  # on huge squares nothing is gained beyond; the lens bends the edges there
LARGEST_MOVE = 0.3  # a corner that moves further than this, in squares, was not a corner
LARGEST_MISFIT = 0.15  # of corners to a plane's homography, in squares; more is a false detection
FEWEST_CORNERS = 6

Picture = UInt8[np.ndarray, "height width"]
Points = Float64[np.ndarray, "n 2"]
Slopes = Float64[np.ndarray, "n 2 2"]  # derivative of pixels by squares, or its inverse


@dataclass(frozen=True)
class CornerOptions:
    """How corners are refined.

    Attributes:
        refinement: "board" measures in squares, as the head of this file says; "window" is OpenCV's
            cornerSubPix in a window of fixed pixels.
        window_px: Half width and half height of that window.
        zero_zone_px: Half size of its dead middle; (-1, -1) for none.
        max_iterations: Where the refinement stops ...
        tolerance_px: ... or when it moves less than this.
    """

    refinement: Literal["board", "window"] = "board"
    window_px: tuple[int, int] = (11, 11)
    zero_zone_px: tuple[int, int] = (-1, -1)
    max_iterations: int = 12
    tolerance_px: float = 2e-3


SOURCE_DOCUMENT_CORNERS = CornerOptions("window", (12, 12), (1, 1), 30, 0.1)


def find_corners(
    picture: Picture, board: Board, options: CornerOptions | None = None
) -> Float[Tensor, "n 2"] | None:
    """Corners of the board in one picture.

    Args:
        picture: Grey picture.
        board: What to look for. A chessboard is found in either order of columns and rows.
        options: Refinement.
    Returns:
        Pixels in the order of `Board.corners_board`, NaN where unseen; None if no board is seen.
    """
    options = options or CornerOptions()
    upright = cv2.bitwise_not(picture) if board.inverted else picture
    detect = _chessboard if board.kind == "chessboard" else _charuco
    found = detect(upright, board)
    if found is None:
        return None
    which, rough = found
    if options.refinement == "window":
        refined = _window_refined(upright, rough, options)
    else:
        slopes = _px_by_square(board, which, rough)
        refined = _board_refined(upright, rough, slopes, _band(board), options)
    corners = np.full((board.corner_grid[0] * board.corner_grid[1], 2), np.nan)
    corners[which] = refined
    return torch.from_numpy(corners)


def _squares(board: Board) -> Points:
    """Corners in the board's plane, in squares."""
    return board.corners_board()[:, :2].numpy() / board.square_m


def _band(board: Board) -> float:
    if board.kind == "chessboard":
        return BAND
    return min(BAND, MARKER_BAND * (1.0 - board.marker_ratio) / 2.0)


# -- detection ------------------------------------------------------------------------------------


def _chessboard(picture: Picture, board: Board) -> tuple[np.ndarray, Points] | None:
    columns, rows = board.corner_grid
    found, corners = cv2.findChessboardCorners(picture, (columns, rows))
    if not found or len(corners) != columns * rows:
        return None
    grid = _canonical(picture, np.asarray(corners, np.float64).reshape(rows, columns, 2))
    return np.arange(rows * columns), np.ascontiguousarray(grid.reshape(-1, 2))


def _canonical(picture: Picture, grid: Float64[np.ndarray, "rows columns 2"]) -> np.ndarray:
    """Turn the grid so that z points away from the camera and the first square is black.

    The second is possible where one side counts even and the other odd; else a half turn of the
    board cannot be seen.
    """
    right, down = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
    if right[0] * down[1] - right[1] * down[0] < 0.0:
        grid = grid[:, ::-1]
    if (grid.shape[0] + grid.shape[1]) % 2 == 0:
        return grid
    middles = (grid[1:, 1:] + grid[:-1, :-1] + grid[1:, :-1] + grid[:-1, 1:]) / 4.0
    x, y = np.round(middles).astype(int).reshape(-1, 2).T
    grey = cv2.blur(picture, (3, 3))[y, x].astype(float)
    row, column = np.indices(middles.shape[:2])
    like_first = ((row + column) % 2 == 0).ravel()
    black_first = grey[like_first].mean() < grey[~like_first].mean()
    return grid if black_first else grid[::-1, ::-1]


def _charuco(picture: Picture, board: Board) -> tuple[np.ndarray, Points] | None:
    corners, ids, _, _ = _charuco_detector(replace(board, inverted=False)).detectBoard(picture)
    if ids is None or len(ids) < FEWEST_CORNERS:
        return None
    which = np.asarray(ids).ravel().astype(int)
    rough = np.asarray(corners, np.float64).reshape(-1, 2)
    squares = _squares(board)[which]
    if min(len(np.unique(squares[:, i])) for i in range(2)) < 2:
        return None  # corners on one line say nothing of the lens
    homography = cv2.findHomography(squares, rough)[0]
    if homography is None:
        return None
    misfit = np.linalg.norm(_mapped(homography, squares) - rough, axis=-1)
    side = np.sqrt(np.abs(np.linalg.det(_slopes_of(homography, squares))))
    return (which, rough) if np.median(misfit / side) < LARGEST_MISFIT else None


@lru_cache
def _charuco_detector(board: Board) -> Any:
    return cv2.aruco.CharucoDetector(charuco_pattern(board))


def charuco_pattern(board: Board) -> Any:
    """OpenCV's ChArUco board; its unit is a square, its origin the sheet's corner."""
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    size = (board.columns, board.rows)
    pattern = cv2.aruco.CharucoBoard(size, 1.0, board.marker_ratio, dictionary)
    pattern.setLegacyPattern(board.legacy)
    return pattern


# -- refinement -----------------------------------------------------------------------------------


def _mapped(homography: np.ndarray, squares: Points) -> Points:
    return cv2.perspectiveTransform(squares[None], homography)[0]


def _slopes_of(homography: np.ndarray, squares: Points) -> np.ndarray:
    """Derivative of pixels by squares at each point, n x 2 x 2."""
    image = np.c_[squares, np.ones(len(squares))] @ homography.T
    pixels = image[:, :2] / image[:, 2:]
    return (homography[:2, :2] - pixels[:, :, None] * homography[2:, :2]) / image[:, 2:, None]


def _px_by_square(board: Board, which: np.ndarray, rough: Points) -> Slopes:
    """Derivative of pixels by squares at each seen corner: half the way between its neighbours.

    Where one neighbour is missing it is the way to the other one, where both are, that of a
    homography of the whole board.
    """
    columns, rows = board.corner_grid
    squares = _squares(board)[which]
    grid = np.full((rows * columns, 2), np.nan)
    grid[which] = rough
    grid = np.pad(grid.reshape(rows, columns, 2), ((1, 1), (1, 1), (0, 0)), constant_values=np.nan)
    middle = grid[1:-1, 1:-1]
    slopes = _slopes_of(cv2.findHomography(squares, rough)[0], squares)
    for axis, (after, before) in enumerate(
        ((grid[1:-1, 2:], grid[1:-1, :-2]), (grid[2:, 1:-1], grid[:-2, 1:-1]))
    ):
        ahead, behind = after - middle, middle - before
        step = np.where(np.isnan(ahead), behind, np.where(np.isnan(behind), ahead, 0.0))
        step = np.where(np.isnan(ahead + behind), step, (ahead + behind) / 2.0)
        step = step.reshape(-1, 2)[which]
        slopes[..., axis] = np.where(np.isnan(step), slopes[..., axis], step)
    return slopes


def _window_refined(picture: Picture, rough: Points, options: CornerOptions) -> Points:
    kind = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT
    refined = cv2.cornerSubPix(
        picture,
        rough.astype(np.float32).reshape(-1, 1, 2),
        options.window_px,
        options.zero_zone_px,
        (kind, options.max_iterations, options.tolerance_px),
    )
    return np.asarray(refined, np.float64).reshape(-1, 2)


def _board_refined(
    picture: Picture, rough: Points, slopes: np.ndarray, band: float, options: CornerOptions
) -> Points:
    """Move every corner q to where  sum_p w(p) g g^T (q - p) = 0,  g the grey slope at pixel p.

    The weight falls off with the distance of p from the nearer edge (band) and along it (reach),
    both in squares. Corners that wander off become NaN.

    References:
        Förstner & Gülch, A fast operator for detection and precise location of distinct points,
        corners and centres of circular features, ISPRS 1987.
    """
    side = np.sqrt(np.abs(np.linalg.det(slopes)))
    reach = np.minimum(REACH, REACH_PX / side)
    patches = _patches(
        _smoothed(picture, float(np.median(side)) * band / 10.0), rough, slopes, reach
    )
    inverse = np.linalg.inv(slopes)
    moved = np.zeros_like(rough)
    for _ in range(options.max_iterations):
        step = _step(patches, moved, inverse, band, reach)
        moved += step
        if np.abs(step).max() < options.tolerance_px:
            break
    squares = np.linalg.norm((inverse @ moved[..., None])[..., 0], axis=-1)
    lost = ~(squares < LARGEST_MOVE)
    return np.where(lost[:, None], np.nan, rough + moved)


def _smoothed(picture: Picture, sigma_px: float) -> Float32[np.ndarray, "height width"]:
    grey = picture.astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), sigma_px) if sigma_px > 0.3 else grey


class _Patches(NamedTuple):
    """Pixels around each corner: where, relative to it, and the products of their grey slopes."""

    x: Float32[np.ndarray, "n h w"]
    y: Float32[np.ndarray, "n h w"]
    xx: Float32[np.ndarray, "n h w"]
    xy: Float32[np.ndarray, "n h w"]
    yy: Float32[np.ndarray, "n h w"]


def _patches(
    grey: Float32[np.ndarray, "height width"], rough: Points, slopes: Slopes, reach: np.ndarray
) -> _Patches:
    half = int(np.ceil((reach[:, None] * np.abs(slopes).sum(-1)).max())) + 1
    offsets = np.arange(-half, half + 1)
    whole = np.round(rough).astype(int)
    x = whole[:, 0, None, None] + offsets
    y = whole[:, 1, None, None] + offsets[:, None]
    height, width = grey.shape
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    at = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    slope_x = cv2.Scharr(grey, cv2.CV_32F, 1, 0, scale=1 / 32)[at] * inside
    slope_y = cv2.Scharr(grey, cv2.CV_32F, 0, 1, scale=1 / 32)[at] * inside
    x, y = np.broadcast_arrays(x - rough[:, 0, None, None], y - rough[:, 1, None, None])
    return _Patches(
        x.astype(np.float32),
        y.astype(np.float32),
        slope_x * slope_x,
        slope_x * slope_y,
        slope_y * slope_y,
    )


def _step(
    patches: _Patches, moved: Points, inverse: Slopes, band: float, reach: np.ndarray
) -> Points:
    """One step towards the fixed point of `_board_refined`, pixels; zero on flat grey."""
    x, y = (a - moved[:, i, None, None].astype(np.float32) for i, a in enumerate(patches[:2]))
    to_squares = inverse.astype(np.float32)[..., None, None]
    u = np.abs(to_squares[:, 0, 0] * x + to_squares[:, 0, 1] * y)
    v = np.abs(to_squares[:, 1, 0] * x + to_squares[:, 1, 1] * y)
    across, along = np.minimum(u, v), np.maximum(u, v) / reach.astype(np.float32)[:, None, None]
    weight = np.exp(-2.0 * ((across / band) ** 2 + along**2))
    weight *= (across < 2.0 * band) & (along < 1.0)
    xx, xy, yy = (np.einsum("nij,nij->n", weight, g, dtype=float) for g in patches[2:])
    right = [
        np.einsum("nij,nij->n", weight, g * x + h * y, dtype=float)
        for g, h in ((patches.xx, patches.xy), (patches.xy, patches.yy))
    ]
    det = xx * yy - xy * xy
    sound = det > 1e-6 * (xx + yy) ** 2
    step = np.stack((yy * right[0] - xy * right[1], xx * right[1] - xy * right[0]), axis=-1)
    return np.where(sound[:, None], step / np.where(sound, det, 1.0)[:, None], 0.0)


# -- pictures and videos --------------------------------------------------------------------------


def read_picture(path: Path) -> Picture:
    """One picture as grey.

    Raises:
        InputError: If it is absent or not a picture.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"expected a picture, found none at {path}; check the path")
    picture = (
        cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
        if (path.stat().st_size)
        else None
    )
    if picture is None:
        raise InputError(f"expected a picture, got {path} that cannot be read; take it again")
    return np.asarray(picture, np.uint8)


def read_pictures(source: Path | Sequence[Path], most: int = 240) -> Iterator[tuple[str, Picture]]:
    """Instants and grey pictures of a video, a folder or a list of picture files.

    Args:
        source: A video file, a folder of pictures, or picture files. The instant of a frame is its
            index; that of a picture the last number in its name, or the whole name where these are
            not all different.
        most: Frames of a video to take at most, evenly spread, the same ones for videos of the same
            length; pictures are all taken.
    Raises:
        InputError: If there is none, or one cannot be read.
    """
    if isinstance(source, Path) and source.suffix.lower() in VIDEO_SUFFIXES:
        every = max(1, math.ceil(probe(source).frame_count / most))
        for index, frame in enumerate(read_frames(source)):
            if index % every == 0:
                yield str(index), cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        return
    paths = _picture_files(source)
    for name, path in zip(_instants(paths), paths, strict=True):
        yield name, read_picture(path)


def _picture_files(source: Path | Sequence[Path]) -> list[Path]:
    if not isinstance(source, Path):
        paths = sorted(Path(p) for p in source)
    elif source.is_dir():
        paths = sorted(p for p in source.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    else:
        paths = [source]
    if not paths:
        raise InputError(
            f"expected pictures of a board in {source}, found none; put a video or "
            f"{', '.join(PICTURE_SUFFIXES)} files there"
        )
    return paths


def _instants(paths: Sequence[Path]) -> list[str]:
    numbers = [re.findall(r"\d+", path.stem) for path in paths]
    names = [str(int(n[-1])) if n else path.stem for n, path in zip(numbers, paths, strict=True)]
    return names if len(set(names)) == len(names) else [path.stem for path in paths]


def find_views(
    camera: str,
    pictures: Iterable[tuple[str, Picture]],
    board: Board,
    options: CornerOptions | None = None,
    *,
    mirrored: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> BoardViews:
    """Corners of the board in all pictures of one camera.

    Args:
        camera: Its name.
        pictures: Instants and grey pictures, as `read_pictures` gives; one is held at a time.
        board: What to look for, such as `find_board` tells.
        options: Refinement.
        mirrored: Flip the pictures left-right first.
        on_progress: Called with the number of pictures done.
    Raises:
        InputError: If the pictures differ in size, or the board is in none of them.
    """
    size: tuple[int, int] | None = None
    found: dict[str, Tensor] = {}
    count = 0
    for count, (instant, picture) in enumerate(pictures, start=1):
        mine = (picture.shape[1], picture.shape[0])
        size = size or mine
        if mine != size:
            raise InputError(
                f"expected all pictures of {camera} to be {size[0]} x {size[1]}, got {mine[0]} x "
                f"{mine[1]} for {instant}; calibrate with pictures of one size and one zoom"
            )
        upright = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
        corners = find_corners(upright, board, options)
        if corners is not None:
            found[instant] = corners
        if on_progress:
            on_progress(count)
    if size is None or not found:
        raise InputError(
            f"expected {describe(board)} in the pictures of {camera}, found it in none of {count}; "
            "check the board's description and that it is whole, sharp and well lit"
        )
    points = torch.stack(tuple(found.values()))
    return BoardViews(camera, size, board, tuple(found), points, mirrored)


def describe(board: Board) -> str:
    """The board in words."""
    if board.kind == "chessboard":
        return f"a chessboard with {board.columns} x {board.rows} inner corners"
    looks = [word for word in ("inverted", "legacy") if getattr(board, word)]
    extra = f", {' and '.join(looks)}" if looks else ""
    return f"a ChArUco board of {board.columns} x {board.rows} squares, {board.dictionary}{extra}"
