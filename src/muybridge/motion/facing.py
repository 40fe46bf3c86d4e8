"""Which way a body faces, and moving it about on the floor.

A rotation splits into R = R_y R_xz: a turn about the vertical after a tilt whose axis is level. The
facing frame of a pose is the floor point below the root and the turn R_y.

World frame: metres, Y up, +Z forward; a heading of 0 looks along +Z, a positive one turns to +X.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import multiply, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import humanoid
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "heading",
    "moved",
    "placed",
    "rest_heading",
    "unwrap",
    "wrap",
    "yaw",
    "yaw_quaternion",
]


def yaw(quaternion: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b"]:
    """Angle of the turn about +Y in R = R_y R_xz, radians in (-pi, pi].

    Half turns about a level axis have no such turn; they give 0.

    References:
        Dobrowolski, Swing-twist decomposition in Clifford algebra, 2015.
    """
    return wrap(2.0 * torch.atan2(quaternion[..., 1], quaternion[..., 3]))


def yaw_quaternion(angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b 4"]:
    """The turn about +Y by an angle, radians."""
    zero = torch.zeros_like(angle)
    return torch.stack((zero, (0.5 * angle).sin(), zero, (0.5 * angle).cos()), dim=-1)


def wrap(angle: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
    """The same angle in (-pi, pi]."""
    return torch.atan2(angle.sin(), angle.cos())


def unwrap(angle: Float[Tensor, "t *b"]) -> Float[Tensor, "t *b"]:
    """Whole turns added so that neighbours in time differ by less than half a turn."""
    return torch.cat((angle[:1], angle[:1] + wrap(angle.diff(dim=0)).cumsum(0)))


def heading(clip: Clip) -> Float[Tensor, "t"]:
    """Where the body faces in each frame, radians about +Y, without jumps of a whole turn."""
    return unwrap(yaw(clip.rotations[:, 0])) + rest_heading(clip.skeleton)


def rest_heading(skeleton: Skeleton) -> float:
    """Where the rest pose faces, radians about +Y: 0 for +Z, and where left and right are unknown.

    Level and at right angles to the line from the right to the left hip (or shoulder, or hand).
    """
    known, positions = humanoid(skeleton), skeleton.rest_positions()
    for limb in ("upper_leg", "upper_arm", "hand"):
        sides = [known.get(f"{side}_{limb}") for side in ("left", "right")]
        if None in sides:
            continue
        left, right = (positions[joint] for joint in sides if joint is not None)
        across = left - right
        level = float(across[[0, 2]].norm())
        if level > 0.5 * float(across.norm()) and level > 0.0:
            return float(torch.atan2(-across[2], across[0]))
    return 0.0


def moved(clip: Clip, angle: Float[Tensor, ""], offset_xz: Float[Tensor, "2"]) -> Clip:
    """The clip turned about the world's vertical axis, then shifted on the floor; metres."""
    turn = yaw_quaternion(angle.to(clip.root))
    rotations = clip.rotations.clone()
    rotations[:, 0] = multiply(turn.expand(len(clip), 4), clip.rotations[:, 0])
    x, z = offset_xz.to(clip.root).unbind()
    shift = torch.stack((x, torch.zeros_like(x), z))
    translations = clip.translations
    root = rotate(turn, clip.root) + shift
    if translations is not None:
        translations = torch.cat((root.unsqueeze(1), translations[:, 1:]), dim=1)
    return replace(clip, rotations=rotations, root=root, translations=translations)


def placed(
    clip: Clip, frame: int, angle: Float[Tensor, ""], position_xz: Float[Tensor, "2"]
) -> Clip:
    """The clip moved so that at a frame its root faces an angle and stands over a floor point."""
    turn = angle - yaw(clip.rotations[frame, 0])
    here = rotate(yaw_quaternion(turn.to(clip.root)), clip.root[frame])
    return moved(clip, turn, position_xz.to(here) - here[[0, 2]])
