"""The character on springs: against a step-by-step twin, and where it must be."""

import math

import numpy as np
import pytest
import torch

from muybridge.edit.floor_path import FloorPath
from muybridge.edit.matching_character import character
from muybridge.edit.springs import decay

FPS = 60.0
CORNER = FloorPath(
    torch.tensor([[0.0, 0.0], [0.0, 3.0], [4.0, 3.0]], dtype=torch.float64)
).timed(1.2)  # fmt: skip


def test_it_moves_as_a_spring_that_is_stepped_frame_by_frame() -> None:
    found = character(CORNER, FPS, 300)
    dt = torch.tensor(1.0 / FPS, dtype=torch.float64)
    seconds = torch.arange(302, dtype=torch.float64) / FPS
    goals = CORNER.at_time(seconds)
    place, velocity = goals[0], torch.zeros(2, dtype=torch.float64)
    for frame in range(300):
        np.testing.assert_allclose(found.places[frame], place.numpy(), atol=1e-9)
        speed = (goals[frame + 1] - goals[frame]) * FPS
        offset, rate = decay(place - goals[frame], velocity - speed, 0.27, dt)
        place, velocity = goals[frame + 1] + offset, speed + rate


def test_it_turns_as_a_spring_that_is_stepped() -> None:
    found = character(CORNER, FPS, 400)
    goal = np.unwrap(np.where(found.goals[:, 0] > 0.0, math.pi / 2.0, 0.0))
    assert found.angles[0] == 0.0
    assert np.all(np.diff(found.angles) > -1e-9)  # no overshoot
    late = np.abs(found.angles - goal)
    half = np.nonzero(found.angles > math.pi / 4.0)[0][0] / FPS
    assert half == pytest.approx(3.0 / 1.2 + 0.27, abs=0.12)
    assert late[-1] < 1e-3


def test_a_steady_walk_has_no_lag_and_an_end_is_an_end() -> None:
    found = character(CORNER, FPS, 500)
    away = np.linalg.norm(found.places - found.goals, axis=-1)
    assert away[0] == 0.0
    assert away.max() < 1.2 * math.sqrt(2.0) / (2.0 * math.log(2.0) / 0.27) / math.e + 1e-9
    assert away[145] < 1e-3  # before the corner
    np.testing.assert_allclose(found.places[-1], [4.0, 3.0], atol=1e-3)


def test_a_path_that_stops_in_between_keeps_its_direction() -> None:
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [2.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    times = torch.tensor([0.0, 2.0, 4.0, 6.0], dtype=torch.float64)
    found = character(FloorPath(points, times), FPS, 360)
    np.testing.assert_allclose(found.angles, math.pi / 2.0)
