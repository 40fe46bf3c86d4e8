"""Reach for a shelf and squat with both feet pinned. Arguments: a motion file, a file to write."""

import sys
from pathlib import Path

import torch

from muybridge.files.convert import read_clip, write_motion
from muybridge.geometry.rotation import identity_quaternion
from muybridge.motion.body import template
from muybridge.motion.clip import Clip
from muybridge.motion.ik.reach import Goal, reach_take
from muybridge.motion.keypoints import HALPE_26

if len(sys.argv) > 1:
    clip = read_clip(Path(sys.argv[1]))
else:  # two seconds of standing still in T-pose
    skeleton = template(HALPE_26).skeleton
    root = skeleton.offsets[:1].expand(24, 3).clone()
    clip = Clip(skeleton, identity_quaternion(24, len(skeleton)), root, fps=12.0)

moment = clip.duration / 2.0
high = torch.tensor([0.2, 1.05 * float(clip.root[0, 1]) + 0.75, 0.3], dtype=torch.float64)
low = torch.tensor([torch.nan, 0.8 * float(clip.root[0, 1]), torch.nan], dtype=torch.float64)
goals = [
    Goal("left_hand", high, relative=True, at=moment / 2.0, ease=moment / 2.0),
    Goal("hips", low, at=1.5 * moment, ease=moment / 2.0),  # only its height is asked for
]
reached = reach_take(clip, goals, pins=["feet"])
for outcome in reached.outcomes:
    was, left = 1000.0 * outcome.before, 1000.0 * outcome.after
    print(f"{outcome.part}: {left:.2f} mm off, {was:.0f} mm before")
if len(sys.argv) > 2:
    write_motion(Path(sys.argv[2]), reached.clip)
