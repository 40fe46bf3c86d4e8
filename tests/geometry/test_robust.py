"""Robust losses: weights are derivatives of costs, far residuals lose influence, NaN weighs 0."""

import pytest
import torch

from muybridge.geometry.robust import mad_scale, robust_cost, robust_weight

LOSSES = ("quadratic", "huber", "cauchy", "geman")


@pytest.mark.parametrize("loss", LOSSES)
def test_the_weight_is_the_slope_of_the_cost(loss: str) -> None:
    distance = torch.linspace(0.1, 30.0, 50, dtype=torch.float64, requires_grad=True)
    robust_cost(distance, 4.0, loss).sum().backward()
    expected = 2.0 * distance.detach() * robust_weight(distance.detach(), 4.0, loss)
    torch.testing.assert_close(distance.grad, expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_near_zero_every_loss_is_quadratic_and_nan_is_unseen(loss: str) -> None:
    distance = torch.tensor([1e-6, torch.nan], dtype=torch.float64)
    weight, cost = robust_weight(distance, 3.0, loss), robust_cost(distance, 3.0, loss)
    torch.testing.assert_close(weight, torch.tensor([1.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(cost, torch.tensor([1e-12, 0.0], dtype=torch.float64))


def test_influence_of_a_gross_error_falls_from_loss_to_loss() -> None:
    far = torch.tensor(100.0, dtype=torch.float64)
    influence = [float(far * robust_weight(far, 5.0, loss)) for loss in LOSSES]
    assert influence == sorted(influence, reverse=True)
    assert influence[1] == pytest.approx(5.0)
    assert influence[3] < 0.01


def test_mad_scale_survives_outliers_and_nan() -> None:
    torch.manual_seed(0)
    sample = 2.5 * torch.randn(9000, dtype=torch.float64) + 7.0
    assert float(mad_scale(sample)) == pytest.approx(2.5, rel=0.03)
    sample[::10] = 1e4
    sample[1] = torch.nan
    assert float(mad_scale(sample)) == pytest.approx(2.5, rel=0.20)
