"""Recurrent layers: torch's numbers, the paper's GRU, and what a long lag does to the gradient."""

import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.nn.recurrent import CellKind, Recurrent, gru_step

CELLS: tuple[CellKind, ...] = ("rnn", "lstm", "gru")
PEERS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def _all_gradients(module: nn.Module, x: Tensor, state: tuple[Tensor, ...]) -> list[Tensor]:
    """Output, end state and every gradient of a loss that reads them all."""
    x, state = x.clone().requires_grad_(), tuple(s.clone().requires_grad_() for s in state)
    given = state if isinstance(module, Recurrent) or len(state) == 2 else state[0]
    y, end = module(x, given)
    end = end if isinstance(end, tuple) else (end,)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    ((y * weights).sum() + sum(e.square().sum() for e in end)).backward()
    named = [p.grad for _, p in sorted(module.named_parameters())]
    return [y.detach(), *(e.detach() for e in end), x.grad, *(s.grad for s in state), *named]


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "formula"])
@pytest.mark.parametrize("cell", CELLS)
def test_values_and_gradients_are_those_of_torch(
    cell: CellKind, kernel: bool, dtype: torch.dtype, error: float
) -> None:
    ours = Recurrent(cell, 5, 7, 3, kernel=kernel).to(dtype)
    peer = PEERS[cell](5, 7, num_layers=3, batch_first=True).to(dtype)
    peer.load_state_dict(ours.state_dict())  # the names and shapes are torch's
    x = torch.randn(4, 11, 5, dtype=dtype)
    state = tuple(torch.randn(3, 4, 7, dtype=dtype) for _ in ours.start(x))
    for a, b in zip(_all_gradients(ours, x, state), _all_gradients(peer, x, state), strict=True):
        # gradients of weights are sums over all steps: relative to their largest
        assert (a - b).abs().max() <= error * max(1.0, b.abs().max().item())


@pytest.mark.parametrize(
    ("cell", "reset"), [("rnn", "after"), ("lstm", "after"), ("gru", "after"), ("gru", "before")]
)
def test_gradients_are_those_of_finite_differences(cell: CellKind, reset: str) -> None:
    layer = Recurrent(cell, 2, 3, 2, reset=reset, kernel=False).double()  # type: ignore[arg-type]
    x = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], (x,))


def test_the_papers_gru_resets_before_the_matrix() -> None:
    """Equations 5 to 8 of arXiv 1406.1078, one row of one unit at a time."""
    width = 3
    given, h = torch.randn(2, 9).double(), torch.randn(2, 3).double()
    weight, bias = torch.randn(9, 3).double(), torch.randn(9).double()
    wanted = torch.empty(2, width, dtype=torch.float64)
    for n in range(2):
        r = [torch.sigmoid(given[n, j] + weight[j] @ h[n] + bias[j]) for j in range(width)]
        for j in range(width):
            z = torch.sigmoid(given[n, 3 + j] + weight[3 + j] @ h[n] + bias[3 + j])
            kept = sum(weight[6 + j, k] * r[k] * h[n, k] for k in range(width))
            wanted[n, j] = (1 - z) * torch.tanh(given[n, 6 + j] + bias[6 + j] + kept) + z * h[n, j]
    found = gru_step(given, (h,), weight, bias, "before")[0]
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-14)
    after = gru_step(given, (h,), weight, bias, "after")[0]
    assert (after - wanted).abs().max() > 1e-2, "the two variants are different models"


@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("cell", CELLS)
def test_two_halves_with_the_state_carried_are_the_whole(cell: CellKind, reset: str) -> None:
    if reset == "before" and cell != "gru":
        with pytest.raises(InputError, match=re.escape('expected reset "before" for a GRU alone')):
            Recurrent(cell, 5, 6, 2, reset="before")
        return
    layer = Recurrent(cell, 5, 6, 2, reset=reset)  # type: ignore[arg-type]
    x = torch.randn(3, 10, 5)
    whole, end = layer(x)
    first, state = layer(x[:, :4])
    second, last = layer(x[:, 4:], state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=0, atol=1e-6)
    torch.testing.assert_close(last, end, rtol=0, atol=1e-6)


def test_dropout_falls_between_layers_and_only_in_training() -> None:
    layer = Recurrent("gru", 4, 8, 2, dropout=0.5, kernel=False)
    x = torch.randn(2, 6, 4)
    assert not torch.equal(layer(x)[0], layer(x)[0])
    single = Recurrent("gru", 4, 8, 1, dropout=0.5, kernel=False)
    assert torch.equal(single(x)[0], single(x)[0])
    layer.eval()
    plain = Recurrent("gru", 4, 8, 2)
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer(x)[0], plain(x)[0], rtol=0, atol=1e-6)


def _influence(cell: CellKind, distance: int) -> float:
    """Norm of the gradient of the last state by the input `distance` steps before."""
    torch.manual_seed(0)
    layer = Recurrent(cell, 8, 32)
    if cell == "lstm":
        with torch.no_grad():
            layer.weights(0)[2][32:64] = 3.0  # an open forget gate, as trained ones are
    x = torch.randn(4, distance + 1, 8, requires_grad=True)
    layer(x)[0][:, -1].sum().backward()
    return x.grad[:, 0].norm().item()


def test_the_rnns_gradient_vanishes_and_the_lstms_does_not() -> None:
    rnn, lstm = (_influence(cell, 50) / _influence(cell, 1) for cell in ("rnn", "lstm"))
    assert rnn < 1e-8
    assert lstm > 1e-2


def _copy_accuracy(cell: CellKind, steps: int, lag: int = 12, symbols: int = 4) -> float:
    """Learn to say the first symbol again after `lag` steps of noise; accuracy on fresh strings."""
    layer, head = Recurrent(cell, 2 * symbols, 32), nn.Linear(32, symbols)
    if cell == "lstm":
        nn.init.constant_(layer.weights(0)[2][32:64], 1.0)
    everything = [*layer.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(everything, 1e-2)

    def draw(batch: int) -> tuple[Tensor, Tensor]:
        first = torch.randint(symbols, (batch, 1))
        noise = torch.randint(symbols, (batch, lag)) + symbols
        return functional.one_hot(torch.cat((first, noise), 1), 2 * symbols).float(), first[:, 0]

    for _ in range(steps):
        x, wanted = draw(32)
        loss = functional.cross_entropy(head(layer(x)[0][:, -1]), wanted)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(everything, 1.0)
        optimiser.step()
    x, wanted = draw(500)
    return (head(layer(x)[0][:, -1]).argmax(-1) == wanted).float().mean().item()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gated_cells_learn_to_copy_over_a_distance(cell: CellKind) -> None:
    assert _copy_accuracy(cell, 300) == 1.0
