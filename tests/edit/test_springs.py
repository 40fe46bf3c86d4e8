"""Springs against the numerical solution of their equation, and what they must not do."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from muybridge.edit.springs import decay, decay_rotation, follow, follow_rotation, stiffness
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle, quaternion_from_rotvec

TIMES = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)


@settings(max_examples=15, deadline=None)
@given(st.floats(-3, 3), st.floats(-20, 20), st.floats(0.03, 0.5))
def test_decay_solves_the_spring_equation(offset: float, velocity: float, halflife: float) -> None:
    rate = stiffness(halflife)
    truth = solve_ivp(
        lambda _, y: [y[1], -2.0 * rate * y[1] - rate**2 * y[0]],
        (0.0, 1.0),
        [offset, velocity],
        t_eval=TIMES.numpy(),
        rtol=1e-10,
        atol=1e-12,
    )
    start, speed = (torch.tensor([v], dtype=torch.float64) for v in (offset, velocity))
    x, v = decay(start, speed, halflife, TIMES)
    assert np.allclose(x[:, 0], truth.y[0], atol=1e-7)
    assert np.allclose(v[:, 0], truth.y[1], atol=1e-6)


def test_about_half_is_left_after_the_halflife_and_nothing_overshoots() -> None:
    one, zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    x, _ = decay(one, zero, 0.2, torch.tensor([0.0, 0.2, 10.0], dtype=torch.float64))
    assert float(x[0]) == 1.0
    assert float(x[1]) == pytest.approx((1 + 2 * math.log(2)) / 4)  # 0.597
    assert 0.0 <= float(x[2]) < 1e-20
    x, _ = decay(one, zero, 0.2, TIMES)
    assert bool((x[1:] < x[:-1]).all())
    assert bool((x > 0.0).all())


def test_two_short_steps_are_one_long_step() -> None:
    generator = torch.Generator().manual_seed(1)
    x, v, goal = torch.randn(3, 5, 3, dtype=torch.float64, generator=generator)
    once = follow(x, v, goal, 0.1, 0.3)
    twice = follow(*follow(x, v, goal, 0.1, 0.1), goal, 0.1, 0.2)
    for a, b in zip(once, twice, strict=True):
        assert torch.allclose(a, b, atol=1e-14)


def test_rotations_turn_to_their_goal_about_one_axis() -> None:
    start = quaternion_from_rotvec(torch.tensor([0.0, 2.0, 0.0], dtype=torch.float64))
    goal = quaternion_from_rotvec(torch.tensor([0.0, -0.5, 0.0], dtype=torch.float64))
    still = torch.zeros(3, dtype=torch.float64)
    near, velocity = follow_rotation(start, still, goal, 0.1, 0.1)
    left = 2.5 * (1 + 2 * math.log(2)) / 4
    assert float(geodesic_angle(near, goal)) == pytest.approx(left)
    assert float(velocity[1]) < 0.0
    far, _ = follow_rotation(start, still, goal, 0.1, 5.0)
    assert float(geodesic_angle(far, goal)) < 1e-9
    same, rate = decay_rotation(start, still, 0.1, torch.zeros((), dtype=torch.float64))
    assert float(geodesic_angle(same, start)) < 1e-12
    assert bool((rate == 0.0).all())


@pytest.mark.parametrize("halflife", [0.0, -1.0, math.nan, math.inf])
def test_a_halflife_is_positive(halflife: float) -> None:
    with pytest.raises(InputError, match="positive half-life"):
        stiffness(halflife)
