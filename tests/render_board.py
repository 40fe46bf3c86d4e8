"""Pictures of calibration boards with known truth: lens, pose, blur and noise.

The pattern is evaluated as a function of board coordinates, so that edges lie where mathematics
puts them and not where a texture's pixels do. Every pixel averages SAMPLES x SAMPLES rays; the map
from pixels to the board is linearised within a pixel, an error of about 1e-4 px.
"""

from functools import lru_cache

import cv2
import numpy as np
import torch

from muybridge.capture.board import Board
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

SAMPLES = 4  # along each side of a pixel
BLACK, GREY, WHITE = 30.0, 110.0, 225.0
MARGIN = 0.6  # white rim around the squares, in squares


def render_board(
    board: Board,
    cameras: Cameras,
    index: int,
    world_from_board: Rigid,
    *,
    blur_px: float = 0.7,
    noise: float = 2.0,
    seed: int = 0,
) -> np.ndarray:
    """The board as camera `index` sees it: H x W uint8 grey.

    Args:
        board: The board; its frame has the first inner corner as origin (see `Board`).
        cameras: The rig; only camera `index` is used, its size is the picture's.
        index: Which camera.
        world_from_board: Pose of the board.
        blur_px: Standard deviation of a Gaussian blur.
        noise: Standard deviation of the grey noise, levels of 255.
        seed: Of the noise.
    """
    camera = cameras.select([index])
    width, height = (int(n) for n in camera.size_px[0].tolist())
    x, y = _board_coordinates(camera, world_from_board, width, height)
    x, y = x / board.square_m + 1.0, y / board.square_m + 1.0  # squares from the outer corner
    gradients = (*np.gradient(x), *np.gradient(y))
    image = np.zeros((height, width))
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    for down in offsets:
        for right in offsets:
            image += _pattern(
                board,
                x + down * gradients[0] + right * gradients[1],
                y + down * gradients[2] + right * gradients[3],
            )
    image /= SAMPLES**2
    if blur_px > 0.0:
        image = cv2.GaussianBlur(image, (0, 0), blur_px)
    image += np.random.default_rng(seed).normal(0.0, noise, image.shape) if noise > 0.0 else 0.0
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _board_coordinates(camera, world_from_board, width, height):
    """Where each pixel's ray meets the board's plane, metres; NaN behind the camera."""
    v, u = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    rays = camera.normalize(torch.stack((u, v), dim=-1).reshape(1, -1, 2))[0]
    rays = torch.cat((rays, torch.ones_like(rays[:, :1])), dim=-1)
    camera_from_board = Rigid(camera.rotation[0], camera.translation[0]).compose(world_from_board)
    board_from_camera = camera_from_board.inverse()
    directions = rays @ board_from_camera.rotation.mT
    depth = -board_from_camera.translation[2] / directions[:, 2]
    depth[depth <= 0.0] = torch.nan
    hit = board_from_camera.translation + depth[:, None] * directions
    x, y = (hit[:, i].reshape(height, width).numpy() for i in range(2))
    return x, y


def _pattern(board: Board, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Grey level at board coordinates in squares from the outer corner of the first square."""
    columns, rows = (n + 1 for n in board.corner_grid)
    i, j = np.floor(np.nan_to_num(x, nan=-99.0)), np.floor(np.nan_to_num(y, nan=-99.0))
    on_squares = (i >= 0) & (i < columns) & (j >= 0) & (j < rows)
    i, j = np.where(on_squares, i, 0).astype(int), np.where(on_squares, j, 0).astype(int)
    chess = board.kind == "chessboard"
    white = (i + j) % 2 == 1 if chess else _charuco_white(board, i, j, x, y)
    sheet = (x > -MARGIN) & (x < columns + MARGIN) & (y > -MARGIN) & (y < rows + MARGIN)
    white = np.where(on_squares, white, True)
    if board.inverted:
        white = ~white
    return np.where(sheet, np.where(white, WHITE, BLACK), GREY)


def _charuco_white(board, i, j, x, y):
    cells, ids = _charuco_layout(
        board.columns, board.rows, board.marker_ratio, board.dictionary, board.legacy
    )
    white = ids[j, i] >= 0
    side = cells.shape[-1]
    rim = (1.0 - board.marker_ratio) / 2.0
    a = np.floor((np.nan_to_num(x) - i - rim) / board.marker_ratio * side)
    b = np.floor((np.nan_to_num(y) - j - rim) / board.marker_ratio * side)
    on_marker = white & (a >= 0) & (a < side) & (b >= 0) & (b < side)
    a, b = np.where(on_marker, a, 0).astype(int), np.where(on_marker, b, 0).astype(int)
    return np.where(on_marker, cells[ids[j, i], b, a], white)


@lru_cache
def _charuco_layout(columns, rows, ratio, dictionary, legacy):
    """Cells of every marker (markers x side x side, True = white); marker id of each square."""
    aruco = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, dictionary))
    pattern = cv2.aruco.CharucoBoard((columns, rows), 1.0, ratio, aruco)
    pattern.setLegacyPattern(legacy)
    side = aruco.markerSize + 2
    ids = np.full((rows, columns), -1)
    for marker, corners in zip(pattern.getIds().ravel(), pattern.getObjPoints(), strict=True):
        i, j = np.floor(np.asarray(corners).mean(axis=0)[:2]).astype(int)
        ids[j, i] = marker
    cells = [cv2.aruco.generateImageMarker(aruco, int(m), side) > 127 for m in range(ids.max() + 1)]
    return np.stack(cells), ids
