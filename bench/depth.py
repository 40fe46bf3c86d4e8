"""Depth capture: speed against OpenCV and a KD-tree, and joints against synthetic truth.

Synthetic only: a body of capsules is ray-cast (floor, wall, 5 mm noise, 1 cm steps, 15 % holes) and
fitted again, once with the very build that is fitted and once with other bones and other flesh.
CPU time of one thread.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import scipy
import torch
from scipy.spatial import cKDTree

from bench._clock import best
from muybridge.capture.depth.backproject import backproject, ray_grid
from muybridge.capture.depth.capsules import CapsuleBody, capsule_body, rest_shape
from muybridge.capture.depth.contact import closest_capsule
from muybridge.capture.depth.icp import Evidence, fit_frames
from muybridge.capture.depth.posed import posed
from muybridge.capture.depth.take import DepthCapture, capture_take
from muybridge.capture.depth.track import track
from muybridge.capture.start import State
from muybridge.files.depth import read_depth, write_depth
from muybridge.geometry.camera import Cameras
from muybridge.motion.jacobian import Freedoms
from muybridge.motion.kinematics import forward_clip
from tests.depth_person import (
    Faults,
    Person,
    body_joints,
    depth_camera,
    evidence_of,
    filmed,
    own_person,
    person,
    some_frames,
)
from tests.walker import WALK

RUNS = 7
JOINT_OF = {
    "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
}  # fmt: skip
FRAMES = 60


def camera(bearing: float) -> Cameras:
    """320 x 240 at 2.7 m."""
    return depth_camera(bearing, 2.7, height=1.1, tilt_deg=-5.0)


def people() -> dict[str, Person]:
    """By how much they differ from what is fitted."""
    own, _ = own_person(capsule_body(rest_shape(1.72)), 2 * FRAMES)
    found = {
        "the fitted body itself": some_frames(own, slice(0, None, 2)),
        "our bones, other flesh": some_frames(person(step=1, recording=None), slice(0, None, 2)),
    }
    if WALK.exists():
        found["recorded walk, other bones and flesh"] = person(step=2)
    return {name: some_frames(who, slice(0, FRAMES)) for name, who in found.items()}


def back_projection() -> None:
    """All pixels of a picture, against cv2.depthTo3d."""
    one, depth = depth_camera(size=(640, 480)), torch.rand(480, 640, dtype=torch.float64) + 1.0
    grid, matrix, values = ray_grid(one), one.matrix[0].numpy(), depth.numpy()
    ours = best(lambda: backproject(depth, grid), RUNS)
    theirs = best(lambda: cv2.depthTo3d(values, matrix), RUNS)
    same = backproject(depth, grid).numpy() - cv2.depthTo3d(values, matrix)[..., :3]
    print(
        f"back-projection, 640x480: {1e3 * ours:.1f} ms, cv2.depthTo3d {1e3 * theirs:.1f} ms, "
        f"ours/theirs {ours / theirs:.2f}; largest difference {np.abs(same).max():.0e} m"
    )


def surface(body: CapsuleBody, state: State, count: int = 60) -> np.ndarray:
    """Points all over the capsules of one pose, about 2 cm apart."""
    starts, ends = (x[0].numpy() for x in body.axes_world(posed(body.body.skeleton, state)))
    turns = np.arange(count) * 2.4  # the golden angle
    along = (np.arange(count) + 0.5) / count
    points = []
    for a, b, radius in zip(starts, ends, body.radii.numpy(), strict=True):
        axis = (b - a) / max(np.linalg.norm(b - a), 1e-9)
        side = np.cross(axis, [0.3, 0.5, 0.8])
        side /= np.linalg.norm(side)
        ring = np.cos(turns)[:, None] * side + np.sin(turns)[:, None] * np.cross(axis, side)
        points.append(a + along[:, None] * (b - a) + radius * ring)
    return np.concatenate(points)


def closest_points() -> None:
    """The capsule of each point, against a KD-tree of points on the surface."""
    body = capsule_body(rest_shape())
    own, state = own_person(body, 8)
    scan = evidence_of(some_frames(own, slice(0, 1)), camera(30.0)).scan
    first = State(state.rotations[:1], state.root[:1])
    ends = body.axes_world(posed(body.body.skeleton, first))
    cloud = scan.points[0].numpy()

    def tree() -> np.ndarray:
        return cKDTree(surface(body, first)).query(cloud)[1]

    ours = best(lambda: closest_capsule(scan.points, scan.views, *ends, body.radii), RUNS)
    theirs = best(tree, RUNS)
    print(
        f"closest points, {len(cloud)} points, {len(body.radii)} capsules: {1e3 * ours:.2f} ms, "
        f"KD-tree of {60 * len(body.radii)} surface points, new for each pose {1e3 * theirs:.2f} "
        f"ms, ours/theirs {ours / theirs:.2f}"
    )


def errors_mm(capture: DepthCapture, someone: Person) -> np.ndarray:
    """Distance of the clip's joints to the truth, (t, j)."""
    names = [name.split("_") for name in someone.names]
    index = [capture.clip.skeleton.index(side.title() + JOINT_OF[part]) for side, part in names]
    found = forward_clip(capture.clip).positions[:, index]
    return 1e3 * (found - someone.joints).norm(dim=-1).numpy()


def whole_way(someone: Person, bearings: tuple[float, ...]) -> None:
    """Files, segmentation, search, build, tracking and smoothing; prints a line."""
    with tempfile.TemporaryDirectory() as folder:
        for bearing in bearings:
            one = camera(bearing)
            pictures = filmed(someone, one, Faults(seed=int(bearing) % 360))
            write_depth(Path(folder) / one.names[0], one, pictures, someone.fps)
        start = time.process_time()
        capture = capture_take(read_depth(Path(folder)))
        seconds = time.process_time() - start
    error = errors_mm(capture, someone)
    by_joint = error.mean(0)
    worst = int(by_joint.argmax())
    where, off = ", ".join(f"{b:.0f}" for b in bearings), 1e3 * float(capture.residual_m.mean())
    print(
        f"  cameras at {where:>12} deg: mean {error.mean():5.1f}, median {np.median(error):5.1f}, "
        f"95 % {np.quantile(error, 0.95):5.1f}, worst {someone.names[worst]} "
        f"{by_joint[worst]:5.1f} mm; points {off:.1f} mm off; "
        f"{1e3 * seconds / len(error):4.0f} ms a frame",
        flush=True,
    )


def baselines(someone: Person) -> None:
    """The pose of the first frame, held, and moved stiffly to the nearest points."""
    evidence = evidence_of(someone, camera(30.0), Faults())
    found = track(evidence, someone.fps, 0.0)
    body, state = found.body, found.fit.state
    held = State(*(x[:1].expand_as(x).clone() for x in state))
    hips = [k for k, joint in enumerate(body.body.freedoms.joints) if joint == 0]
    stiff = Freedoms((0,) * len(hips), body.body.freedoms.axes[hips])
    stiff_body = replace(body, body=replace(body.body, freedoms=stiff))
    moved = fit_frames(stiff_body, Evidence(evidence.scan), held).state
    for name, poses in (
        ("first pose held", held),
        ("first pose moved stiffly", moved),
        ("articulated, before smoothing", state),
    ):
        error = (body_joints(body, poses) - someone.joints).norm(dim=-1)
        print(f"  {name}: mean {1e3 * float(error.mean()):.1f} mm", flush=True)


def main() -> None:
    """Print everything."""
    torch.set_num_threads(1)
    print(f"OpenCV {cv2.__version__}, scipy {scipy.__version__}, torch {torch.__version__}")
    back_projection()
    closest_points()
    for name, someone in people().items():
        print(f"\n{name}: {len(someone.joints)} frames, {someone.fps:.0f} a second")
        for bearings in ((0.0,), (30.0,), (90.0,), (180.0,), (30.0, 210.0), (0.0, 120.0, 240.0)):
            whole_way(someone, bearings)
        baselines(someone)


if __name__ == "__main__":
    main()
