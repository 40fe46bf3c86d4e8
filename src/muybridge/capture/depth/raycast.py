"""Depth pictures of capsules and planes, by exact intersections: known truth for the fit.

K capsules, P planes, H rows, W columns. World frame: metres.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.depth.backproject import Grid, ray_grid
from muybridge.geometry.camera import Cameras

__all__ = ["cast_capsules", "cast_planes", "raycast"]


def raycast(
    camera: Cameras,
    starts: Float[Tensor, "k 3"],
    ends: Float[Tensor, "k 3"],
    radii: Float[Tensor, "k"],
    planes: Float[Tensor, "p 4"] | None = None,
    grid: Grid | None = None,
) -> Float[Tensor, "h w"]:
    """Depth of the nearest surface along each pixel's ray, metres; NaN where there is none.

    Args:
        camera: One camera.
        starts: One end of each capsule's axis, world.
        ends: The other end.
        radii: Radius of each capsule, metres.
        planes: Rows n, e of planes n . x = e, world; seen from either side.
        grid: The camera's rays, if already known.
    """
    grid = grid or ray_grid(camera)
    shape, rays = grid.rays.shape[:2], grid.rays.reshape(-1, 3)
    to_camera = camera.camera_from_world
    a, b = (to_camera.apply(x.unsqueeze(0))[0] for x in (starts, ends))
    depth = cast_capsules(rays, a, b, radii)
    if planes is not None:
        normals = planes[:, :3] @ camera.rotation[0].mT
        offsets = planes[:, 3] + normals @ camera.translation[0]
        depth = torch.minimum(depth, cast_planes(rays, normals, offsets))
    return torch.where(depth.isinf(), torch.nan, depth).reshape(shape)


def cast_planes(
    rays: Float[Tensor, "n 3"], normals: Float[Tensor, "p 3"], offsets: Float[Tensor, "p"]
) -> Float[Tensor, "n"]:
    """Least s > 0 with n . (s ray) = e over all planes; infinite where there is none."""
    reach = offsets / (rays @ normals.mT)
    return torch.where(reach > 0.0, reach, torch.inf).amin(-1)


def cast_capsules(
    rays: Float[Tensor, "n 3"],
    starts: Float[Tensor, "k 3"],
    ends: Float[Tensor, "k 3"],
    radii: Float[Tensor, "k"],
) -> Float[Tensor, "n"]:
    """Least s > 0 at which s ray lies on a capsule; infinite where the ray meets none.

    The rays start at the origin, outside of all capsules. A capsule is tried only by those rays
    that meet the sphere around it.

    References:
        Ericson, Real-time collision detection, 2005, section 5.3.7.
    """
    depth = torch.full_like(rays[:, 0], torch.inf)
    unit = rays / rays.norm(dim=-1, keepdim=True)
    middle, reach = (starts + ends) / 2.0, (ends - starts).norm(dim=-1) / 2.0 + radii
    tangent = (middle.square().sum(-1) - reach.square()).clamp(min=0.0).sqrt()
    near = unit @ middle.mT >= tangent - 1e-9
    for capsule in range(len(radii)):
        index = near[:, capsule].nonzero()[:, 0]
        hit = _cast_one(rays[index], starts[capsule], ends[capsule], radii[capsule])
        depth[index] = torch.minimum(depth[index], hit)
    return depth


def _cast_one(rays: Tensor, start: Tensor, end: Tensor, radius: Tensor) -> Tensor:
    """The cylinder's wall where its foot lies between the ends, else the nearer end's sphere."""
    axis = end - start
    length, along = axis @ axis, rays @ axis
    behind, across, square = -(axis @ start), -(rays @ start), rays.square().sum(-1)
    a = length * square - along.square()
    b = length * across - behind * along
    c = length * (start @ start) - behind.square() - radius.square() * length
    inside = b.square() - a * c
    parallel = a <= 1e-12 * length * square
    wall = (-b - inside.clamp(min=0.0).sqrt()) / torch.where(parallel, torch.ones_like(a), a)
    foot = behind + wall * along
    foot = torch.where(parallel, torch.where(along > 0.0, -1.0, length + 1.0), foot)
    cap = torch.where((foot <= 0.0).unsqueeze(-1), start, end)
    towards = (rays * cap).sum(-1)
    rest = towards.square() - square * (cap.square().sum(-1) - radius.square())
    ball = torch.where(rest >= 0.0, (towards - rest.clamp(min=0.0).sqrt()) / square, torch.inf)
    hit = torch.where((foot > 0.0) & (foot < length), wall, ball)
    hit = torch.where((inside >= 0.0) | parallel, hit, torch.inf)
    return torch.where(hit > 0.0, hit, torch.inf)
