"""Recurrent layers from their formulas, and the same through torch's kernels.

    RNN   h' = tanh(W x + b + U h + c)
    LSTM  i, f, o = sigmoid(...),  g = tanh(...),  cell' = f cell + i g,  h' = o tanh(cell')
    GRU   r, z = sigmoid(...),     n = tanh(W_n x + b_n + r (U_n h + c_n)),  h' = (1 - z) n + z h

The sum inside the LSTM's cell is why its gradient survives many steps; the RNN's is multiplied by
tanh' U at every step and vanishes (or explodes).

Traps. Gates are stacked i, f, g, o in the LSTM's matrices and r, z, n in the GRU's, as in torch,
whose names the parameters carry, so that state dicts can be exchanged. torch and cuDNN apply the
GRU's reset gate AFTER the product with U and its bias; the paper applies it BEFORE:
n = tanh(W_n x + b_n + U_n (r h) + c_n). Both are here (`reset`); weights trained for one are wrong
for the other. There are two bias vectors, b and c, whose sum is all that matters but for that n.

B batch, T time, E input width, D width, L layers, G = D times gates (1, 4 or 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError

__all__ = ["CellKind", "Recurrent", "ResetKind", "State", "gru_step", "lstm_step", "rnn_step"]

CellKind = Literal["rnn", "lstm", "gru"]
ResetKind = Literal["after", "before"]
State = tuple[Tensor, ...]  # (h,) or, of the LSTM, (h, cell); one layer "b d", all of them "l b d"
Step = Callable[[Tensor, State, Tensor, Tensor], State]

GATES: dict[CellKind, int] = {"rnn": 1, "lstm": 4, "gru": 3}


def rnn_step(
    given: Float[Tensor, "b d"], state: State, weight: Float[Tensor, "d d"], bias: Tensor
) -> State:
    """One step of the plain network.

    Args:
        given: W x + b.
        state: (h,).
        weight: U.
        bias: c.
    Returns:
        The next (h,).
    References:
        Elman, Finding structure in time, 1990.
    """
    return (torch.tanh(given + functional.linear(state[0], weight, bias)),)


def lstm_step(
    given: Float[Tensor, "b g"], state: State, weight: Float[Tensor, "g d"], bias: Tensor
) -> State:
    """One step of the LSTM, gates i, f, g, o.

    Args:
        given: W x + b.
        state: (h, cell).
        weight: U.
        bias: c.
    Returns:
        The next (h, cell).
    References:
        Hochreiter & Schmidhuber 1997; the forget gate: Gers et al. 2000.
    """
    h, cell = state
    i, f, g, o = (given + functional.linear(h, weight, bias)).chunk(4, dim=-1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def gru_step(
    given: Float[Tensor, "b g"],
    state: State,
    weight: Float[Tensor, "g d"],
    bias: Tensor,
    reset: ResetKind = "after",
) -> State:
    """One step of the GRU, gates r, z, n.

    Args:
        given: W x + b.
        state: (h,).
        weight: U.
        bias: c.
        reset: Where r multiplies: "after" U and c, as torch does; "before", as the paper does.
    Returns:
        The next (h,).
    References:
        Cho et al., arXiv 1406.1078, section 2.3.
    """
    (h,), width = state, weight.shape[1]
    if reset == "after":
        from_x, from_h = given.split((2 * width, width), -1), functional.linear(h, weight, bias)
        r, z = torch.sigmoid(from_x[0] + from_h[:, : 2 * width]).chunk(2, dim=-1)
        n = torch.tanh(from_x[1] + r * from_h[:, 2 * width :])
    else:
        gates = functional.linear(h, weight[: 2 * width], bias[: 2 * width])
        r, z = torch.sigmoid(given[:, : 2 * width] + gates).chunk(2, dim=-1)
        new = functional.linear(r * h, weight[2 * width :], bias[2 * width :])
        n = torch.tanh(given[:, 2 * width :] + new)
    return ((1 - z) * n + z * h,)


def _gru_step_before(given: Tensor, state: State, weight: Tensor, bias: Tensor) -> State:
    return gru_step(given, state, weight, bias, "before")


STEPS: dict[tuple[CellKind, ResetKind], Step] = {
    ("rnn", "after"): rnn_step,
    ("lstm", "after"): lstm_step,
    ("gru", "after"): gru_step,
    ("gru", "before"): _gru_step_before,
}


class Recurrent(nn.Module):
    """Layers of one kind of cell, each reading the one below; state dicts as torch.nn's.

    Args:
        cell: Kind.
        inputs: E.
        width: D.
        layers: L.
        dropout: Of what goes from one layer to the next, in training.
        reset: Of the GRU, see `gru_step`.
        kernel: Run torch's kernels where they compute the same; False runs the formulas.
    Raises:
        InputError: If `reset` is "before" for anything but a GRU.
    """

    def __init__(
        self,
        cell: CellKind,
        inputs: int,
        width: int,
        layers: int = 1,
        *,
        dropout: float = 0.0,
        reset: ResetKind = "after",
        kernel: bool = True,
    ) -> None:
        super().__init__()
        if (cell, reset) not in STEPS:
            raise InputError(
                f'expected reset "before" for a GRU alone, got it for the cell "{cell}"; '
                "leave it out"
            )
        self.cell, self.width, self.layers = cell, width, layers
        self.dropout, self.reset, self.kernel = dropout, reset, kernel
        rows, bound = GATES[cell] * width, 1 / math.sqrt(width)
        for i in range(layers):
            shapes = ((rows, inputs if i == 0 else width), (rows, width), (rows,), (rows,))
            for name, shape in zip(self._names(i), shapes, strict=True):
                self.register_parameter(
                    name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
                )

    @staticmethod
    def _names(layer: int) -> tuple[str, ...]:
        return tuple(f"{n}_l{layer}" for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))

    def weights(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W, U, b, c of one layer."""
        w, u, b, c = (self.get_parameter(name) for name in self._names(layer))
        return w, u, b, c

    def start(self, x: Float[Tensor, "b t e"]) -> State:
        """The state before any input: zeros, in the type of `x`."""
        zeros = x.new_zeros(self.layers, x.shape[0], self.width)
        return (zeros, zeros) if self.cell == "lstm" else (zeros,)

    def forward(
        self, x: Float[Tensor, "b t e"], state: State | None = None
    ) -> tuple[Float[Tensor, "b t d"], State]:
        """States of the last layer at all times, and of all layers at the last.

        Args:
            x: Inputs.
            state: What `forward` returned for the text before; None at the start of one.
        """
        state = self.start(x) if state is None else state
        if self.kernel and self.reset == "after":
            return self._run_kernel(x, state)
        ends: list[State] = []
        for i in range(self.layers):
            if i and self.dropout:
                x = functional.dropout(x, self.dropout, self.training)
            x, end = self._run_layer(x, tuple(s[i] for s in state), i)
            ends.append(end)
        return x, tuple(torch.stack(parts) for parts in zip(*ends, strict=True))

    def _run_layer(self, x: Tensor, state: State, layer: int) -> tuple[Tensor, State]:
        """The formula, step by step; W x + b is one product for all times."""
        step, (w, u, b, c) = STEPS[self.cell, self.reset], self.weights(layer)
        outputs = []
        for given in functional.linear(x, w, b).unbind(dim=1):
            state = step(given, state, u, c)
            outputs.append(state[0])
        return torch.stack(outputs, dim=1), state

    def _run_kernel(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        flat = [tensor for i in range(self.layers) for tensor in self.weights(i)]
        options = (True, self.layers, self.dropout, self.training, False, True)
        if self.cell == "lstm":
            y, h, cell = torch.lstm(x, state, flat, *options)
            return y, (h, cell)
        run = torch.gru if self.cell == "gru" else torch.rnn_tanh
        y, h = run(x, state[0], flat, *options)
        return y, (h,)

    def extra_repr(self) -> str:
        """Kind and size."""
        count = sum(p.numel() for p in self.parameters())
        return f"{self.cell}, width={self.width}, layers={self.layers}, parameters={count:,}"
