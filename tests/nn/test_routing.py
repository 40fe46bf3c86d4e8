"""Gates against naive twins, the losses at their minimum, and balance that is really reached."""

import math

import pytest
import torch

from muybridge.nn.moe import Mixture, MixtureOfExperts, balance_loss
from muybridge.nn.routing import (
    ExpertChoiceGate,
    Routing,
    SigmoidGate,
    SoftmaxGate,
    sequence_balance_loss,
    switch_balance_loss,
)


def _gate(**options: object) -> SigmoidGate:
    torch.manual_seed(0)
    gate = SigmoidGate(6, 8, 2, groups=4, kept_groups=2, scale=2.5, **options).double()
    torch.nn.init.normal_(gate.weight)
    gate.bias.copy_(torch.randn(8))
    return gate


def _naive(gate: SigmoidGate, x: torch.Tensor) -> dict[int, float]:
    """One token by hand, as the paper tells it."""
    scores = [1 / (1 + math.exp(-(row @ x).item())) for row in gate.weight]
    choice = [s + float(b) for s, b in zip(scores, gate.bias, strict=True)]
    groups = [choice[g * 2 : g * 2 + 2] for g in range(4)]
    kept = sorted(range(4), key=lambda g: -sum(sorted(groups[g])[-2:]))[:2]
    within = [e for e in range(8) if e // 2 in kept]
    chosen = sorted(within, key=lambda e: -choice[e])[:2]
    total = sum(scores[e] for e in chosen)
    return {e: 2.5 * scores[e] / total for e in chosen}


def test_the_sigmoid_gate_is_the_papers() -> None:
    gate, x = _gate(), torch.randn(3, 11, 6, dtype=torch.float64)
    routing = gate(x)
    for token, row in enumerate(x.flatten(0, 1)):
        mine = routing.token == token
        found = dict(zip(routing.expert[mine].tolist(), routing.weight[mine].tolist(), strict=True))
        assert found == pytest.approx(_naive(gate, row), rel=1e-12)


def test_weights_do_not_come_from_the_bias() -> None:
    """transformers #40132 took them from s + b: the choice may change with b, the weights not."""
    gate, x = _gate(), torch.randn(2, 9, 6, dtype=torch.float64)
    before = gate(x)
    gate.bias += 3.0  # the same for all: no choice changes
    after = gate(x)
    assert torch.equal(before.expert, after.expert)
    assert torch.equal(before.weight, after.weight)


def test_the_bias_has_no_gradient() -> None:
    gate = _gate()
    gate(torch.randn(1, 5, 6, dtype=torch.float64)).weight.sum().backward()
    assert "bias" not in dict(gate.named_parameters())
    assert gate.bias.grad is None
    assert not gate.bias.requires_grad


def test_negative_choices_stay_within_the_groups() -> None:
    """-inf, not 0: with biases of -5 every expert outside would win against those inside."""
    gate, x = _gate(), torch.randn(2, 50, 6, dtype=torch.float64)
    before = gate(x)
    gate.bias -= 5.0
    assert torch.equal(gate(x).expert, before.expert)


def _uniform(batch: int, time: int, experts: int, active: int) -> Routing:
    choice = torch.arange(batch * time * active).view(batch, time, active) % experts
    scores = torch.full((batch, time, experts), 0.5)
    token = torch.arange(batch * time).repeat_interleave(active)
    return Routing(token, choice.flatten(), torch.ones(len(token)), scores, choice)


def test_losses_are_one_at_balance() -> None:
    balanced = _uniform(2, 8, 4, 2)
    assert sequence_balance_loss(balanced).item() == pytest.approx(1.0)
    switch = _uniform(2, 8, 4, 1)
    softmax = Routing(
        switch.token, switch.expert, switch.weight, torch.full((2, 8, 4), 0.25), switch.choice
    )
    assert switch_balance_loss(softmax).item() == pytest.approx(1.0)


def test_losses_rise_where_all_go_to_one_expert() -> None:
    gate = SoftmaxGate(4, 4, 1)
    torch.nn.init.zeros_(gate.weight)
    with torch.no_grad():
        gate.weight[0] = 3.0
    collapsed = gate(torch.ones(1, 16, 4))
    assert switch_balance_loss(collapsed).item() == pytest.approx(4.0, abs=1e-3)
    routing = _uniform(1, 8, 4, 1)
    scores = torch.full((1, 8, 4), 0.01)
    scores[..., 0] = 0.99
    one = Routing(
        routing.token, routing.expert * 0, routing.weight, scores, torch.zeros(1, 8, 1).long()
    )
    assert sequence_balance_loss(one).item() > 3.5


def test_the_sequence_loss_is_of_each_sequence() -> None:
    """Two sequences, each to one expert of its own: balanced as a batch, not as sequences."""
    choice = torch.tensor([0, 1])[:, None, None].expand(2, 6, 1)
    scores = torch.full((2, 6, 2), 0.1)
    scores[0, :, 0] = scores[1, :, 1] = 0.9
    routing = Routing(torch.arange(12), choice.flatten(), torch.ones(12), scores, choice)
    assert sequence_balance_loss(routing).item() == pytest.approx(1.8)
    assert switch_balance_loss(routing).item() == pytest.approx(1.0)


def _violation(gate: SigmoidGate, rate: float, steps: int) -> list[float]:
    """MaxVio = max load / mean load - 1, of a fixed skewed router over fresh tokens."""
    found = []
    for _ in range(steps):
        x = torch.randn(1, 2048, 16) + 0.5
        load = gate(x).load
        found.append((load.max() / load.float().mean() - 1).item())
        gate.balance(load, rate)
    return found


def test_the_bias_balances_without_a_loss() -> None:
    """The toy of arXiv 2408.15664: 64 experts, 6 of them active, a skewed router."""
    torch.manual_seed(0)
    gate = SigmoidGate(16, 64, 6)
    with torch.no_grad():
        gate.weight.normal_().mul_(0.3)
        free = _violation(gate, 0.0, 20)
        balanced = _violation(gate, 5e-3, 200)
    assert sum(free) / 20 > 2.0
    assert sum(balanced[-30:]) / 30 < 0.4


def test_switch_drops_what_exceeds_the_capacity_in_order() -> None:
    gate = SoftmaxGate(2, 2, 1, capacity=1.0)
    with torch.no_grad():
        gate.weight.copy_(torch.tensor([[5.0, 0.0], [0.0, 5.0]]))
    x = torch.tensor([[[1.0, 0.0]] * 3 + [[0.0, 1.0]]])
    routing = gate(x)
    assert routing.token.tolist() == [0, 1, 3]
    assert routing.expert.tolist() == [0, 0, 1]
    assert routing.choice is not None
    assert routing.choice.flatten().tolist() == [0, 0, 0, 1]  # the loss sees the dropped one


def test_gshard_normalises_two_and_switch_keeps_the_probability() -> None:
    x = torch.randn(1, 6, 4)
    two = SoftmaxGate(4, 5, 2)(x)
    torch.testing.assert_close(two.weight.view(-1, 2).sum(-1), torch.ones(6))
    gate = SoftmaxGate(4, 5, 1)
    one = gate(x)
    torch.testing.assert_close(one.weight, one.scores.flatten(0, 1).amax(-1))


def test_expert_choice_is_exactly_balanced() -> None:
    gate = ExpertChoiceGate(6, 4, 2.0)
    torch.nn.init.normal_(gate.weight)
    assert gate(torch.randn(2, 12, 6) + 1).load.tolist() == [12] * 4


@pytest.mark.parametrize("gate", ["sigmoid", "softmax", "expert_choice"])
def test_experts_are_the_naive_sum(gate: str) -> None:
    torch.manual_seed(1)
    layer = MixtureOfExperts(6, Mixture(4, 2, 5, shared=1, gate=gate)).double()
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    y, routing = layer(x)
    flat, expected = x.flatten(0, 1), layer.shared(x).flatten(0, 1).clone()
    for token, expert, weight in zip(routing.token, routing.expert, routing.weight, strict=True):
        row, own = flat[token], layer.experts
        inner = torch.nn.functional.silu(own.gate[expert] @ row) * (own.up[expert] @ row)
        expected[token] = expected[token] + weight * (own.down[expert] @ inner)
    torch.testing.assert_close(y.flatten(0, 1), expected, rtol=0, atol=1e-12)


def test_equal_experts_are_one_dense_layer() -> None:
    layer = MixtureOfExperts(6, Mixture(4, 2, 5)).double()
    with torch.no_grad():
        for weight in layer.experts.parameters():
            weight.copy_(weight[:1].expand_as(weight))
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    gated = torch.nn.functional.silu(x @ layer.experts.gate[0].T) * (x @ layer.experts.up[0].T)
    torch.testing.assert_close(layer(x)[0], gated @ layer.experts.down[0].T, rtol=0, atol=1e-13)


def _train(weight: float) -> float:
    """Share of the busiest expert after training a Switch layer on a task that one could do."""
    torch.manual_seed(0)
    layer = MixtureOfExperts(4, Mixture(4, 1, 8, gate="softmax"))
    with torch.no_grad():
        layer.gate.weight[0] += 0.3  # a small head start
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-2)
    for _ in range(120):
        x = torch.randn(1, 64, 4) + 1
        y, routing = layer(x)
        loss = (y - x.flip(-1)).square().mean() + weight * balance_loss(routing, "softmax")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    load = layer(torch.randn(1, 512, 4) + 1)[1].load
    return (load.max() / load.sum()).item()


def test_routing_collapses_without_the_loss() -> None:
    assert _train(0.0) > 0.8
    assert _train(0.3) < 0.5
