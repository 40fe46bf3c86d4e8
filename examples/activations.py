"""Activations side by side: shapes, gradients through depth, dead units, and a task.

Arguments: a folder for the plots, and a text such as tinyshakespeare.txt, whose next character a
small network guesses from the last eight.
"""

import math
import sys
from pathlib import Path

import matplotlib as mpl
import torch
from torch import nn

from muybridge.nn.activation import ACTIVATIONS, ActivationName
from muybridge.train.optim import make_optimizer

mpl.use("Agg")
from matplotlib import pyplot as plt

DEPTH, WIDTH, CONTEXT, STEPS = 30, 64, 8, 120
RECTIFIED = {"relu", "leaky_relu", "relu_squared", "elu", "gelu", "gelu_tanh", "silu", "mish"}


def shapes(file: Path) -> None:
    """Every activation and its slope."""
    figure, grid = plt.subplots(3, 5, figsize=(10, 5.4), sharex=True, layout="constrained")
    for axes, (name, activate) in zip(grid.flat, ACTIVATIONS.items(), strict=False):
        x = torch.linspace(-4, 4, 201, requires_grad=True)
        y = activate(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        axes.plot(x.detach(), y.detach(), label="value")
        axes.plot(x.detach(), slope, "--", label="slope")
        axes.set_title(name, fontsize=9)
        axes.set_ylim(-1.5, 3)
        axes.grid(alpha=0.3)
    grid.flat[0].legend(fontsize=7)
    for axes in list(grid.flat)[len(ACTIVATIONS) :]:
        axes.axis("off")
    figure.savefig(file, dpi=80)


def depth(name: ActivationName) -> tuple[list[float], list[float]]:
    """Of a random network, layer by layer: the gradient, as a share of the last; dead units.

    A unit is dead if the activation's slope is 0 for all of 64 inputs: nothing it does is learned.
    NaN where the values themselves overflow: squares of squares do, from layer 7 on.
    """
    generator = torch.Generator().manual_seed(0)
    gain = 2.0 if name in RECTIFIED else 1.0  # He's variance for rectifiers, LeCun's for others
    h = torch.randn(64, WIDTH, generator=generator, requires_grad=True)
    outputs, dead = [], []
    for _ in range(DEPTH):
        z = h @ (torch.randn(WIDTH, WIDTH, generator=generator) * (gain / WIDTH) ** 0.5)
        h = ACTIVATIONS[name](z)
        h.retain_grad()
        outputs.append(h)
        probe = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(ACTIVATIONS[name](probe).sum(), probe)
        share = float((slope == 0).all(0).float().mean())
        dead.append(share if h.isfinite().all() else math.nan)
    outputs[-1].square().mean().backward()
    sizes = [float(h.grad.norm()) for h in outputs]
    return [0.0 if sizes[-1] == 0 else size / sizes[-1] for size in sizes], dead


class Guesser(nn.Module):
    """Eight embedded characters, two hidden layers, scores of the next."""

    def __init__(self, name: ActivationName, size: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(size, 16)
        self.lower = nn.Linear(16 * CONTEXT, 128)
        self.upper = nn.Linear(128, 128)
        self.head = nn.Linear(128, size)
        self.activate = ACTIVATIONS[name]

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores."""
        lower = self.activate(self.lower(self.table(tokens).flatten(1)))
        return self.head(self.activate(self.upper(lower)))


def guess(name: ActivationName, ids: torch.Tensor) -> float:
    """Accuracy on the last tenth of the text."""
    windows = ids.unfold(0, CONTEXT + 1, 1)
    border = int(0.9 * len(windows))
    model = Guesser(name, int(ids.max()) + 1)
    optimizer = make_optimizer(model, rate=4e-3, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        batch = windows[torch.randint(border, (128,), generator=generator)]
        loss = nn.functional.cross_entropy(model(batch[:, :-1]), batch[:, -1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    test = windows[border + CONTEXT :: 10]
    with torch.no_grad():
        return float((model(test[:, :-1]).argmax(1) == test[:, -1]).float().mean())


def main() -> None:
    """Draw and print all."""
    folder = Path(sys.argv[1])
    shapes(folder / "activation_shapes.png")
    text = Path(sys.argv[2]).read_text(encoding="utf-8")[:200_000]
    number = {letter: i for i, letter in enumerate(sorted(set(text)))}
    ids = torch.tensor([number[letter] for letter in text])
    space = float((ids[int(0.9 * len(ids)) :] == number[" "]).float().mean())
    print(f"{'':<14}{'gradient, layer 1':>18}{'dead, layer 30':>16}{'accuracy':>10}")
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.8), layout="constrained")
    found, layers = {}, range(1, DEPTH + 1)
    for i, name in enumerate(ACTIVATIONS):
        decay, dead = depth(name)
        found[name] = guess(name, ids)
        print(f"{name:<14}{decay[0]:>18.1e}{dead[-1]:>16.2f}{found[name]:>10.3f}")
        style = {"color": f"C{i % 10}", "ls": "-" if i < 10 else "--", "label": name}
        if max(decay[:-1]) > 0:
            left.semilogy(layers, decay, **style)
        if any(dead):
            middle.plot(layers, dead, **style)
    print(f"always a space: {space:.3f}")
    left.set(xlabel="layer", ylabel=f"gradient, as a share of layer {DEPTH}'s")
    left.legend(fontsize=7)
    middle.set(xlabel="layer", ylabel="share of dead units, before training")
    middle.legend(fontsize=7)
    order = sorted(found, key=found.__getitem__)
    right.barh(order, [found[name] for name in order])
    right.axvline(space, color="k", ls=":", label="always a space")
    right.set(xlabel="next character guessed right", xlim=(0, None))
    right.legend(fontsize=7)
    figure.savefig(folder / "activations.png", dpi=85)


if __name__ == "__main__":
    main()
