"""Two views of one point: coplanarity of rays, and where rays meet.

C cameras, N points, B any batch. A ray is a direction in the WORLD's axes from a camera's centre,
scaled to depth 1 (z = 1 in the camera frame); so a whole track is turned into rays once, and every
pair of cameras and every shift in time reuses them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import cross_matrix

__all__ = ["EpipolarPair", "epipolar_pair", "intersect_rays", "signed_distance_px", "world_rays"]

RIDGE = 1e-9  # keeps the 3 x 3 systems of parallel rays regular


class EpipolarPair(NamedTuple):
    """What two cameras need to judge a pair of rays."""

    baseline_world: Float[Tensor, "3"]  # from the centre of camera a to that of camera b, metres
    slope_a: Float[Tensor, "3 2"]  # change of a's ray (world axes) by one pixel in x and in y
    slope_b: Float[Tensor, "3 2"]


def world_rays(cameras: Cameras, points_px: Float[Tensor, "c *n 2"]) -> Float[Tensor, "c *n 3"]:
    """Rays through the (distorted) pixels, in world axes and with depth 1; NaN stays NaN."""
    flat = cameras.normalize(points_px).reshape(len(cameras), -1, 2)
    rays_camera = torch.cat((flat, torch.ones_like(flat[..., :1])), dim=-1)
    return (rays_camera @ cameras.rotation).reshape(*points_px.shape[:-1], 3)


def epipolar_pair(cameras: Cameras, a: int, b: int) -> EpipolarPair:
    """The geometry of cameras a and b."""
    centres = cameras.centres_world
    slope = cameras.rotation.mT @ torch.linalg.inv(cameras.matrix)[..., :2]
    return EpipolarPair(centres[b] - centres[a], slope[a], slope[b])


def signed_distance_px(
    rays_a: Float[Tensor, "*#n 3"], rays_b: Float[Tensor, "*#n 3"], pair: EpipolarPair
) -> Float[Tensor, "*n"]:
    """Signed Sampson distance of two rays from meeting, pixels.

    With baseline B and rays u, v it is  B . (u x v) / |gradient by the four pixel coordinates|:
    to first order how far both points together must move for the rays to meet.

    References:
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., section 11.4.3.
    """
    cross = cross_matrix(pair.baseline_world)
    normal_a = rays_a @ cross.mT  # B x u; its product with v is B . (u x v)
    x, y, z = (normal_a * rays_b).unbind(-1)
    by_a, by_b = rays_b @ (cross @ pair.slope_a), normal_a @ pair.slope_b
    squares = [part.square() for part in (*by_a.unbind(-1), *by_b.unbind(-1))]
    variance = squares[0] + squares[1] + squares[2] + squares[3]
    return (x + y + z) / variance.clamp_min(1e-30).sqrt()


def intersect_rays(
    origins_world: Float[Tensor, "*#b c 3"],
    rays: Float[Tensor, "*#b c 3"],
    weight: Float[Tensor, "*#b c"],
) -> Float[Tensor, "*b 3"]:
    """The point nearest to C weighted rays; NaN where fewer than two have a positive weight.

    Solves  min_X  sum_c w_c |(I - d_c d_c^T)(X - o_c)|^2,  a 3 x 3 system per point: a linear
    triangulation that is good to the noise when the cameras stand at similar distances.

    Args:
        origins_world: Optical centres, metres.
        rays: Directions in world axes, of any length; NaN where unseen.
        weight: Weight of each view; 0 drops it.
    """
    known = rays.isfinite().all(-1) & (weight > 0.0)
    weight = torch.where(known, weight, torch.zeros_like(weight))
    unit = torch.nn.functional.normalize(rays.nan_to_num(0.0), dim=-1)
    eye = torch.eye(3, dtype=rays.dtype)
    project = weight[..., None, None] * (eye - unit.unsqueeze(-1) * unit.unsqueeze(-2))
    target = (project @ origins_world.unsqueeze(-1)).squeeze(-1).sum(-2)
    scale = weight.sum(-1).clamp_min(1e-12)[..., None, None]
    system = project.sum(-3) + RIDGE * scale * eye + (scale <= 1e-12) * eye
    points = torch.linalg.solve(system, target)
    enough = known.sum(-1, keepdim=True) >= 2
    return torch.where(enough, points, torch.full_like(points, torch.nan))
