"""A walk on a body with longer legs, a T-pose at rest and other joints. Argument: a folder."""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.feet import foot_contacts, foot_slide
from muybridge.edit.procedural import procedural_walk
from muybridge.edit.retarget import RetargetOptions, retarget
from muybridge.motion.body import template
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {"Left": "#d1495b", "Right": "#00798c", "": "#3d405b"}
ones = torch.ones(150, dtype=torch.float64)
walk = procedural_walk(1.2 * ones, 0.25 * ones)
markers = ("left_hip", "right_hip", "left_shoulder", "right_shoulder", "left_big_toe")
rig = template(markers, {"LeftLeg": 0.52, "RightLeg": 0.52}, 1.95).skeleton
made = retarget(walk, rig)
contacts = foot_contacts(walk)
assert made.contacts is not None
copied = retarget(walk, rig, options=RetargetOptions(feet=False))
for name, clip in (("orientations alone", copied), ("feet kept", made)):
    print(f"{name}: standing feet slide at {100 * foot_slide(clip, made.contacts):.2f} cm/s")


def draw(axes: plt.Axes, clip: Clip, frames: range, across: float) -> None:
    """Poses beside each other, seen from ahead and a little from the side."""
    places, skeleton = forward_clip(clip).positions, clip.skeleton
    for k, frame in enumerate(frames):
        pose = places[frame] - places[frame, 0] * torch.tensor([1.0, 0.0, 1.0])
        x, y = 0.55 * pose[:, 0] + 0.83 * pose[:, 2] + across * k, pose[:, 1]
        for joint, parent in enumerate(skeleton.parents[1:], start=1):
            side = next(s for s in COLOURS if skeleton.names[joint].startswith(s))
            axes.plot(x[[parent, joint]], y[[parent, joint]], color=COLOURS[side], lw=3,
                      solid_capstyle="round")  # fmt: skip
        head = skeleton.index("Head")
        axes.plot(x[head], y[head] + 0.06, "o", color=COLOURS[""], ms=11)
    axes.axhline(0.0, color="#bbbbbb", lw=1, zorder=0)
    axes.set(aspect="equal", ylim=(-0.05, 2.05))
    axes.axis("off")


figure, axes = plt.subplots(2, 1, figsize=(11, 6.4), layout="constrained")
for row, clip, title in (
    (axes[0], walk, f"{len(walk.skeleton)} joints, arms down at rest, legs of 0.90 m"),
    (axes[1], made, f"the same on {len(rig)} joints, T-pose at rest, legs of {0.52 + 0.48:.2f} m"),
):
    draw(row, clip, range(20, 84, 8), 1.05)
    row.set_title(title, loc="left", fontsize=12)
figure.savefig(Path((*sys.argv, ".")[1]) / "retarget.png", dpi=100)
