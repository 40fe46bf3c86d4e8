"""The root of tanh(w - 1) from noisy measurements, and SGD's jitter. Argument: a folder."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.train.stochastic_approximation import (
    Steps,
    constant_steps,
    descend,
    power_steps,
    robbins_monro,
)

mpl.use("Agg")
from matplotlib import pyplot as plt

COUNTS = [10, 30, 100, 300, 1000, 3000, 10_000, 20_000]
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")


def errors(steps: Steps) -> list[float]:
    """RMSE of 50 runs after each of the counts."""
    generator = torch.Generator().manual_seed(0)

    def measure(w: torch.Tensor) -> torch.Tensor:
        return (w - 1).tanh() + torch.randn(50, generator=generator, dtype=torch.float64)

    w, done, found = torch.full((50,), 3.0, dtype=torch.float64), 0, []
    for count in COUNTS:
        at = done
        w = robbins_monro(measure, w, lambda k, at=at: steps(at + k), count - done)
        done = count
        found.append(float((w - 1).square().mean().sqrt()))
    return found


for name, steps in {
    "1/k": power_steps(), "0.05": constant_steps(0.05), "1/k²": power_steps(2.0),
}.items():  # fmt: skip
    found = errors(steps)
    print(f"steps {name:<5} RMSE {found[-1]:.4f} after 20,000; converges: {steps.converges}")
    left.loglog(COUNTS, found, "o-", label=f"a = {name}")
left.loglog(COUNTS, [k**-0.5 for k in COUNTS], "k:", label="1/√k")
left.set(xlabel="measurements", ylabel="RMSE of the root, 50 runs")
left.legend(fontsize=8)

generator = torch.Generator().manual_seed(0)
points = 20 * torch.rand(100, 2, generator=generator, dtype=torch.float64) - 10
start = torch.tensor([50.0, 50.0], dtype=torch.float64)
for batch in (1, 5, 50, 100):
    path = descend(
        lambda w, x: (w - x).mean(0), start, points, constant_steps(0.05), 400, batch, generator
    )
    off = (path - points.mean(0)).norm(dim=1)
    print(f"batch {batch:>3}: {float(off[200:].mean()):.3f} from the mean of 100 points")
    right.semilogy(off.clamp(min=1e-3), label=f"batch {batch}")
right.set(xlabel="steps of 0.05", ylabel="distance to the minimum")
right.legend(fontsize=8)
figure.savefig(Path((*sys.argv, ".")[1]) / "stochastic_approximation.png", dpi=80)
