"""Floor and walls: truth of random rooms, and what must not be taken for them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.depth.planes import find_room
from muybridge.geometry.rotation import matrix_from_rotvec

UP = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


def patch(
    count: int, centre: list[float], first: list[float], second: list[float], seed: int
) -> torch.Tensor:
    """Points of a rectangle, with 5 mm noise."""
    random = torch.Generator().manual_seed(seed)
    share = 2.0 * torch.rand(count, 2, generator=random, dtype=torch.float64) - 1.0
    sides = torch.tensor([first, second], dtype=torch.float64)
    noise = 0.005 * torch.randn(count, 3, generator=random, dtype=torch.float64)
    return torch.tensor(centre, dtype=torch.float64) + share @ sides + noise


def scene(seed: int = 0) -> torch.Tensor:
    """Floor at y = -1, a wall at z = -4, a person-sized block between, seen from the origin."""
    return torch.cat(
        (
            patch(1500, [0, -1, -2.5], [2, 0, 0], [0, 0, 1.5], seed),
            patch(2000, [0, 0.2, -4], [2, 0, 0], [0, 1.2, 0], seed + 1),
            patch(500, [0, -0.2, -2.5], [0.2, 0, 0], [0, 0.8, 0], seed + 2),
        )
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-0.4, 0.4), st.floats(-0.3, 0.3), st.floats(-3, 3))
def test_floor_and_wall_are_found_whatever_the_tilt(
    seed: int, pitch: float, roll: float, yaw: float
) -> None:
    """Within 0.3 degrees and 5 mm, for any turn of the camera the floor allows."""
    vector = torch.tensor([pitch, 0.0, roll], dtype=torch.float64)
    heading = torch.tensor([0.0, yaw, 0.0], dtype=torch.float64)
    turn = matrix_from_rotvec(vector) @ matrix_from_rotvec(heading)
    room = find_room(scene(seed) @ turn.mT, UP)
    assert room.floor is not None
    assert math.degrees(math.acos(min(1.0, float(room.floor.normal @ turn[:, 1])))) < 0.3
    assert room.floor.offset == pytest.approx(-1.0, abs=0.005)
    assert len(room.walls) == 1
    assert math.degrees(math.acos(min(1.0, float(room.walls[0].normal @ turn[:, 2])))) < 0.3
    assert room.walls[0].offset == pytest.approx(-4.0, abs=0.005)


def test_what_stands_in_the_room_is_inside_and_the_room_is_not() -> None:
    points = scene()
    inside = find_room(points, UP).inside(points)
    assert float(inside[:3500].double().mean()) < 0.01
    assert float(inside[3500:].double().mean()) > 0.95
    assert not bool(find_room(points, UP).inside(torch.full((1, 3), torch.nan).double()).any())


def test_a_table_is_no_floor_and_a_board_no_wall() -> None:
    """A big flat thing with much of the room beneath or behind it does not bound the room."""
    table = patch(2500, [0, -0.3, -2.5], [1, 0, 0], [0, 0, 0.5], 5)
    board = patch(2500, [0, 0.2, -2.0], [0.8, 0, 0], [0, 0.6, 0], 6)
    room = find_room(torch.cat((scene(), table, board)), UP)
    assert room.floor is not None
    assert room.floor.offset == pytest.approx(-1.0, abs=0.01)
    assert [round(wall.offset, 1) for wall in room.walls] == [-4.0]


def test_no_planes_in_a_cloud() -> None:
    random = torch.Generator().manual_seed(3)
    room = find_room(torch.randn(3000, 3, generator=random, dtype=torch.float64), UP)
    assert room.floor is None
    assert room.walls == ()
