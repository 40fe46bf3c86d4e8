"""What Adam's L2 term takes off a weight, and what AdamW does. Argument: a folder for the plot.

Every weight starts at 1 and sees pure noise, of another size each. AdamW shrinks all alike; in
Adam the decay is divided by sqrt(v), the size of the gradients, as well.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.train.optim import Adam, AdamW

mpl.use("Agg")
from matplotlib import pyplot as plt

RATE, DECAY, STEPS = 1e-3, 0.1, 300
scale = torch.logspace(0, 3, 13, dtype=torch.float64)[:, None]


def lost(kind: type[Adam]) -> torch.Tensor:
    """Share of the weight that the decay took; the noise's own effect is subtracted."""
    weight = torch.ones(13, 100, dtype=torch.float64, requires_grad=True)
    without = torch.ones(13, 100, dtype=torch.float64, requires_grad=True)
    decaying = kind([weight], RATE, weight_decay=DECAY)
    resting = kind([without], RATE, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        weight.grad = scale * torch.randn(1, 100, generator=generator, dtype=torch.float64)
        without.grad = weight.grad
        decaying.step()
        resting.step()
    return (without - weight).detach().mean(1)


coupled, decoupled = lost(Adam), lost(AdamW)
figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.loglog(scale, decoupled, "o-", label="AdamW: rate · decay, for all alike")
axes.loglog(scale, coupled, "s-", label="Adam + L2")
axes.loglog(scale, coupled[0] / scale, "k:", label="1 / √v")
axes.set(xlabel="size of the gradients, √v", ylabel=f"lost in {STEPS} steps")
axes.legend(fontsize=8)
figure.savefig(Path((*sys.argv, ".")[1]) / "adam_and_adamw.png", dpi=80)
for i in (0, 4, 8, 12):
    print(
        f"gradients of {float(scale[i]):6.0f}: AdamW takes {float(decoupled[i]):.2e}, "
        f"Adam with L2 {float(coupled[i]):.2e}"
    )
