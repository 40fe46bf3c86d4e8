"""Corners on rendered boards with known truth, and on the shared pictures."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from muybridge.capture.board import Board
from muybridge.capture.corners import (
    SOURCE_DOCUMENT_CORNERS,
    CornerOptions,
    find_corners,
    find_views,
    read_picture,
    read_pictures,
)
from muybridge.errors import InputError
from muybridge.geometry.rigid import Rigid
from tests.board_rig import one_camera
from tests.render_board import render_board

CHESS = Board("chessboard", 9, 6, 0.03)
CHARUCO = Board("charuco", 5, 7, 0.03, 0.75, "DICT_5X5_50")
DATA = Path(__file__).parents[2] / "../shared/data/chessboards"


def _pose(board: Board, angles_deg: tuple[float, float, float], distance: float) -> Rigid:
    rotation = torch.tensor(Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix())
    centre = board.corners_board().mean(0)
    return Rigid(rotation, torch.tensor([0.0, 0.0, distance]).double() - rotation @ centre)


def _truth(board: Board, pose: Rigid) -> torch.Tensor:
    return one_camera().project(pose.apply(board.corners_board()))[0]


def _rms(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).square().sum(-1).nanmean().sqrt())


@pytest.mark.parametrize("board", [CHESS, CHARUCO, replace(CHARUCO, rows=6, legacy=True)])
@pytest.mark.parametrize("distance", [0.4, 0.6])
@pytest.mark.parametrize("inverted", [False, True])
def test_corners_are_found_to_a_few_hundredths(
    board: Board, distance: float, inverted: bool
) -> None:
    board = replace(board, inverted=inverted)
    pose = _pose(board, (25.0, -20.0, 10.0), distance)
    found = find_corners(render_board(board, one_camera(), 0, pose), board)
    assert found is not None
    assert not bool(found.isnan().any())
    assert _rms(found, _truth(board, pose)) < 0.06


def test_small_squares_far_away_beat_the_window_of_fixed_pixels() -> None:
    """At 13 px a square the tutorial's 11-px window reaches the neighbouring corners."""
    pose = _pose(CHESS, (35.0, 25.0, 0.0), 1.3)
    picture = render_board(CHESS, one_camera(), 0, pose)
    ours = find_corners(picture, CHESS)
    fixed = find_corners(picture, CHESS, CornerOptions("window", (11, 11), (-1, -1), 30, 0.01))
    assert ours is not None
    assert fixed is not None
    truth = _truth(CHESS, pose)
    assert _rms(ours, truth) < 0.15
    assert _rms(fixed, truth) > 5.0 * _rms(ours, truth)


@pytest.mark.parametrize("turn_deg", [0.0, 90.0, 180.0, 250.0])
def test_a_chessboard_keeps_its_first_corner_however_it_is_turned(turn_deg: float) -> None:
    """Cameras that see the board upside down agree on which corner is the first."""
    pose = _pose(CHESS, (0.0, 20.0, turn_deg), 0.55)
    found = find_corners(render_board(CHESS, one_camera(), 0, pose), CHESS)
    assert found is not None
    assert _rms(found, _truth(CHESS, pose)) < 0.1


def test_hidden_corners_are_nan_and_the_others_unmoved() -> None:
    pose = _pose(CHARUCO, (10.0, 15.0, 0.0), 0.45)
    picture = render_board(CHARUCO, one_camera(), 0, pose)
    picture[:, :260] = 128
    found = find_corners(picture, CHARUCO)
    assert found is not None
    hidden = found.isnan().any(-1)
    assert 4 <= int(hidden.sum()) <= 16
    assert _rms(found, _truth(CHARUCO, pose)) < 0.06


def test_a_picture_without_a_board() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320)).astype(np.uint8)
    assert find_corners(noise, CHARUCO) is None
    assert find_corners(np.full((240, 320), 128, np.uint8), CHESS) is None


def test_source_document_recipe_is_opencvs() -> None:
    """findChessboardCorners, then cornerSubPix (12, 12), (1, 1), EPS + COUNT 30, 0.1."""
    picture = render_board(CHESS, one_camera(), 0, _pose(CHESS, (20.0, -15.0, 0.0), 0.5))
    corners = cv2.findChessboardCorners(picture, (9, 6))[1]
    kind = cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT
    expected = cv2.cornerSubPix(picture, corners, (12, 12), (1, 1), (kind, 30, 0.1)).reshape(-1, 2)
    found = find_corners(picture, CHESS, SOURCE_DOCUMENT_CORNERS)
    assert found is not None
    same = np.abs(found.numpy() - expected).max() < 1e-4
    turned = np.abs(found.numpy() - expected[::-1]).max() < 1e-4
    assert same or turned


def test_views_carry_names_and_drop_pictures_without_a_board() -> None:
    pose = _pose(CHESS, (20.0, -15.0, 0.0), 0.5)
    seen = render_board(CHESS, one_camera(), 0, pose)
    pictures = [("1", seen), ("2", np.zeros_like(seen)), ("5", seen)]
    done: list[int] = []
    views = find_views("a", pictures, CHESS, on_progress=done.append)
    assert (views.instants, views.size_px, done) == (("1", "5"), (640, 480), [1, 2, 3])


def test_mirrored_pictures_are_flipped_back() -> None:
    pose = _pose(CHARUCO, (20.0, -15.0, 0.0), 0.5)
    picture = render_board(CHARUCO, one_camera(), 0, pose)
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    views = find_views("a", [("1", mirrored)], CHARUCO, mirrored=True)
    assert views.mirrored
    assert _rms(views.points_px[0], _truth(CHARUCO, pose)) < 0.1


def test_no_board_and_changing_size_are_one_sentence() -> None:
    blank = np.zeros((240, 320), np.uint8)
    with pytest.raises(InputError, match=r"9 x 6 inner corners .* cam1, found it in none of 1"):
        find_views("cam1", [("1", blank)], CHESS)
    with pytest.raises(InputError, match="320 x 240, got 240 x 320 for 2"):
        find_views("cam1", [("1", blank), ("2", blank.T.copy())], CHESS)
    with pytest.raises(InputError, match="none of 0"):
        find_views("cam1", [], CHESS)


def test_pictures_of_a_folder_are_named_by_their_number(tmp_path: Path) -> None:
    blank = np.zeros((8, 8), np.uint8)
    for name in ("int_cam01_007.png", "int_cam01_012.png"):
        cv2.imwrite(str(tmp_path / name), blank)
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [name for name, _ in read_pictures(tmp_path)] == ["7", "12"]


def test_unreadable_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        list(read_pictures(tmp_path))
    empty = tmp_path / "a.png"
    empty.touch()
    with pytest.raises(InputError, match="cannot be read"):
        read_picture(empty)
    with pytest.raises(InputError, match="found none at"):
        read_picture(tmp_path / "b.png")


def test_all_shared_chessboards_are_found() -> None:
    if not DATA.exists():
        pytest.skip("../shared/data/chessboards is absent")
    for side in ("left", "right"):
        views = find_views(side, read_pictures(sorted(DATA.glob(f"{side}*.jpg"))), CHESS)
        assert len(views) == 13
