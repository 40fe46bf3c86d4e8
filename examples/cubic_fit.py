"""Eight ways to fit a cubic to a sine, all to the same answer. Argument: a folder for the plot."""

import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from muybridge.train.sine_fit import FORMS

mpl.use("Agg")
from matplotlib import pyplot as plt

x = torch.linspace(-1, 1, 200, dtype=torch.float64)  # half turns
y = (torch.pi * x).sin()
powers = torch.stack([x**k for k in range(4)], dim=1)
best = torch.from_numpy(np.linalg.lstsq(powers.numpy(), y.numpy(), rcond=None)[0])
for name, fit in FORMS.items():
    started = time.perf_counter()
    found = fit(x, y, 1200 if "P3" in name else 500).cubic
    off, seconds = float((found - best).abs().max()), time.perf_counter() - started
    print(f"{name:<18} off the least-squares cubic by {off:.0e}, {seconds:.2f} s")

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
axes.plot(x, y, "k", label="sin πx")
for steps in (2, 10, 50):
    axes.plot(x, powers @ FORMS["tensors by hand"](x, y, steps).cubic, label=f"{steps} steps")
axes.plot(x, powers @ best, "k--", label="least squares")
axes.set(xlabel="x, half turns")
axes.legend(fontsize=8)
figure.savefig(Path((*sys.argv, ".")[1]) / "cubic_fit.png", dpi=80)
