"""Rigs turned upright: the floor from a board, up from the way cameras are held."""

import pytest
import torch

from muybridge.capture.level import level_by_cameras, level_by_floor, moved_world
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec
from tests.board_rig import CHESSBOARD, arc, corners_of
from tests.demo import demo_cameras
from tests.rigs import ring

SOMEWHERE = Rigid(
    matrix_from_rotvec(torch.tensor([0.7, -1.9, 0.4], dtype=torch.float64)),
    torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64),
)


def test_moving_the_world_moves_no_pixel() -> None:
    cameras = arc(3)
    points = torch.rand(9, 3, dtype=torch.float64) - 0.5
    moved = moved_world(cameras, SOMEWHERE)
    torch.testing.assert_close(moved.project(SOMEWHERE.apply(points)), cameras.project(points))


@pytest.mark.parametrize("face_down", [False, True])
def test_a_board_on_the_floor_makes_the_floor(face_down: bool) -> None:
    truth = ring(4)
    lying = matrix_from_rotvec(torch.tensor([1.0 if face_down else -1.0, 0.0, 0.0]) * torch.pi / 2)
    board = Rigid(lying.double(), torch.tensor([0.4, 0.0, -0.2], dtype=torch.float64))
    hanging = moved_world(truth, SOMEWHERE)
    cameras, finding = level_by_floor(hanging, SOMEWHERE.compose(board))
    torch.testing.assert_close(cameras.centres_world[:, 1], truth.centres_world[:, 1])
    corners = corners_of(CHESSBOARD, Rigid(board.rotation[None], board.translation[None]))
    pixels = truth.project(corners)
    flat = CHESSBOARD.corners_board()
    on_floor = torch.stack(
        (flat[:, 1] * (1 if face_down else -1) * -1, 0 * flat[:, 0], flat[:, 0]), -1
    )
    again = cameras.project(on_floor)
    torch.testing.assert_close(again, pixels[:, 0])
    assert finding.severity == "info"


def test_a_board_above_a_camera_is_doubted() -> None:
    truth = ring(4)
    centres = truth.centres_world
    lying = matrix_from_rotvec(torch.tensor([-torch.pi / 2, 0.0, 0.0], dtype=torch.float64))
    lowered = truth.with_extrinsics(
        Rigid(
            truth.rotation,
            -(truth.rotation @ (centres * torch.tensor([[1.0], [1.0], [1.0], [-0.2]]))[..., None])[
                ..., 0
            ],
        )
    )
    board = Rigid(lying, torch.zeros(3, dtype=torch.float64))
    _, finding = level_by_floor(lowered, board)
    assert finding.severity == "warning"
    assert "cam04" in finding.sentence


@pytest.mark.parametrize("truth", [ring(4), ring(2), arc(3)], ids=["ring", "pair", "arc"])
def test_up_is_guessed_from_level_horizons(truth) -> None:
    cameras, finding = level_by_cameras(moved_world(truth, SOMEWHERE))
    heights = cameras.centres_world[:, 1] - cameras.centres_world[0, 1]
    torch.testing.assert_close(
        heights, truth.centres_world[:, 1] - truth.centres_world[0, 1], rtol=0.0, atol=0.01
    )
    assert float(cameras.centres_world[0, 0]) == pytest.approx(0.0, abs=1e-9)
    assert float(cameras.centres_world[0, 2]) > 0.0
    assert finding.severity == "info"


def test_up_of_the_demo_is_doubted() -> None:
    """Two of its cameras are held askew, by 12 and 24 degrees."""
    truth = demo_cameras()
    cameras, finding = level_by_cameras(moved_world(truth, SOMEWHERE))
    assert finding.severity == "warning"
    assert "horizons differ by up to 1" in finding.sentence
    relative = cameras.rotation[0].mT @ truth.rotation[0]  # new world from true world
    tilt = torch.rad2deg(relative[1, 1].clamp(-1.0, 1.0).acos())
    assert float(tilt) < 15.0


def test_parallel_cameras_have_an_origin_before_them() -> None:
    cameras = arc(2, spread_deg=0.0)
    placed, _ = level_by_cameras(cameras)
    origin = placed.camera_from_world.apply(torch.zeros(2, 1, 3, dtype=torch.float64))
    assert bool((origin[..., 2] > 0.3).all())
