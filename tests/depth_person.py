"""Depth pictures of a person with known joints, by exact ray casting of another body than ours.

T frames, J joints, K capsules. Metres, Y up. The person's bones are those of a recorded walk
where it is present (other proportions, spine and shoulders than our template), else of
`model_person`; its flesh is a table of its own: limbs that taper in four steps, a trunk wider than
deep, feet with heels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.depth.backproject import ray_grid
from muybridge.capture.depth.capsules import CapsuleBody
from muybridge.capture.depth.icp import Evidence
from muybridge.capture.depth.planes import Plane, Room
from muybridge.capture.depth.posed import posed
from muybridge.capture.depth.raycast import raycast
from muybridge.capture.depth.segment import Segmenter, gather, joined, outline_of, thinned
from muybridge.capture.fit import pose_of
from muybridge.capture.start import State
from muybridge.files.bvh import read_bvh
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import rotate
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.kinematics import forward_clip
from tests.model_person import landmarks_world, model_body, model_person
from tests.walker import WALK

LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JUDGED = tuple(f"{side}_{part}" for part in LIMBS for side in ("left", "right"))
TAPER = {
    ("shoulder", "elbow"): (0.050, 0.040), ("elbow", "wrist"): (0.043, 0.029),
    ("hip", "knee"): (0.083, 0.056), ("knee", "ankle"): (0.054, 0.038),
}  # fmt: skip
STEPS = 4


class Person(NamedTuple):
    """Joints to judge by, and the capsules that are seen."""

    names: tuple[str, ...]
    joints: Float[Tensor, "t j 3"]
    starts: Float[Tensor, "t k 3"]
    ends: Float[Tensor, "t k 3"]
    radii: Float[Tensor, "k"]
    fps: float


def _bvh_joints(
    path: Path, step: int, keep: float
) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    clip = read_bvh(path, unit="m").clip
    pose, index = forward_clip(clip), clip.skeleton.index
    where = {}
    for side, letter in (("left", "l"), ("right", "r")):
        for part in LIMBS:
            where[f"{side}_{part}"] = pose.positions[::step, index(f"{letter}{part.title()}")]
    ankles = [index("lAnkle"), index("rAnkle")]
    low = pose.positions[:, ankles, 1].min() - 0.085
    head = index("torso_head")
    where["head"] = pose.positions[::step, head]
    centre = pose.positions[:, 0].mean(0)
    root = (pose.positions[::step, 0] - centre) * (1.0 - keep)
    shift = torch.stack(
        (-centre[0] - root[:, 0], -low - 0 * root[:, 1], -centre[2] - root[:, 2]), -1
    )
    where = {name: place + shift for name, place in where.items()}
    turns = {
        name: pose.orientations[::step, index(n)]
        for name, n in (("left_ankle", "lAnkle"), ("right_ankle", "rAnkle"), ("head", "torso_head"))
    }
    return where, turns, clip.fps / step


def _model_joints(step: int) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    clip, _ = model_person(HALPE_26, 90)
    body, pose = model_body(HALPE_26), forward_clip(clip)
    marks = landmarks_world(body, clip)[::step]
    where = {name: marks[:, body.markers.index(name)] for name in JUDGED}
    head = body.skeleton.index("Head")
    where["head"] = pose.positions[::step, head]
    turns = {
        f"{side}_ankle": pose.orientations[::step, body.skeleton.index(f"{side.title()}Foot")]
        for side in ("left", "right")
    } | {"head": pose.orientations[::step, head]}
    low = torch.stack([where["left_ankle"][:, 1], where["right_ankle"][:, 1]]).min() - 0.075
    lift = torch.tensor([0.0, -float(low), 0.0], dtype=torch.float64)
    return {name: place + lift for name, place in where.items()}, turns, clip.fps / step


def person(
    step: int = 2, keep: float = 0.35, stout: float = 1.0, recording: Path | None = WALK
) -> Person:
    """The moving person, every `step`-th frame; `keep` draws the path of a recording together.

    Without a recording, or where it is absent, the model person.
    """
    recorded = recording is not None and recording.exists()
    where, turns, fps = _bvh_joints(recording, step, keep) if recorded else _model_joints(step)
    starts, ends, radii = [], [], []

    def add(start: Tensor, end: Tensor, radius: float) -> None:
        starts.append(start)
        ends.append(end)
        radii.append(stout * radius)

    def fixed(joint: str, x: float, y: float, z: float) -> Tensor:
        return where[joint] + rotate(turns[joint], torch.tensor([x, y, z], dtype=torch.float64))

    for side in ("left", "right"):
        for (upper, lower), (thick, thin) in TAPER.items():
            a, b = where[f"{side}_{upper}"], where[f"{side}_{lower}"]
            for k in range(STEPS):
                radius = thick + (thin - thick) * (k + 0.5) / STEPS
                add(torch.lerp(a, b, k / STEPS), torch.lerp(a, b, (k + 1) / STEPS), radius)
        elbow, wrist = where[f"{side}_elbow"], where[f"{side}_wrist"]
        hand = (wrist - elbow) / (wrist - elbow).norm(dim=-1, keepdim=True)
        add(wrist + 0.03 * hand, wrist + 0.12 * hand, 0.034)
        ankle = f"{side}_ankle"
        add(fixed(ankle, 0, -0.045, -0.045), fixed(ankle, 0, -0.05, 0.15), 0.033)
        add(fixed(ankle, 0.02, -0.055, 0.10), fixed(ankle, -0.02, -0.055, 0.10), 0.028)
    hips = [where["left_hip"], where["right_hip"]]
    tops = [where["left_shoulder"], where["right_shoulder"]]
    low, high = (hips[0] + hips[1]) / 2, (tops[0] + tops[1]) / 2
    for share, width, radius in (
        (-0.06, 0.38, 0.085),
        (0.10, 0.35, 0.098),
        (0.28, 0.26, 0.094),
        (0.46, 0.26, 0.098),
        (0.64, 0.30, 0.104),
        (0.82, 0.36, 0.088),
        (0.96, 0.42, 0.058),
    ):  # share of the way from hips to shoulders, half width in distances of the joints there
        middle = torch.lerp(low, high, share)
        across = width * torch.lerp(hips[0] - hips[1], tops[0] - tops[1], max(0.0, share))
        add(middle - across, middle + across, radius)
    add(high, where["head"], 0.056)
    add(fixed("head", 0, 0.05, 0.015), fixed("head", 0, 0.11, 0.005), 0.088)
    add(fixed("head", 0, 0.03, 0.06), fixed("head", 0, 0.05, 0.06), 0.045)
    joints = torch.stack([where[name] for name in JUDGED], dim=1)
    return Person(
        JUDGED, joints, torch.stack(starts, 1), torch.stack(ends, 1),
        torch.tensor(radii, dtype=torch.float64), fps,
    )  # fmt: skip


def own_person(body: CapsuleBody, frames: int = 90) -> tuple[Person, State]:
    """The very body that is fitted, in the model person's walk, and its poses."""
    clip, _ = model_person(HALPE_26, frames)
    root = clip.root.clone()
    root[:, 1] += body.body.clearance("Hips") - 0.92
    state = State(clip.rotations, root)
    pose = posed(body.body.skeleton, state)
    starts, ends = body.axes_world(pose)
    return Person(JUDGED, body_joints(body, state), starts, ends, body.radii, clip.fps), state


def body_joints(body: CapsuleBody, state: State) -> Float[Tensor, "t j 3"]:
    """Where the fitted body has the joints that are judged."""
    pose, owners = pose_of(body.body, state), list(body.body.marker_joints)
    offsets = body.body.marker_offsets
    places = pose.positions[:, owners] + rotate(pose.orientations[:, owners], offsets)
    return places[:, [body.body.markers.index(name) for name in JUDGED]]


def some_frames(someone: Person, index: slice) -> Person:
    """A part of the take."""
    return someone._replace(
        joints=someone.joints[index],
        starts=someone.starts[index],
        ends=someone.ends[index],
        fps=someone.fps / (index.step or 1),
    )


def evidence_of(someone: Person, camera: Cameras, faults: "Faults | None" = None) -> Evidence:
    """What the fit gets to see, in the known room."""
    grid, (floor, wall) = ray_grid(camera), room(camera)
    known = Room(
        Plane(floor[:3], float(floor[3]), 0.025), (Plane(wall[:3], float(wall[3]), 0.025),)
    )
    segmenter = Segmenter(camera, (grid,), known)
    sights = [segmenter.see([depth]) for depth in filmed(someone, camera, faults)]
    outlines = joined([outline_of(sight, camera, 0, grid) for sight in sights])
    return Evidence(gather([thinned(sight) for sight in sights], camera), (outlines,))


def depth_camera(
    bearing_deg: float = 0.0,
    distance: float = 3.0,
    size: tuple[int, int] = (320, 240),
    height: float = 1.3,
    tilt_deg: float = -8.0,
    distortion: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0, 0.0),
) -> Cameras:
    """A camera that looks at the middle from a bearing about +Y; 0 stands at +Z."""
    yaw, tilt = np.deg2rad(bearing_deg), np.deg2rad(tilt_deg)
    forward = np.array([-np.sin(yaw) * np.cos(tilt), np.sin(tilt), -np.cos(yaw) * np.cos(tilt)])
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack((right, np.cross(forward, right), forward))
    centre = np.array([distance * np.sin(yaw), height, distance * np.cos(yaw)])
    focal = 0.80 * size[0]
    matrix = [[focal, 0, size[0] / 2 - 0.7], [0, focal, size[1] / 2 + 0.4], [0, 0, 1.0]]
    return Cameras(
        (f"cam{round(bearing_deg)}",),
        torch.tensor([size], dtype=torch.float64),
        torch.tensor([matrix], dtype=torch.float64),
        torch.tensor([distortion], dtype=torch.float64),
        torch.from_numpy(rotation)[None],
        torch.from_numpy(-rotation @ centre)[None],
    )


@dataclass(frozen=True)
class Faults:
    """What a depth camera does to the truth."""

    noise: float = 0.005  # metres, before rounding
    step: float = 0.01  # metres
    holes: float = 0.15  # share of pixels without depth: half of them single, half in patches
    seed: int = 0


def disturbed(depth: Float[Tensor, "h w"], faults: Faults, frame: int) -> Float[Tensor, "h w"]:
    """Noise, rounding and holes."""
    random = np.random.default_rng((faults.seed, frame))
    values = depth.numpy() + faults.noise * random.standard_normal(depth.shape)
    if faults.step:
        values = np.round(values / faults.step) * faults.step
    single = random.random(depth.shape) < faults.holes / 2
    side = 6
    coarse = random.random((depth.shape[0] // side + 1, depth.shape[1] // side + 1))
    patches = np.kron(coarse < faults.holes / 2, np.ones((side, side), bool))
    values[single | patches[: depth.shape[0], : depth.shape[1]]] = np.nan
    return torch.from_numpy(values)


def room(camera: Cameras) -> Float[Tensor, "p 4"]:
    """The floor y = 0, and a wall two metres behind the person as this camera sees it."""
    normal = camera.centres_world[0].clone()
    normal[1] = 0.0
    normal = normal / normal.norm()
    wall = torch.cat((normal, normal.new_tensor([-1.6])))
    return torch.stack((torch.tensor([0.0, 1.0, 0.0, 0.0], dtype=torch.float64), wall))


def filmed(
    someone: Person, camera: Cameras, faults: Faults | None = None
) -> Float[Tensor, "t h w"]:
    """Depth of every frame, metres; without faults the exact truth."""
    grid, planes = ray_grid(camera), room(camera)
    frames = []
    for frame in range(len(someone.joints)):
        depth = raycast(
            camera, someone.starts[frame], someone.ends[frame], someone.radii, planes, grid
        )
        frames.append(depth if faults is None else disturbed(depth, faults, frame))
    return torch.stack(frames)
