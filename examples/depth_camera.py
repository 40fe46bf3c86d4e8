"""A depth camera's pictures to a skeleton, all synthetic. Argument: a folder for the picture."""

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from muybridge.capture.depth.backproject import backproject, ray_grid, to_world
from muybridge.capture.depth.capsules import capsule_body, rest_shape
from muybridge.capture.depth.posed import posed
from muybridge.capture.depth.raycast import raycast
from muybridge.capture.depth.take import capture_take
from muybridge.capture.start import State
from muybridge.files.depth import read_depth, write_depth
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import matrix_from_rotvec, quaternion_from_rotvec
from muybridge.motion.kinematics import forward_clip

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.collections import LineCollection

torch.set_num_threads(1)
double, frames, shown = torch.float64, 6, 4
build = rest_shape(1.78) + 0.06 * torch.tensor(
    [0, 1, 0, -1, 1, 1, -1, 1, 1, 2, 1, 0, 1, 1, 1, 1, 0]
)
body = capsule_body(build)  # another build than the one the fit begins with
phase, turn = 0.55 * torch.arange(frames, dtype=double), torch.zeros(frames, 26, 3, dtype=double)
for side, sign, shift in (("Left", 1.0, 0.0), ("Right", -1.0, torch.pi)):
    swing = (phase + shift).sin()
    for joint, axis, angle in (
        ("UpLeg", 0, -0.15 - 0.45 * swing), ("Leg", 0, 0.45 + 0.35 * (phase + shift + 0.8).sin()),
        ("Arm", 2, -sign * 1.15), ("Arm", 1, sign * 0.5 * swing), ("ForeArm", 1, -sign * 0.9),
    ):  # fmt: skip
        turn[:, body.body.skeleton.index(side + joint), axis] = angle
turn[:, 0, 1] = 0.5
root = torch.tensor([[0.0, body.body.clearance("Hips") - 0.02, 0.0]], dtype=double)
truth = posed(body.body.skeleton, State(quaternion_from_rotvec(turn), root.expand(frames, 3)))
starts, ends = body.axes_world(truth)

turned = matrix_from_rotvec(torch.tensor([torch.pi + 0.1, 0.0, 0.0], dtype=double))  # looks at -Z
lens = torch.tensor([[290.0, 0, 159.5], [0, 290.0, 119.5], [0, 0, 1]], dtype=double)
away = -turned @ torch.tensor([0.0, 1.2, 2.6], dtype=double)
camera = Cameras(
    ("depth",), torch.tensor([[320.0, 240.0]]).double(), lens[None], torch.zeros(1, 5).double(),
    turned[None], away[None],
)  # fmt: skip
room = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, -1.5]], dtype=double)  # floor and wall
random = torch.Generator().manual_seed(0)
pictures = []
for a, b in zip(starts, ends, strict=True):
    depth = raycast(camera, a, b, body.radii, room)
    depth = 0.01 * ((depth + 0.005 * torch.randn(depth.shape, generator=random)) / 0.01).round()
    holes = torch.rand(depth.shape, generator=random) < 0.15
    pictures.append(torch.where(holes, torch.nan, depth).double())
with tempfile.TemporaryDirectory() as folder:
    write_depth(Path(folder), camera, pictures, fps=15.0)
    capture = capture_take(read_depth(Path(folder)))
found = forward_clip(capture.clip).positions
error = (found - truth.positions)[:, [not tip for tip in body.body.skeleton.end_sites]].norm(dim=-1)
print(f"{frames} frames: joints {1e3 * float(error.mean()):.0f} mm off the truth on average")

figure, axes = plt.subplots(
    1, 3, figsize=(12.5, 4), layout="constrained", width_ratios=(1.7, 1.35, 0.8)
)
shade = plt.get_cmap("viridis_r").with_extremes(bad="0.92")
image = axes[0].imshow(pictures[shown].numpy(), cmap=shade, vmin=1.5, vmax=4.5)
figure.colorbar(image, ax=axes[0], label="depth, m", shrink=0.7)
axes[0].set_anchor("N")
axes[0].set(xticks=[], yticks=[], title="16-bit picture: noise, 1 cm steps, 15 % holes")
world = to_world(backproject(pictures[shown], ray_grid(camera)), camera).reshape(-1, 3)
world = world[world.isfinite().all(-1)]
person = capture.room.inside(world)
view = matrix_from_rotvec(torch.tensor([0.12, 0.0, 0.0]).double()) @ matrix_from_rotvec(
    torch.tensor([0.0, 0.65, 0.0]).double()
)  # from the left and above
flat = (world @ view.T).numpy()
order = np.argsort(flat[:, 2])
colours = np.where(person.numpy()[:, None], [0.13, 0.40, 0.67, 1.0], [0.72, 0.72, 0.72, 0.35])
axes[1].scatter(*flat[order, :2].T, s=1.2, c=colours[order], linewidths=0)
axes[1].set_title("points, the person cut out of the room")
cloud = flat[person.numpy()]
axes[2].scatter(*cloud[:, :2].T, s=2, c="0.8", linewidths=0)
for joints, colour, width, label in (
    (found[shown], "#e08070", 5.0, "fitted"), (truth.positions[shown], "0.1", 1.3, "truth"),
):  # fmt: skip
    place = (joints @ view.T).numpy()[:, :2]
    bones = [place[[p, j]] for j, p in enumerate(body.body.skeleton.parents) if p >= 0]
    axes[2].add_collection(LineCollection(bones, colors=colour, linewidths=width, label=label))
    axes[2].scatter(*place.T, s=8 * width, color=colour, zorder=2)
axes[2].legend(frameon=False, loc="upper left")
axes[2].set_title("the fitted skeleton")
for axis in axes[1:]:
    axis.set_aspect("equal")
    axis.axis("off")
    axis.set_anchor("N")
axes[1].set(xlim=(-2.3, 1.3), ylim=(-0.75, 2.15))
axes[2].set(xlim=(-0.75, 0.75), ylim=(-0.1, 2.0))
figure.savefig(Path((*sys.argv, ".")[1]) / "depth_camera.png", dpi=110)
