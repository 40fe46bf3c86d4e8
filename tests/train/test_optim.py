"""Our optimisers against torch's, and what tells Adam with L2 from AdamW."""

import copy
from collections.abc import Callable, Iterable

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from muybridge.errors import InputError
from muybridge.train.optim import Adam, AdamW, Sgd, make_optimizer, parameter_groups

Make = Callable[[Iterable[Tensor]], Optimizer]
PAIRS: dict[str, tuple[Make, Make]] = {
    "sgd": (lambda p: Sgd(p, 0.05), lambda p: torch.optim.SGD(p, 0.05)),
    "momentum": (
        lambda p: Sgd(p, 0.05, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.1),
    ),
    "adam": (lambda p: Adam(p, 0.01), lambda p: torch.optim.Adam(p, 0.01)),
    "adam l2": (
        lambda p: Adam(p, 0.01, (0.8, 0.95), 1e-6, 0.1),
        lambda p: torch.optim.Adam(p, 0.01, (0.8, 0.95), 1e-6, 0.1),
    ),
    "adamw": (lambda p: AdamW(p, 0.01), lambda p: torch.optim.AdamW(p, 0.01)),
    "adamw decay": (
        lambda p: AdamW(p, 0.01, (0.9, 0.95), 1e-8, 0.3),
        lambda p: torch.optim.AdamW(p, 0.01, (0.9, 0.95), 1e-8, 0.3),
    ),
    "adamw fused": (
        lambda p: AdamW(p, 0.01, weight_decay=0.3),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.3, fused=True),
    ),
}


def _network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, 3)).to(dtype)


def _train(network: nn.Module, optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.randn(16, 5, generator=torch.Generator().manual_seed(step)).double()
        optimizer.zero_grad()
        (network(x) - x[:, :3].cos()).square().mean().backward()
        optimizer.step()


def _apart(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


@pytest.mark.parametrize("name", PAIRS)
def test_a_hundred_steps_are_torchs(name: str) -> None:
    ours, theirs = _network(), _network()
    start = copy.deepcopy(ours)
    make_ours, make_theirs = PAIRS[name]
    _train(ours, make_ours(ours.parameters()), range(100))
    _train(theirs, make_theirs(theirs.parameters()), range(100))
    assert _apart(ours, theirs) < 1e-12  # asked: 1e-7
    assert _apart(ours, start) > 0.1


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("ours_first", [True, False])
def test_states_load_into_each_other(name: str, ours_first: bool) -> None:
    straight, switched = _network(), _network()
    first, second = PAIRS[name] if ours_first else PAIRS[name][::-1]
    _train(straight, first(straight.parameters()), range(60))
    before = first(switched.parameters())
    _train(switched, before, range(30))
    after = second(switched.parameters())
    after.load_state_dict(before.state_dict())
    _train(switched, after, range(30, 60))
    assert _apart(straight, switched) < 1e-12


def test_a_parameter_without_gradient_rests_and_a_closure_is_called() -> None:
    moved, still = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    optimizer = AdamW([moved, still], 0.1, weight_decay=0.5)

    def closure() -> float:
        optimizer.zero_grad()
        loss = moved.square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) == 2.0
    assert still.tolist() == [1.0, 1.0]
    assert max(moved.tolist()) < 1.0


def _kept(make: Make, scale: Tensor, steps: int = 300) -> Tensor:
    """The share of each weight left when the gradient is zero-mean noise of that scale."""
    weight = torch.ones(scale.shape, dtype=torch.float64, requires_grad=True)
    still = torch.zeros(scale.shape, dtype=torch.float64, requires_grad=True)
    optimizer = make([weight])
    shadow = make([still])  # the same noise from a weight of 0: what is left is the decay
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        noise = torch.randn(scale.shape[1:], generator=generator).double()
        weight.grad = still.grad = scale * noise
        optimizer.step()
        shadow.step()
    return (weight - still).detach().mean(1)


def test_l2_in_adam_fades_with_the_gradients_and_decay_in_adamw_does_not() -> None:
    rate, decay, steps = 1e-3, 0.1, 300
    scale = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)[:, None].expand(3, 400)
    coupled = _kept(lambda p: Adam(p, rate, weight_decay=decay), scale)
    decoupled = _kept(lambda p: AdamW(p, rate, weight_decay=decay), scale)
    assert decoupled.tolist() == pytest.approx([(1 - rate * decay) ** steps] * 3, abs=1e-9)
    lost = 1 - coupled
    assert (lost / lost[0]).tolist() == pytest.approx([1, 0.1, 0.01], rel=0.03)  # 1 / sqrt(v)
    assert (coupled - decoupled).abs().min() > 1e-4


def test_l2_and_decay_are_one_thing_without_the_root() -> None:
    """The contrast: SGD's L2 term takes the same share of every weight, whatever its gradient."""
    scale = torch.tensor([1.0, 100.0], dtype=torch.float64)[:, None].expand(2, 10)
    kept = _kept(lambda p: Sgd(p, 1e-3, weight_decay=0.1), scale)
    assert kept.tolist() == pytest.approx([(1 - 1e-4) ** 300] * 2, abs=1e-9)


class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.inner = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.table.weight


def test_groups_spare_vectors_and_count_shared_weights_once() -> None:
    model = _Tied()
    decaying, resting = parameter_groups(model, 0.1)
    assert [p.shape for p in decaying["params"]] == [(7, 4), (4, 4)]
    assert [p.shape for p in resting["params"]] == [(4,), (4,), (4,)]
    assert (decaying["weight_decay"], resting["weight_decay"]) == (0.1, 0.0)
    spared = parameter_groups(model, 0.1, decay_embeddings=False)
    assert [p.shape for p in spared[0]["params"]] == [(4, 4)]
    assert any(p is model.table.weight for p in spared[1]["params"])
    assert len(parameter_groups(nn.LayerNorm(3), 0.1)) == 1


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd"])
def test_the_made_optimizer_is_ours_over_the_same_groups(kind: str) -> None:
    made, own = _network(), _network()
    groups = parameter_groups(own, 0.1)
    mine: dict[str, Callable[[], Optimizer]] = {
        "adamw": lambda: AdamW(groups, 0.01, (0.9, 0.95)),
        "adam": lambda: Adam(groups, 0.01, (0.9, 0.95)),
        "sgd": lambda: Sgd(groups, 0.01, 0.9),
    }
    _train(made, make_optimizer(made, kind, 0.01), range(100))
    _train(own, mine[kind](), range(100))
    assert _apart(made, own) < 1e-12


def test_a_frozen_model_is_refused() -> None:
    with pytest.raises(InputError, match="frozen"):
        make_optimizer(nn.Linear(2, 2).requires_grad_(False))
