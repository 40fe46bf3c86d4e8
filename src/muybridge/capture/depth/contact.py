"""Where points touch a capsule body, and where the body sticks out of what the camera saw.

T frames, N points, K capsules, C cameras, M places on the capsules' axes. World frame: metres.

A camera sees the near side of things only. A point therefore belongs to the near side of its
capsule: to the surface itself where that faces the camera, else to the rim. The reverse is worth as
much: a capsule that nobody saw must lie behind what was seen, and inside the person's outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from muybridge.capture.depth.capsules import CapsuleBody
from muybridge.capture.depth.posed import Posed
from muybridge.geometry.camera import Cameras, distort

__all__ = ["Outline", "Rows", "Scan", "closest_capsule", "spill", "touch"]

AXIS_PLACES = (0.0, 0.5, 1.0)  # shares of each axis at which the outline is asked
DEEPER = 0.5  # radii by which an axis lies behind the surface that hides it, at least
OCCLUDED = 0.15  # metres: something this much nearer than the axis hides it


class Scan(NamedTuple):
    """The person's points in T frames, padded to N.

    Attributes:
        points: Metres; any value where the weight is 0.
        weights: How much each counts.
        views: Unit vector from each to the camera that saw it.
    """

    points: Float[Tensor, "t n 3"]
    weights: Float[Tensor, "t n"]
    views: Float[Tensor, "t n 3"]

    def frames(self, index: Int[Tensor, "f"]) -> Scan:
        """These frames only."""
        return Scan(self.points[index], self.weights[index], self.views[index])


@dataclass(frozen=True)
class Outline:
    """What one camera saw of the person in T frames, on a coarse grid of pixels.

    Attributes:
        camera: The camera.
        stride: Pixels from one grid point to the next.
        nearest: Normalised image coordinates of the nearest pixel of the person.
        person: True where a grid point is on the person.
        depth: Measured depth, metres; NaN where unknown.
    """

    camera: Cameras
    stride: int
    nearest: Float[Tensor, "t h w 2"]
    person: Bool[Tensor, "t h w"]
    depth: Float[Tensor, "t h w"]

    def frames(self, index: Int[Tensor, "f"]) -> Outline:
        """These frames only."""
        return Outline(
            self.camera, self.stride, self.nearest[index], self.person[index], self.depth[index]
        )


class Rows(NamedTuple):
    """Residuals: moving material point `places` by v changes `gaps` by -directions . v.

    Attributes:
        places: Points fixed to the body, metres.
        directions: Unit vectors.
        gaps: Residuals, metres.
        weights: 0 where a row does not count.
        capsules: Capsule on whose axis each place lies.
        shares: How far along it, 0 to 1.
        growth: Change of each gap with the radius of that capsule.
    """

    places: Float[Tensor, "t m 3"]
    directions: Float[Tensor, "t m 3"]
    gaps: Float[Tensor, "t m"]
    weights: Float[Tensor, "t m"]
    capsules: Int[Tensor, "t m"]
    shares: Float[Tensor, "t m"]
    growth: Float[Tensor, "t m"]


def closest_capsule(
    points: Float[Tensor, "t n 3"],
    views: Float[Tensor, "t n 3"],
    starts: Float[Tensor, "t k 3"],
    ends: Float[Tensor, "t k 3"],
    radii: Float[Tensor, "k"],
) -> Int[Tensor, "t n"]:
    """Index of the capsule whose side that faces the camera lies nearest to each point.

    With w from the axis' nearest point to the point, and b its part along the view where that
    points away from the camera, the distance is that of (|w - b|, b) to the circle of the radius.
    Single precision, near the points' mean: this is only a choice.
    """
    centre = points.mean(1, keepdim=True)
    points, views = (points - centre).float(), views.float()
    starts, axis = (starts - centre).float(), (ends - starts).float()
    length = axis.square().sum(-1).clamp(min=1e-12).unsqueeze(1)  # (t, 1, k)
    along = torch.baddbmm(-(starts * axis).sum(-1).unsqueeze(1), points, axis.mT)  # (t, n, k)
    share = (along / length).clamp_(0.0, 1.0)
    square = torch.baddbmm(starts.square().sum(-1).unsqueeze(1), points, starts.mT, alpha=-2.0)
    square += points.square().sum(-1, keepdim=True)
    square.addcmul_(share, torch.addcmul(along.mul_(-2.0), share, length))
    behind = torch.baddbmm((points * views).sum(-1, keepdim=True), views, starts.mT, alpha=-1.0)
    behind.addcmul_(share, views @ axis.mT, value=-1.0).clamp_(max=0.0).square_()
    rim = square.sub_(behind).clamp_(min=0.0).sqrt_().sub_(radii.float())
    return behind.addcmul_(rim, rim).argmin(-1)


def touch(body: CapsuleBody, pose: Posed, scan: Scan) -> Rows:
    """Each point's distance to the side of the body that its camera can see."""
    starts, ends = body.axes_world(pose)
    owner = closest_capsule(scan.points, scan.views, starts, ends, body.radii)
    index = owner.unsqueeze(-1).expand(-1, -1, 3)
    start, axis = starts.gather(1, index), (ends - starts).gather(1, index)
    share = ((scan.points - start) * axis).sum(-1) / axis.square().sum(-1).clamp(min=1e-12)
    share = share.clamp(0.0, 1.0)
    foot = start + share.unsqueeze(-1) * axis
    arm = scan.points - foot
    towards = (arm * scan.views).sum(-1, keepdim=True)
    normal = _unit(arm - towards.clamp(max=0.0) * scan.views)
    surface = foot + body.radii[owner].unsqueeze(-1) * normal
    error = scan.points - surface
    hidden = towards < 0.0
    direction = torch.where(hidden, _unit(error), normal)
    gaps = (error * direction).sum(-1)
    growth = -(normal * direction).sum(-1)
    return Rows(foot, direction, gaps, scan.weights, owner, share, growth)


def _unit(vector: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-9)


def spill(body: CapsuleBody, pose: Posed, outline: Outline) -> Rows:
    """How far the axes stick out of the person's outline, or out in front of its surface.

    Two rows a place: sideways to the nearest pixel of the person, and along the ray to behind the
    surface that was measured there. Nothing is said where the picture ends, where the depth is
    unknown, or where something nearer hides the place.

    References:
        Ganapathi, Plagemann, Koller & Thrun, Real-time human pose tracking from range data, 2012.
        Tagliasacchi et al., Robust articulated-ICP for real-time hand tracking, 2015.
    """
    starts, ends = body.axes_world(pose)
    places = torch.cat([torch.lerp(starts, ends, share) for share in AXIS_PLACES], dim=1)
    capsules = torch.arange(len(body.radii)).repeat(len(AXIS_PLACES))
    camera = outline.camera
    in_camera = places @ camera.rotation[0].mT + camera.translation[0]
    z = in_camera[..., 2]
    flat = in_camera[..., :2] / z.unsqueeze(-1).clamp(min=0.05)
    row, column, inside = _cells(outline, flat, z > 0.05)
    frame = torch.arange(len(places)).unsqueeze(1)
    person = outline.person[frame, row, column]
    seen = outline.depth[frame, row, column].to(z.dtype)
    open_view = inside & ~(seen < z - OCCLUDED)
    out = torch.where((open_view & ~person).unsqueeze(-1), flat, 0.0)
    nearest = outline.nearest[frame, row, column].to(z.dtype)
    aim = torch.where((open_view & ~person).unsqueeze(-1), nearest, 0.0)
    sideways = (aim - out) * z.unsqueeze(-1)
    far = sideways.norm(dim=-1)
    side_direction = torch.nn.functional.pad(sideways / far.clamp(min=1e-9).unsqueeze(-1), (0, 1))
    grain = outline.stride * z / camera.matrix[0, 0, 0]  # a step over the edge must not be a jump
    far = (far - grain).clamp(min=0.0)
    side_direction = side_direction @ camera.rotation[0]
    deeper = (seen + DEEPER * body.radii[capsules] - z).nan_to_num(nan=0.0)
    ahead = inside & person & (deeper > 0.0)
    ray = _unit(places - camera.centres_world[0])
    ahead_weight = ahead.to(z.dtype)
    shares = torch.tensor(AXIS_PLACES, dtype=z.dtype).repeat_interleave(len(body.radii))
    return Rows(
        torch.cat((places, places), 1),
        torch.cat((side_direction, ray), 1),
        torch.cat((far, torch.where(ahead, deeper, 0.0)), 1),
        torch.cat(((open_view & ~person).to(z.dtype), ahead_weight), 1),
        capsules.repeat(2).expand(len(places), -1),
        shares.repeat(2).expand(len(places), -1),
        torch.cat((torch.zeros_like(z), DEEPER * ahead_weight), 1),
    )


def _cells(
    outline: Outline, flat: Float[Tensor, "t m 2"], front: Bool[Tensor, "t m"]
) -> tuple[Int[Tensor, "t m"], Int[Tensor, "t m"], Bool[Tensor, "t m"]]:
    """Row and column of the grid that normalised coordinates fall into, and whether they do."""
    camera = outline.camera
    bent = distort(flat.reshape(1, -1, 2), camera.distortion)
    cell = (camera.pixels_from_normalized(bent)[0] / outline.stride).round()
    height, width = outline.person.shape[1:]
    column, row = cell.reshape(flat.shape).unbind(-1)
    inside = front & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return row.clamp(0, height - 1).long(), column.clamp(0, width - 1).long(), inside
