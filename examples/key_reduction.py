"""A walk as few keys. Arguments: a folder for the plot; a motion file instead of the made walk."""

import sys
from math import radians
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.edit.keys import evaluate, key_clip, reduction, track, uniform_keys
from muybridge.edit.procedural import procedural_walk
from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import rotvec_from_quaternion

mpl.use("Agg")
from matplotlib import pyplot as plt

folder, *files = (*sys.argv[1:], ".")[: max(1, len(sys.argv) - 1)]
pace = torch.linspace(0.8, 1.2, 150, dtype=torch.float64)
clip = read_clip(Path(files[0])) if files else procedural_walk(pace, 0.6 * (3 * pace).sin())
figure, (curve, cost) = plt.subplots(2, 1, figsize=(12, 7), layout="constrained")
ours, even = [], []
for millimetres in (0.5, 2, 5, 20):
    keyed = key_clip(clip, millimetres / 1000, radians(5))
    found = reduction(clip, keyed)
    ours.append((100 * found.keys / found.poses, 1000 * found.error))
    print(
        f"{millimetres:4} mm: {found.keys} keys for {found.poses} values, "
        f"{found.poses / found.keys:.1f} times fewer; off by at most {1000 * found.error:.2f} mm"
    )
    if millimetres == 5:
        joint = max(range(len(clip.skeleton)), key=lambda j: len(keyed.rotations[j]))
        clips = (clip, evaluate(keyed))
        before, after = (rotvec_from_quaternion(c.rotations[:, joint]) for c in clips)
        keys = track(keyed, joint)
        dots = after[(keys.times * clip.fps).round().long()]
        seconds = torch.arange(len(clip)) / clip.fps
        for axis, colour in enumerate(("#c1121f", "#2a9d8f", "#1d3557")):
            curve.plot(seconds, before[:, axis].rad2deg(), color=colour, lw=6, alpha=0.2)
            curve.plot(seconds, after[:, axis].rad2deg(), color=colour, lw=1.6)
            curve.plot(keys.times, dots[:, axis].rad2deg(), "o", color=colour, ms=6)
        name = clip.skeleton.names[joint]
        curve.set(title=f"{name}: {len(keys)} keys for {len(clip)} frames, within 5 mm")
        curve.set(xlabel="seconds", ylabel="rotation vector, degrees")
for step in (2, 3, 4, 8, 16):
    found = reduction(clip, uniform_keys(clip, step))
    even.append((100 * found.keys / found.poses, 1000 * found.error))
cost.semilogy(*zip(*ours, strict=True), "o-", color="#1d3557", label="keys where they are needed")
cost.semilogy(*zip(*even, strict=True), "o-", color="#e09f3e", label="a key every few frames")
cost.set(xlabel="keys, percent of the values they replace", ylabel="largest error, mm")
cost.set(title="What keys cost", xlim=(0, None))
cost.grid(alpha=0.3, which="both")
cost.legend()
figure.savefig(Path(folder) / "key_reduction.png", dpi=90)
