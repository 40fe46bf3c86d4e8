"""The perceptron keeps its promise where a line separates, and fails on XOR. Argument: a folder."""

import math
import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.nn.perceptron import append_one, mistake_bound, train_perceptron

mpl.use("Agg")
from matplotlib import pyplot as plt

generator = torch.Generator().manual_seed(0)
separator = torch.tensor([0.6, 0.8])
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")

margins, mistakes, bounds = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8], [], []
for margin in margins:
    points = 2 * torch.randn(2000, 2, generator=generator)
    points = points[(points @ separator).abs() >= margin]
    positive = points @ separator > 0
    training = train_perceptron(points, positive, passes=1000)
    mistakes.append(training.mistakes)
    bounds.append(mistake_bound(points, positive, separator))
    assert training.converged
    print(f"margin {margin:.2f}: {mistakes[-1]} mistakes, at most {math.floor(bounds[-1])}")
left.loglog(margins, bounds, "k--", label="bound (R / gamma)²")
left.loglog(margins, mistakes, "o-", label="mistakes until none is left")
left.set(xlabel="margin gamma", ylabel="mistakes")
left.set_xticks(margins, [f"{margin}" for margin in margins], minor=False)
left.minorticks_off()
left.legend(fontsize=8)

corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
for name, truth in {
    "and": [False, False, False, True],
    "or": [False, True, True, True],
    "xor": [False, True, True, False],
}.items():
    training = train_perceptron(append_one(corners), torch.tensor(truth), passes=30)
    ends = f"after {len(training.errors)} passes" if training.converged else "never"
    print(f"{name}: learned {ends}")
    right.plot(range(1, len(training.errors) + 1), training.errors, "o-", ms=3, label=name)
right.set(xlabel="pass over the four corners", ylabel="mistakes in it", yticks=range(5))
right.legend(fontsize=8)
figure.savefig(Path((*sys.argv, ".")[1]) / "perceptron.png", dpi=80)
