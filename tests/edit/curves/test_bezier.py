"""Bezier curves: two evaluations that must agree, and the operations on control points."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BPoly

from muybridge.edit.curves.bezier import (
    bernstein,
    bezier_from_cubic,
    cubic_from_bezier,
    de_casteljau,
    elevate,
    hodograph,
    split,
)  # fmt: skip
from muybridge.edit.curves.spline import spline
from muybridge.errors import InputError

U = torch.linspace(0.0, 1.0, 33, dtype=torch.float64)
FEW = settings(max_examples=20, deadline=None)
DEGREES = st.integers(1, 9)


def points(degree: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(degree).normal(size=(degree + 1, 2)))


@given(degree=DEGREES)
@FEW
def test_de_casteljau_bernstein_and_scipy_agree(degree: int) -> None:
    p = points(degree)
    found = de_casteljau(p, U)
    torch.testing.assert_close(bernstein(degree, U) @ p, found, rtol=0, atol=1e-13)
    theirs = BPoly(p[:, None].numpy(), [0.0, 1.0])(U.numpy())
    assert np.abs(found.numpy() - theirs).max() < 1e-13


@given(degree=DEGREES)
@FEW
def test_bernsteins_basis_is_a_partition_of_unity(degree: int) -> None:
    shares = bernstein(degree, U)
    assert bool((shares >= 0.0).all())
    torch.testing.assert_close(shares.sum(-1), torch.ones_like(U), rtol=0, atol=1e-13)


@given(degree=DEGREES, cut=st.floats(0.05, 0.95))
@FEW
def test_splitting_raising_and_deriving_leave_the_curve(degree: int, cut: float) -> None:
    p = points(degree)
    left, right = split(p, cut)
    torch.testing.assert_close(de_casteljau(left, U), de_casteljau(p, cut * U), rtol=0, atol=1e-12)
    rest = de_casteljau(p, cut + (1.0 - cut) * U)
    torch.testing.assert_close(de_casteljau(right, U), rest, rtol=0, atol=1e-12)
    torch.testing.assert_close(de_casteljau(elevate(p), U), de_casteljau(p, U), rtol=0, atol=1e-13)
    u = U.clone().requires_grad_()
    (slope,) = torch.autograd.grad(de_casteljau(p, u)[:, 0].sum(), u)
    torch.testing.assert_close(de_casteljau(hodograph(p), U)[:, 0], slope, rtol=0, atol=1e-11)


def test_the_hull_holds_the_curve() -> None:
    p, found = points(5), de_casteljau(points(5), U)
    assert bool((found <= p.amax(0) + 1e-15).all())
    assert bool((found >= p.amin(0) - 1e-15).all())


def test_cubics_to_bezier_and_back() -> None:
    times = torch.tensor([0.0, 0.4, 1.7, 2.0], dtype=torch.float64)
    curve = spline(times, points(3), "natural")
    controls = bezier_from_cubic(curve)
    again = cubic_from_bezier(times, controls)
    torch.testing.assert_close(again.coefficients, curve.coefficients, rtol=0, atol=1e-12)
    inside = de_casteljau(controls[1], U)
    torch.testing.assert_close(inside, curve(0.4 + 1.3 * U), rtol=0, atol=1e-13)
    with pytest.raises(InputError, match="one knot more"):
        cubic_from_bezier(times[:-1], controls)
    with pytest.raises(InputError, match="control points"):
        de_casteljau(times[:0], U)
