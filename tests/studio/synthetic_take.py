"""A take made from nothing: a walking figure, cameras on a circle, noise, and faults on demand.

The truth is known, so that a test can say which sentence the diagnosis must and must not utter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from muybridge.capture.take import PersonTake, Take
from muybridge.files.video import VideoInfo
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import quaternion_from_rotvec, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import COCO_17, COCO_PAIRS, Keypoints
from muybridge.motion.kinematics import forward, forward_clip
from muybridge.motion.markers import Markers
from muybridge.motion.skeleton import Skeleton

FPS = 30.0
FINE = 8  # steps of the clock a frame
SIZE_PX = (640, 480)

SKELETON = Skeleton(
    names=(
        "hips", "spine", "chest", "neck", "head",
        "left_shoulder", "left_elbow", "left_wrist", "right_shoulder", "right_elbow", "right_wrist",
        "left_hip", "left_knee", "left_ankle", "left_big_toe",
        "right_hip", "right_knee", "right_ankle", "right_big_toe",
    ),
    parents=(-1, 0, 1, 2, 3, 2, 5, 6, 2, 8, 9, 0, 11, 12, 13, 0, 15, 16, 17),
    offsets=torch.tensor(
        [
            [0, 0.95, 0], [0, 0.12, 0], [0, 0.22, 0], [0, 0.18, 0], [0, 0.16, 0.02],
            [0.17, 0.12, 0], [0.02, -0.28, 0], [0, -0.25, 0],
            [-0.17, 0.12, 0], [-0.02, -0.28, 0], [0, -0.25, 0],
            [0.1, -0.06, 0], [0, -0.42, 0], [0, -0.4, 0], [0, -0.06, 0.15],
            [-0.1, -0.06, 0], [0, -0.42, 0], [0, -0.4, 0], [0, -0.06, 0.15],
        ],
        dtype=torch.float64,
    ),
    end_sites=(*(False,) * 14, True, False, False, False, True),
)  # fmt: skip

FACE = {  # in the frame of the head joint, metres
    "nose": (0.0, -0.02, 0.1), "left_eye": (0.03, 0.02, 0.085), "right_eye": (-0.03, 0.02, 0.085),
    "left_ear": (0.075, 0.0, 0.0), "right_ear": (-0.075, 0.0, 0.0),
}  # fmt: skip


@dataclass(frozen=True)
class Faults:
    """What is wrong with the take; nothing, unless said."""

    bias_px: dict[int, tuple[float, float]] = field(default_factory=dict)  # by camera
    shift_frames: dict[int, float] = field(default_factory=dict)  # by camera
    swapped: dict[int, tuple[str, float]] = field(default_factory=dict)  # pair, share of frames
    hidden: dict[str, float] = field(default_factory=dict)  # joint: share of frames in two views
    filled: tuple[tuple[str, int, int], ...] = ()  # joint, first frame, one past the last
    slide_m: float = 0.0  # every frame, all of the body, forwards
    noise_px: float = 1.0


def walk(times: Tensor, heading: float = 0.0, start: tuple[float, float] = (0.0, -0.9)) -> Clip:
    """A walk with locked feet; `start` is the (x, z) at time 0, metres.

    Times in seconds, from -1 on, multiples of an eighth of a frame: the path is summed up on that
    grid, so that a shifted clock sees the same walk.
    """
    step = 1.0 / (FPS * FINE)
    grid = torch.arange(-1.0, float(times.max()) + 2 * step, step, dtype=torch.float64)
    phase = 2.0 * math.pi * 0.9 * grid
    rotations = quaternion_from_rotvec(_swings(phase))
    local = SKELETON.offsets.expand(len(grid), -1, -1).clone()
    local[:, 0] = 0.0
    ankles = [SKELETON.index("left_ankle"), SKELETON.index("right_ankle")]
    feet = forward(SKELETON, rotations, local).positions[:, ankles]
    stance = (phase.cos() > 0.0).long()  # 0: the left foot stands
    moved = (feet[1:, :, 2] - feet[:-1, :, 2]).gather(1, stance[1:, None]).squeeze(1)
    root = torch.zeros(len(grid), 3, dtype=torch.float64)
    root[1:, 2] = -moved.cumsum(0)
    root[:, 2] -= root[round(1.0 / step), 2].clone()
    root[:, 1] = 0.08 + 0.015 * torch.logsumexp(-feet[..., 1] / 0.015, dim=1)
    rotations[:, 0] = quaternion_from_rotvec(torch.tensor([0.0, heading, 0.0], dtype=torch.float64))
    x, z = math.sin(heading) * root[:, 2] + start[0], math.cos(heading) * root[:, 2] + start[1]
    at = ((times + 1.0) / step).round().long()
    contacts = torch.zeros(len(grid), len(SKELETON), dtype=torch.bool)
    contacts[:, ankles[0]], contacts[:, ankles[1]] = stance == 0, stance == 1
    path = torch.stack((x, root[:, 1], z), dim=-1)
    return Clip(SKELETON, rotations[at], path[at], FPS, "walk", contacts=contacts[at])


def _swings(phase: Tensor) -> Tensor:
    rotvec = torch.zeros(len(phase), len(SKELETON), 3, dtype=torch.float64)
    for side, offset in (("left", 0.0), ("right", math.pi)):
        swing = phase + offset
        lifted = swing.cos().clamp(min=0.0) ** 2
        rotvec[:, SKELETON.index(f"{side}_hip"), 0] = -0.42 * swing.sin()
        rotvec[:, SKELETON.index(f"{side}_knee"), 0] = 0.08 + 0.85 * lifted
        rotvec[:, SKELETON.index(f"{side}_shoulder"), 0] = 0.5 * swing.sin()
        rotvec[:, SKELETON.index(f"{side}_shoulder"), 2] = 0.12 if side == "left" else -0.12
        rotvec[:, SKELETON.index(f"{side}_elbow"), 0] = -0.45
    rotvec[:, SKELETON.index("chest"), 1] = 0.12 * phase.sin()
    return rotvec


def joints_world(clip: Clip) -> Tensor:
    """COCO_17 joints of the figure, (t, 17, 3), metres."""
    positions, orientations = forward_clip(clip)
    head = clip.skeleton.index("head")
    return torch.stack(
        [
            positions[:, head] + _turn(orientations[:, head], FACE[name])
            if name in FACE
            else positions[:, clip.skeleton.index(name)]
            for name in COCO_17
        ],
        dim=1,
    )


def _turn(quaternion: Tensor, offset: tuple[float, float, float]) -> Tensor:
    return rotate(quaternion, torch.tensor(offset, dtype=torch.float64).expand(len(quaternion), 3))


def circle_cameras(count: int = 4, radius: float = 4.2, height: float = 1.7) -> Cameras:
    """Cameras on a circle that look at (0, 0.95, 0)."""
    rotation, translation = [], []
    for angle in np.linspace(0.0, 2.0 * np.pi, count, endpoint=False) + 0.6:
        centre = np.array([radius * np.sin(angle), height, radius * np.cos(angle)])
        forward_axis = np.array([0.0, 0.95, 0.0]) - centre
        forward_axis /= np.linalg.norm(forward_axis)
        right = np.cross(forward_axis, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        turn = np.stack((right, np.cross(forward_axis, right), forward_axis))
        rotation.append(turn)
        translation.append(-turn @ centre)
    matrix = torch.tensor([[620.0, 0, 320], [0, 620, 240], [0, 0, 1]], dtype=torch.float64)
    return Cameras(
        names=tuple(f"cam{i + 1:02d}" for i in range(count)),
        size_px=torch.tensor([SIZE_PX] * count, dtype=torch.float64),
        matrix=matrix.expand(count, 3, 3).clone(),
        distortion=torch.tensor([[-0.12, 0.03, 0.0, 0.0, 0.0]] * count, dtype=torch.float64),
        rotation=torch.tensor(np.stack(rotation)),
        translation=torch.tensor(np.stack(translation)),
    )


def triangulate(points_px: Tensor, cameras: Cameras) -> Tensor:
    """Plain linear triangulation of (c, t, j, 2) with NaN gaps, metres; (t, j, 3)."""
    flat = cameras.normalize(points_px)
    weight = flat.isfinite().all(-1, keepdim=True)
    pose = torch.cat((cameras.rotation, cameras.translation.unsqueeze(-1)), dim=-1)
    pose = pose[:, None, None]
    rows = flat.unsqueeze(-1) * pose[..., 2:, :] - pose[..., :2, :]
    rows = torch.where(weight.unsqueeze(-1), rows, torch.zeros_like(rows))
    system = rows.permute(1, 2, 0, 3, 4).flatten(2, 3)
    point = torch.linalg.svd(system).Vh[..., -1, :]
    found = point[..., :3] / point[..., 3:]
    enough = weight.squeeze(-1).sum(0) >= 2
    return torch.where(enough.unsqueeze(-1), found, torch.full_like(found, torch.nan))


def _swap(points_px: Tensor, camera: int, pair: str, share: float) -> None:
    a, b = COCO_17.index(f"left_{pair}"), COCO_17.index(f"right_{pair}")
    frames = torch.arange(int(share * points_px.shape[1])) + 3
    points_px[camera, frames[:, None], torch.tensor([a, b])] = points_px[
        camera, frames[:, None], torch.tensor([b, a])
    ].clone()


def _detections(
    cameras: Cameras, times: Tensor, heading: float, start: tuple[float, float], faults: Faults
) -> Tensor:
    seen = []
    for c in range(len(cameras)):
        shifted = times + faults.shift_frames.get(c, 0.0) / FPS
        seen.append(cameras.select([c]).project(joints_world(walk(shifted, heading, start)))[0])
    points_px = torch.stack(seen)
    noise = torch.randn(points_px.shape, generator=torch.Generator().manual_seed(7)).double()
    return points_px + faults.noise_px * noise


def synthetic_person(
    cameras: Cameras,
    frame_count: int,
    faults: Faults,
    name: str = "person1",
    heading: float = 0.0,
    start: tuple[float, float] = (0.0, -0.9),
) -> PersonTake:
    """One walking person with detections, triangulated joints and a clip."""
    times = torch.arange(frame_count, dtype=torch.float64) / FPS
    points_px = _detections(cameras, times, heading, start, faults)
    for camera, (x, y) in faults.bias_px.items():
        points_px[camera] += torch.tensor([x, y], dtype=torch.float64)
    trusted = points_px.clone()
    for camera, (pair, share) in faults.swapped.items():
        _swap(points_px, camera, pair, share)
    trusted[(trusted != points_px) & points_px.isfinite()] = torch.nan  # as a robust method does
    for joint, share in faults.hidden.items():
        for points in (points_px, trusted):
            points[2:, : int(share * frame_count), COCO_17.index(joint)] = torch.nan
    seen = points_px.isfinite().all(-1)
    views = trusted.isfinite().all(-1).sum(0).double()
    markers = Markers(
        COCO_17, triangulate(trusted, cameras), FPS,
        covariance=torch.eye(3, dtype=torch.float64) * (0.008**2) / views[..., None, None] * 4.0,
        views=views,
    )  # fmt: skip
    keypoints = Keypoints(
        cameras.names, COCO_17, points_px.unsqueeze(2), 0.8 * seen.double().unsqueeze(2), FPS
    )
    return PersonTake(name, keypoints, markers, _solved(times, heading, start, faults))


def _solved(times: Tensor, heading: float, start: tuple[float, float], faults: Faults) -> Clip:
    clip = walk(times, heading, start)
    filled = torch.zeros(len(clip), len(SKELETON), dtype=torch.bool)
    for joint, first, stop in faults.filled:
        filled[first:stop, SKELETON.index(joint)] = True
    drift = faults.slide_m * torch.arange(len(clip), dtype=torch.float64)
    std = 0.006 + 0.004 * torch.rand(
        filled.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    return Clip(
        SKELETON, clip.rotations, clip.root + drift[:, None] * torch.tensor([0.0, 0.0, 1.0]), FPS,
        "walk", contacts=clip.contacts, filled=filled, position_std=std,
    )  # fmt: skip


def synthetic_take(
    frame_count: int = 45,
    people: int = 1,
    camera_count: int = 4,
    faults: Faults | None = None,
    videos: tuple[VideoInfo | None, ...] | None = None,
) -> Take:
    """A whole take; people walk side by side, in different directions."""
    cameras = circle_cameras(camera_count)
    places = [(0.0, (0.0, -0.9)), (math.pi, (0.9, 0.9)), (0.7, (-0.9, -0.8))]
    return Take(
        name="walk",
        fps=FPS,
        videos=videos or (None,) * camera_count,
        cameras=cameras,
        people=tuple(
            synthetic_person(
                cameras, frame_count, faults or Faults(), f"person{i + 1}", *places[i % 3]
            )
            for i in range(people)
        ),
        offsets_frames=torch.zeros(camera_count, dtype=torch.float64),
        findings=(),
        seconds={"detect": 12.5, "reconstruct": 0.4, "solve": 0.9},
    )


def write_videos(take: Take, folder: Path) -> tuple[VideoInfo, ...]:
    """Small films of the figures, one per camera, as H.264."""
    folder.mkdir(parents=True, exist_ok=True)
    return tuple(_write_video(take, c, folder) for c in range(len(take.cameras)))


def _write_video(take: Take, camera: int, folder: Path) -> VideoInfo:
    path = folder / f"{take.cameras.names[camera]}.mp4"
    count = len(take.people[0].markers)
    views = [take.cameras.select([camera]).project(joints_world(p.clip))[0] for p in take.people]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=int(FPS))
        stream.width, stream.height, stream.pix_fmt = *SIZE_PX, "yuv420p"
        for t in range(count):
            picture = _picture([v[t].numpy() for v in views], camera)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return VideoInfo(path, *SIZE_PX, FPS, count, 0, "h264")


def _picture(people: list[np.ndarray], camera: int) -> np.ndarray:
    width, height = SIZE_PX
    shade = np.linspace(178, 120, height)[:, None, None] * np.array([1.0, 0.97, 0.92])
    picture = np.broadcast_to(shade, (height, width, 3)).astype(np.uint8).copy()
    cv2.rectangle(picture, (0, int(height * 0.62)), (width, height), (112, 98, 86), -1)
    cv2.circle(picture, (80 + 120 * camera, 70), 26, (200, 190, 150), -1)
    for joints in people:
        for a, b in COCO_PAIRS:
            if a in COCO_17 and b in COCO_17:
                ends = [tuple(int(v) for v in joints[COCO_17.index(n)]) for n in (a, b)]
                cv2.line(picture, *ends, (52, 60, 82), 9, cv2.LINE_AA)
    return picture
