"""Known roots and means from noise, and the step sequences that fail as the theorems say."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from muybridge.errors import InputError
from muybridge.train.stochastic_approximation import (
    Steps,
    constant_steps,
    descend,
    dvoretzky_limit,
    incremental_mean,
    power_steps,
    robbins_monro,
)


def test_the_incremental_mean_is_the_mean() -> None:
    samples = np.random.default_rng(0).normal(3.0, 2.0, 2000)
    means = list(incremental_mean(float(x) for x in samples))
    expected = [samples[: k + 1].mean() for k in range(2000)]
    assert means == pytest.approx(expected, abs=1e-12, rel=0)
    assert list(incremental_mean([])) == []


def test_it_is_robbins_monro_of_the_distance() -> None:
    """g(w) = w - x with a_k = 1 / k, the first of Zhao's examples."""
    samples = iter(torch.arange(10.0).double())
    found = robbins_monro(
        lambda w: w - next(samples), torch.tensor([7.0]).double(), power_steps(), 10
    )
    assert found.tolist() == pytest.approx([4.5], abs=1e-14)


def _tanh(seed: int = 0) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda w: (w - 1).tanh() + torch.randn(w.shape, generator=generator).double()


def _rmse(steps: Callable[[int], float], count: int, seed: int = 0) -> float:
    start = torch.full((50,), 3.0, dtype=torch.float64)
    found = robbins_monro(_tanh(seed), start, steps, count)
    return float((found - 1).square().mean().sqrt())


def test_the_root_of_tanh() -> None:
    """20,000 steps, unit noise, 50 runs; theory: 1 / sqrt(20,000) = 0.0071."""
    error = _rmse(power_steps(), 20_000)
    assert error == pytest.approx(1 / math.sqrt(20_000), rel=0.25)
    assert _rmse(power_steps(), 2_000) > 2 * error


def test_steps_that_fall_too_fast_stop_on_the_way() -> None:
    steps = power_steps(2.0)
    assert steps.reach == pytest.approx(math.pi**2 / 6, rel=1e-9)
    from_far = torch.full((50,), 9.0, dtype=torch.float64)  # 8 from the root, the reach is 1.6
    short = robbins_monro(lambda w: (w - 1).tanh(), from_far, steps, 2_000)
    assert float((short - 1).min()) > 8 - steps.reach - 1e-9
    assert _rmse(steps, 2_000) > 10 * _rmse(power_steps(), 2_000)


def test_constant_steps_leave_an_error_floor() -> None:
    """Stationary variance a / (2 - a) of the linear process, near the root."""
    for scale in (0.05, 0.2):
        floors = [_rmse(constant_steps(scale), count) for count in (1_000, 3_000)]
        assert floors == pytest.approx([math.sqrt(scale / (2 - scale))] * 2, rel=0.3)


@pytest.mark.parametrize(
    ("power", "reaches", "settles"),
    [(0.0, True, False), (0.5, True, False), (0.6, True, True), (1.0, True, True),
     (1.5, False, True), (2.0, False, True)],
)  # fmt: skip
def test_dvoretzky_tells_the_sequences_apart(power: float, reaches: bool, settles: bool) -> None:
    steps = Steps(0.5, power)
    assert (steps.reaches, steps.settles) == (reaches, settles)
    assert steps.converges == (reaches and settles)
    assert math.isinf(steps.reach) == reaches
    early, late = (dvoretzky_limit(steps, steps, count)[0] for count in (100, 3_000))
    if reaches:
        assert late <= 0.5 * early
    else:
        assert late > 0.5 * early > 0


def test_dvoretzky_is_what_runs_do() -> None:
    """Mean and variance of 20,000 simulated processes against the two figures."""
    generator = torch.Generator().manual_seed(0)
    steps = Steps(0.7, 0.8)
    delta = torch.full((20_000,), 5.0, dtype=torch.float64)
    noisy = robbins_monro(
        lambda w: w - torch.randn(w.shape, generator=generator).double(), delta, steps, 50
    )
    left, variance = dvoretzky_limit(steps, steps, 50)
    assert float(noisy.mean()) == pytest.approx(5 * left, abs=4 * math.sqrt(variance / 20_000))
    assert float(noisy.var()) == pytest.approx(variance, rel=0.05)
    assert dvoretzky_limit(Steps(0.1, 0.0), Steps(0.1, 0.0), 999)[1] == pytest.approx(0.1 / 1.9)


def _pull(w: Tensor, samples: Tensor) -> Tensor:
    return (w - samples).mean(0)


def test_batch_descent_is_exact_and_small_batches_jitter_with_their_root() -> None:
    """100 points of a square, as in Zhao's figure 6.5: all lead to their mean."""
    generator = torch.Generator().manual_seed(0)
    points = 20 * torch.rand(100, 2, generator=generator, dtype=torch.float64) - 10
    start = torch.tensor([50.0, 50.0]).double()
    off = {}
    for batch in (1, 5, 50, 100):
        path = descend(_pull, start, points, constant_steps(0.05), 2_000, batch, generator)
        off[batch] = float((path[500:] - points.mean(0)).square().sum(1).mean().sqrt())
    assert off[100] < 1e-9
    spread = math.sqrt(float(points.var(0, correction=0).sum()) * 0.05 / 1.95)
    assert off[1] == pytest.approx(spread, rel=0.15)
    assert off[1] / off[5] == pytest.approx(math.sqrt(5), rel=0.2)
    assert off[1] / off[50] == pytest.approx(math.sqrt(50), rel=0.2)


def test_sgd_with_falling_steps_arrives() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(100, 2, generator=generator, dtype=torch.float64)
    start = torch.tensor([50.0, 50.0]).double()
    path = descend(_pull, start, points, power_steps(), 5_000, 1, generator)
    assert float((path[-1] - points.mean(0)).norm()) < 0.06
    assert path.shape == (5_001, 2)


def test_mistakes_are_refused() -> None:
    with pytest.raises(InputError, match="batch"):
        descend(_pull, torch.zeros(2), torch.zeros(3, 2), power_steps(), 1, 4)
    with pytest.raises(InputError, match="first step"):
        constant_steps(0.0)
