"""Who works: four experts under five routers, on a task that one could do. Argument: a folder.

Every router starts with a small preference for the first expert. Left alone it grows, since the
expert that is asked more learns more; each paper has its own remedy.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor

from muybridge.nn.moe import Mixture, MixtureOfExperts, balance_loss

mpl.use("Agg")
from matplotlib import pyplot as plt

WIDTH, EXPERTS, STEPS = 4, 4, 300
ROUTERS = {
    "Switch without its loss": (Mixture(EXPERTS, 1, 8, gate="softmax"), 0.0, 0.0),
    "Switch, loss of 0.3": (Mixture(EXPERTS, 1, 8, gate="softmax"), 0.3, 0.0),
    "GShard, 2 of 4, loss of 0.3": (Mixture(EXPERTS, 2, 8, gate="softmax"), 0.3, 0.0),
    "DeepSeek-V3, bias alone": (Mixture(EXPERTS, 1, 8), 0.0, 1e-3),
    "expert choice": (Mixture(EXPERTS, 1, 8, gate="expert_choice"), 0.0, 0.0),
}


def train(shape: Mixture, weight: float, rate: float, seed: int = 0) -> tuple[Tensor, float]:
    """Share of the work of each expert, step by step; and the last error."""
    torch.manual_seed(seed)
    layer = MixtureOfExperts(WIDTH, shape)
    with torch.no_grad():
        layer.gate.weight[0] += 0.3
    optimiser = torch.optim.Adam(layer.parameters(), lr=1e-2)
    shares = []
    for _ in range(STEPS):
        x = torch.randn(1, 128, WIDTH) + 1
        y, routing = layer(x)
        error = (y - x.flip(-1)).square().mean()
        optimiser.zero_grad()
        (error + weight * balance_loss(routing, shape.gate)).backward()
        optimiser.step()
        if rate:
            layer.gate.balance(routing.load, rate)
        shares.append(routing.load / routing.load.sum())
    return torch.stack(shares), error.item()


if __name__ == "__main__":
    figure, grid = plt.subplots(1, 5, figsize=(11, 2.8), sharey=True, layout="constrained")
    for axes, (name, router) in zip(grid, ROUTERS.items(), strict=True):
        shares, error = train(*router)
        busiest = shares[-20:].amax(1).mean().item()
        print(f"{name:<28} busiest expert: {busiest:.2f} of the work; error {error:.3f}")
        axes.stackplot(range(STEPS), shares.T)
        axes.set(title=name.replace(", ", ",\n", 1), xlabel="step", xlim=(0, STEPS - 1))
        axes.title.set_fontsize(9)
        axes.set_ylim(0, 1)
    grid[0].set_ylabel("share of the work")
    figure.savefig(Path((*sys.argv, ".")[1]) / "routing.png", dpi=80)
