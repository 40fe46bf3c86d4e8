"""Polynomials in three forms that must agree, and scipy's."""

import numpy as np
import torch
from scipy.interpolate import BarycentricInterpolator, lagrange

from muybridge.edit.curves.polynomial import (
    barycentric,
    chebyshev_points,
    lagrange_basis,
    power_coefficients,
    powers_at,
)  # fmt: skip

T = torch.linspace(-1.0, 1.0, 7, dtype=torch.float64) ** 3 + 0.1
V = torch.tensor([[0.3, 1.0], [2, -1], [0, 0.5], [1, 1], [-2, 0], [1, 3], [0, 1]]).double()
AT = torch.linspace(-0.95, 1.15, 50, dtype=torch.float64)


def test_equals_scipy() -> None:
    theirs = BarycentricInterpolator(T.numpy(), V.numpy(), random_state=0)(AT.numpy())
    assert np.abs(barycentric(T, V)(AT).numpy() - theirs).max() < 1e-12 * np.abs(theirs).max()
    one = np.polyval(lagrange(T.numpy(), V[:, 0].numpy()).coef, AT.numpy())
    ours = barycentric(T, V[:, 0])(AT).numpy()
    assert np.abs(ours - one).max() < 1e-9 * np.abs(one).max()  # theirs expands into powers


def test_three_forms_agree() -> None:
    main = barycentric(T, V)(AT)
    scale = float(main.abs().max())
    for other in (lagrange_basis(T, AT) @ V, powers_at(power_coefficients(T, V), AT)):
        torch.testing.assert_close(other, main, rtol=0, atol=1e-10 * scale)


def test_lagranges_basis_is_one_at_its_key_and_sums_to_one() -> None:
    assert torch.allclose(lagrange_basis(T, T), torch.eye(7).double(), atol=1e-13)
    assert torch.allclose(lagrange_basis(T, AT).sum(-1), torch.ones(50).double(), atol=1e-11)


def test_many_keys_do_not_overflow() -> None:
    x = chebyshev_points(300, 0.0, 1000.0, ends=True)
    found = barycentric(x, (x / 100.0).sin())(torch.tensor([123.4], dtype=torch.float64))
    assert abs(float(found) - np.sin(1.234)) < 1e-12
    assert float(x[0]) == 0.0
    assert float(x[-1]) == 1000.0


def test_chebyshev_points() -> None:
    roots = np.sort(np.polynomial.chebyshev.chebroots([0, 0, 0, 0, 0, 1]))
    assert np.abs(chebyshev_points(5).numpy() - roots).max() < 1e-12
    assert chebyshev_points(1).tolist() == [0.0] or abs(float(chebyshev_points(1)[0])) < 1e-15
