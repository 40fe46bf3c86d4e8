"""Lens calibration: our corners beside OpenCV's 11-px window and the recipe of the source document.

Same pictures, same detections, same model of the lens (fx fy cx cy k1 k2 p1 p2 k3); only the
refinement of the corners differs. "no view left out" switches our outlier rules off, so that the
columns compare corners and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2

from muybridge.capture.board import Board, read_board
from muybridge.capture.corners import (
    SOURCE_DOCUMENT_CORNERS,
    CornerOptions,
    Picture,
    find_views,
    read_pictures,
)
from muybridge.capture.lens import SOURCE_DOCUMENT_LENS, LensOptions, calibrate_lens
from tests.board_rig import held_poses, one_camera
from tests.demo import demo_folder
from tests.render_board import render_board

DATA = Path(__file__).parents[1] / "../shared/data"
PLAIN = LensOptions(robust=False, most_views=None)
METHODS = {
    "ours": (CornerOptions(), LensOptions()),
    "ours, no view left out": (CornerOptions(), PLAIN),
    "window 11": (CornerOptions("window", (11, 11), (-1, -1), 30, 0.001), PLAIN),
    "source recipe": (SOURCE_DOCUMENT_CORNERS, replace(SOURCE_DOCUMENT_LENS, fewest_corners=8)),
}


def main() -> None:
    """Print the tables."""
    print(f"RMS in px (focal length in px), OpenCV {cv2.__version__}")
    print(f"{'pictures':24}" + "".join(f"{name:>24}" for name in METHODS))
    for name, asked, pictures, board in _data():
        row = [_rms(name, pictures, board, *method) for method in METHODS.values()]
        print(
            f"{name:24}" + "".join(f"{cell:>24}" for cell in row) + f"  asked {asked}", flush=True
        )
    _solvers()
    _rendered()


def _data() -> Iterator[tuple[str, str, list[tuple[str, Picture]], Board]]:
    if not DATA.is_dir():
        print("the chessboards and ChArUco videos of ../shared/data are absent")
    board = Board("chessboard", 9, 6, 0.025)
    for side, asked in (("left", "0.183"), ("right", "0.188")) if DATA.is_dir() else ():
        paths = sorted((DATA / "chessboards").glob(f"{side}*.jpg"))
        yield f"chessboards {side}", asked, list(read_pictures(paths)), board
    for i in (1, 2, 3, 4):
        folder = demo_folder() / f"S00_Calibration/intrinsics/int_cam0{i}_img"
        yield f"demo cam0{i}", "0.21", list(read_pictures(folder)), Board("chessboard", 4, 7, 0.06)
    if not DATA.is_dir():
        return
    board = read_board(DATA / "charuco/charuco.toml")
    for i, asked in enumerate(("0.162", "0.141", "0.276", "0.267")):
        yield f"ChArUco cam_{i}", asked, list(read_pictures(DATA / f"charuco/cam_{i}.mp4")), board


def _rms(
    name: str,
    pictures: list[tuple[str, Picture]],
    board: Board,
    corners: CornerOptions,
    lens: LensOptions,
) -> str:
    found = calibrate_lens(find_views(name, pictures, board, corners), lens)
    return f"{found.rms_px:.3f} ({float(found.matrix[0, 0]):.1f})"


def _solvers() -> None:
    if not DATA.is_dir():
        return
    board = Board("chessboard", 9, 6, 0.025)
    paths = sorted((DATA / "chessboards").glob("left*.jpg"))
    views = find_views("left", read_pictures(paths), board)
    fits, seconds = [], []
    for options in (PLAIN, replace(PLAIN, solver="opencv")):
        start = time.process_time()
        fits.append(calibrate_lens(views, options))
        seconds.append(time.process_time() - start)
    ours, theirs = fits
    matrix = ((ours.matrix - theirs.matrix).abs() / theirs.matrix.abs().clamp(min=1.0)).max()
    print(
        f"own solver against calibrateCamera, same corners: matrix within {float(matrix):.1e} "
        f"(asked 1e-3), RMS {ours.rms_px:.6f} and {theirs.rms_px:.6f} px, CPU {seconds[0]:.2f} s "
        f"and {seconds[1]:.2f} s"
    )


def _rendered() -> None:
    """Row C7: 4 views x 20 poses of a board with known lens."""
    board = Board("chessboard", 9, 6, 0.03)
    for focal in (560.0, 620.0, 680.0, 740.0):
        camera = one_camera(focal)
        pictures = [
            (str(k), render_board(board, camera, 0, pose, seed=k))
            for k, pose in enumerate(held_poses(board, 20, 35.0, seed=7))
        ]
        cells = []
        for name in ("ours", "window 11"):
            corners, options = METHODS[name]
            lens = calibrate_lens(find_views("a", pictures, board, corners), options)
            error = (lens.matrix / camera.matrix[0] - 1.0).diagonal()[:2].abs().max()
            cells.append(f"{name} RMS {lens.rms_px:.3f} px, focal error {100 * float(error):.4f} %")
        print(
            f"rendered, focal {focal:.0f} px: {'; '.join(cells)} (asked 0.1 px, 0.2 %)", flush=True
        )


if __name__ == "__main__":
    main()
