"""Threshold units compute logic; the perceptron converges within its bound, and never on XOR."""

import math

import pytest
import torch
from torch import Tensor

from muybridge.errors import InputError
from muybridge.nn.perceptron import (
    ThresholdUnit,
    append_one,
    mistake_bound,
    train_perceptron,
)

CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
GATES = {
    "and": (ThresholdUnit((0, 1), (), 2), [False, False, False, True]),
    "or": (ThresholdUnit((0, 1), (), 1), [False, True, True, True]),
    "nor": (ThresholdUnit((), (0, 1), 0), [True, False, False, False]),
    "first and not second": (ThresholdUnit((0,), (1,), 1), [False, False, True, False]),
}


@pytest.mark.parametrize("gate", GATES)
def test_threshold_units_are_gates_and_perceptrons_learn_them(gate: str) -> None:
    unit, truth = GATES[gate]
    assert unit(CORNERS.bool()).tolist() == truth
    samples = append_one(CORNERS)
    training = train_perceptron(samples, torch.tensor(truth))
    assert training.converged
    assert training.perceptron(samples).tolist() == truth


def test_two_layers_of_units_do_what_one_cannot() -> None:
    """XOR = (a or b) and not (a and b)."""
    inputs = CORNERS.bool()
    hidden = torch.stack([GATES["or"][0](inputs), GATES["and"][0](inputs)], dim=-1)
    assert ThresholdUnit((0,), (1,), 1)(hidden).tolist() == [False, True, True, False]


def _separable(seed: int, margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """Points of a disc, those closer to a line than the margin left out."""
    generator = torch.Generator().manual_seed(seed)
    separator = torch.randn(4, generator=generator)
    separator = separator / separator.norm()
    points = torch.randn(400, 4, generator=generator)
    points = points[(points @ separator).abs() >= margin]
    return points, points @ separator > 0, separator


@pytest.mark.parametrize("margin", [0.05, 0.2, 0.8])
@pytest.mark.parametrize("seed", range(5))
def test_it_converges_within_the_bound(seed: int, margin: float) -> None:
    points, positive, separator = _separable(seed, margin)
    training = train_perceptron(points, positive, passes=1000)
    assert training.converged
    assert torch.equal(training.perceptron(points), positive)
    bound = mistake_bound(points, positive, separator)
    assert math.isfinite(bound)
    assert 0 < training.mistakes <= bound


def test_the_bound_is_reached() -> None:
    """One sample: R = gamma, so exactly one mistake, the first one."""
    sample = torch.tensor([[3.0, 4.0]])
    training = train_perceptron(sample, torch.tensor([True]))
    assert mistake_bound(sample, torch.tensor([True]), sample[0]) == pytest.approx(1.0)
    assert (training.mistakes, training.errors) == (1, (1, 0))


def test_it_never_converges_on_xor() -> None:
    xor = torch.tensor([False, True, True, False])
    samples = append_one(CORNERS)
    training = train_perceptron(samples, xor, passes=500)
    assert not training.converged
    assert len(training.errors) == 500
    assert min(training.errors) >= 1
    assert mistake_bound(samples, xor, torch.tensor([1.0, 1.0, -0.5])) == math.inf
    assert float(training.perceptron.weight.norm()) < 5  # it cycles, it does not grow
    product = torch.cat([samples, CORNERS[:, :1] * CORNERS[:, 1:]], dim=1)
    assert train_perceptron(product, xor).converged  # one more input, and a plane separates


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(InputError, match="samples and passes"):
        train_perceptron(torch.zeros(0, 2), torch.zeros(0, dtype=torch.bool))
