"""Steering learnt in a motion field: from one step to seven headings, beside letting go.

Arguments: a folder for the picture, and a folder of clips (walks by formula without).
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from muybridge.edit.field import FieldOptions, build_field
from muybridge.edit.field_control import HeadingTask, learn
from muybridge.edit.field_motion import steer
from muybridge.edit.library import library_from_clips, read_library
from muybridge.edit.procedural import procedural_walk

mpl.use("Agg")
from matplotlib import pyplot as plt

speed = torch.linspace(0.9, 1.2, 90, dtype=torch.float64)
walks = [procedural_walk(speed, turn + 0 * speed, 30.0) for turn in (0.0, 1.0, -1.0)]
folder = Path(sys.argv[2]) if sys.argv[2:] else None
library = read_library(folder, 30.0, True) if folder else library_from_clips(walks)
field = build_field(library, FieldOptions(neighbours=8))
controller = learn(field, HeadingTask(headings=16))
print(f"{controller.solution.rounds} rounds of value iteration on {controller.values.size} states")

start = int(field.states[np.argmax(field.bone.speeds[field.states, 1].numpy())])
headings = np.linspace(-0.85, 0.85, 7) * np.pi
figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained", sharex=True, sharey=True)
for axis, choose, title in (
    (axes[0], controller.choose, "steered"),
    (axes[1], lambda point, error: None, "let go"),
):
    rewards = []
    for number, heading in enumerate(headings):
        shown = steer(field, np.full(40, heading), choose, start)
        rewards.append(shown.rewards.mean())
        colour = mpl.colormaps["twilight_shifted"](number / len(headings))
        for part in range(0, len(shown.bodies) - 1, 3):  # fades in with time
            axis.plot(*shown.bodies[part : part + 4, :2].T, color=colour, lw=1 + 3 * part / 120)
        tip = shown.bodies[-1, :2] + 0.5 * np.array([np.sin(heading), np.cos(heading)])
        axis.annotate(
            "", tip, shown.bodies[-1, :2], arrowprops={"arrowstyle": "-|>", "color": colour}
        )
    print(f"{title}: mean reward {np.mean(rewards):.2f}")
    axis.set(title=f"{title}: mean reward {np.mean(rewards):.2f}", xlabel="x, m", aspect="equal")
    axis.margins(0.12)
    axis.spines[["right", "top"]].set_visible(False)
axes[0].set_ylabel("z, m")
axes[0].invert_xaxis()  # as seen from above
figure.savefig(Path((*sys.argv, ".")[1]) / "motion_field.png", dpi=100)
