"""How few numbers a walk takes, and two deviations of the first four, from blue to red.

Arguments: a folder for the picture, and a motion file (a walk by formula without).
"""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.pose_pca import fit_pca, joint_vectors, rotation_space
from muybridge.edit.procedural import procedural_walk
from muybridge.files.convert import read_clip
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt

seconds = torch.arange(600, dtype=torch.float64) / 60
clip = (read_clip(Path(sys.argv[2])) if sys.argv[2:]
        else procedural_walk(0.9 + 0.4 * seconds.sin(), 0.4 * (0.7 * seconds).cos()))  # fmt: skip
poses = joint_vectors(clip)
pca = fit_pca(poses)
counts = [pca.count(share) for share in (0.90, 0.95, 0.99)]
print(f"{poses.shape[1]} numbers a pose; 90, 95 and 99 % of the variance in {counts}")

figure, axes = plt.subplots(
    1, 5, figsize=(13, 4), layout="constrained", width_ratios=(1.5, 1, 1, 1, 1)
)
axes[0].plot(range(1, 16), 100 * pca.shares.cumsum(0)[:15], "o-", color="#30475e", ms=4)
for count, share in zip(counts, (90, 95, 99), strict=True):
    axes[0].plot([0, count, count], [share, share, 0], ":", color="#e85d75", lw=1)
axes[0].set(xlabel="components", ylabel="% of the variance", ylim=(0, 102), xlim=(0, 15.5))
axes[0].spines[["right", "top"]].set_visible(False)
space = rotation_space(clip)
for number, axis in enumerate(axes[1:]):
    spread = space.pca.variances[number].sqrt()
    for step, colour in zip(
        torch.linspace(-2, 2, 5),
        mpl.colormaps["coolwarm"]([0.0, 0.25, 0.5, 0.75, 1.0]),
        strict=True,
    ):
        numbers = torch.zeros(1, number + 1, dtype=torch.float64)
        numbers[0, number] = step * spread
        middle = clip.frames(0, 1)
        middle.rotations[:, 0] = torch.tensor([0.0, 0.0, 0.0, 1.0])
        x, y, z = forward_clip(space.reconstruct(numbers, middle)).positions[0].T
        for joint, parent in enumerate(clip.skeleton.parents[1:], start=1):
            pair = [parent, joint]
            axis.plot(
                z[pair] + 0.3 * x[pair],
                y[pair] + 0.1 * x[pair],
                color=colour,
                lw=2,
                solid_capstyle="round",
            )
    axis.set(title=f"component {number + 1}", aspect="equal")
    axis.axis("off")
figure.savefig(Path((*sys.argv, ".")[1]) / "pose_pca.png", dpi=100)
