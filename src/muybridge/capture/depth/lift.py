"""Keypoints of a picture and its depth to points in space: what a depth camera with a colour
picture can do without any body.

C cameras, T frames, J joints, W pixels of a window. World frame: metres, Y up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.depth import DepthTake
from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import Keypoints
from muybridge.motion.markers import Markers

__all__ = ["BENEATH_M", "lift_keypoints", "surface_depth"]

HALF = 3  # pixels from the middle of the window to its border
NEAREST = 0.25  # quantile of the window's depths that is surely on the limb
SAME_M = 0.10  # deeper than that by more is another surface
FEWEST = 4  # pixels with depth
BENEATH_M = {
    "shoulder": 0.055, "elbow": 0.040, "wrist": 0.030, "hip": 0.095, "knee": 0.055, "ankle": 0.040,
    "neck": 0.060, "ear": 0.075, "head": 0.08,
}  # fmt: skip  # metres from the skin to the joint, of an adult; landmarks on the skin are absent


def surface_depth(
    depth: Float[Tensor, "h w"], points_px: Float[Tensor, "j 2"], half: int = HALF
) -> Float[Tensor, "j"]:
    """Depth of the nearest surface in a window around each point, metres; NaN where unknown.

    Limbs are thin and pictures of depth have holes, so that the pixel itself may miss: taken is the
    median of those pixels of the window that lie on its nearest surface.
    """
    height, width = depth.shape
    inside = points_px.isfinite().all(-1)
    u, v = torch.where(inside.unsqueeze(-1), points_px, 0.0).round().long().unbind(-1)
    inside &= (u >= 0) & (u < width) & (v >= 0) & (v < height)
    around = torch.arange(-half, half + 1)
    rows = (v[:, None, None] + around[:, None]).clamp(0, height - 1)
    columns = (u[:, None, None] + around[None, :]).clamp(0, width - 1)
    window = depth[rows, columns].flatten(1)
    near = window.nanquantile(NEAREST, dim=1, keepdim=True)
    surface = torch.where((window - near).abs() < SAME_M, window, torch.nan)
    enough = (window.isfinite().sum(1) >= FEWEST) & inside
    return torch.where(enough, surface.nanmedian(1).values, torch.nan)


def lift_keypoints(
    keypoints: Keypoints, take: DepthTake, cameras: Cameras | None = None, person: int = 0
) -> Markers:
    """Where the joints of one person are, by the depth at their pixels.

    Joints lie beneath the skin by `BENEATH_M`, along the ray. Several cameras are averaged.

    Args:
        keypoints: In pixels of the depth pictures; cameras named as the take's, in any order.
        take: The depth.
        cameras: As placed, if the take's own are not.
        person: The slot.
    Returns:
        Markers that `capture.solve` fits a skeleton to.
    Raises:
        InputError: If a camera has no keypoints, or frames differ in number.
    """
    cameras = cameras or take.cameras
    chosen = keypoints.select_cameras(cameras.names)
    if chosen.frame_count != len(take):
        raise InputError(
            f"expected keypoints of {len(take)} frames, as there are depth pictures, got "
            f"{chosen.frame_count}; cut both to the same frames"
        )
    points_px = torch.where(chosen.seen.unsqueeze(-1), chosen.points_px, torch.nan)[:, :, person]
    beneath = torch.tensor([_beneath(name) for name in keypoints.joints], dtype=torch.float64)
    frames = [_lift(points_px[:, t], take.frame(t), cameras, beneath) for t in range(len(take))]
    points = torch.stack(frames)  # (t, c, j, 3)
    views = points.isfinite().all(-1).double().sum(1)
    return Markers(keypoints.joints, points.nanmean(1), keypoints.fps, views=views)


def _beneath(joint: str) -> float:
    return BENEATH_M.get(joint.rpartition("_")[2], 0.0)


def _lift(
    points_px: Float[Tensor, "c j 2"],
    depths: Sequence[Float[Tensor, "h w"]],
    cameras: Cameras,
    beneath: Float[Tensor, "j"],
) -> Float[Tensor, "c j 3"]:
    """Points of one frame in the world, each camera's own."""
    flat = cameras.normalize(points_px)
    rays = torch.cat((flat, torch.ones_like(flat[..., :1])), -1)
    reach = torch.stack([surface_depth(d, p) for d, p in zip(depths, points_px, strict=True)])
    in_camera = rays * (reach + beneath / rays.norm(dim=-1)).unsqueeze(-1)
    return cameras.camera_from_world.inverse().apply(in_camera)
