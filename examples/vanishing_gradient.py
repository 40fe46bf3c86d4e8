"""How far back a gradient reaches through RNN, LSTM and GRU. Argument: a folder for the plot.

Before training, and after: each cell is asked to repeat a symbol after 40 symbols of noise. It
matters most whether the gate that keeps the state (the LSTM's forget, the GRU's update gate) starts
open.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from torch import nn
from torch.nn import functional

from muybridge.nn.recurrent import CellKind, Recurrent

mpl.use("Agg")
from matplotlib import pyplot as plt

SYMBOLS, WIDTH, LAG, STEPS = 4, 32, 40, 400


def make(cell: CellKind, keep: float) -> tuple[Recurrent, nn.Linear]:
    """A layer as torch would draw it, but for the bias of the gate that keeps, and a head."""
    torch.manual_seed(0)
    layer = Recurrent(cell, 2 * SYMBOLS, WIDTH)
    if keep:
        with torch.no_grad():
            layer.weights(0)[2][WIDTH : 2 * WIDTH] += keep  # f of i, f, g, o; z of r, z, n
    return layer, nn.Linear(WIDTH, SYMBOLS)


def draw(batch: int, lag: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A symbol and noise of other symbols, one-hot; and the symbol's number."""
    first = torch.randint(SYMBOLS, (batch, 1))
    noise = torch.randint(SYMBOLS, (batch, lag)) + SYMBOLS
    return functional.one_hot(torch.cat((first, noise), 1), 2 * SYMBOLS).float(), first[:, 0]


def reach(layer: Recurrent) -> torch.Tensor:
    """Norm of d h_T / d x_(T - distance), for distances from 0 to 100, relative to distance 0."""
    x = draw(16, 100)[0].requires_grad_()
    last = layer(x)[0][:, -1]
    (gradient,) = torch.autograd.grad((last * torch.randn(last.shape)).sum(), x)
    norms = gradient.norm(dim=-1).mean(dim=0).flip(0)
    return norms / norms[0]


def teach(layer: Recurrent, head: nn.Linear) -> float:
    """Learn the task; accuracy on fresh strings."""
    everything = [*layer.parameters(), *head.parameters()]
    optimiser = torch.optim.Adam(everything, 3e-3)
    for _ in range(STEPS):
        x, wanted = draw(32, LAG)
        loss = functional.cross_entropy(head(layer(x)[0][:, -1]), wanted)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(everything, 1.0)
        optimiser.step()
    x, wanted = draw(1000, LAG)
    return float((head(layer(x)[0][:, -1]).argmax(-1) == wanted).float().mean())


CASES: dict[str, tuple[CellKind, float]] = {
    "RNN": ("rnn", 0.0),
    "LSTM, forget bias 0": ("lstm", 0.0),
    "LSTM, forget bias 3": ("lstm", 3.0),
    "GRU, update bias 0": ("gru", 0.0),
    "GRU, update bias 3": ("gru", 3.0),
}
figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True, layout="constrained")
for name, case in CASES.items():
    layer, head = make(*case)
    before, accuracy = reach(layer), teach(layer, head)
    after = reach(layer)
    print(
        f"{name:<20} gradient over 50 steps: {float(before[50]):.0e} before, "
        f"{float(after[50]):.0e} after; right over {LAG}: {accuracy:.0%}"
    )
    panels[0].semilogy(before, label=name)
    panels[1].semilogy(after, label=f"{name}: right {accuracy:.0%}")
for axes, title in zip(panels, ("before training", f"after {STEPS} steps"), strict=True):
    axes.set(title=title, xlabel="distance, steps", ylim=(1e-20, 1e4))
    axes.legend(fontsize=7, loc="lower left")
    axes.grid(alpha=0.3)
panels[0].set_ylabel("gradient, relative to distance 0")
figure.savefig(Path((*sys.argv, ".")[1]) / "vanishing_gradient.png", dpi=80)
