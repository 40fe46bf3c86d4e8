"""Calibration of stereo pairs and rigs: RMS and truth beside OpenCV and aniposelib.

RMS is OpenCV's: the root mean square distance, in pixels, of seen and reprojected corners over all
cameras. aniposelib reports the mean distance over its inliers, which is smaller for the same
residuals; both are printed for us. Wall seconds on whatever else the machine is doing.
"""

from __future__ import annotations

import importlib.util
import io
import tempfile
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import version
from pathlib import Path

import torch

from muybridge.capture.board import Board, read_board
from muybridge.capture.calibrate import CalibrateOptions, CalibrationResult, calibrate_folder
from muybridge.capture.lens import calibrate_lens
from muybridge.capture.rig import calibrate_rig
from tests.board_rig import arc, poses, rendered_views

DATA = Path(__file__).parents[1] / "../shared/data"
PUBLISHED = (
    "published: aniposelib 0.8.0, frames inverted: 0.776 px, f 858 885 604 625 px (13 % off)"
)


def main() -> None:
    """Print all tables."""
    chessboards()
    charuco()
    rendered()


def chessboards() -> None:
    """13 stereo pairs."""
    if not (DATA / "chessboards").is_dir():
        print(f"no pictures in {DATA / 'chessboards'}")
        return
    started = time.perf_counter()
    options = CalibrateOptions(board=Board("chessboard", 9, 6, 1.0))
    result = calibrate_folder(DATA / "chessboards", None, options)
    seconds = time.perf_counter() - started
    print(f"chessboards, 13 pairs: RMS {result.rms_px:.3f} px in {seconds:.1f} s")
    print("  OpenCV 5.0.0, all refined: 0.444 px with the usual window of 11, 0.201 px with 7")


def charuco() -> None:
    """Four webcams on film."""
    films = sorted((DATA / "charuco").glob("*.mp4"))
    if not films:
        print(f"no films in {DATA / 'charuco'}")
        return
    board = read_board(DATA / "charuco" / "charuco.toml")
    with tempfile.TemporaryDirectory() as folder:
        for film in films:
            (Path(folder) / film.name).symlink_to(film.resolve())
        started = time.perf_counter()
        result = calibrate_folder(Path(folder), None, CalibrateOptions(board=board))
        seconds = time.perf_counter() - started
    print(f"charuco, 4 films x 111 frames: RMS {result.rms_px:.3f} px in {seconds:.1f} s")
    _focal_table(result)
    print(f"  {PUBLISHED}")
    if importlib.util.find_spec("aniposelib"):
        aniposelib(films, board)
    else:
        print("  aniposelib is not installed: pip install aniposelib==0.8.0 (own environment)")


def _focal_table(result: CalibrationResult) -> None:
    assert result.rig is not None
    own = torch.stack([lens.matrix[0, 0] for lens in result.lenses])
    ours = result.cameras.matrix[:, 0, 0]
    for c, name in enumerate(result.cameras.names):
        print(
            f"  {name}: f {float(ours[c]):.0f} +- {float(result.rig.focal_sigma_px[c, 0]):.0f} px, "
            f"alone {float(own[c]):.0f} ({100 * float(ours[c] / own[c] - 1):+.1f} %), "
            f"RMS {float(result.rig.camera_rms_px[c]):.2f} px, "
            f"late by {float(result.rig.delay_frames[c]):+.2f} frames"
        )


def aniposelib(films: list[Path], board: Board) -> None:
    """The same films, inverted first: raw, it finds no board and crashes."""
    import cv2
    from aniposelib.boards import CharucoBoard
    from aniposelib.cameras import CameraGroup

    with tempfile.TemporaryDirectory() as folder:
        inverted = []
        for film in films:
            reader = cv2.VideoCapture(str(film))
            size = (int(reader.get(3)), int(reader.get(4)))
            path = Path(folder) / f"{film.stem}.avi"
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 6.0, size)
            while (read := reader.read())[0]:
                writer.write(255 - read[1])
            writer.release()
            inverted.append([str(path)])
        group = CameraGroup.from_names([film.stem for film in films])
        square = board.square_m * 1000.0
        theirs = CharucoBoard(
            board.columns, board.rows, square_length=square,
            marker_length=square * board.marker_ratio, marker_bits=4, dict_size=1000,
        )  # fmt: skip
        started = time.perf_counter()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # it is talkative
            error = group.calibrate_videos(inverted, theirs)[0]
        seconds = time.perf_counter() - started
    focal = ", ".join(f"{camera.get_focal_length():.0f}" for camera in group.cameras)
    print(f"  aniposelib {version('aniposelib')}: {error:.3f} px, f {focal} px, {seconds:.1f} s")


def rendered() -> None:
    """4 views x 20 poses with known truth."""
    truth = arc(4, (640, 480))
    views = rendered_views(truth, poses(20))
    started = time.perf_counter()
    rig = calibrate_rig([calibrate_lens(v) for v in views], views)
    seconds = time.perf_counter() - started
    focal = rig.cameras.matrix[:, 0, 0] / truth.matrix[:, 0, 0] - 1.0
    baseline = torch.pdist(rig.cameras.centres_world) / torch.pdist(truth.centres_world) - 1.0
    print(
        f"rendered boards, 4 cameras x 20 poses: RMS {rig.rms_px:.3f} px, focal error "
        f"{100 * float(focal.abs().max()):.3f} %, baseline error "
        f"{100 * float(baseline.abs().max()):.3f} %, loops close to "
        f"{max(loop.angle_deg for loop in rig.loops):.3f} degrees, {seconds:.1f} s after detection"
    )
