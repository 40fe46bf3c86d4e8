"""Balance: the toy of arXiv 2408.15664 with its three figures, Switch's minimum, and collapse."""

import runpy
from pathlib import Path

import pytest
import torch

from muybridge.nn.routing import Routing, switch_balance_loss

EXAMPLES = Path(__file__).parents[2] / "examples"
BALANCE = runpy.run_path(str(EXAMPLES / "balance.py"))
ROUTING = runpy.run_path(str(EXAMPLES / "routing.py"))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_toy_without_and_at_first_with_a_bias() -> None:
    """Asked: 5.84 without, 5.65 over the first 20 steps at 1e-3; the router is of one seed."""
    free, first = BALANCE["violations"](0.0, 20), BALANCE["violations"](1e-3, 20)
    assert _mean(free) == pytest.approx(5.84, abs=0.15)
    assert _mean(first) == pytest.approx(5.65, abs=0.15)
    assert _mean(BALANCE["violations"](1e-2, 200)[-20:]) < 0.5  # ten times as fast: 2000 / 10


@pytest.mark.slow
def test_the_toy_at_its_end() -> None:
    """Asked: 0.24 over the last 100 of 2000 steps; what is left is the draw of 1,024 tokens."""
    assert _mean(BALANCE["violations"](1e-3, 2000)[-100:]) == pytest.approx(0.24, abs=0.03)


def _even(logits: torch.Tensor) -> Routing:
    """A router that means these logits; its choices are the likeliest experts."""
    scores = logits.softmax(-1)
    choice = scores.argmax(-1, keepdim=True)
    token = torch.arange(choice.numel())
    return Routing(token, choice.flatten(), torch.ones(len(token)), scores, choice)


@pytest.mark.parametrize("seed", range(5))
def test_descent_on_switchs_loss_ends_at_equal_load(seed: int) -> None:
    """From a skewed router the loss alone leads to 1, its value at balance, and no lower."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(1, 512, 8, generator=random)
    weight = torch.randn(8, 4, generator=random) * 0.3
    offset = torch.tensor([2.0, 0.0, -1.0, 0.0])
    parameters = [weight.requires_grad_(), offset.requires_grad_()]
    optimiser = torch.optim.Adam(parameters, lr=3e-2)
    losses = []
    for _ in range(150):
        loss = switch_balance_loss(_even(x @ weight + offset))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    load = _even(x @ weight + offset).load
    assert losses[0] > 1.5
    assert losses[-1] == pytest.approx(1.0, abs=0.03)
    assert load.max() / load.float().mean() < 1.4


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)
def test_a_router_left_alone_collapses_and_every_remedy_heals(seed: int) -> None:
    """From a small head start of one of four experts, on a task that it could do alone."""
    busiest = {
        name: ROUTING["train"](*router, seed=seed)[0][-20:].amax(1).mean().item()
        for name, router in ROUTING["ROUTERS"].items()
    }
    assert busiest.pop("Switch without its loss") > 0.95
    assert busiest.pop("expert choice") == 0.25
    assert all(0.25 < share < 0.42 for share in busiest.values()), busiest
