"""From depth pictures to points: X = d K^-1 [u v 1]^T, lens distortion undone.

H rows, W columns, N points. Depth is measured along the camera's axis, metres (as 16-bit depth
pictures have it), NaN where unknown. Camera frame: x right, y down, z forward.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.geometry.camera import Cameras

__all__ = ["Grid", "backproject", "jumps", "ray_grid", "to_world"]


class Grid(NamedTuple):
    """The ray of every pixel: its direction of depth 1 in the camera's frame, distortion undone."""

    rays: Float[Tensor, "h w 3"]

    @property
    def normalized(self) -> Float[Tensor, "h w 2"]:
        """Normalised coordinates (x/z, y/z)."""
        return self.rays[..., :2]


def ray_grid(camera: Cameras) -> Grid:
    """The rays of all pixels of one camera; worth keeping, since they never change."""
    assert len(camera) == 1, f"one camera expected, got {len(camera)}"
    width, height = (int(side) for side in camera.size_px[0].tolist())
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack((u, v), dim=-1).to(camera.matrix.dtype)
    flat = camera.normalize(pixels.unsqueeze(0))[0]
    return Grid(torch.cat((flat, torch.ones_like(flat[..., :1])), dim=-1))


def backproject(depth: Float[Tensor, "*b h w"], grid: Grid) -> Float[Tensor, "*b h w 3"]:
    """Points in the camera's frame, metres; NaN where the depth is unknown.

    References:
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., section 6.1.
    """
    return depth.to(grid.rays.dtype).unsqueeze(-1) * grid.rays


def to_world(points_camera: Float[Tensor, "*b 3"], camera: Cameras) -> Float[Tensor, "*b 3"]:
    """Points of a camera's frame in the world's, metres."""
    return (points_camera - camera.translation[0]) @ camera.rotation[0]


def jumps(depth: Float[Tensor, "h w"], step: float = 0.04) -> Bool[Tensor, "h w"]:
    """True at pixels that hang between two surfaces: "flying" pixels of a depth edge.

    A pixel is one when it lies more than `step` metres per metre of depth off both its left and
    right, or both its upper and lower neighbours, on the same side of neither.
    """
    padded = torch.nn.functional.pad(depth[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    flying = torch.zeros_like(depth, dtype=torch.bool)
    for before, after in (
        (padded[1:-1, :-2], padded[1:-1, 2:]),
        (padded[:-2, 1:-1], padded[2:, 1:-1]),
    ):
        rise, fall = depth - before, after - depth
        flying |= (rise * fall > 0.0) & (torch.minimum(rise.abs(), fall.abs()) > step * depth)
    return flying
