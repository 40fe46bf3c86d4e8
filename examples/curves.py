"""Twelve ways through the same eight keys. Argument: a folder for the plot."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.curves.cubic import linear, stepped
from muybridge.edit.curves.easing import Easing
from muybridge.edit.curves.fcurve import FCurve, automatic_handles
from muybridge.edit.curves.polynomial import barycentric
from muybridge.edit.curves.spline import spline
from muybridge.edit.curves.tangents import cardinal, catmull_rom, kochanek_bartels, monotone

mpl.use("Agg")
from matplotlib import pyplot as plt

T = torch.tensor([0.0, 1.0, 1.6, 3.0, 4.2, 5.0, 6.6, 8.0], dtype=torch.float64)
V = torch.tensor([0.0, 0.2, 1.0, 1.0, -0.4, 0.6, 0.5, 0.0], dtype=torch.float64)
HANDLES = automatic_handles(T, torch.zeros_like(V), V)


def tcb(tension: float, continuity: float, bias: float) -> object:
    """A Kochanek-Bartels curve through the keys."""
    return kochanek_bartels(T, V, torch.tensor([tension, continuity, bias], dtype=torch.float64))


def eased(easing: Easing) -> object:
    """Blender's easing out between the keys."""
    return FCurve(T, V, *HANDLES, easing, "out", amplitude=0.9, period=0.5)


CURVES = {
    "stepped": stepped(T, V),
    "linear: C0": linear(T, V),
    "one polynomial": barycentric(T, V),
    "natural spline: C2": spline(T, V, "natural"),
    "Catmull-Rom: C1, local": catmull_rom(T, V),
    "cardinal, tension 0.7": cardinal(T, V, 0.7),
    "TCB, continuity -0.8": tcb(0.0, -0.8, 0.0),
    "TCB, bias 0.9": tcb(0.0, 0.0, 0.9),
    "monotone (PCHIP)": monotone(T, V),
    "Bezier, level handles": FCurve(T, V, *HANDLES),
    "bounce, eased out": eased("bounce"),
    "elastic, eased out": eased("elastic"),
}
at = torch.linspace(0, 8, 1600, dtype=torch.float64)
figure, axes = plt.subplots(3, 4, figsize=(13, 6.6), layout="constrained", sharex=True, sharey=True)
smooth = CURVES["natural spline: C2"](at)  # type: ignore[operator]
for axis, (name, curve) in zip(axes.flat, CURVES.items(), strict=True):
    values = curve(at)  # type: ignore[operator]
    axis.plot(at, smooth, color="0.8", lw=1)
    axis.plot(at, values, color="#1d3557", lw=1.8)
    axis.plot(T, V, "o", color="#e63946", ms=5, zorder=3)
    axis.set_title(name, fontsize=11)
    axis.set(ylim=(-1.05, 1.65), xticks=[], yticks=[])
    for side in axis.spines.values():
        side.set_color("0.8")
    print(f"{name:26} between {float(values.min()):+.2f} and {float(values.max()):+.2f}")
figure.savefig(Path((*sys.argv, ".")[1]) / "curves.png", dpi=90)
