"""One polynomial through even keys swings ever wider; better keys or a spline do not.

Argument: a folder for the plot.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.curves.cubic import linear
from muybridge.edit.curves.polynomial import barycentric, chebyshev_points
from muybridge.edit.curves.spline import spline

mpl.use("Agg")
from matplotlib import pyplot as plt


def runge(x: torch.Tensor) -> torch.Tensor:
    """Runge's function."""
    return 1 / (1 + 25 * x**2)


def even(count: int) -> torch.Tensor:
    """Keys at equal distances."""
    return torch.linspace(-1, 1, count, dtype=torch.float64)


METHODS = {
    "one polynomial, even keys": (even, barycentric, "#c1121f"),
    "straight lines": (even, linear, "#8d99ae"),
    "one polynomial, Chebyshev's keys": (chebyshev_points, barycentric, "#e09f3e"),
    "cubic spline": (even, lambda t, v: spline(t, v, "not-a-knot"), "#1d3557"),
}
COUNTS = (5, 7, 9, 11, 13, 15, 17, 19, 21, 31, 41)
at = torch.linspace(-1, 1, 2001, dtype=torch.float64)
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
left.plot(at, runge(at), color="k", lw=5, alpha=0.15, label="1 / (1 + 25 x²)")
for name, (keys, make, colour) in METHODS.items():
    errors = [float((make(keys(n), runge(keys(n)))(at) - runge(at)).abs().max()) for n in COUNTS]
    print(f"{name:34}", *(f"{n}: {errors[COUNTS.index(n)]:.3g}" for n in (5, 11, 21)), sep="  ")
    right.semilogy(COUNTS, errors, "o-", color=colour, ms=4, label=name)
    if name != "straight lines":
        left.plot(at, make(keys(13), runge(keys(13)))(at), color=colour, lw=1.8, label=name)
left.plot(even(13), runge(even(13)), "ko", ms=5, zorder=3)
left.set(ylim=(-0.6, 1.2), xlabel="x", title="Through 13 keys")
right.set(xlabel="keys", title="Largest error")
right.grid(alpha=0.3)
left.legend(loc="lower center", fontsize=9, framealpha=0.9)
right.legend(fontsize=9)
figure.savefig(Path((*sys.argv, ".")[1]) / "runge.png", dpi=100)
