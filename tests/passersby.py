"""People who walk on given paths, filmed by several cameras, with every truth known.

T frames, J joints (COCO_17), C cameras, P slots. Joints are functions of continuous time, so that
cameras can film at any instants; world metres, Y up.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import COCO_17, Keypoints

FPS = 60.0
Path = Callable[[Tensor], Tensor]  # seconds (T,) -> place on the floor x, z (T, 2)


def rig(count: int = 4, radius: float = 5.0) -> Cameras:
    """Cameras on a circle, 2 m high, all looking at the middle of the floor's upper air."""
    rotations, translations = [], []
    for k in range(count):
        angle = 2.0 * math.pi * k / count + 0.4
        centre = [radius * math.sin(angle), 2.0 - 0.1 * k, radius * math.cos(angle)]
        centre = torch.tensor(centre, dtype=torch.float64)
        target = torch.tensor([0.0, 0.9, 0.0], dtype=torch.float64)
        forward = torch.nn.functional.normalize(target - centre, dim=0)
        up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=0)
        rotation = torch.stack((right, torch.linalg.cross(forward, right), forward))
        rotations.append(rotation)
        translations.append(-rotation @ centre)
    matrix = [[1400.0, 0.0, 960.0], [0.0, 1400.0, 540.0], [0.0, 0.0, 1.0]]
    return Cameras(
        tuple(f"cam{k + 1}" for k in range(count)),
        torch.tensor([[1920.0, 1080.0]], dtype=torch.float64).expand(count, 2),
        torch.tensor(matrix, dtype=torch.float64).expand(count, 3, 3),
        torch.tensor([[-0.05, 0.1, 1e-3, -5e-4, 0.0]], dtype=torch.float64).expand(count, 5),
        torch.stack(rotations),
        torch.stack(translations),
    )


def walk(path: Path, seconds: Tensor, phase: float = 0.0, cadence: float = 0.9) -> Tensor:
    """Joints (T, J, 3) of somebody who walks along the path, arms and legs swinging."""
    place = path(seconds)
    ahead = path(seconds + 0.05) - path(seconds - 0.05)
    heading = torch.atan2(ahead[:, 0], ahead[:, 1])
    swing = torch.sin(2.0 * math.pi * cadence * seconds + phase)
    lift = torch.cos(2.0 * math.pi * cadence * seconds + phase)
    zero = torch.zeros_like(swing)
    bob = 0.02 * torch.cos(4.0 * math.pi * cadence * seconds + 2.0 * phase)
    where: dict[str, tuple[Tensor, Tensor, Tensor]] = {}

    def put(name: str, x: float, y: Tensor, z: Tensor) -> None:
        where[name] = (zero + x, y, z)

    put("nose", 0.0, 1.60 + bob, zero + 0.12)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        step, arm = sign * swing, -sign * swing
        put(f"{side}_eye", 0.03 * sign, 1.64 + bob, zero + 0.10)
        put(f"{side}_ear", 0.07 * sign, 1.62 + bob, zero)
        put(f"{side}_shoulder", 0.19 * sign, 1.42 + bob, 0.05 * arm)
        put(f"{side}_elbow", 0.23 * sign, 1.14 + bob, 0.18 * arm - 0.03)
        put(f"{side}_wrist", 0.22 * sign, 0.93 + bob + 0.05 * arm.abs(), 0.36 * arm + 0.06)
        put(f"{side}_hip", 0.11 * sign, 0.92 + bob, 0.03 * step)
        raised = 0.10 * (sign * lift).clamp_min(0.0)
        put(f"{side}_knee", 0.11 * sign, 0.50 + 0.5 * raised, 0.18 * step + 0.04)
        put(f"{side}_ankle", 0.10 * sign, 0.10 + raised, 0.36 * step)
    local = torch.stack([torch.stack(where[name], dim=-1) for name in COCO_17], dim=1)
    sin, cos = torch.sin(heading).unsqueeze(1), torch.cos(heading).unsqueeze(1)
    x, y, z = local.unbind(-1)
    return torch.stack(
        (place[:, :1] + x * cos + z * sin, y, place[:, 1:] - x * sin + z * cos), dim=-1
    )


def straight(start: tuple[float, float], stop: tuple[float, float], seconds: float) -> Path:
    """A straight walk at constant speed."""
    a, b = (torch.tensor(v, dtype=torch.float64) for v in (start, stop))
    return lambda t: a + (b - a) * (t / seconds).unsqueeze(-1)


def circle(radius: float, seconds: float) -> Path:
    """Round and round at constant height: nothing moves up and down but the feet."""
    return lambda t: (
        radius
        * torch.stack(
            (torch.sin(2 * math.pi * t / seconds), torch.cos(2 * math.pi * t / seconds)), dim=-1
        )
    )


@dataclass(frozen=True)
class Faults:
    """Noise in pixels; share of joints missing; share of frames with a false person."""

    noise_px: float = 2.0
    missing: float = 0.05
    false_people: float = 0.0
    shuffle: bool = False


def film(
    people: list[Callable[[Tensor], Tensor]],
    cameras: Cameras,
    seconds: Tensor,
    faults: Faults,
    seed: int = 0,
) -> tuple[Keypoints, Tensor]:
    """What the cameras see.

    Args:
        people: Functions from seconds (T,) to joints (T, J, 3).
        cameras: C cameras.
        seconds: When each camera takes each frame (C, T).
        faults: What goes wrong.
        seed: Of the faults.
    Returns:
        Detections, and who is in each slot (C, T, P): -1 for nobody, -2 for a false person.
    """
    g = torch.Generator().manual_seed(seed)
    count, frames = seconds.shape
    slots = len(people) + (1 if faults.false_people else 0)
    points = torch.full((count, frames, slots, len(COCO_17), 2), torch.nan, dtype=torch.float64)
    who = torch.full((count, frames, slots), -1)
    for c in range(count):
        for p, person in enumerate(people):
            points[c, :, p] = cameras.select([c]).project(person(seconds[c]))[0]
            who[c, :, p] = p
        if faults.false_people:
            for t in (torch.rand(frames, generator=g) < faults.false_people).nonzero()[:, 0]:
                corner = torch.rand(2, generator=g, dtype=torch.float64) * 800.0 + 200.0
                box = torch.rand(len(COCO_17), 2, generator=g, dtype=torch.float64) * 400.0
                points[c, t, -1], who[c, t, -1] = corner + box, -2
    points += faults.noise_px * torch.randn(points.shape, generator=g, dtype=torch.float64)
    inside = ((points >= 0.0) & (points < cameras.size_px[:, None, None, None])).all(-1)
    lost = torch.rand(points.shape[:-1], generator=g) < faults.missing
    points[lost | ~inside] = torch.nan
    if faults.shuffle:
        order = torch.rand(count, frames, slots, generator=g).argsort(-1)
        points = points.gather(2, order[..., None, None].expand_as(points))
        who = who.gather(2, order)
    seen = points.isfinite().all(-1)
    confidence = seen * (0.6 + 0.4 * torch.rand(seen.shape, generator=g, dtype=torch.float64))
    return Keypoints(cameras.names, COCO_17, points, confidence, FPS), who
