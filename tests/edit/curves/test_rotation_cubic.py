"""C2 rotations against scipy's RotationSpline, and what C1 and C2 mean."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, RotationSpline

from muybridge.edit.curves.rotation_cubic import log_spline, rotation_hermite, rotation_spline
from muybridge.edit.curves.rotvec import (
    acceleration,
    exponential,
    jacobian,
    jacobian_inverse,
    logarithm,
    velocity,
)  # fmt: skip
from muybridge.edit.curves.spline import spline
from muybridge.errors import InputError
from tests.edit.curves.keys import turns
from tests.edit.curves.test_rotation import apart, speeds

FEW = settings(max_examples=15, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


class Settled(RotationSpline):
    """Scipy's, iterated to the end: by default it stops at 1e-9 or after ten rounds."""

    TOL = 1e-15
    MAX_ITER = 200


@given(seed=SEEDS)
@FEW
def test_equals_scipy(seed: int) -> None:
    times, rotations, inside = turns(seed)
    ours = rotation_spline(times, rotations)
    theirs = Settled(times.numpy(), Rotation.from_quat(rotations.numpy()))
    at = inside.numpy()
    assert apart(ours(inside), theirs(at).as_quat()) < 1e-12
    for order, found in ((1, ours.velocity(inside)), (2, ours.acceleration(inside))):
        wanted = theirs(at, order)
        assert np.abs(found.numpy() - wanted).max() < 1e-12 * 10.0**order * (1 + abs(wanted).max())


@pytest.mark.parametrize("ends", ["chord", "parabola", "natural", "given"])
def test_velocity_and_acceleration_do_not_jump(ends: str) -> None:
    times, rotations, _ = turns(4, (2,))
    given_ends = torch.randn(2, 2, 3, dtype=torch.float64)
    curve = rotation_spline(times, rotations, given_ends if ends == "given" else ends)  # type: ignore[arg-type]
    before = times[1:-1] - 1e-10
    for derivative in (curve.velocity, curve.acceleration):
        jump = (derivative(before) - derivative(times[1:-1])).abs().max()
        assert float(jump) < 1e-7
    if ends == "natural":
        assert (
            float(curve.acceleration(times[[0, -1]] - torch.tensor([0.0, 1e-12])).abs().max())
            < 1e-9
        )
    if ends == "given":
        torch.testing.assert_close(curve.velocity(times[:1])[0], given_ends[0], rtol=0, atol=1e-12)


def test_hermite_is_c1_only() -> None:
    times, rotations, _ = turns(4)
    curve = rotation_hermite(times, rotations)
    before = times[1:-1] - 1e-10
    assert float((curve.velocity(before) - curve.velocity(times[1:-1])).abs().max()) < 1e-8
    jumps = (curve.acceleration(before) - curve.acceleration(times[1:-1])).abs()
    assert float(jumps.max()) > 0.01


def test_velocity_and_acceleration_are_the_derivatives() -> None:
    times, rotations, inside = turns(9)
    curve = rotation_spline(times, rotations)
    at = inside[1:-1]
    torch.testing.assert_close(curve.velocity(at), speeds(curve, at - 5e-6), rtol=0, atol=1e-6)
    step = 1e-6
    slope = (curve.velocity(at + step) - curve.velocity(at - step)) / (2.0 * step)
    torch.testing.assert_close(curve.acceleration(at), slope, rtol=0, atol=1e-5)


def test_the_error_falls_with_the_fourth_power() -> None:
    """Against a motion that is known; with its velocities at the ends."""

    def truth(t: torch.Tensor) -> torch.Tensor:
        return torch.stack((t.sin(), 0.5 * t * t, (2.0 * t).cos()), dim=-1)

    errors = []
    at = torch.linspace(0.0, 1.0, 501, dtype=torch.float64)
    for count in (9, 17, 33):
        times = torch.linspace(0.0, 1.0, count, dtype=torch.float64)
        ends = times[[0, -1]]
        rate = torch.stack((ends.cos(), ends, -2.0 * (2.0 * ends).sin()), dim=-1)
        curve = rotation_spline(times, exponential(truth(times)), velocity(truth(ends), rate))
        errors.append(apart(curve(at), exponential(truth(at))))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 4.0) < 0.2).all(), orders


def test_log_map_splines_are_splines_of_the_angle_about_one_axis() -> None:
    """Through more than half a turn, where the shortest vectors jump."""
    times = torch.arange(6, dtype=torch.float64)
    angle = torch.tensor([0.0, 0.9, 1.4, 2.6, 3.9, 4.2], dtype=torch.float64)
    axis = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    at = torch.linspace(0.0, 5.0, 77, dtype=torch.float64)
    wanted = exponential(spline(times, angle)(at)[:, None] * axis)
    assert apart(log_spline(times, exponential(angle[:, None] * axis))(at), wanted) < 1e-12


def test_log_map_depends_on_where_it_looks_from_and_the_c2_curve_does_not() -> None:
    times, rotations, inside = turns(12)
    here = log_spline(times, rotations)(inside)
    there = log_spline(times, rotations, reference=rotations[-1])(inside)
    assert 1e-4 < apart(here, there) < 0.3


def test_turns_too_large_for_a_c2_curve_are_named() -> None:
    """Random rotations at very uneven times; the rounds do not settle for about one in four."""
    generator = torch.Generator().manual_seed(1)
    rotations = torch.randn(8, 4, generator=generator, dtype=torch.float64)
    rotations = rotations / rotations.norm(dim=-1, keepdim=True)
    widths = torch.rand(8, generator=generator, dtype=torch.float64) ** 3 + 0.02
    with pytest.raises(InputError, match="turns too large"):
        rotation_spline(widths.cumsum(0), rotations)
    rotation_spline(torch.arange(8, dtype=torch.float64), rotations)


def test_wrong_ends_are_named(unchecked: None) -> None:
    times, rotations, _ = turns(1)
    with pytest.raises(InputError, match="ends chord, parabola or natural"):
        rotation_spline(times, rotations, "soft")  # type: ignore[arg-type]


@pytest.mark.parametrize("angle", [0.0, 1e-9, 9.9e-3, 1.01e-2, 0.7, 3.0])
def test_rates_of_rotation_vectors(angle: float) -> None:
    """Series and closed forms meet, and both are what differences say."""
    axis = torch.tensor([0.48, -0.6, 0.64], dtype=torch.float64)
    theta, rate = angle * axis, torch.tensor([0.3, 0.8, -0.5], dtype=torch.float64)
    torch.testing.assert_close(velocity(theta, rate), jacobian(theta) @ rate, rtol=0, atol=1e-14)
    unit = jacobian(theta) @ jacobian_inverse(theta)
    torch.testing.assert_close(unit, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-13)
    line = speeds(lambda t: exponential(theta + t[:, None] * rate), torch.zeros(1).double(), 1e-7)
    torch.testing.assert_close(velocity(theta, rate), line[0], rtol=0, atol=1e-6)
    step, bend = 1e-6, torch.tensor([1.0, 0.2, 0.4], dtype=torch.float64)

    def at(t: float) -> torch.Tensor:
        return velocity(theta + t * rate + 0.5 * t * t * bend, rate + t * bend)

    slope = (at(step) - at(-step)) / (2.0 * step)
    torch.testing.assert_close(acceleration(theta, rate, bend), slope, rtol=0, atol=1e-7)
    if angle < 3.0:
        torch.testing.assert_close(logarithm(exponential(theta)), theta, rtol=0, atol=1e-14)
