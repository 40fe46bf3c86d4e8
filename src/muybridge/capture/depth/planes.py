"""The room: its floor and walls, by RANSAC on points.

N points, P planes. A plane is n . x = e with a unit normal; metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["Plane", "Room", "find_plane", "find_room"]

TRIES = 600
NEIGHBOURS = 12  # points drawn a try, of which the two nearest the first make the plane with it
NEAR_M = 0.025  # a point this near a plane supports it
TILT = math.radians(35.0)  # by which a camera may be tilted before the floor is no floor
UPRIGHT = math.radians(12.0)  # by which a wall may lean
WALLS = 4
WALL_SHARE = 0.10  # of the points that are left: fewer make no wall
WALL_SIDE_M = 0.7  # standard deviation of a wall's points along it, at least, times two
BEHIND_SHARE = 0.03  # of all points that may lie behind a wall or under a floor
CLEAR = (0.025, 0.08)  # metres: least and greatest thickness of what belongs to a plane


@dataclass(frozen=True)
class Plane:
    """n . x = e, the room on the side that n points to; `thickness` is three sigma, metres."""

    normal: Float[Tensor, "3"]
    offset: float
    thickness: float

    def height(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b"]:
        """Signed distance, metres; positive inside the room."""
        return points @ self.normal - self.offset


@dataclass(frozen=True)
class Room:
    """Where the floor is, if it was found, and the walls."""

    floor: Plane | None
    walls: tuple[Plane, ...]

    def inside(self, points: Float[Tensor, "*b 3"]) -> Bool[Tensor, "*b"]:
        """True for points off all planes, on their inner side."""
        free = points.isfinite().all(-1)
        for plane in (*([self.floor] if self.floor else []), *self.walls):
            free &= plane.height(points) > plane.thickness
        return free


def find_room(points: Float[Tensor, "n 3"], up: Float[Tensor, "3"], seed: int = 0) -> Room:
    """Floor and walls of points seen from the origin's side.

    Args:
        points: Any sample of the scene, metres.
        up: Roughly up; the floor may be tilted against it by 35 degrees.
        seed: Of the random triples.
    """
    random = torch.Generator().manual_seed(seed)
    floor = find_plane(points, points, up, TILT, random)
    if floor is not None:
        up = floor.normal
        points_left = points[floor.height(points) > floor.thickness]
    else:
        points_left = points
    walls: list[Plane] = []
    for _ in range(WALLS):
        if len(points_left) < 50:
            break
        wall = find_plane(points_left, points, up, None, random)
        if wall is None:
            break
        walls.append(wall)
        points_left = points_left[wall.height(points_left) > wall.thickness]
    return Room(floor, tuple(walls))


def find_plane(
    points: Float[Tensor, "n 3"],
    everything: Float[Tensor, "m 3"],
    up: Float[Tensor, "3"],
    tilt: float | None,
    random: torch.Generator,
) -> Plane | None:
    """The plane with most points, of those with next to nothing on their far side; None if none is.

    Args:
        points: From which planes are drawn.
        everything: What must not lie on the far side.
        up: Unit vector.
        tilt: Greatest angle of the normal to `up`, radians; None for planes that stand upright.
        random: For the triples.

    References:
        Fischler & Bolles, Random sample consensus, Communications of the ACM 24(6), 1981.
        Myatt et al., NAPSAC: high noise, high dimensional robust estimation, BMVC 2002.
    """
    drawn = points[torch.randint(len(points), (TRIES, NEIGHBOURS + 1), generator=random)]
    near = (drawn[:, 1:] - drawn[:, :1]).square().sum(-1).topk(2, largest=False).indices
    others = drawn[:, 1:].gather(1, near.unsqueeze(-1).expand(-1, -1, 3))
    triples = torch.cat((drawn[:, :1], others), dim=1)  # neighbours share a surface more often
    normals = torch.linalg.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    size = normals.norm(dim=-1, keepdim=True)
    normals = normals / size.clamp(min=1e-12)
    offsets = (normals * triples[:, 0]).sum(-1)
    inward = torch.where(everything.mean(0) @ normals.mT - offsets < 0.0, -1.0, 1.0)
    normals, offsets = normals * inward.unsqueeze(-1), offsets * inward
    lean = (normals @ up).clamp(-1.0, 1.0)
    fits = lean > math.cos(tilt) if tilt is not None else lean.abs() < math.sin(UPRIGHT)
    support = ((points @ normals.mT - offsets).abs() < NEAR_M).double().mean(0)
    behind = ((everything @ normals.mT - offsets) < -3.0 * NEAR_M).double().mean(0)
    fits &= (behind < BEHIND_SHARE) & (size[:, 0] > 1e-6)
    best = int(torch.where(fits, support, -1.0).argmax())
    if not bool(fits[best]) or float(support[best]) < WALL_SHARE:
        return None
    return _polished(points, normals[best], offsets[best])


def _polished(
    points: Float[Tensor, "n 3"], normal: Float[Tensor, "3"], offset: Float[Tensor, ""]
) -> Plane | None:
    """Least squares on the points near the plane, thrice; None where they are too small a patch."""
    near = points
    for _ in range(3):
        near = points[(points @ normal - offset).abs() < 1.5 * NEAR_M]
        centre = near.mean(0)
        values, vectors = torch.linalg.eigh((near - centre).mT @ (near - centre) / len(near))
        found = vectors[:, 0] * torch.sign(vectors[:, 0] @ normal)
        normal, offset = found, found @ centre
    if 2.0 * float(values[1].clamp(min=0.0).sqrt()) < WALL_SIDE_M:
        return None
    spread = 3.0 * 1.4826 * float((near @ normal - offset).abs().median())
    return Plane(normal, float(offset), min(max(spread, CLEAR[0]), CLEAR[1]))
