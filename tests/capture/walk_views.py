"""A recorded walk seen by a synthetic rig, with the faults of a 2-D detector.

C cameras, T frames, J joints.
"""

from typing import NamedTuple

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import COCO_17, Keypoints
from tests.rigs import SIZE_PX, noisy, ring
from tests.walker import WALK, truth

JOINTS = (*COCO_17, "neck", "left_heel", "left_big_toe", "right_heel", "right_big_toe")


class WalkViews(NamedTuple):
    """What the rig saw, and the truth."""

    cameras: Cameras
    keypoints: Keypoints
    points_world: Float[Tensor, "t j 3"]
    gross: Bool[Tensor, "c t j"]

    def of(self, count: int) -> "WalkViews":
        """The first cameras only."""
        return WalkViews(
            self.cameras.select(range(count)),
            self.keypoints.select_cameras(self.cameras.names[:count]),
            self.points_world,
            self.gross[:count],
        )


def path_world() -> Float[Tensor, "t j 3"]:
    """Joints of the walk, metres, its path drawn together so that every camera sees all of it."""
    if not WALK.exists():
        pytest.skip(f"the recorded walk is missing at {WALK}")
    points = truth(JOINTS).points_world
    centre = points.mean((0, 1))
    centre[1] = points[..., 1].min()
    along = points - centre
    hips = along[:, [JOINTS.index("left_hip"), JOINTS.index("right_hip")]].mean(1, keepdim=True)
    hips[..., 1] = 0.0
    return along - 0.6 * hips


def walk_views(
    cameras: Cameras | None = None,
    sigma_px: float = 3.0,
    dropped: float = 0.15,
    gross: float = 0.05,
    seed: int = 1,
) -> WalkViews:
    """Detections of the walk: noise, misses, and gross errors anywhere in the picture."""
    cameras = cameras or ring(4, radius=5.0)
    points = path_world()
    generator = torch.Generator().manual_seed(seed)
    seen = noisy(cameras.project(points), sigma_px, generator)
    shape = seen.shape[:-1]
    wrong = torch.rand(shape, generator=generator) < gross
    anywhere = torch.rand(int(wrong.sum()), 2, generator=generator, dtype=torch.float64)
    seen[wrong] = anywhere * torch.tensor(SIZE_PX, dtype=torch.float64)
    seen[torch.rand(shape, generator=generator) < dropped] = torch.nan
    confidence = seen.isfinite().all(-1).to(torch.float64)
    keypoints = Keypoints(
        cameras.names, JOINTS, seen.unsqueeze(2), confidence.unsqueeze(2), fps=60.0
    )
    return WalkViews(cameras, keypoints, points, wrong)
