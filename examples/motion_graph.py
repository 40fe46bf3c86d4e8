"""Where walks may change into one another, the graph this makes, and a walk along a path.

Arguments: a folder for the picture, and a folder of clips (walks by formula without).
"""

import math
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from muybridge.edit.floor_path import FloorPath
from muybridge.edit.graph import build_graph
from muybridge.edit.graph_distance import clouds, distances, joint_weights
from muybridge.edit.graph_path import PathOptions, follow_path
from muybridge.edit.graph_walk import shown, transition_spans
from muybridge.edit.library import library_from_clips, read_library
from muybridge.edit.procedural import procedural_walk

mpl.use("Agg")
from matplotlib import pyplot as plt

seconds = torch.arange(240, dtype=torch.float64) / 60
turns = {"straight": 0.0, "left": 0.9, "right": -0.9}
walks = [procedural_walk(1.1 + 0.25 * (1.5 * seconds + n).sin(), t * (0.5 + 0.5 * seconds.sin()),
                         name=name) for n, (name, t) in enumerate(turns.items())]  # fmt: skip
library = read_library(Path(sys.argv[2]), mirrored=True) if sys.argv[2:] else None
graph = build_graph(library or library_from_clips(walks))
library, used = graph.library, graph.usable
print(f"{len(library)} frames, {len(used.sources)} transitions, core of {int(graph.core.sum())}")

angles = torch.linspace(0, 2 * math.pi, 200, dtype=torch.float64)
path = FloorPath(torch.stack((2.5 * angles.sin(), 2.2 * angles), dim=-1))
route = follow_path(graph, path, PathOptions(width=24)).route
clip = shown(graph, route)
floor, blended = clip.root[:, [0, 2]], transition_spans(graph, route)
print(f"{clip.duration:.1f} s, off the path by {path.apart(floor).mean():.2f} m on average")

figure, axes = plt.subplots(
    1, 3, figsize=(14, 4.8), layout="constrained", width_ratios=(1.25, 1.15, 0.7)
)
starts = torch.nonzero(library.left >= graph.length - 1)[:, 0]
windows = clouds(library.positions, starts, graph.length, joint_weights(library.skeleton))
row = np.zeros(len(library), dtype=int)
row[starts] = np.arange(len(starts))
image = axes[0].imshow(100 * distances(windows, windows).numpy(), cmap="magma", vmin=0)
axes[0].scatter(row[graph.transitions.targets], row[graph.transitions.sources], 9, "#7fffd4", lw=0)
for border in row[library.starts][1:]:
    axes[0].axhline(border, color="w", lw=0.7)
    axes[0].axvline(border, color="w", lw=0.7)
figure.colorbar(image, label="distance of two windows after the best alignment, cm", shrink=0.85)
axes[0].set(
    title="all windows of 1/3 s; dots: transitions", xlabel="frame entered", ylabel="frame left"
)

height = -library.owners.numpy().astype(float)
along = np.arange(len(library)) - library.starts.numpy()[library.owners]
for number, name in enumerate(c.name for c in library.clips):
    mine = np.nonzero(library.owners.numpy() == number)[0]
    axes[1].plot(along[mine], height[mine], color="0.8", lw=5, solid_capstyle="round")
    core = np.where(graph.core.numpy()[mine], along[mine], np.nan)
    axes[1].plot(core, height[mine], color="#30475e", lw=5, solid_capstyle="round")
    axes[1].text(0, -number + 0.14, name, fontsize=8)
best = used.only(used.costs.argsort()[:70])
plasma = mpl.colormaps["plasma"]
for source, target, cost in zip(best.sources, best.targets + graph.length, best.costs, strict=True):
    ends = (along[target], height[target]), (along[source], height[source])
    arrow = {"arrowstyle": "-|>", "connectionstyle": "arc3,rad=0.25", "lw": 1, "alpha": 0.7}
    colour = plasma(0.85 * float(cost / best.costs[-1]))
    axes[1].annotate("", *ends, arrowprops=arrow | {"color": colour})
axes[1].set(
    title="the graph's core and its 70 best transitions", xlabel="frame of the clip", yticks=[]
)
axes[1].margins(0.05, 0.2)
axes[1].spines[["left", "right", "top"]].set_visible(False)

axes[2].plot(*path.points.T, color="0.8", lw=7, solid_capstyle="round", label="path")
axes[2].plot(*floor.T, color="#30475e", lw=1.6, label="hips")
axes[2].plot(
    *torch.where(blended[:, None], floor, torch.nan).T,
    color="#e85d75",
    lw=2.2,
    label="in transitions",
)
axes[2].set(title="a walk along a path", xlabel="x, m", ylabel="z, m", aspect="equal")
axes[2].invert_xaxis()  # as seen from above
axes[2].legend(
    fontsize=7, frameon=False, loc="center right", handlelength=1.2, bbox_to_anchor=(1.03, 0.22)
)
figure.savefig(Path((*sys.argv, ".")[1]) / "motion_graph.png", dpi=110)
