"""Motion made for the tests of editing: a random figure that moves smoothly, and a walker."""

import math

import torch
from scipy.ndimage import gaussian_filter1d

from muybridge.geometry.rotation import quaternion_from_rotvec
from muybridge.motion.body import REQUIRED, template
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton


def smooth_clip(seed: int, frames: int = 40, joints: int = 6, like: Clip | None = None) -> Clip:
    """A random tree (or the skeleton of `like`) whose joints turn at random but smoothly."""
    generator = torch.Generator().manual_seed(seed)
    if like is None:
        parents = (
            -1,
            *(int(torch.randint(0, j, (), generator=generator)) for j in range(1, joints)),
        )
        offsets = torch.randn(joints, 3, dtype=torch.float64, generator=generator)
        skeleton = Skeleton(tuple(f"joint{j}" for j in range(joints)), parents, offsets)
    else:
        skeleton, joints = like.skeleton, len(like.skeleton)
    noise = torch.randn(frames, joints + 1, 3, dtype=torch.float64, generator=generator)
    soft = torch.from_numpy(gaussian_filter1d(noise.numpy(), 6.0, axis=0))
    return Clip(skeleton, quaternion_from_rotvec(3.0 * soft[:, 1:]), soft[:, 0], 60.0, f"s{seed}")


def walker(
    frames: int = 120,
    *,
    steps: float = 1.0,
    speed: float = 1.2,
    fps: float = 60.0,
    turn: float = 0.0,
) -> Clip:
    """Our template walking along +Z: hips and knees swing as sines, arms against them.

    Args:
        frames: How many.
        steps: Strides (two steps) a second.
        speed: Of the root, metres/second.
        fps: Frames a second.
        turn: Radians/second about the vertical.
    """
    skeleton = template(REQUIRED, stature=1.75).skeleton
    time = torch.arange(frames, dtype=torch.float64) / fps
    phase = 2.0 * math.pi * steps * time
    turns = torch.zeros(frames, len(skeleton), 3, dtype=torch.float64)
    sweep = speed / (4.0 * steps * 0.491 * 1.75)  # so that the standing foot hardly slides
    for side, shift in (("Left", 0.0), ("Right", math.pi)):
        x = phase + shift
        swing = x.sin() - (3.0 * x).sin() / 9.0 + (5.0 * x).sin() / 25.0  # nearly a triangle
        knee = 0.4 * (1.0 + (x + 0.3).cos())
        turns[:, skeleton.index(f"{side}UpLeg"), 0] = -0.81 * sweep * swing - 0.3 * knee
        turns[:, skeleton.index(f"{side}Leg"), 0] = knee
        turns[:, skeleton.index(f"{side}Foot"), 0] = 0.81 * sweep * swing - 0.7 * knee
        turns[:, skeleton.index(f"{side}Arm"), 0] = 0.4 * swing
        turns[:, skeleton.index(f"{side}Arm"), 2] = -1.3 if side == "Left" else 1.3
        turns[:, skeleton.index(f"{side}ForeArm"), 1] = -0.3 if side == "Left" else 0.3
    heading = turn * time
    turns[:, 0, 1] = heading
    way = speed / fps * torch.stack((heading.sin(), torch.zeros_like(time), heading.cos()), -1)
    root = way.cumsum(0) - way[:1]
    root[:, 1] = 0.53 * 1.75 + 0.02 * (2.0 * phase).cos()
    return Clip(skeleton, quaternion_from_rotvec(turns), root, fps, "walker")
