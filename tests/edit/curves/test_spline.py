"""Cubic splines against scipy, and what they promise: C2, and an error of the fourth order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from muybridge.edit.curves.cubic import linear
from muybridge.edit.curves.polynomial import barycentric, chebyshev_points, power_coefficients
from muybridge.edit.curves.spline import Ends, spline
from muybridge.errors import InputError

ENDS: tuple[Ends, ...] = ("natural", "clamped", "not-a-knot", "periodic")


def runge(x: torch.Tensor) -> torch.Tensor:
    return 1.0 / (1.0 + 25.0 * x.square())


@pytest.mark.parametrize("ends", ENDS)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 40))
@settings(max_examples=40, deadline=None)
def test_equals_scipy(ends: Ends, seed: int, count: int) -> None:
    """Between the keys 1e-12; beyond them, where cubics grow, 1e-12 of their size."""
    rng = np.random.default_rng(seed)
    if ends == "periodic":
        count = max(3, count)
    times, values = np.cumsum(rng.uniform(0.2, 2.0, count)), rng.normal(size=(count, 3))
    if ends == "periodic":
        values[-1] = values[0]
    queries = np.linspace(times[0] - 1.0, times[-1] + 1.0, 200)
    ours = spline(torch.from_numpy(times), torch.from_numpy(values), ends)
    theirs = CubicSpline(times, values, bc_type=ends)
    theirs.extrapolate = True  # a periodic one goes around otherwise
    for order in range(4):
        found = ours(torch.from_numpy(queries), derivative=order).numpy()
        wanted = theirs(queries, order)
        scale = 1.0 + np.abs(wanted).max()
        inside = (queries >= times[0]) & (queries <= times[-1])
        assert np.abs(found - wanted)[inside].max() <= 1e-12 * 10.0**order * 10.0 ** (order > 0)
        assert np.abs(found - wanted).max() <= 1e-12 * 10.0**order * 10.0 ** (order > 0) * scale


def test_given_end_slopes_equal_scipys() -> None:
    rng = np.random.default_rng(0)
    times, values = np.cumsum(rng.uniform(0.2, 2.0, 7)), rng.normal(size=(7, 2))
    slopes = rng.normal(size=(2, 2))
    queries = np.linspace(times[0], times[-1], 99)
    ours = spline(*map(torch.from_numpy, (times, values)), "clamped", torch.from_numpy(slopes))
    theirs = CubicSpline(times, values, bc_type=((1, slopes[0]), (1, slopes[1])))
    assert np.abs(ours(torch.from_numpy(queries)).numpy() - theirs(queries)).max() < 1e-12


def jumps(curve: object, knots: torch.Tensor, order: int) -> float:
    """Largest jump of a derivative at the inner keys, from the polynomials on both sides."""
    left = curve(knots[1:-1] - 1e-12, order)  # type: ignore[operator]
    return float((curve(knots[1:-1], order) - left).abs().max())  # type: ignore[operator]


def test_linear_jumps_in_slope_and_a_natural_spline_not_even_in_bend() -> None:
    times = torch.linspace(0.0, 2.0 * torch.pi, 9).double()
    values = times.sin()
    straight, smooth = linear(times, values), spline(times, values, "natural")
    assert jumps(straight, times, 1) > 0.5  # C0
    assert jumps(smooth, times, 1) < 1e-10
    assert jumps(smooth, times, 2) < 1e-10  # C2
    assert jumps(smooth, times, 3) > 0.1
    assert float(smooth(times[[0, -1]], 2).abs().max()) < 1e-13  # natural ends


def test_the_error_falls_with_the_fourth_power_of_the_distance() -> None:
    errors = []
    for count in (9, 17, 33, 65):
        times = torch.linspace(0.0, 3.0, count, dtype=torch.float64)
        at = torch.linspace(0.0, 3.0, 1001, dtype=torch.float64)
        curve = spline(times, times.sin(), "clamped", times[[0, -1]].cos())
        errors.append(float((curve(at) - at.sin()).abs().max()))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert (np.abs(orders - 4.0) < 0.1).all(), orders


def worst(curve: object) -> float:
    at = torch.linspace(-1.0, 1.0, 4001).double()
    return float((curve(at) - runge(at)).abs().max())  # type: ignore[operator]


def test_runges_phenomenon() -> None:
    """Largest error for 1 / (1 + 25 x^2): grows for one polynomial, falls for everything else."""
    table = {5: (0.438, 0.402, 0.317, 0.180), 11: (1.916, 0.109, 0.0220, 0.067),
             21: (59.8, 0.0153, 0.0032, 0.042)}  # fmt: skip
    for count, wanted in table.items():
        even, good = torch.linspace(-1.0, 1.0, count).double(), chebyshev_points(count)
        found = (
            worst(barycentric(even, runge(even))),
            worst(barycentric(good, runge(good))),
            worst(spline(even, runge(even), "not-a-knot")),
            worst(linear(even, runge(even))),
        )
        assert np.allclose(found, wanted, rtol=0.02), (count, found)


def test_gradients_go_through_the_solve() -> None:
    times = torch.linspace(0.0, 1.0, 6).double()
    values = torch.randn(6, 2, dtype=torch.float64)
    values[-1] = values[0]
    at = torch.linspace(0.05, 0.95, 4).double()

    def periodic(values: torch.Tensor) -> torch.Tensor:
        return spline(times, torch.cat((values, values[:1])), "periodic")(at)

    assert torch.autograd.gradcheck(periodic, (values[:-1].requires_grad_(),))


def test_bad_ends_are_named(unchecked: None) -> None:
    times, values = torch.arange(4.0), torch.arange(4.0)
    with pytest.raises(InputError, match="expected ends natural"):
        spline(times, values, "smooth")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="end where it began"):
        spline(times, values, "periodic")
    with pytest.raises(InputError, match="end slopes with clamped"):
        spline(times, values, "natural", torch.zeros(2))
    with pytest.raises(InputError, match="at least 3 keys"):
        spline(times[:2], values[:2], "periodic")


def test_vandermonde_loses_digits_as_keys_are_added() -> None:
    conditions = [
        float(torch.linalg.cond(torch.linalg.vander(torch.linspace(-1.0, 1.0, n).double())))
        for n in (5, 11, 21)
    ]
    assert np.allclose(conditions, (24, 1.4e4, 8.3e8), rtol=0.05)
    x = torch.linspace(-1.0, 1.0, 5).double()
    assert torch.allclose(power_coefficients(x, x**2), torch.tensor([0.0, 0, 1, 0, 0]).double())
