"""The board in the pictures is found whatever was said of it, and the difference is named."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from muybridge.capture.board import Board, read_board
from muybridge.capture.board_search import find_board
from muybridge.capture.corners import read_pictures
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from tests.render_board import render_board

CHESS = Board("chessboard", 9, 6, 0.03)
CHARUCO = Board("charuco", 5, 6, 0.03, 0.75, "DICT_5X5_50")
DATA = Path(__file__).parents[2] / "../shared/data/charuco"


@lru_cache
def _pictures(board: Board) -> list[np.ndarray]:
    camera = Cameras(
        ("a",),
        torch.tensor([[480.0, 360.0]]).double(),
        torch.tensor([[[480.0, 0, 240], [0, 480, 180], [0, 0, 1]]]).double(),
        torch.zeros(1, 5).double(),
        torch.eye(3).double()[None],
        torch.zeros(1, 3).double(),
    )
    pictures = []
    for angles in ((15.0, -10.0, 5.0), (-20.0, 15.0, 0.0)):
        rotation = torch.tensor(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())
        shift = torch.tensor([0.0, 0.0, 0.5]).double() - rotation @ board.corners_board().mean(0)
        pictures.append(render_board(board, camera, 0, Rigid(rotation, shift)))
    return pictures


@pytest.mark.parametrize("board", [CHESS, CHARUCO])
def test_the_right_word_is_taken(board: Board) -> None:
    found = find_board(_pictures(board), board)
    assert (found.board, found.mirrored, found.findings) == (board, False, ())


@pytest.mark.parametrize(
    ("said", "shown", "words"),
    [
        (replace(CHARUCO, columns=6, rows=5), CHARUCO, ["swapped"]),
        (replace(CHARUCO, columns=8, rows=11), CHARUCO, ["5 x 6 squares, not 8 x 11"]),
        (replace(CHARUCO, dictionary="DICT_4X4_50"), CHARUCO, ["DICT_5X5_50, not DICT_4X4_50"]),
        (CHARUCO, replace(CHARUCO, inverted=True), ["black and white exchanged"]),
        (replace(CHARUCO, inverted=True), CHARUCO, ["not inverted"]),
        (CHARUCO, replace(CHARUCO, legacy=True), ["pattern before OpenCV 4.6"]),
        (CHESS, CHARUCO, ["ChArUco board of 5 x 6 squares, DICT_5X5_50, not a chessboard"]),
        (replace(CHESS, columns=10, rows=7), CHESS, ["9 x 6 inner corners, not 10 x 7"]),
        (
            replace(CHARUCO, columns=6, rows=5, dictionary="DICT_6X6_50"),
            replace(CHARUCO, inverted=True),
            ["swapped", "exchanged", "DICT_5X5_50"],
        ),
    ],
)
def test_what_was_said_wrongly_is_found_and_named(
    said: Board, shown: Board, words: list[str]
) -> None:
    found = find_board(_pictures(shown), said, "cam1")
    assert found.board == shown
    assert not found.mirrored
    sentences = " ".join(finding.sentence for finding in found.findings)
    assert all(word in sentences for word in words), sentences
    assert all(finding.camera == "cam1" and finding.advice for finding in found.findings)


def test_mirrored_pictures_are_named() -> None:
    pictures = [np.ascontiguousarray(p[:, ::-1]) for p in _pictures(CHARUCO)]
    found = find_board(pictures, CHARUCO)
    assert (found.board, found.mirrored) == (CHARUCO, True)
    assert "mirrored" in found.findings[0].sentence


def test_without_a_word_the_square_is_a_unit() -> None:
    found = find_board(_pictures(CHARUCO))
    assert found.board == replace(CHARUCO, square_m=1.0)
    assert "measured square_m" in found.findings[0].advice


def test_symmetric_chessboards_are_warned_of() -> None:
    board = replace(CHESS, columns=7, rows=5)
    found = find_board(_pictures(board), board)
    assert "half turn" in found.findings[0].sentence


def test_no_board_names_what_was_tried() -> None:
    grey = np.full((240, 320), 128, np.uint8)
    with pytest.raises(InputError) as error:
        find_board([grey, grey], CHESS, "cam2")
    message = str(error.value)
    for word in ("9 x 6", "2 pictures of cam2", "8 x 5", "DICT_4X4_100", "mirrored", "\n"):
        assert (word in message) == (word != "\n"), message


def test_the_shared_charuco_board_is_inverted() -> None:
    if not DATA.exists():
        pytest.skip("../shared/data/charuco is absent")
    board = read_board(DATA / "charuco.toml")
    pictures = [picture for _, picture in read_pictures(DATA / "cam_0.mp4", 6)]
    assert find_board(pictures, board).findings == ()
    found = find_board(pictures, replace(board, inverted=False))
    assert found.board == board
    assert len(found.findings) == 1
