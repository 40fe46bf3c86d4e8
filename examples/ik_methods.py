"""One chain, six methods: where each ends and how fast. Argument: a folder for the picture."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.motion.ik.ccd import ccd_hinges
from muybridge.motion.ik.chain import Chain, ChainProblem
from muybridge.motion.ik.fabrik import fabrik
from muybridge.motion.ik.iterate import IterateOptions, iterate
from muybridge.motion.ik.levenberg import levenberg_marquardt

mpl.use("Agg")
from matplotlib import pyplot as plt

z = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
bones = torch.tensor([[0.0, 0, 0], [0.30, 0, 0], [0.25, 0, 0], [0.20, 0, 0], [0.15, 0, 0]])
free = torch.full((5,), torch.inf, dtype=torch.float64)
tip = torch.tensor([0.10, 0.0, 0.0], dtype=torch.float64)
chain = Chain(z.expand(5, 3), bones.double(), tip, -free, free)  # hinges in a plane, 1 m long

seed = torch.Generator().manual_seed(4)
poses = torch.randn(100, 5, dtype=torch.float64, generator=seed)
aims = chain.forward(poses).positions[:, -1]  # 100 places that can be reached
aims[0] = torch.tensor([-0.05, 0.62, 0.0])  # the one that is drawn
bent = torch.tensor([0.3, 0.4, -0.5, 0.4, 0.3], dtype=torch.float64).expand(100, 5).clone()
start, problem, far = chain.forward(bent).positions, ChainProblem(chain, aims), IterateOptions(100)

solved = {
    "Jacobian transpose": iterate(problem, bent, "transpose", far),
    "Gauss-Newton, pseudo-inverse": iterate(problem, bent, "pseudo_inverse_wide", far),
    "damped least squares": iterate(problem, bent, "damped", far),
    "Levenberg-Marquardt": levenberg_marquardt(problem, bent),
    "CCD": ccd_hinges(chain, aims, bent),
}
drawn = {name: chain.forward(s.state[:1]).positions[0] for name, s in solved.items()}
points = fabrik(start, aims)
drawn["FABRIK"] = points.points[0]
curves = {name: s.history for name, s in solved.items()} | {"FABRIK": points.history}

figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5), layout="constrained")
colours = ("#c0392b", "#2471a3", "#17a589", "#7d3c98", "#d68910", "#444444")
left.plot(*start[0, :, :2].T, "-o", color="#cccccc", lw=6, label="start", solid_capstyle="round")
left.plot(*aims[0, :2], "*", color="black", ms=20, zorder=5, label="target")
for colour, (name, joints) in zip(colours, drawn.items(), strict=True):
    left.plot(*joints[:, :2].T, "-o", color=colour, lw=2.5, ms=6, alpha=0.9)
    error = curves[name]
    right.semilogy(error.median(dim=1).values.clamp(min=1e-6), color=colour, lw=2.2, label=name)
    share = 100.0 * (error < 1e-3).double().mean(dim=1)
    steps = next((str(k) for k, s in enumerate(share) if s >= 95.0), f"over {len(share) - 1}")
    print(f"{name:<28} median {error[-1].median():.0e} m, 95 % within 1 mm after {steps} steps")
left.set(aspect="equal", title="six ways to the same place", xlabel="m", ylabel="m")
left.legend(frameon=False, loc="lower right")
right.set(xlim=(0, 60), ylim=(8e-7, 1), xlabel="step", ylabel="distance to the target, m")
right.set_title("median of 100 targets; all stop at a micrometre")
right.legend(frameon=False)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
figure.savefig(Path((*sys.argv, ".")[1]) / "ik_methods.png", dpi=110)
