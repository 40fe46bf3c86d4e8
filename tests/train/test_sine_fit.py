"""All eight forms have one gradient and end in the least-squares cubic."""

import numpy as np
import pytest
import torch
from torch import Tensor

from muybridge.train.sine_fit import (
    FORMS,
    LEGENDRE_START,
    START,
    LegendreP3,
    ThrownCubic,
    cubic_of_legendre,
)

X = torch.linspace(-1, 1, 200, dtype=torch.float64)
Y = (torch.pi * X).sin()
POWERS = torch.stack([torch.ones_like(X), X, X**2, X**3], dim=1)


def _gradient(theta: Tensor) -> Tensor:
    """2 V^T (V theta - y) / n, the normal equations' slope."""
    return 2 * POWERS.T @ (POWERS @ theta - Y) / len(X)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_agree(form: str) -> None:
    found = FORMS[form](X, Y, 1).first_gradient
    if form == "own function, P3":  # its own numbers: the same slope by the chain rule
        theta = torch.tensor(LEGENDRE_START, dtype=X.dtype)
        jacobian = torch.autograd.functional.jacobian(cubic_of_legendre, theta)
        expected = jacobian.T @ _gradient(cubic_of_legendre(theta))
    else:
        expected = _gradient(torch.tensor(START, dtype=X.dtype))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_all_end_in_the_least_squares_solution(form: str) -> None:
    best = np.linalg.lstsq(POWERS.numpy(), Y.numpy(), rcond=None)[0]
    steps = 1500 if form == "own function, P3" else 600
    found = FORMS[form](X, Y, steps).cubic
    assert found.tolist() == pytest.approx(best.tolist(), abs=2e-5)
    assert float((POWERS @ found - Y).square().mean()) < 0.005


def test_the_backward_pass_of_ones_own() -> None:
    z = torch.randn(7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(LegendreP3.apply, z)
    theta = torch.randn(4, dtype=torch.float64)
    a, b, c, d = theta
    torch.testing.assert_close(
        POWERS @ cubic_of_legendre(theta), a + b * LegendreP3.apply(c + d * X)
    )


def test_the_die_changes_the_graph_and_not_the_gradient() -> None:
    model = ThrownCubic(torch.float64)
    sizes, gradients = set(), []
    for _ in range(12):
        model.zero_grad()
        value = model(X)
        sizes.add(_nodes(value.grad_fn))
        value.square().mean().backward()
        gradients.append(model.theta.grad)
    assert len(sizes) == 3
    for gradient in gradients:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-12, atol=1e-12)


def _nodes(root: object) -> int:
    seen, waiting = set(), [root]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return len(seen)
