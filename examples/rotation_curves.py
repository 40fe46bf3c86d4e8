"""Rotations between keys: where a bone's tip goes, and how fast. Argument: folder for the plot."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.curves.rotation import nlerp, slerp, squad
from muybridge.edit.curves.rotation_cubic import rotation_spline
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_rotvec,
    rotate,
    rotvec_from_quaternion,
)  # fmt: skip

mpl.use("Agg")
from matplotlib import pyplot as plt

KEYS = quaternion_from_rotvec(
    torch.tensor(
        [[0, 0, 0], [0.9, 0.3, 0.2], [1.3, 1.2, -0.3], [0.2, 1.6, 0.5], [-0.6, 0.7, 1.1]],
        dtype=torch.float64,
    )
)
T = torch.tensor([0.0, 1.0, 1.8, 3.2, 4.2], dtype=torch.float64)
CURVES = {
    "nlerp": (nlerp(T, KEYS), "#e09f3e"),
    "slerp": (slerp(T, KEYS), "#c1121f"),
    "squad: C1": (squad(T, KEYS), "#2a9d8f"),
    "rotation spline: C2": (rotation_spline(T, KEYS, "natural"), "#1d3557"),
}
TIP = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64) / 1.09**0.5
even = torch.linspace(0, float(T[-1]), 3001, dtype=torch.float64)
at = torch.cat((even + 1e-5, T)).clamp(max=float(T[-1])).unique()  # no step across a key
figure = plt.figure(figsize=(13, 5.6), layout="constrained")
globe = figure.add_subplot(1, 2, 1, projection="3d")
speed = figure.add_subplot(1, 2, 2)
round_and_down = torch.linspace(0, 2 * torch.pi, 49), torch.linspace(0, torch.pi, 25)
angle, tilt = torch.meshgrid(*round_and_down, indexing="ij")
ball = (angle.cos() * tilt.sin(), angle.sin() * tilt.sin(), tilt.cos())
globe.plot_wireframe(*(0.98 * part.numpy() for part in ball), color="0.85", lw=0.4)
for name, (curve, colour) in CURVES.items():
    turns = curve(at)
    tips = rotate(turns, TIP)
    step = rotvec_from_quaternion(multiply(conjugate(turns[:-1]), turns[1:])).norm(dim=-1)
    rate = torch.rad2deg(step / at.diff())
    tips = 1.01 * tips
    globe.plot(tips[:, 2], tips[:, 0], tips[:, 1], color=colour, lw=2, label=name)
    speed.plot(at[:-1], rate, color=colour, lw=1.8, label=name)
    jump = (rate[1:] - rate[:-1]).abs().max()
    print(f"{name:20} {rate.min():5.1f} to {rate.max():5.1f} degrees/s, largest jump {jump:5.2f}")
dots = 1.02 * rotate(KEYS, TIP)
globe.scatter(dots[:, 2], dots[:, 0], dots[:, 1], color="k", s=45, depthshade=False)
globe.view_init(elev=28, azim=48)
globe.set_box_aspect((1, 1, 1), zoom=1.5)
globe.set_axis_off()
globe.set_title("Where the tip of the bone goes")
speed.vlines(T, 0, 1, transform=speed.get_xaxis_transform(), color="0.85", zorder=0)
speed.set(xlabel="seconds", ylabel="degrees a second", title="How fast it turns", ylim=(0, None))
speed.legend()
figure.savefig(Path((*sys.argv, ".")[1]) / "rotation_curves.png", dpi=90)
