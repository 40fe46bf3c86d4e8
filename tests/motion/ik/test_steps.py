"""Steps against torch's pseudo-inverse, their identities, and the box."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from muybridge.motion.ik.steps import (
    STEPS,
    damped,
    pseudo_inverse_tall,
    pseudo_inverse_wide,
    transpose,
    within,
)


def _system(m: int, n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    jacobian = torch.randn(5, m, n, dtype=torch.float64, generator=generator)
    return jacobian, torch.randn(5, m, dtype=torch.float64, generator=generator)


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_both_forms_are_the_pseudo_inverse(seed: int) -> None:
    for m, n, step in ((3, 7, pseudo_inverse_wide), (7, 3, pseudo_inverse_tall)):
        jacobian, error = _system(m, n, seed)
        expected = (torch.linalg.pinv(jacobian) @ error.unsqueeze(-1)).squeeze(-1)
        torch.testing.assert_close(step(jacobian, error), expected, atol=1e-8, rtol=1e-8)
    jacobian, error = _system(3, 3, seed)
    jacobian = jacobian + 3.0 * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(
        pseudo_inverse_wide(jacobian, error), pseudo_inverse_tall(jacobian, error),
        atol=1e-6, rtol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize(("m", "n"), [(3, 7), (7, 3), (4, 4)])
def test_damped_is_the_least_damped_square(m: int, n: int) -> None:
    jacobian, error = _system(m, n, 1)
    eye = torch.eye(n, dtype=torch.float64)
    expected = torch.linalg.solve(
        jacobian.mT @ jacobian + 0.3**2 * eye, jacobian.mT @ error[..., None]
    )
    torch.testing.assert_close(damped(jacobian, error, 0.3), expected.squeeze(-1))


def test_transpose_descends_as_far_as_pays() -> None:
    jacobian, error = _system(3, 7, 2)
    step = transpose(jacobian, error)
    gradient = (jacobian.mT @ error.unsqueeze(-1)).squeeze(-1)
    cosine = torch.nn.functional.cosine_similarity(step, gradient)
    torch.testing.assert_close(cosine, torch.ones_like(cosine))

    def left(share: float) -> torch.Tensor:
        return (error - (jacobian @ (share * step).unsqueeze(-1)).squeeze(-1)).norm(dim=-1)

    assert bool((left(1.0) < left(0.99)).all())
    assert bool((left(1.0) < left(1.01)).all())


@pytest.mark.parametrize("name", list(STEPS))
def test_a_chain_that_cannot_move_does_not(name: str) -> None:
    step = STEPS[name](torch.zeros(2, 3, 4).double(), torch.ones(2, 3).double())
    assert torch.equal(step, torch.zeros(2, 4).double())


@given(seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_within_stays_inside_and_loses_little(seed: int) -> None:
    """Fixing what would leave is not the exact bounded optimum, but far better than clamping."""
    jacobian, error = _system(3, 7, seed)
    room = -0.4 * torch.ones(5, 7).double(), 0.3 * torch.ones(5, 7).double()
    step = within(pseudo_inverse_wide, jacobian, error, room)
    assert bool((step >= room[0]).all())
    assert bool((step <= room[1]).all())

    def left(made: torch.Tensor) -> torch.Tensor:
        return (error - (jacobian @ made.unsqueeze(-1)).squeeze(-1)).norm(dim=-1)

    clamped = pseudo_inverse_wide(jacobian, error).clamp(-0.4, 0.3)
    assert float(left(step).mean()) <= float(left(clamped).mean()) + 1e-9
    pairs = zip(jacobian.numpy(), error.numpy(), strict=True)
    best = np.stack([lsq_linear(j, e, (-0.4, 0.3)).x for j, e in pairs])
    assert bool((left(step) >= left(torch.from_numpy(best)) - 1e-6).all())
    step = within(pseudo_inverse_wide, jacobian, 0.02 * error, room)
    off = 0.02 * error - (jacobian @ step.unsqueeze(-1)).squeeze(-1)
    assert float(off.abs().max()) < 1e-6


def test_within_without_need_changes_nothing() -> None:
    jacobian, error = _system(3, 7, 3)
    rule = partial(damped, damping=0.1)
    wide = -1e9 * torch.ones(5, 7).double(), 1e9 * torch.ones(5, 7).double()
    assert torch.equal(within(rule, jacobian, error, wide), rule(jacobian, error))
