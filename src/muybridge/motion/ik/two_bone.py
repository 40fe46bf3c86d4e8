"""Two-bone inverse kinematics in closed form: a leg or an arm, all frames at once.

T frames, J joints. Three joints a, b, c (hip, knee, ankle) and a target for c, in three steps:

1. at b: stretch or bend the limb until |a c| is |a target|, by the law of cosines;
2. at a: turn the limb so that c lies on the target;
3. at a: swivel about the line from a to the target until b points to the pole.

The turns are applied to the pose as it is, so what they do not need to change stays: the limb
keeps its plane of bending (but for the swivel), and c keeps its orientation in the world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.rotation import (
    conjugate,
    identity_quaternion,
    multiply,
    quaternion_from_rotvec,
    rotate,
)
from muybridge.motion.kinematics import Pose
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "Limb",
    "TwoBoneOptions",
    "align",
    "limb",
    "soft_distance",
    "turns",
    "two_bone",
    "usual_axis",
]

STRAIGHT = 0.15  # radians: limbs straighter than this bend the way they usually do


class Limb(NamedTuple):
    """The three joints of a limb: the two that turn, and the one that is to reach."""

    upper: int
    middle: int
    end: int


@dataclass(frozen=True)
class TwoBoneOptions:
    """How to reach.

    Attributes:
        softness: Share of the limb's length over which it slows down before it is straight; 0 is
            exact up to the full length. Near the full length a limb straightens infinitely fast:
            a softness of 0.02 to 0.05 hides the pop of the knee and costs as much in distance.
        keep_end: Keep the world orientation of the end; else it turns with the lower bone.
        hinge: Axis about which the limb usually bends, in the upper joint's frame; the mean over
            the frames when None (`usual_axis`). Recorded knees pass through straight: on their
            own such frames would bend backwards.
    """

    softness: float = 0.0
    keep_end: bool = True
    hinge: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.softness < 1.0:
            raise InputError(
                f"expected a softness from 0 up to 1, got {self.softness:g}; it is a share of the "
                "limb's length, 0.03 is usual"
            )


def limb(skeleton: Skeleton, end: int) -> Limb:
    """The limb that ends in a joint: its parent and grandparent turn.

    Raises:
        InputError: If the joint has no grandparent.
    """
    middle = skeleton.parents[end]
    if middle < 1:
        raise InputError(
            f"expected the end of a limb of two bones, got {skeleton.names[end]!r}, which has "
            f"{middle + 1} joints above it; name a hand or a foot"
        )
    return Limb(skeleton.parents[middle], middle, end)


def two_bone(
    skeleton: Skeleton,
    rotations: Float[Tensor, "t j 4"],
    pose: Pose,
    joints: Limb,
    target: Float[Tensor, "t 3"],
    pole: Float[Tensor, "t 3"] | None = None,
    options: TwoBoneOptions | None = None,
) -> Float[Tensor, "t j 4"]:
    """Turn the upper and middle joint of a limb so that its end reaches the target.

    Joints between the three (twist bones) stay as they are. A target out of reach is pointed at
    with a straight limb. A frame whose target is NaN stays as it is.

    Args:
        skeleton: The tree.
        rotations: Local rotations.
        pose: World pose of the same frames, from `forward`.
        joints: The limb, from `limb`.
        target: Where the end is to be, world, metres.
        pole: Point in the world that the middle joint is to point to; None keeps the limb's plane.
        options: Softness, and what becomes of the end's orientation.
    Returns:
        Local rotations; only those of the three joints differ.
    References:
        Tolani, Goswami & Badler, Real-time inverse kinematics techniques for anthropomorphic
        limbs, 2000; Nicholas, Soft IK, 2009 (the exponential slow-down).
    """
    options = options or TwoBoneOptions()
    upper_turn, lower_turn = turns(pose, joints, target, pole, options)
    still = identity_quaternion(len(target), dtype=target.dtype)
    end_turn = still if options.keep_end else lower_turn
    changed, before = rotations.clone(), still
    for joint, turn in zip(joints, (upper_turn, lower_turn, end_turn), strict=True):
        parent = skeleton.parents[joint]
        above = still if parent < 0 else multiply(before, pose.orientations[:, parent])
        local = multiply(conjugate(above), multiply(turn, pose.orientations[:, joint]))
        changed[:, joint] = local / local.norm(dim=-1, keepdim=True)
        before = turn
    kept = target.isnan().any(-1)[:, None, None]
    return torch.where(kept, rotations, changed)


def turns(
    pose: Pose,
    joints: Limb,
    target: Float[Tensor, "t 3"],
    pole: Float[Tensor, "t 3"] | None = None,
    options: TwoBoneOptions | None = None,
) -> tuple[Float[Tensor, "t 4"], Float[Tensor, "t 4"]]:
    """World turns of the upper and the lower bone that bring the end to the target."""
    options = options or TwoBoneOptions()
    a, b, c = (pose.positions[:, joint] for joint in joints)
    first, second, wanted = b - a, c - b, target - a
    lengths = first.norm(dim=-1), second.norm(dim=-1)
    distance = soft_distance(wanted.norm(dim=-1), *lengths, options.softness)
    bend = _bend_angle(*lengths, distance)
    hinge = usual_axis(pose, joints) if options.hinge is None else target.new_tensor(options.hinge)
    usual = rotate(pose.orientations[:, joints.upper], hinge.expand_as(first))
    axis = _bend_axis(first, second, usual, bend)
    # step 1: straighten, then bend, so that a limb that was straight is no special case
    straighten = align(second, first, axis)
    bending = multiply(quaternion_from_rotvec(bend.unsqueeze(-1) * axis), straighten)
    # step 2
    turn = align(first + rotate(bending, second), wanted, axis)
    # step 3
    if pole is not None:
        turn = multiply(_swivel(wanted, rotate(turn, first), pole - a), turn)
    return turn, multiply(turn, bending)


def usual_axis(pose: Pose, joints: Limb) -> Float[Tensor, "3"]:
    """Axis about which a limb bends, in the upper joint's frame: the mean normal of its bones.

    Frames count by the sine of their bend. A limb that is always straight has none: x is returned.
    """
    a, b, c = (pose.positions[:, joint] for joint in joints)
    normal = torch.linalg.cross(_unit(b - a), _unit(c - b))
    mean = rotate(conjugate(pose.orientations[:, joints.upper]), normal).nanmean(0)
    known = bool(mean.norm() > 1e-6)
    return _unit(mean) if known else mean.new_tensor([1.0, 0.0, 0.0])


def soft_distance(
    distance: Float[Tensor, "*b"],
    first: Float[Tensor, "*b"],
    second: Float[Tensor, "*b"],
    softness: float,
) -> Float[Tensor, "*b"]:
    """The distance that two bones of these lengths are to span for a target so far away, metres.

    Up to L (1 - s) it is the distance itself, then it nears the full length L as 1 - exp(-x).
    """
    longest, shortest = first + second, (first - second).abs()
    if softness == 0.0:
        return distance.clamp(shortest, longest)
    margin = softness * longest
    beyond = (distance - (longest - margin)).clamp(min=0.0)
    slowed = longest - margin * (-beyond / margin).exp()
    return torch.where(beyond > 0.0, slowed, distance).clamp(min=shortest)


def align(
    old: Float[Tensor, "*b 3"], new: Float[Tensor, "*b 3"], fallback: Float[Tensor, "*b 3"]
) -> Float[Tensor, "*b 4"]:
    """Smallest turn that carries one direction into another.

    The half-way vector: q = (u x v, 1 + u.v), normalised, for unit u and v.

    Args:
        fallback: Unit axis for half a turn, where any axis would do; made perpendicular to `old`.
    """
    u, v = _unit(old), _unit(new)
    half = u + v  # exact near half a turn, where 1 + u.v loses its digits
    opposite = half.norm(dim=-1, keepdim=True) < 1e-7
    half = _unit(torch.where(opposite, u, half))
    quaternion = torch.cat((torch.linalg.cross(u, half), (u * half).sum(-1, keepdim=True)), dim=-1)
    around = _unit(_without(fallback, u))
    turned = torch.cat((around, torch.zeros_like(around[..., :1])), dim=-1)
    return torch.where(opposite, turned, quaternion)


def _unit(vector: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-300)


def _without(vector: Float[Tensor, "*b 3"], unit: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
    """The part of a vector that is perpendicular to a unit vector."""
    return vector - (vector * unit).sum(-1, keepdim=True) * unit


def _bend_axis(
    first: Float[Tensor, "*b 3"],
    second: Float[Tensor, "*b 3"],
    usual: Float[Tensor, "*b 3"],
    wanted: Float[Tensor, "*b"],
) -> Float[Tensor, "*b 3"]:
    """Axis about which to bend, perpendicular to the upper bone.

    A clear bend keeps its own normal, at an angle phi about the bone from the usual one. As a limb
    is straight, or past straight by little, its normal means nothing: if it is to bend further, phi
    goes to zero. Where it is not, phi stays, so that a limb that is in place is left alone.
    """
    u = _unit(first)
    least = torch.nn.functional.one_hot(u.nan_to_num().abs().argmin(-1), 3).to(u.dtype)
    x = _unit(_without(usual + 1e-9 * least, u))
    y = torch.linalg.cross(u, x)
    normal = torch.linalg.cross(u, _unit(second))
    along, across = (normal * x).sum(-1), (normal * y).sum(-1)
    size = normal.norm(dim=-1)
    clear = _smooth_step(torch.maximum(along / STRAIGHT, size / STRAIGHT - 1.0))
    now = torch.atan2(size, (u * _unit(second)).sum(-1))
    phi = torch.atan2(across, along)
    phi = (phi * torch.maximum(clear, 1.0 - _smooth_step((wanted - now) / STRAIGHT))).unsqueeze(-1)
    return phi.cos() * x + phi.sin() * y


def _smooth_step(x: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    x = x.clamp(0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _bend_angle(
    first: Float[Tensor, "*b"], second: Float[Tensor, "*b"], distance: Float[Tensor, "*b"]
) -> Float[Tensor, "*b"]:
    """Angle between the two bones that lets them span the distance; 0 is straight.

    By the half angle: tan^2(x/2) = ((a+b)^2 - d^2) / (d^2 - (a-b)^2), which unlike the arc cosine
    keeps its digits at both ends.
    """
    above = ((first + second - distance) * (first + second + distance)).clamp(min=0.0)
    below = ((distance - first + second) * (distance + first - second)).clamp(min=0.0)
    return 2.0 * torch.atan2(above.sqrt(), below.sqrt())


def _swivel(
    axis: Float[Tensor, "*b 3"], vector: Float[Tensor, "*b 3"], towards: Float[Tensor, "*b 3"]
) -> Float[Tensor, "*b 4"]:
    """Turn about an axis that brings a vector into the half-plane of another one."""
    unit = _unit(axis)
    old, new = _without(vector, unit), _without(towards, unit)
    sine = (torch.linalg.cross(old, new) * unit).sum(-1)
    angle = torch.atan2(sine, (old * new).sum(-1))
    return quaternion_from_rotvec(angle.unsqueeze(-1) * unit)
