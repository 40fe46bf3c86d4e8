"""A skewed router of 64 experts, 6 a token: how uneven it is, and how the bias evens it out."""

import sys
from pathlib import Path

import matplotlib
import torch

from muybridge.nn.routing import SigmoidGate

matplotlib.use("Agg")
from matplotlib import pyplot as plt


@torch.no_grad()
def violations(rate: float, steps: int, tokens: int = 1024, width: int = 32) -> list[float]:
    """Max load / mean load - 1 of each step (MaxVio), the bias moving by `rate` a step."""
    random = torch.Generator().manual_seed(0)
    gate = SigmoidGate(width, experts=64, active=6)
    gate.weight.copy_(torch.randn(64, width, generator=random) / width**0.5)
    mean = 1.2 * torch.randn(width, generator=random)  # what all tokens share skews the router
    found = []
    for _ in range(steps):
        load = gate(torch.randn(1, tokens, width, generator=random) + mean).load
        found.append((load.max() / load.float().mean() - 1).item())
        gate.balance(load, rate)
    return found


if __name__ == "__main__":
    free, balanced = violations(0.0, 20), violations(1e-3, 2000)
    print(f"no bias: MaxVio {sum(free) / 20:.2f}")
    print(f"bias, rate 1e-3: {sum(balanced[:20]) / 20:.2f} over the first 20 steps")
    print(f"bias, rate 1e-3: {sum(balanced[-100:]) / 100:.2f} over the last 100 of 2000")
    figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
    axis.axhline(sum(free) / 20, color="k", ls=":", label="no bias")
    axis.plot(balanced, label="bias, 0.001 a step")
    axis.set(xlabel="step", ylabel="max load / mean load - 1", ylim=(0, None))
    axis.legend(fontsize=8)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "balance.png", dpi=80)
