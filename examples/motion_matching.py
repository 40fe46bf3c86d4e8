"""A figure follows an eight by motion matching: pieces of clips, searched ten times a second.

Arguments: a folder for the picture, and a folder of clips (walks by formula without).
"""

import math
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from muybridge.edit.floor_path import FloorPath
from muybridge.edit.library import library_from_clips, read_library
from muybridge.edit.matching import database, match_path, typical_speed
from muybridge.edit.procedural import procedural_walk
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt

seconds = torch.arange(360, dtype=torch.float64) / 60
turns = {"straight": 0.0, "wide": 0.5, "tight": 1.1}
walks = [procedural_walk(1.1 + 0.2 * (1.5 * seconds).sin(), turn * (0.5 + 0.5 * seconds.sin()),
                         name=name) for name, turn in turns.items()]  # fmt: skip
folder = Path(sys.argv[2]) if sys.argv[2:] else None
library = (
    read_library(folder, mirrored=True) if folder else library_from_clips(walks, mirrored=True)
)
base = database(library)
angles = torch.linspace(0, 2 * math.pi, 400, dtype=torch.float64)
path = FloorPath(torch.stack((4 * angles.sin(), 2.2 * (2 * angles).sin()), dim=-1))
found = match_path(base, path.timed(typical_speed(base)))
error = found.error
print(f"{found.clip.duration:.1f} s, {found.jumps} jumps")
print(f"off the path by {error.mean():.3f} m on average, {error.max():.3f} m at most")

figure, axes = plt.subplots(figsize=(11, 6.4), layout="constrained")
axes.plot(*path.points.T, color="0.85", lw=9, solid_capstyle="round", label="path")
tab = mpl.colormaps["tab10"].colors
owners, colours = library.owners.numpy()[found.frames], {}
jumps = np.nonzero(np.diff(found.frames) != 1)[0] + 1
for start, end in zip((0, *jumps), (*jumps, len(owners) - 1), strict=True):
    label = None if owners[start] in colours else library.clips[owners[start]].name
    colour = colours.setdefault(owners[start], tab[len(colours) % 10])
    axes.plot(*found.places[start : end + 1].T, color=colour, lw=2.4, label=label)
axes.scatter(*found.places[jumps].T, s=10, color="k", zorder=3, label="jumps")
positions, skeleton = forward_clip(found.clip).positions.numpy(), found.clip.skeleton
head = max(range(len(skeleton)), key=lambda joint: positions[0, joint, 1])
for frame in range(0, len(positions), round(1.05 * library.fps)):  # stick figures, seen aslant
    x, y, z = (
        0.9 * positions[frame].T + [[0.1], [0], [0.1]] * found.places[frame, [0, 0, 1]][:, None]
    )
    axes.scatter(x[head], z[head] + 0.6 * y[head], s=26, color=colours[owners[frame]], zorder=4)
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        axes.plot(x[[parent, joint]], z[[parent, joint]] + 0.6 * y[[parent, joint]], zorder=4,
                  color=colours[owners[frame]], lw=1.8, solid_capstyle="round")  # fmt: skip
axes.invert_xaxis()  # as seen from above
axes.set(xlabel="x, m", ylabel="z, m", aspect="equal")
axes.spines[["right", "top"]].set_visible(False)
axes.legend(fontsize=8, frameon=False, loc="upper center", ncols=8, bbox_to_anchor=(0.5, 1.07))
figure.savefig(Path((*sys.argv, ".")[1]) / "motion_matching.png", dpi=110)
