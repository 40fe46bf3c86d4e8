"""Switch's router, its dispatch and its loss equal Hugging Face transformers (5.23.0) in float32.

transformers writes the capacity as tokens an expert; it is capacity * N / E here. transformers also
counts it per sequence and we over the batch, so capacities are compared on one sequence.
"""

import os
import warnings

import pytest
import torch
from torch import Tensor, nn

from muybridge.nn.moe import Experts
from muybridge.nn.routing import Routing, SoftmaxGate, switch_balance_loss

os.environ.setdefault("HF_HUB_OFFLINE", "1")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("transformers")
    from transformers.models.switch_transformers import (
        modeling_switch_transformers as switch,
    )
    from transformers.models.switch_transformers.configuration_switch_transformers import (
        SwitchTransformersConfig,
    )

pytestmark = pytest.mark.filterwarnings("ignore")
EXACT = {"rtol": 0, "atol": 2e-7}  # float32 sums in another order


def _pair(experts: int, width: int, room: int, seed: int) -> tuple[nn.Module, SoftmaxGate]:
    """Their router with `room` tokens an expert, and ours with the same weights, no limit."""
    torch.manual_seed(seed)
    config = SwitchTransformersConfig(
        d_model=width, num_experts=experts, expert_capacity=room, router_jitter_noise=0.0
    )
    theirs = switch.SwitchTransformersTop1Router(config).eval()
    ours = SoftmaxGate(width, experts, 1)
    nn.init.normal_(theirs.classifier.weight)
    ours.weight.data.copy_(theirs.classifier.weight)
    return theirs, ours


def _dispatch(routing: Routing) -> Tensor:
    """Ours as their mask: (B T, E), one where a token is worked on."""
    mask = torch.zeros(routing.scores.flatten(0, 1).shape, dtype=torch.int64)
    mask[routing.token, routing.expert] = 1
    return mask


@pytest.mark.parametrize("seed", range(3))
def test_choices_probabilities_and_loss(seed: int) -> None:
    theirs, ours = _pair(8, 16, 1000, seed)
    x = torch.randn(3, 40, 16) + 0.3
    mask, weight, logits = theirs(x)
    routing = ours(x)
    assert torch.equal(_dispatch(routing), mask.flatten(0, 1))
    torch.testing.assert_close(routing.weight, weight.flatten(), **EXACT)
    torch.testing.assert_close(routing.scores, logits.softmax(-1), **EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_and_its_gradient(seed: int) -> None:
    """As their model does: all sparse layers of a sequence in one row, the whole as one group."""
    theirs, ours = _pair(8, 16, 1000, seed)
    x = torch.randn(1, 120, 16) + 0.3
    _, _, logits = theirs(x)
    loss = switch.load_balancing_loss_func(logits.softmax(-1), logits.argmax(-1))
    loss.backward()
    mine = switch_balance_loss(ours(x))
    mine.backward()
    assert mine.item() > 1.1  # skewed enough to tell
    torch.testing.assert_close(mine, loss, rtol=1e-6, atol=0)
    torch.testing.assert_close(ours.weight.grad, theirs.classifier.weight.grad, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0])
def test_what_exceeds_the_capacity_is_dropped(factor: float) -> None:
    theirs, ours = _pair(4, 16, int(factor * 64 / 4), 0)
    ours.capacity = factor
    x = torch.randn(1, 64, 16) + 0.3
    mask, _, _ = theirs(x)
    routing = ours(x)
    assert 0 < len(routing.token) < 64
    assert torch.equal(_dispatch(routing), mask[0])


def test_experts_are_added_as_theirs_are() -> None:
    """Both layers with experts that answer alike: the same tokens, weighted the same, dropped."""
    theirs, ours = _pair(4, 16, 16, 1)
    ours.capacity = 1.0
    config = SwitchTransformersConfig(d_model=16, num_experts=4, expert_capacity=16)
    layer = switch.SwitchTransformersSparseMLP(config).eval()
    layer.router = theirs
    own = Experts(16, 4, 8)

    class Answer(nn.Module):
        def __init__(self, expert: int) -> None:
            super().__init__()
            self.expert = expert

        def forward(self, x: Tensor) -> Tensor:
            return own._answer(self.expert, x)

    for weight in own.parameters():
        nn.init.normal_(weight)
    for expert in range(4):
        layer.experts[f"expert_{expert}"] = Answer(expert)
    x = torch.randn(1, 64, 16) + 0.3
    with torch.no_grad():
        routing = ours(x)
        expected, found = layer(x)[0], own(x[0], routing)
    assert len(routing.token) < 64
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
