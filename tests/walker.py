"""A walking person with known truth: joints of a recorded BVH walk as markers, with faults.

T frames, M markers. The walk's own skeleton has other proportions, spine and shoulders than our
template, so that the solver is not asked to find back its own model.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import rotate
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers

WALK = Path(__file__).parents[1] / "../shared/data/bvh/games105/walk60.bvh"

JOINTS = {
    "shoulder": "Shoulder", "elbow": "Elbow", "wrist": "Wrist",
    "hip": "Hip", "knee": "Knee", "ankle": "Ankle",
}  # fmt: skip
HEAD = {
    "nose": (0.0, 0.06, 0.10), "left_eye": (0.03, 0.10, 0.08), "right_eye": (-0.03, 0.10, 0.08),
    "left_ear": (0.07, 0.08, 0.0), "right_ear": (-0.07, 0.08, 0.0), "head": (0.0, 0.19, 0.0),
}  # fmt: skip
FOOT = {
    "heel": (0.0, -0.05, -0.05), "big_toe": (-0.02, -0.055, 0.18), "small_toe": (0.04, -0.055, 0.14)
}  # fmt: skip


def truth(names: tuple[str, ...], frames: slice = slice(None)) -> Markers:
    """Noiseless markers of the recorded walk, metres."""
    clip = read_bvh(WALK, unit="m").clip
    pose, index = forward_clip(clip), clip.skeleton.index
    where = {}
    for side, letter in (("left", "l"), ("right", "r")):
        for part, joint in JOINTS.items():
            where[f"{side}_{part}"] = pose.positions[:, index(f"{letter}{joint}")]
        ankle = index(f"{letter}Ankle")
        for part, (x, y, z) in FOOT.items():
            place = torch.tensor([x if side == "left" else -x, y, z], dtype=torch.float64)
            turned = rotate(pose.orientations[:, ankle], place)
            where[f"{side}_{part}"] = pose.positions[:, ankle] + turned
    head = index("torso_head")
    for part, place in HEAD.items():
        turned = rotate(pose.orientations[:, head], torch.tensor(place, dtype=torch.float64))
        where[part] = pose.positions[:, head] + turned
    where["neck"] = (where["left_shoulder"] + where["right_shoulder"]) / 2.0
    where["mid_hip"] = (where["left_hip"] + where["right_hip"]) / 2.0
    points = torch.stack([where[name] for name in names], dim=1)
    return Markers(names, points[frames], clip.fps)


@dataclass(frozen=True)
class Faults:
    """Noise (metres), share and size (metres) of outliers, share of samples in gaps, gap length."""

    noise: float = 0.010
    outliers: float = 0.05
    outlier_size: float = 0.25
    gaps: float = 0.10
    gap_seconds: float = 0.3
    seed: int = 0


def disturb(markers: Markers, faults: Faults) -> Markers:
    """The markers as a bad day in the studio would show them."""
    generator = torch.Generator().manual_seed(faults.seed)
    points = markers.points_world
    shape = points.shape[:2]

    def normal() -> torch.Tensor:
        return torch.randn(*shape, 3, dtype=torch.float64, generator=generator)

    points = points + faults.noise * normal()
    wrong = torch.rand(shape, generator=generator) < faults.outliers
    points = torch.where(wrong.unsqueeze(-1), points + faults.outlier_size * normal(), points)
    longest = max(1, int(faults.gap_seconds * markers.fps))
    starts = torch.rand(shape, generator=generator) < 2.0 * faults.gaps / (longest + 1)
    length = torch.randint(1, longest + 1, shape, generator=generator)
    gap = torch.zeros(shape, dtype=torch.bool)
    for start, marker in starts.nonzero().tolist():
        stop = start + int(length[start, marker])
        if not bool(gap[max(0, start - 1) : stop + 1, marker].any()):
            gap[start:stop, marker] = True
    return replace(markers, points_world=torch.where(gap.unsqueeze(-1), torch.nan, points))


def bend(markers: Markers, upper: str, middle: str, lower: str) -> torch.Tensor:
    """Angle at the middle marker between the two bones, radians; 0 is straight."""
    a, b, c = (markers.points_world[:, markers.names.index(n)] for n in (upper, middle, lower))
    first, second = b - a, c - b
    return torch.atan2(torch.linalg.cross(first, second).norm(dim=-1), (first * second).sum(-1))
