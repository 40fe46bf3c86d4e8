"""How many bits a suit of encoders needs: error of the hands against the bound, 8 to 16 bits.

Argument: a folder for the plot. A figure sways for four seconds; each joint has three encoders,
mounted at any angle, whose zeros are taken from two seconds of T-pose. Synthetic streams, seed 0.
"""

import math
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.capture.encoder_error import full_rig, position_bound, position_std, simulate
from muybridge.capture.encoders import clip_from_encoders
from muybridge.geometry.rotation import quaternion_from_rotvec
from muybridge.motion.body import template
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import COCO_17
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt

skeleton = template(COCO_17).skeleton
t = torch.arange(400, dtype=torch.float64)[:, None] / 100.0
phase = torch.linspace(0.0, 6.0, len(skeleton), dtype=torch.float64)
sway = (2.0 * t + phase).sin().unsqueeze(-1) * torch.tensor([0.2, 0.3, 0.4]).double()
truth = Clip(skeleton, quaternion_from_rotvec(sway), torch.zeros(400, 3).double(), 100.0)
hands = [skeleton.index("LeftHand"), skeleton.index("RightHand")]
generator = torch.Generator().manual_seed(0)
bits, curves = list(range(8, 17)), []
for b in bits:
    rig = replace(full_rig(skeleton, b), calibration=(0.0, 1.9))
    joints, count = [encoder.joint for encoder in rig.encoders], len(rig.encoders)
    zeros = 2.0 * math.pi * torch.rand(count, generator=generator, dtype=torch.float64)
    clip = clip_from_encoders(simulate(truth, rig, zeros, still=2.0, noise=0.5), rig).clip
    apart = forward_clip(clip.frames(200, 600)).positions - forward_clip(truth).positions
    off = (apart - apart[:, :1])[:, hands].norm(dim=-1)
    step = torch.full((count,), 2.0 * math.pi / 2**b, dtype=torch.float64)
    bound = position_bound(truth, joints, step)[:, hands].max()  # half a count, half a zero
    spread = position_std(truth, joints, step / math.sqrt(12.0))[:, hands].square().mean().sqrt()
    curves.append([1e3 * float(v) for v in (bound, off.max(), off.square().mean().sqrt(), spread)])
    print(f"{b:2} bit: bound {curves[-1][0]:7.2f} mm, worst {curves[-1][1]:7.2f} mm")

figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
looks = (
    ("bound Σ |L| δ", "#888780", "--"),
    ("worst of 400 frames", "#b4491f", "o-"),
    ("root mean square", "#1f6f8b", "o-"),
    ("rounding alone, predicted", "#1f6f8b", ":"),
)
for (label, color, style), values in zip(looks, zip(*curves, strict=True), strict=True):
    axes.semilogy(bits, values, style, color=color, label=label, lw=1.8, ms=5)
axes.axhline(1.0, color="k", lw=0.6)
axes.annotate("1 mm", (8, 1.1), ha="left")
axes.set(xlabel="bits of each encoder", ylabel="hands off by, mm", title="What a count costs")
axes.grid(alpha=0.25)
axes.spines[["top", "right"]].set_visible(False)
axes.legend(frameon=False)
figure.savefig(Path((*sys.argv, ".")[1]) / "encoders.png", dpi=130)
