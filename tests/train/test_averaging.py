"""Averages against formulas, swapping without a trace, and less noise than the last weights."""

from typing import Any

import pytest
import torch
from torch import nn

from muybridge.errors import InputError
from muybridge.train.averaging import Ema, average_states


def test_the_mean_of_checkpoints() -> None:
    states = [{"w": torch.full((3,), float(i)), "steps": torch.tensor(i)} for i in (1, 2, 6)]
    mean = average_states(states)
    assert mean["w"].tolist() == [3.0] * 3
    assert mean["steps"].item() == 6  # a counter is no weight


def test_half_precision_is_summed_wide() -> None:
    """In bfloat16, 256 + 1 is 256: a narrow sum of ones would stop there."""
    ones = [{"w": torch.ones(2, dtype=torch.bfloat16)}] * 400
    mean = average_states(ones)["w"]
    assert mean.dtype == torch.bfloat16
    assert mean.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "states",
    [
        [],
        [{"a": torch.zeros(2)}, {"b": torch.zeros(2)}],
        [{"a": torch.zeros(2)}, {"a": torch.zeros(3)}],
    ],
)
def test_checkpoints_of_other_models_are_refused(states: Any) -> None:
    with pytest.raises(InputError):
        average_states(states)


def test_the_running_average_is_the_formula() -> None:
    model = nn.Linear(2, 1, bias=False)
    ema = Ema(model, 0.9, warmup=False)
    expected = model.weight.detach().clone()
    for step in range(20):
        with torch.no_grad():
            model.weight.fill_(float(step))
        ema.update()
        expected = 0.9 * expected + 0.1 * step
    torch.testing.assert_close(ema.average["weight"], expected, rtol=1e-6, atol=0)


def test_the_warm_up_forgets_the_start() -> None:
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 100.0)
    slow, quick = Ema(model, 0.999, warmup=False), Ema(model, 0.999)
    nn.init.zeros_(model.weight)
    for _ in range(20):
        slow.update()
        quick.update()
    assert slow.average["weight"].min() > 97
    assert quick.average["weight"].max() < 1


def test_swapping_leaves_no_trace() -> None:
    model = nn.Linear(3, 2).bfloat16()
    ema = Ema(model, 0.5)
    own = [p.detach().clone() for p in model.parameters()]
    nn.init.ones_(model.weight)
    changed = model.weight.detach().clone()

    def evaluate() -> None:
        with ema.swap() as swapped:
            assert torch.equal(swapped.weight, own[0])
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        evaluate()
    assert torch.equal(model.weight, changed)
    assert ema.average["weight"].dtype == torch.float32


def test_going_on_after_a_break_is_the_same() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    whole = Ema(model, 0.9)
    whole.update()
    later = Ema(nn.Linear(3, 2), 0.9)
    later.load_state_dict({n: t.clone() for n, t in whole.state_dict().items()})
    later.model = model
    for ema in (whole, later):
        nn.init.ones_(model.weight)
        ema.update()
    assert torch.equal(whole.average["weight"], later.average["weight"])
    with pytest.raises(InputError):
        later.load_state_dict({"weight": torch.zeros(1)})


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_bad_decays_are_refused(decay: float) -> None:
    with pytest.raises(InputError):
        Ema(nn.Linear(1, 1), decay)


@pytest.mark.parametrize("seed", range(5))
def test_both_averages_are_nearer_to_the_truth_than_the_last_weights(seed: int) -> None:
    """Noisy descent at a constant rate circles around the minimum; the average finds it."""
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(1, 8, generator=generator)
    model = nn.Linear(8, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema, kept = Ema(model, 0.98), []
    for step in range(600):
        x = torch.randn(4, 8, generator=generator)
        y = x @ truth.T + torch.randn(4, 1, generator=generator)
        model.zero_grad()
        (model(x) - y).square().mean().backward()
        with torch.no_grad():
            model.weight -= 0.05 * model.weight.grad
        ema.update()
        if step >= 400 and step % 20 == 0:
            kept.append({"weight": model.weight.detach().clone()})
    far = [(w - truth).norm().item() for w in (s["weight"] for s in kept)]
    typical = sum(far) / len(far)
    assert (ema.average["weight"] - truth).norm().item() < 0.7 * typical
    assert (average_states(kept)["weight"] - truth).norm().item() < 0.7 * typical
