"""Checkpointing changes memory and nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.train.checkpointing import Policy, checkpointed, segment_length
from tests.language.families_tiny import KINDS
from tests.live_bytes import LiveBytes

POLICIES: list[Policy] = ["every", "second", 4, "sqrt", "selective"]


class Noisy(nn.Module):
    """A residual block with dropout, as an MLP."""

    def __init__(self, width: int, inner: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, inner),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(inner, width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inside(x)


def _through(blocks: nn.ModuleList, x: Tensor, runner: Callable[..., Any]) -> Tensor:
    for block in blocks:
        x = runner(block, x)
    return x


def _gradients(module: nn.Module) -> list[Tensor]:
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    return gradients


def _same(one: list[Tensor], two: list[Tensor]) -> bool:
    return len(one) == len(two) > 0 and all(map(torch.equal, one, two))


@pytest.mark.parametrize(("policy", "autocast"), [("sqrt", True), *((p, False) for p in POLICIES)])
def test_gradients_are_bitwise_equal_with_dropout(policy: Policy, autocast: bool) -> None:
    blocks = nn.ModuleList(Noisy(16, 32) for _ in range(7))
    results = []
    for runner in (checkpointed("none", 7), checkpointed(policy, 7)):
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16, autocast):
            loss = _through(blocks, torch.ones(4, 16), runner).square().mean()
        torch.rand(5)  # the backward pass must not depend on the state it finds
        loss.backward()
        results.append([loss.detach(), torch.rand(1), *_gradients(blocks)])
    assert _same(*results)
    torch.manual_seed(4)
    _through(blocks, torch.ones(4, 16), checkpointed(policy, 7)).square().mean().backward()
    assert not _same(results[0][2:], _gradients(blocks)), "dropout is at work"


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", ["gpt3", "deepseek-v3"])
def test_a_decoder_learns_the_same(name: str, policy: Policy) -> None:
    decoder = Decoder(KINDS[name])
    tokens = torch.randint(0, 31, (2, 12))
    decoder.loss(tokens[:, :-1], tokens[:, 1:]).backward()
    plain = _gradients(decoder)
    decoder.run_block = checkpointed(policy, decoder.config.layers)
    for _ in range(2):
        decoder.loss(tokens[:, :-1], tokens[:, 1:]).backward()
        assert _same(plain, _gradients(decoder))
    with torch.no_grad():
        cache = decoder.make_cache(1, 8)
        assert torch.equal(decoder(tokens[:1, :8], cache=cache), decoder(tokens[:1, :8]))


def test_agrees_with_torch_bit_for_bit() -> None:
    blocks = nn.ModuleList(Noisy(16, 32) for _ in range(4))

    def theirs(block: nn.Module, x: Tensor) -> Tensor:
        made: Tensor = checkpoint(block, x, use_reentrant=False)
        return made

    results = []
    for runner in (theirs, checkpointed("every", 4)):
        torch.manual_seed(3)
        _through(blocks, torch.ones(4, 16), runner).square().mean().backward()
        results.append(_gradients(blocks))
    assert _same(*results)


def test_a_graph_may_be_walked_twice() -> None:
    blocks = nn.ModuleList(Noisy(16, 32) for _ in range(4))
    loss = _through(blocks, torch.ones(4, 16), checkpointed(2, 4)).square().mean()
    one, two = (
        list(torch.autograd.grad(loss, list(blocks.parameters()), retain_graph=again))
        for again in (True, False)
    )
    assert _same(one, two)


def _forward_and_backward(policy: Policy, layers: int) -> tuple[float, float]:
    """Stored after the forward pass and at the peak, in activations of the residual stream."""
    blocks = nn.ModuleList(Noisy(32, 64) for _ in range(layers))
    x = torch.randn(512, 32, requires_grad=True)
    for leaf in (x, *blocks.parameters()):
        leaf.grad = torch.zeros_like(leaf)  # made before, so not counted
    unit = x.untyped_storage().nbytes()
    with LiveBytes() as live:
        made = _through(blocks, x, checkpointed(policy, layers))
        stored = live.now
        made.backward(torch.ones_like(made))
    return stored / unit, live.peak / unit


def test_memory_follows_the_formula_on_36_layers() -> None:
    """With s segments: s inputs after the forward pass, and one segment more in the backward."""
    layers = 36
    whole, whole_peak = _forward_and_backward("none", layers)
    a_block = whole / layers
    assert a_block > 7, "norm, two wide activations, dropout's mask and the sum"
    for policy, segments in (("every", 36), ("sqrt", 6), (9, 4)):
        stored, peak = _forward_and_backward(policy, layers)  # type: ignore[arg-type]
        assert stored == pytest.approx(segments, abs=1.1)  # the output is one more
        expected = segments + layers / segments * a_block
        assert expected - 2 < peak < expected + 8  # 8: gradients and what works on one block
    assert _forward_and_backward("sqrt", layers)[1] < 0.3 * whole_peak


def test_memory_grows_as_the_square_root() -> None:
    small, large = (_forward_and_backward("sqrt", n)[0] for n in (9, 36))
    assert large / small == pytest.approx(2, abs=0.3)


def _saved_bytes(decoder: Decoder, tokens: Tensor) -> int:
    """What autograd keeps of a forward pass: each storage once, weights not counted."""
    weights = {p.untyped_storage().data_ptr() for p in decoder.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda x: x):
        decoder.loss(tokens[:, :-1], tokens[:, 1:])
    return sum(t.untyped_storage().nbytes() for p, t in kept.items() if p not in weights)


def _stored(decoder: Decoder, tokens: Tensor, policy: Policy) -> int:
    decoder.run_block = checkpointed(policy, decoder.config.layers)
    with LiveBytes() as live:
        loss = decoder.states(tokens[:, :-1]).hidden
        stored = live.now
    assert loss.requires_grad
    return stored


def test_a_decoder_keeps_a_quarter_at_most() -> None:
    size = Size(vocabulary=64, width=48, layers=6, heads=4, context=128)
    decoder = Decoder(make_family("llama2", size))
    tokens = torch.randint(0, 64, (4, 128))
    whole = _stored(decoder, tokens, "none")
    saved = _saved_bytes(decoder, tokens)
    assert saved > 0.8 * whole, "autograd's own account of what it keeps"
    kept = {p: _stored(decoder, tokens, p) / whole for p in POLICIES}
    assert kept["every"] <= 0.25
    assert kept["sqrt"] < kept["every"] < kept["selective"] < 0.8


def test_lengths_of_segments() -> None:
    assert [segment_length(p, 36) for p in ("every", "second", "sqrt", 5)] == [1, 2, 6, 5]
    with pytest.raises(InputError, match="at least 1"):
        checkpointed(0, 4)
    with pytest.raises(InputError, match="got selective"):
        segment_length("selective", 4)
