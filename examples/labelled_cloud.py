"""Eight cameras' nameless spots -> points -> names -> skeleton. Argument: a folder for the picture.

Synthetic: a person of known motion wears the full-body set of 41 markers.
"""

import math
import sys
from pathlib import Path

import matplotlib as mpl
import torch

from muybridge.capture.markers.correspond import correspond
from muybridge.capture.markers.label import label
from muybridge.capture.markers.sets import segments
from muybridge.capture.markers.take import solve_markers
from muybridge.capture.markers.virtual import dressed
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import quaternion_from_rotvec
from muybridge.motion.body import template
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt


def dance(frames: int = 50, fps: float = 100.0) -> Clip:
    """Arms up, one knee raised, half a turn a second."""
    skeleton, t = template(HALPE_26).skeleton, torch.arange(frames, dtype=torch.float64) / fps
    turns = torch.zeros(frames, len(skeleton), 3, dtype=torch.float64)
    turns[:, 0, 1] = 0.3 + math.pi / 4.0 * t
    turns[:, skeleton.index("LeftArm"), 2] = 0.5 + 0.4 * (5.0 * t).sin()
    turns[:, skeleton.index("RightArm"), 2] = -0.9 + 0.3 * (5.0 * t).cos()
    turns[:, skeleton.index("RightForeArm"), 1] = 0.8 + 0.3 * (6.0 * t).sin()
    turns[:, skeleton.index("RightUpLeg"), 0] = -1.1 + 0.3 * (4.0 * t).sin()
    turns[:, skeleton.index("RightLeg"), 0] = 1.3 + 0.2 * (4.0 * t).cos()
    root = torch.stack((0.2 * t, 0.93 + 0.0 * t, 0.1 * t.sin()), dim=1)
    return Clip(skeleton, quaternion_from_rotvec(turns), root, fps)


def ring(count: int = 8) -> Cameras:
    """Cameras of 5 megapixels on a circle of 5 m."""
    turn = torch.arange(count, dtype=torch.float64) * 2.0 * math.pi / count
    centre = torch.stack((5.0 * turn.cos(), 2.4 + 0.0 * turn, 5.0 * turn.sin()), dim=1)
    forward = torch.nn.functional.normalize(torch.tensor([0.0, 1.0, 0.0]) - centre, dim=1)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand(count, 3)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=1)
    rotation = torch.stack((right, torch.linalg.cross(forward, right), forward), dim=1)
    lens = torch.tensor([[2270.0, 0, 1215.5], [0, 2270.0, 1023.5], [0, 0, 1]], dtype=torch.float64)
    size = torch.tensor([2432.0, 2048.0], dtype=torch.float64).expand(count, 2)
    return Cameras(tuple(f"cam{k + 1}" for k in range(count)), size, lens.expand(count, 3, 3),
                   torch.zeros(count, 5, dtype=torch.float64), rotation,
                   -(rotation @ centre.unsqueeze(-1)).squeeze(-1))  # fmt: skip


truth = dance()
real, cameras, g = dressed(truth), ring(), torch.Generator().manual_seed(0)
spots = cameras.project(real.points_world)
spots = spots + 0.5 * torch.randn(spots.shape, generator=g, dtype=torch.float64)
spots[torch.rand(spots.shape[:3], generator=g) < 0.1] = torch.nan
order = torch.rand(spots.shape[:3], generator=g).argsort(-1)  # nameless
spots = spots.gather(2, order.unsqueeze(-1).expand_as(spots))

cloud = correspond(spots, cameras, real.fps)
found = label(cloud.points_world, real.fps, real.names, real.points_world[0]).markers
take = solve_markers(found)
error = (found.points_world - real.points_world).norm(dim=-1)
print(f"{int(error.isfinite().sum())} of {error.numel()} markers, "
      f"{1e3 * float(error[error.isfinite()].square().mean().sqrt()):.2f} mm RMS, "
      f"largest error {1e3 * float(error.nan_to_num(0.0).max()):.1f} mm")  # fmt: skip

figure = plt.figure(figsize=(12, 6.4), layout="constrained")
colours = plt.get_cmap("tab20").colors
for place, (frame, words) in enumerate(((40, "points without names"), (40, "names and skeleton"))):
    axes = figure.add_subplot(1, 2, place + 1, projection="3d")
    shown = found.points_world[frame]
    if place == 0:
        x, y, z = cloud.points_world[frame].T
        axes.scatter(z, x, y, s=26, c="#2b2f36", depthshade=False)
    else:
        joints, skeleton = forward_clip(take.clip).positions[frame], take.clip.skeleton
        for joint, parent in enumerate(skeleton.parents[1:], start=1):
            x, y, z = joints[[parent, joint]].T
            axes.plot(z, x, y, color="#c8cdd4", lw=6, solid_capstyle="round", zorder=1)
        groups = segments(found.names)
        alone = [m for m in range(41) if not any(m in group for group in groups)]
        for number, group in enumerate((*groups, alone)):
            x, y, z = shown[list(group)].T
            axes.scatter(z, x, y, s=34, color=colours[number % 20], depthshade=False, zorder=3)
        for name in ("LFHD", "RFHD", "LSHO", "LELB", "RELB", "LFIN", "RFIN", "LFWT", "RKNE",
                     "LKNE", "LTOE", "RTOE", "LHEE", "STRN"):  # fmt: skip
            x, y, z = shown[found.names.index(name)].tolist()
            axes.text(z, x, y + 0.03, name, fontsize=7.5, color="#444b55", zorder=4)
    axes.set_title(words, fontsize=12)
    axes.set_box_aspect((1, 1.25, 1.6), zoom=1.25)
    axes.set(xlim=(-0.6, 0.6), ylim=(-0.75, 0.75), zlim=(0.0, 1.92))
    axes.view_init(10, 48)
    axes.set_axis_off()
figure.savefig(Path((*sys.argv, ".")[1]) / "labelled_cloud.png", dpi=100)
