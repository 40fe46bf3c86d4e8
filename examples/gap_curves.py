"""A hidden forearm, filled three ways. Arguments: a folder for the picture, a .bvh of a person.

Without a file a synthetic person walks. The markers are the full-body set of 41.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.capture.markers.virtual import dressed
from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import quaternion_from_rotvec
from muybridge.motion.body import template
from muybridge.motion.clip import Clip
from muybridge.motion.gaps import FillOptions, Gap, fill_gaps
from muybridge.motion.keypoints import HALPE_26

mpl.use("Agg")
from matplotlib import pyplot as plt


def stroll(frames: int = 300, fps: float = 60.0) -> Clip:
    """A person of 1.75 m who walks with swinging arms, a little differently at every step."""
    skeleton, t = template(HALPE_26).skeleton, torch.arange(frames, dtype=torch.float64) / fps
    turns = torch.zeros(frames, len(skeleton), 3, dtype=torch.float64)
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        phase = 5.7 * t + 0.5 * (1.3 * t).sin() + (0.0 if sign > 0.0 else torch.pi)
        turns[:, skeleton.index(f"{side}UpLeg"), 0] = -0.2 - 0.4 * phase.sin()
        turns[:, skeleton.index(f"{side}Leg"), 0] = 0.6 + 0.45 * (phase + 0.8).sin()
        turns[:, skeleton.index(f"{side}Arm"), 2] = -sign * 1.2
        turns[:, skeleton.index(f"{side}Arm"), 1] = sign * (0.4 + 0.1 * t.sin()) * phase.sin()
        turns[:, skeleton.index(f"{side}ForeArm"), 1] = -sign * (0.7 + 0.3 * phase.sin())
    root = torch.stack((0.1 * t.sin(), 0.92 + 0.02 * (11.4 * t).sin(), 1.2 * t), dim=1)
    return Clip(skeleton, quaternion_from_rotvec(turns), root, fps)


clip = read_clip(Path(sys.argv[2])) if len(sys.argv) > 2 else stroll()
markers = dressed(clip)
wrist, length = markers.names.index("RWRA"), round(1.0 * clip.fps)
hidden = [markers.names.index(name) for name in ("RWRA", "RFRM", "RWRB", "RFIN", "RELB")]
start = len(clip) // 2 - length // 2
gaps, inside = [Gap(m, start, start + length) for m in hidden], slice(start, start + length)
holed = markers.points_world.clone()
holed[inside, hidden] = torch.nan
seconds = torch.arange(len(clip)) / clip.fps

figure, axes = plt.subplots(3, 1, figsize=(11, 7.2), sharex=True, layout="constrained")
styles = {"linear": ("#9aa5b1", "straight line"), "cubic": ("#e0863a", "cubic spline"),
          "auto": ("#1f6fb4", "muybridge")}  # fmt: skip
for method, (colour, words) in styles.items():
    filled = fill_gaps(holed, clip.fps, FillOptions(method, most_std=10.0), only=gaps)
    error = (filled.points - markers.points_world)[inside, wrist].norm(dim=-1)
    rms = 1e3 * float(error.square().mean().sqrt())
    expected = 1e3 * filled.fillings[0].std
    print(f"{words:<14} {rms:6.1f} mm RMS, expected {expected:6.1f}")
    span = slice(start - 1, start + length + 1)
    for axis, panel in zip((0, 1), axes[:2], strict=True):
        curve = filled.points[span, wrist, axis]
        panel.plot(seconds[span], curve, color=colour, lw=2.4, label=f"{words}, {rms:.0f} mm")
    off = 1e3 * (filled.points - markers.points_world)[span, wrist].norm(dim=-1)
    axes[2].plot(seconds[span], off, color=colour, lw=2.4)
around = slice(max(1, start - length), start + 2 * length)
for axis, panel in zip((0, 1), axes[:2], strict=True):
    true = markers.points_world[around, wrist, axis]
    panel.plot(seconds[around], true, "k", lw=1.2, ls=(0, (4, 2)), label="truth")
    panel.set_ylabel(("across, m", "height, m")[axis])
for panel in axes:
    panel.axvspan(seconds[start], seconds[start + length - 1], color="#f2ead8", zorder=0)
    panel.spines[["top", "right"]].set_visible(False)
axes[2].set_ylabel("off the truth, mm")
axes[2].set_ylim(bottom=0.0)
axes[0].legend(ncols=4, frameon=False, loc="lower right", bbox_to_anchor=(1.0, 1.0), fontsize=10)
axes[0].text(0.0, 1.06, "a wrist, hidden for 1 s", transform=axes[0].transAxes, fontsize=13)
axes[2].set_xlabel("seconds")
figure.savefig(Path((*sys.argv, ".")[1]) / "gap_curves.png", dpi=100)
