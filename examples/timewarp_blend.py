"""Two walks of different speed, and the one between them. Argument: a folder for the picture."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.procedural import Gait, procedural_walk
from muybridge.edit.timewarp import pose_features, registration, squared_costs, timewarp_blend
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"Left": "#d1495b", "Right": "#00798c", "": "#3d405b"}


def draw(axes: plt.Axes, clip: Clip, every: int = 9) -> None:
    """The figure from its left side, again and again along its way."""
    places, skeleton = forward_clip(clip).positions[::every], clip.skeleton
    for pose in places:
        for joint, parent in enumerate(skeleton.parents[1:], start=1):
            side = next(s for s in COLOURS if skeleton.names[joint].startswith(s))
            line = pose[[parent, joint]]
            axes.plot(line[:, 2], line[:, 1], color=COLOURS[side], lw=2, solid_capstyle="round")
        axes.plot(*pose[skeleton.index("Head"), [2, 1]] + torch.tensor([0.02, 0.07]), "o",
                  color=COLOURS[""], ms=7)  # fmt: skip
    axes.set(aspect="equal", xlim=(-0.5, 3.1), ylim=(-0.03, 1.72), yticks=[])


def walk(speed: float, frames: int, stride: float) -> Clip:
    """Two strides at a speed, metres/second."""
    ones = torch.ones(frames, dtype=torch.float64)
    return procedural_walk(speed * ones, 0.0 * ones, gait=Gait(stride, swing=0.4 + 0.4 * speed))


slow, fast = walk(0.7, 157, 1.3), walk(1.4, 109, 0.9)
half = timewarp_blend(slow, fast, 0.5)
rows = {f"{c.root[-1, 2] / c.duration:.2f} m/s": c for c in (slow, half, fast)}
for name, clip in rows.items():
    print(f"{name}: {len(clip)} frames")

figure, grid = plt.subplots(
    3, 2, figsize=(11, 6.6), layout="constrained", width_ratios=(1.12, 1.0), squeeze=False
)
for axes, (name, clip) in zip(grid[:, 0], rows.items(), strict=True):
    draw(axes, clip)
    title = f"{name}, {clip.duration:.2f} s" + (": half-way between" if clip is half else "")
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["left", "top", "right"]].set_visible(False)
grid[2, 0].set_xlabel("metres")
for axes in grid[:, 1]:
    axes.remove()
matrix = figure.add_subplot(grid[0, 1].get_gridspec()[:, 1])
costs = squared_costs(pose_features(slow), pose_features(fast)).sqrt()
matrix.imshow(costs.T.numpy(), origin="lower", cmap="bone", aspect="auto")
matrix.plot(*registration(slow, fast), color="#edae49", lw=2.5, label="registration curve")
matrix.set(xlabel="frame of the slow walk", ylabel="frame of the fast walk")
matrix.set_title("how much poses differ (dark: little)", loc="left", fontsize=11)
matrix.legend(loc="upper left", framealpha=0.9)
figure.savefig(Path((*sys.argv, ".")[1]) / "timewarp_blend.png", dpi=100)
