"""Muon against torch's, stacks against their single matrices, and who gets which optimiser."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import _muon as reference

from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.families import Size, make_family
from muybridge.train.muon import Muon, make_muon, orthogonalised, split_parameters


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def _step(optimizer: torch.optim.Optimizer, params: list[nn.Parameter], step: int) -> None:
    random = torch.Generator().manual_seed(step)
    for p in params:
        p.grad = torch.randn(p.shape, generator=random)
    optimizer.step()


def _matrices() -> list[nn.Parameter]:
    return [nn.Parameter(torch.randn(s)) for s in ((8, 8), (24, 8), (8, 24), (8, 8))]


@pytest.mark.parametrize("shape", [(16, 16), (40, 16), (16, 40), (3, 16, 40)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape)
    made = orthogonalised(matrices)
    values = torch.linalg.svdvals(made)
    # a square draw has singular values near 0, which five steps cannot lift all the way
    low = 0.0 if shape[-1] == shape[-2] else 0.6
    assert low < values.min()
    assert values.max() < 1.3
    u, _, vt = torch.linalg.svd(matrices, full_matrices=False)
    inner = u.mT @ made @ vt.mT
    off = inner - torch.diag_embed(inner.diagonal(dim1=-2, dim2=-1))
    assert off.abs().max() < 1e-4


def test_newton_schulz_is_torchs_up_to_its_bfloat16() -> None:
    matrix = torch.randn(24, 40)
    theirs = reference._zeropower_via_newtonschulz(matrix, (3.4445, -4.775, 2.0315), 5, 1e-7)
    torch.testing.assert_close(orthogonalised(matrix), theirs.float(), rtol=0, atol=0.03)


def test_twenty_steps_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    def exact(grad: Tensor, *_: object) -> Tensor:
        return orthogonalised(grad)

    monkeypatch.setattr(reference, "_zeropower_via_newtonschulz", exact)
    ours = _matrices()
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    a, b = Muon(ours, 0.1, 0.2, 0.9), torch.optim.Muon(theirs, 0.1, 0.2, 0.9)
    for step in range(20):
        _step(a, ours, step)
        _step(b, theirs, step)
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-4)
    a.load_state_dict(b.state_dict())  # the states have the same names


def test_a_stack_moves_as_its_matrices_do() -> None:
    stack = nn.Parameter(torch.randn(3, 6, 10))
    single = [nn.Parameter(m.clone()) for m in stack.detach()]
    a, b = Muon([stack], 0.1), Muon(single, 0.1)
    for step in range(3):
        stack.grad = torch.randn(stack.shape, generator=torch.Generator().manual_seed(step))
        for p, g in zip(single, stack.grad, strict=True):
            p.grad = g.clone()
        a.step()
        b.step()
    torch.testing.assert_close(stack.detach(), torch.stack([p.detach() for p in single]))


@pytest.mark.parametrize("family", ["gpt2", "llama3", "deepseek-v3"])
def test_every_parameter_has_one_optimiser_and_tokens_have_adamw(family: str) -> None:
    decoder = Decoder(make_family(family, Size(11, 16, 2, 2, 8, experts=4, active=2)))
    inner, rest = split_parameters(decoder)
    assert {id(p) for p in inner} | {id(p) for p in rest} == {id(p) for p in decoder.parameters()}
    assert len(inner) + len(rest) == len(list(decoder.parameters()))
    outer = {id(p) for p in rest}
    assert {id(decoder.embedding.weight), id(decoder.head_weight)} <= outer
    stacks = [p for p in decoder.parameters() if p.ndim == 3]
    assert all(id(p) not in outer for p in stacks)
    assert bool(stacks) == (family == "deepseek-v3")


def test_it_learns_a_text_faster_than_it_forgets() -> None:
    decoder = Decoder(make_family("gpt2", Size(7, 16, 1, 2, 16)))
    before = copy.deepcopy(decoder.state_dict())
    tokens = torch.arange(64).view(4, 16) % 7
    optimisers = make_muon(decoder, 0.02, 0.01)
    first = decoder.loss(tokens, (tokens + 1) % 7).item()
    for _ in range(30):
        for optimiser in optimisers:
            optimiser.zero_grad()
        decoder.loss(tokens, (tokens + 1) % 7).backward()
        for optimiser in optimisers:
            optimiser.step()
    assert decoder.loss(tokens, (tokens + 1) % 7).item() < 0.2 * first
    learned = {n for n, p in decoder.named_parameters() if not torch.equal(p, before[n])}
    assert learned == {n for n, _ in decoder.named_parameters()}


def test_errors_say_what_to_do() -> None:
    with pytest.raises(InputError, match="AdamW"):
        Muon([nn.Parameter(torch.zeros(3))])
    with pytest.raises(InputError, match="frozen"):
        make_muon(nn.Linear(2, 2).requires_grad_(False))


def test_without_matrices_there_is_only_adamw() -> None:
    (only,) = make_muon(nn.LayerNorm(4))
    assert isinstance(only, torch.optim.AdamW)
