"""How far a suit of encoders may be off, and streams of encoders made from a known motion.

If the angles of the joints i are off by d_i, each end effector e is off by at most

    |p_e' - p_e| <= sum_i |p_e - p_i| |d_i|

exactly, not only for small d: change one angle after the other from the trunk outwards. A change at
i moves e on an arc about i whose radius |p_e - p_i| depends on the joints beyond i only, which are
still unchanged, and a chord is no longer than its arc. An encoder of b bits that rounds has
d = pi / 2^b; with independent errors the squares add up instead. A zero that was taken from a pose
adds its own error, constant over the take.

T frames, J joints, N encoders. Radians and metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.files.bvh_channels import angles_from_quaternions
from muybridge.files.encoders import Encoder, EncoderLog, EncoderRig
from muybridge.geometry.rotation import identity_quaternion
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["full_rig", "position_bound", "position_std", "simulate"]

ORDER = "zxy"  # of the three encoders of a ball joint, as in most BVH files


def position_bound(
    clip: Clip, joints: Sequence[int], errors: Float[Tensor, "n"]
) -> Float[Tensor, "t j"]:
    """Largest distance by which each joint may be off, metres.

    Args:
        clip: The motion, right or measured.
        joints: Joint that each encoder turns.
        errors: Largest error of each encoder's joint angle, radians.
    """
    return _levers(clip, joints, errors)


def position_std(
    clip: Clip, joints: Sequence[int], std: Float[Tensor, "n"]
) -> Float[Tensor, "t j"]:
    """Spread of each joint's position for independent errors, metres; no axis is favourable.

    Args:
        clip: The motion.
        joints: Joint that each encoder turns.
        std: One-sigma error of each encoder's joint angle, radians; step / sqrt(12) for counts.
    """
    return _levers(clip, joints, std, power=2.0).sqrt()


def _levers(
    clip: Clip, joints: Sequence[int], errors: Float[Tensor, "n"], power: float = 1.0
) -> Float[Tensor, "t j"]:
    """Sum over all encoders between the root and each joint of (distance times error)^power."""
    weight = torch.zeros(len(clip.skeleton), dtype=torch.float64)
    weight.index_add_(0, torch.tensor(list(joints)), errors.double() ** power)
    positions = forward_clip(clip).positions.double()
    total = torch.zeros(positions.shape[:2], dtype=torch.float64)
    for joint in range(len(clip.skeleton)):
        for above in clip.skeleton.lineage(joint)[1:]:
            if float(weight[above]) > 0.0:
                reach = (positions[:, joint] - positions[:, above]).norm(dim=-1)
                total[:, joint] += reach**power * weight[above]
    return total


def full_rig(skeleton: Skeleton, bits: int = 12) -> EncoderRig:
    """A suit with three encoders, z, x and y, on every joint that turns."""
    turning = [j for j, end in enumerate(skeleton.end_sites) if not end]
    axes = np.eye(3)[["xyz".index(letter) for letter in ORDER]].tolist()
    encoders = tuple(
        Encoder(f"{skeleton.names[j]}.{letter}", j, (x, y, z), 2.0**bits, True)
        for j in turning
        for letter, (x, y, z) in zip(ORDER, axes, strict=True)
    )
    return EncoderRig(skeleton, encoders)


def simulate(
    clip: Clip,
    rig: EncoderRig,
    offsets: Float[Tensor, "n"],
    *,
    still: float = 0.0,
    noise: float = 0.0,
    seed: int = 0,
) -> EncoderLog:
    """What the encoders of `full_rig` would log: the clip's angles, offset, rounded and wrapped.

    Args:
        clip: The motion; its root path is not measured.
        rig: Made by `full_rig` for the clip's skeleton.
        offsets: What each encoder reads at angle zero, radians.
        still: Seconds of rest pose put before the motion.
        noise: One sigma of normal noise before rounding, counts.
        seed: Of the noise.
    """
    before = round(still * clip.fps)
    rest = identity_quaternion(before, len(clip.skeleton))
    rotations = torch.cat((rest, clip.rotations.double())).numpy()
    channels = tuple(f"{letter.upper()}rotation" for letter in ORDER)
    degrees = angles_from_quaternions(rotations, (channels,) * len(clip.skeleton))
    turning = [encoder.joint for encoder in rig.encoders[::3]]
    angles = torch.from_numpy(np.radians(degrees))[:, turning].flatten(1) + offsets
    per_turn = torch.tensor([encoder.per_turn for encoder in rig.encoders], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    jitter = noise * torch.randn(angles.shape, generator=generator, dtype=torch.float64)
    counts = (angles / (2.0 * math.pi) * per_turn + jitter).round() % per_turn
    seconds = torch.arange(len(counts), dtype=torch.float64) / clip.fps
    return EncoderLog(tuple(e.column for e in rig.encoders), seconds, counts)
