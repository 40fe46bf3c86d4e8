"""Motions by formula on which sensors can be tried: an arm that waves and a person who walks.

Their truth is exact at every time: the walker's feet stand where they stand. T frames.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.imu.rows import shortest_turn
from muybridge.capture.imu.skeleton import BONE_OF_PART, skeleton_of
from muybridge.geometry.rotation import (
    conjugate,
    identity_quaternion,
    multiply,
    quaternion_from_rotvec,
    rotate,
)
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["LOWER_BODY", "walker", "waving_arm"]

LOWER_BODY = (
    "pelvis", "left_upper_leg", "left_lower_leg", "left_foot",
    "right_upper_leg", "right_lower_leg", "right_foot",
)  # fmt: skip
SIZE, RATE = (0.2, 0.8), (0.05, 0.4)  # of the arm's sines: radians, Hz
SWING, BOTH = 0.45, 0.12  # seconds: a foot in the air; both on the ground
STEP, LIFT, CROUCH = 0.33, 0.06, 0.055  # shares of the stature: length, height; hips lowered


def waving_arm(seconds: float = 60.0, fps: float = 100.0, seed: int = 0) -> Clip:
    """An arm whose three joints turn as sums of slow sines, its shoulder fixed in the air.

    Args:
        seconds: Length.
        fps: Frames a second.
        seed: Of amplitudes, frequencies (0.05 to 0.4 Hz) and phases.
    """
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * fps) + 1).double() / fps

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(3, 3, 3, dtype=torch.float64, generator=generator)

    size, rate, phase = uniform(*SIZE), uniform(*RATE), uniform(0.0, 2.0 * math.pi)
    angle = 2.0 * math.pi * rate * time[:, None, None, None] + phase
    rotations = quaternion_from_rotvec((size * angle.sin()).sum(-1))
    offsets = torch.tensor(
        [[0.0, 1.4, 0.0], [0.3, 0.0, 0.0], [0.25, 0.0, 0.0]], dtype=torch.float64
    )
    arm = Skeleton(("upper_arm", "lower_arm", "hand"), (-1, 0, 1), offsets)
    return Clip(arm, rotations, offsets[:1].expand(len(time), -1).clone(), fps, "waving arm")


def walker(steps: int = 8, fps: float = 100.0, stature: float = 1.75, still: float = 2.0) -> Clip:
    """Stand, walk straight along +Z, stand: legs and pelvis only, feet flat while they stand.

    Args:
        steps: How many; the first and the last are half as long.
        fps: Frames a second.
        stature: Body height, metres.
        still: Seconds of standing before and after.
    """
    skeleton = skeleton_of([BONE_OF_PART[part] for part in LOWER_BODY], stature)
    length = 2.0 * still + steps * (SWING + BOTH)
    time = torch.arange(round(length * fps) + 1).double() / fps
    feet = [_foot(time - still, steps, side, stature) for side in (0, 1)]
    middle = 0.5 * (feet[0][0] + feet[1][0])
    walking = _ease((time - still + 0.5) / 0.5) * _ease((length - still + 0.5 - time) / 0.5)
    root = skeleton.offsets[0].expand(len(time), -1).clone()
    root[:, 1] -= CROUCH * stature * walking
    root[:, 2] = middle
    swing = 0.12 * walking * torch.sin(math.pi * (time - still) / (SWING + BOTH))
    pelvis = _about(swing, 1)
    rotations = identity_quaternion(len(time), len(skeleton))
    rotations[:, 0] = pelvis
    standing = skeleton.rest_positions()
    for side, (forward, lift, pitch) in zip(("Left", "Right"), feet, strict=True):
        hip, knee, ankle = (skeleton.index(side + n) for n in ("UpLeg", "Leg", "Foot"))
        place = torch.stack((torch.zeros_like(lift), lift, forward), dim=-1)
        place = place + standing[ankle]
        socket = root + rotate(pelvis, skeleton.offsets[hip])
        lengths = float(skeleton.offsets[knee].norm()), float(skeleton.offsets[ankle].norm())
        thigh, bend = _leg(rotate(conjugate(pelvis), place - socket), *lengths)
        rotations[:, hip], rotations[:, knee] = thigh, bend
        shank = multiply(pelvis, multiply(thigh, bend))
        rotations[:, ankle] = multiply(conjugate(shank), _about(pitch, 0))
    return Clip(skeleton, rotations, root, fps, "walker")


def _ease(share: Float[Tensor, "t"]) -> Float[Tensor, "t"]:
    """From 0 to 1 without a jerk: 10 x^3 - 15 x^4 + 6 x^5."""
    x = share.clamp(0.0, 1.0)
    return x**3 * (10.0 - 15.0 * x + 6.0 * x**2)


def _about(angle: Float[Tensor, "t"], axis: int) -> Float[Tensor, "t 4"]:
    """Turns about a coordinate axis."""
    return quaternion_from_rotvec(angle.unsqueeze(-1) * torch.eye(3, dtype=torch.float64)[axis])


def _foot(
    time: Float[Tensor, "t"], steps: int, side: int, stature: float
) -> tuple[Float[Tensor, "t"], Float[Tensor, "t"], Float[Tensor, "t"]]:
    """How far a foot has come, how high it is and how it is tipped: metres, metres, radians."""
    forward, lift, pitch = (torch.zeros_like(time) for _ in range(3))
    for number in range(side, steps, 2):
        share = (time - number * (SWING + BOTH)) / SWING
        whole = 1.0 if number in (0, steps - 1) else 2.0
        forward = forward + whole * STEP * stature / 2.0 * _ease(share)
        air = _ease(2.0 * share) * _ease(2.0 - 2.0 * share)
        lift = lift + LIFT * stature * air
        pitch = pitch + 0.6 * air * torch.cos(math.pi * share)
    return forward, lift, pitch


def _leg(
    reach: Float[Tensor, "t 3"], thigh: float, shank: float
) -> tuple[Float[Tensor, "t 4"], Float[Tensor, "t 4"]]:
    """Turns of hip and knee that put the ankle where it shall be; the knee bends about x only."""
    distance = reach.norm(dim=-1).clamp(max=thigh + shank)
    knee = (thigh**2 + shank**2 - distance**2) / (2.0 * thigh * shank)
    hip = (thigh**2 + distance**2 - shank**2) / (2.0 * thigh * distance)
    down = torch.tensor([[0.0], [-1.0], [0.0]], dtype=torch.float64).expand(-1, len(reach))
    toward = shortest_turn(down.numpy(), (reach / reach.norm(dim=-1, keepdim=True)).T.numpy())
    bent = _about(-torch.arccos(hip.clamp(-1.0, 1.0)), 0)
    turn = multiply(torch.from_numpy(toward.T.copy()), bent)
    return turn, _about(math.pi - torch.arccos(knee.clamp(-1.0, 1.0)), 0)
