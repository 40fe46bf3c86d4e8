"""A body to look at: a smooth low-poly mannequin around any skeleton, with skinning weights.

Each bone is a rounded, tapered limb; each joint a ball. Thickness follows the joint's name where it
names a part of the human body, else the length of its bones.

J joints, V vertices, F triangles. World frame at rest: metres, Y up, +Z forward.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.motion.skeleton import Skeleton

__all__ = ["Skin", "body_skin", "skinned"]

SIDES = 14  # corners of a cross-section
CAP_RINGS = 4  # rings of a rounded end
SHAFT_RINGS = 6  # rings between the ends
BLEND = 0.25  # part of a bone near a joint over which its neighbour takes a share
BALL = 1.12  # radius of a joint's ball in radii of the limb there


class _Part(NamedTuple):
    """Thickness of the limb at a joint, in statures; `width` and `depth` stretch its section."""

    pattern: str
    radius: float
    width: float = 1.0
    depth: float = 1.0
    ball: bool = False  # whether a ball is shown at the joint


_PARTS = (
    _Part(r"thumb|index|middle|ring|pinky|little|finger", 0.0055),
    _Part(r"hand|wrist", 0.019, 1.25, 0.6, True),
    _Part(r"fore_?arm|elbow|lower_?arm|radius", 0.0215, ball=True),
    _Part(r"shoulder|clavicle|collar", 0.036, 1.0, 0.9),
    _Part(r"arm|humerus", 0.028, ball=True),
    _Part(r"toe|ball", 0.0165, 1.35, 0.8),
    _Part(r"foot|ankle|heel", 0.021, 1.2, 1.0, True),
    _Part(r"hips|pelvis|waist|root", 0.058, 1.25, 0.95),
    _Part(r"up_?leg|thigh|hip|femur", 0.046, ball=True),
    _Part(r"leg|knee|shin|calf|shank|tibia", 0.031, ball=True),
    _Part(r"neck", 0.028),
    _Part(r"head|skull|nose|eye|ear", 0.045, 0.95, 1.12),
    _Part(r"spine|chest|torso|back|trunk|thorax|abdomen", 0.061, 1.3, 0.88),
)

CROWN = re.compile(r"head_?(top|end|nub)")  # the head ends at such a joint, whatever follows


@dataclass(frozen=True)
class Skin:
    """A triangle mesh bound to a skeleton.

    Attributes:
        vertices: Positions at rest, metres.
        normals: Unit normals at rest.
        triangles: Vertex indices, counter-clockwise from outside.
        joints: The four joints that move each vertex.
        weights: Their shares; they sum to 1.
        balls: Index of the first triangle of the joints' balls; limbs come before.
    """

    vertices: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    triangles: Int[Tensor, "f 3"]
    joints: Int[Tensor, "v 4"]
    weights: Float[Tensor, "v 4"]
    balls: int


class _Piece(NamedTuple):
    vertices: Tensor  # (V, 3)
    triangles: Tensor  # (F, 3)
    joints: Tensor  # (V, 4)
    weights: Tensor  # (V, 4)


def body_skin(skeleton: Skeleton) -> Skin:
    """The mannequin of a skeleton at rest."""
    rest = skeleton.rest_positions().double()
    stature = _stature(rest)
    parts = [_part(skeleton, joint, stature) for joint in range(len(skeleton))]
    limbs = [
        _limb(skeleton, rest, parts, joint)
        for joint in range(1, len(skeleton))
        if float(skeleton.offsets[joint].norm()) > 0.004 * stature
        and not CROWN.search(skeleton.names[skeleton.parents[joint]].lower())
    ]
    balls = [
        _ball(rest[joint], BALL * parts[joint].radius * stature, joint)
        for joint in range(len(skeleton))
        if len(skeleton) == 1 or (parts[joint].ball and not _is_tip(skeleton, joint))
    ]
    return _join(limbs, balls)


def skinned(
    skin: Skin,
    rest: Float[Tensor, "j 3"],
    positions: Float[Tensor, "j 3"],
    matrices: Float[Tensor, "j 3 3"],
) -> Float[Tensor, "v 3"]:
    """Vertices in a pose by linear blend skinning, metres.

    Args:
        skin: The mesh at rest.
        rest: Joint positions at rest; their orientations there are the identity.
        positions: Joint positions in the pose.
        matrices: Joint orientations in the pose.
    """
    local = skin.vertices.unsqueeze(1) - rest[skin.joints]
    moved = (matrices[skin.joints] @ local.unsqueeze(-1)).squeeze(-1) + positions[skin.joints]
    return (skin.weights.unsqueeze(-1) * moved).sum(1)


def _stature(rest: Tensor) -> float:
    """Largest extent of the joints at rest, metres; 1 where they lie in one point."""
    extent = float((rest.amax(0) - rest.amin(0)).max())
    return extent if extent > 1e-3 else 1.0


def _is_tip(skeleton: Skeleton, joint: int) -> bool:
    return joint not in skeleton.parents or bool(CROWN.search(skeleton.names[joint].lower()))


def _part(skeleton: Skeleton, joint: int, stature: float) -> _Part:
    """Thickness at a joint, in statures; at a tip that of its parent, a little thinner."""
    if joint and _is_tip(skeleton, joint):
        part = _part(skeleton, skeleton.parents[joint], stature)
        return part._replace(radius=0.85 * part.radius)
    name = skeleton.names[joint].lower()
    for part in _PARTS:
        if re.search(part.pattern, name):
            return part
    around = [joint, *skeleton.children(joint)][1 if joint == 0 else 0 :]
    lengths = [float(skeleton.offsets[j].norm()) / stature for j in around]
    mean = sum(lengths) / max(1, len(lengths))
    return _Part("", min(max(0.16 * mean, 0.005), 0.04), ball=True)


def _limb(skeleton: Skeleton, rest: Tensor, parts: list[_Part], joint: int) -> _Piece:
    """The rounded, tapered limb from a joint's parent to it."""
    parent = skeleton.parents[joint]
    stature = _stature(rest)
    bone = rest[joint] - rest[parent]
    length = float(bone.norm())
    tip = _is_tip(skeleton, joint)
    most = (0.6 if tip else 1.1) * length
    start, end = (min(parts[j].radius * stature, most) for j in (parent, joint))
    shaft = max(length - end, 0.2 * length) if tip else length
    along, radius = _profile(shaft, start, end)
    angles = torch.arange(SIDES, dtype=torch.float64) * (2.0 * torch.pi / SIDES)
    direction = bone / length
    side, front = _cross_axes(direction)
    shape = parts[parent]
    ring = shape.width * angles.cos().unsqueeze(-1) * side
    ring = ring + shape.depth * angles.sin().unsqueeze(-1) * front
    rings = along[1:-1, None, None] * direction + radius[1:-1, None, None] * ring
    poles = along[[0, -1], None] * direction
    vertices = rest[parent] + torch.cat((poles[:1], rings.flatten(0, 1), poles[1:]))
    share = torch.cat((along[:1], along[1:-1].repeat_interleave(SIDES), along[-1:])) / length
    return _Piece(vertices, _tube(len(along) - 2), *_bind(skeleton, joint, share, tip))


def _profile(length: float, start: float, end: float) -> tuple[Tensor, Tensor]:
    """Distance along the bone and radius of each ring, poles included: cap, shaft, cap."""
    turn = torch.linspace(0.0, torch.pi / 2, CAP_RINGS + 1, dtype=torch.float64)
    part = torch.linspace(0.0, 1.0, SHAFT_RINGS + 2, dtype=torch.float64)[1:-1]
    bulge = 1.0 + 0.10 * torch.sin(torch.pi * part.pow(0.7))  # the muscle lies near the body
    shaft = torch.lerp(torch.tensor(start), torch.tensor(end), part.float()).double() * bulge
    along = torch.cat((-start * turn.cos(), length * part, length + end * turn.flip(0).cos()))
    return along, torch.cat((start * turn.sin(), shaft, end * turn.flip(0).sin()))


def _cross_axes(direction: Tensor) -> tuple[Tensor, Tensor]:
    """Two axes across a bone: the side (world x where it can be) and the front."""
    guess = torch.eye(3, dtype=torch.float64)[2 if abs(float(direction[0])) > 0.8 else 0]
    side = guess - (guess @ direction) * direction
    side = side / side.norm()
    return side, torch.linalg.cross(side, direction)


def _tube(rings: int) -> Tensor:
    """Triangles of a closed tube: a pole, rings of SIDES vertices, a pole."""
    corner = torch.arange(SIDES)
    following = (corner + 1) % SIDES
    last = 1 + rings * SIDES
    low = 1 + SIDES * torch.arange(rings - 1).unsqueeze(1)
    a, b = low + corner, low + following
    quads = torch.stack((a, b, a + SIDES, b, b + SIDES, a + SIDES), dim=-1).reshape(-1, 3)
    first = torch.stack((torch.zeros_like(corner), 1 + following, 1 + corner), dim=-1)
    top = last - SIDES
    final = torch.stack((torch.full_like(corner, last), top + corner, top + following), dim=-1)
    return torch.cat((first, quads, final)).flip(-1)


def _bind(skeleton: Skeleton, joint: int, share: Tensor, tip: bool) -> tuple[Tensor, Tensor]:
    """Joints and weights along a bone: its own joint, blending into the neighbours at its ends."""
    parent = skeleton.parents[joint]
    before = max(skeleton.parents[parent], 0)
    near_start = 0.5 * _ease(1.0 - share / BLEND) if parent > 0 else torch.zeros_like(share)
    near_end = torch.zeros_like(share) if tip else 0.5 * _ease(1.0 - (1.0 - share) / BLEND)
    near_start = torch.minimum(near_start, 1.0 - near_end)
    weights = torch.stack(
        (1.0 - near_start - near_end, near_start, near_end, torch.zeros_like(share)), dim=-1
    )
    joints = torch.tensor([parent, before, joint, 0]).expand(len(share), 4)
    return torch.where(weights > 0.0, joints, 0), weights


def _ease(x: Tensor) -> Tensor:
    x = x.clamp(0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _ball(centre: Tensor, radius: float, joint: int) -> _Piece:
    turn = torch.linspace(0.0, torch.pi, 2 * CAP_RINGS + 1, dtype=torch.float64)
    angles = torch.arange(SIDES, dtype=torch.float64) * (2.0 * torch.pi / SIDES)
    across = torch.stack((angles.cos(), torch.zeros_like(angles), angles.sin()), dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    rings = -turn[1:-1, None, None].cos() * up + turn[1:-1, None, None].sin() * across
    unit = torch.cat((-up.unsqueeze(0), rings.flatten(0, 1), up.unsqueeze(0)))
    weights = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).expand(len(unit), 4)
    joints = torch.tensor([joint, 0, 0, 0]).expand(len(unit), 4)
    return _Piece(centre + radius * unit, _tube(2 * CAP_RINGS - 1), joints, weights)


def _join(limbs: list[_Piece], balls: list[_Piece]) -> Skin:
    triangles, start = [], 0
    for piece in (*limbs, *balls):
        triangles.append(piece.triangles + start)
        start += len(piece.vertices)
    vertices = torch.cat([piece.vertices for piece in (*limbs, *balls)])
    faces = torch.cat(triangles)
    return Skin(
        vertices,
        _normals(vertices, faces),
        faces,
        torch.cat([piece.joints for piece in (*limbs, *balls)]),
        torch.cat([piece.weights for piece in (*limbs, *balls)]),
        sum(len(piece.triangles) for piece in limbs),
    )


def _normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Smooth unit normals: the mean of the faces around a vertex, weighted by area."""
    a, b, c = vertices[triangles].unbind(1)
    faces = torch.linalg.cross(b - a, c - a).repeat_interleave(3, dim=0)
    normals = torch.zeros_like(vertices).index_add_(0, triangles.flatten(), faces)
    return normals / normals.norm(dim=-1, keepdim=True)
