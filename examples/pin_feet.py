"""A walk whose feet slide, before and after pinning. Argument: a folder for the picture."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.feet import foot_contacts, foot_slide
from muybridge.edit.path import PathOptions, along_path
from muybridge.edit.pin import pin
from muybridge.edit.procedural import procedural_walk
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt

ones = torch.ones(200, dtype=torch.float64)
walk = procedural_walk(1.1 * ones, 0.0 * ones)
contacts = foot_contacts(walk)
curve = torch.tensor([[0.0, 0.0], [0.3, 1.2], [1.4, 2.0], [2.8, 1.6]], dtype=torch.float64)
bent = along_path(walk, curve, PathOptions(feet=False))  # on a curve, standing feet slide
pinned = pin(bent, contacts)
joint = walk.skeleton.index("LeftFoot")
time = torch.arange(len(walk)) / walk.fps

figure, (floor, speed, height) = plt.subplots(
    1, 3, figsize=(13, 4.2), layout="constrained", width_ratios=(1, 1.2, 1.2)
)
for clip, name, colour in ((bent, "before", "#d1495b"), (pinned, "after", "#00798c")):
    slid = 100.0 * foot_slide(clip, contacts)
    print(f"{name}: standing feet slide at {slid:.2f} cm/s")
    places = forward_clip(clip).positions[:, joint]
    moved = places.diff(dim=0)[:, [0, 2]].norm(dim=-1) * clip.fps
    floor.plot(-places[:, 0], places[:, 2], color=colour, lw=1.8, label=name)
    speed.plot(time[1:], moved, color=colour, lw=1.8, label=f"{name}: {slid:.1f} cm/s standing")
    height.plot(time, 100.0 * places[:, 1], color=colour, lw=1.8, label=name)
floor.plot(-bent.root[:, 0], bent.root[:, 2], "k:", lw=1, label="hips")
floor.set(aspect="equal", xlabel="metres", ylabel="metres", title="left ankle from above")
speed.set(xlabel="seconds", ylabel="metres/second", title="its speed on the floor, up to 1 m/s")
speed.set_ylim(-0.03, 1.0)
height.set(xlabel="seconds", ylabel="centimetres", title="its height")
for axes in (speed, height):
    low, high = axes.get_ylim()
    axes.fill_between(time, low, high, where=contacts[:, joint], color="#edae49", alpha=0.25, lw=0)
    axes.set_ylim(low, high)
for axes in (floor, speed, height):
    axes.legend(fontsize=8, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
figure.savefig(Path((*sys.argv, ".")[1]) / "pin_feet.png", dpi=100)
