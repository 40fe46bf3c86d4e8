"""How far two pieces of motion are apart, wherever they lie on the floor and whichever way they go.

Each window of L frames is a cloud of L x J points. The distance of two windows is what is left when
the second is turned about the vertical and shifted on the floor to lie best on the first:

    D = min over theta, x0, z0 of  sum_i w_i |p_i - T(theta, x0, z0) p'_i|^2,   sum_i w_i = 1,

    theta = atan2(sum w (x z' - x' z) - (X Z' - X' Z),  sum w (x x' + z z') - (X X' + Z Z')),

with X = sum w x and so on. T turns (x, z) to (x cos theta + z sin theta, -x sin theta + z cos
theta). What this implementation does differently: each window is first moved so that X = Z = 0,
which changes no distance, keeps clips far from the origin exact, and leaves

    D = s + s' - 2 sum w y y' - 2 |(sum w (x z' - x' z), sum w (x x' + z z'))|,   s = sum w |p|^2:

three matrix products give all pairs of windows at once, and no pair is ever looked at alone.

N frames, J joints, A and B windows, L frames a window, P = L x J points. Metres, radians.

References:
    Kovar, Gleicher, Pighin, Motion graphs, SIGGRAPH 2002, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.motion.skeleton import Skeleton

__all__ = ["Alignment", "Clouds", "align", "clouds", "distances", "joint_weights", "squared"]

BLOCK = 1 << 24  # numbers of the matrix that are made in one go


class Clouds(NamedTuple):
    """Windows as point clouds about their own centres, times the root of the points' weights.

    Attributes:
        x, y, z: Coordinates, metres; x and z from the centre, y from the floor.
        centres: Weighted centre of each window on the floor (x, z), metres.
        sums: Weighted sum of squares of each window, square metres.
    """

    x: Float[Tensor, "a p"]
    y: Float[Tensor, "a p"]
    z: Float[Tensor, "a p"]
    centres: Float[Tensor, "a 2"]
    sums: Float[Tensor, "a"]

    def __getitem__(self, rows: slice | Tensor) -> Clouds:  # type: ignore[override]
        """Some of the windows."""
        return Clouds(*(values[rows] for values in tuple(self)))


class Alignment(NamedTuple):
    """Turn about the vertical, radians, and shift on the floor, metres, onto another window."""

    angle: Float[Tensor, "*b"]
    offset_xz: Float[Tensor, "*b 2"]
    squared: Float[Tensor, "*b"]


def joint_weights(skeleton: Skeleton) -> Float[Tensor, "j"]:
    """Weight of each joint, summing to 1: half the length of the bones that meet in it.

    A point cloud stands for the body's surface, and long bones have more of it.
    """
    lengths = skeleton.bone_lengths()
    weights = lengths.clone()
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            weights[parent] += lengths[joint]
    total = float(weights.sum())
    return weights / total if total > 0.0 else torch.full_like(weights, 1.0 / len(weights))


def clouds(
    positions: Float[Tensor, "n j 3"],
    starts: Int[Tensor, "a"],
    length: int,
    weights: Float[Tensor, "j"],
) -> Clouds:
    """The windows that begin at some frames.

    Args:
        positions: World positions of the joints, metres.
        starts: First frame of each window.
        length: Frames a window.
        weights: Of each joint; every frame counts the same.
    """
    frames = starts.unsqueeze(1) + torch.arange(length)
    root = (weights / (weights.sum() * length)).sqrt()
    points = positions[frames]
    centres = torch.einsum("aljc,j->ac", points[..., [0, 2]], root.square())
    x = (points[..., 0] - centres[:, 0, None, None]) * root
    z = (points[..., 2] - centres[:, 1, None, None]) * root
    y = points[..., 1] * root
    x, y, z = x.flatten(1), y.flatten(1), z.flatten(1)
    return Clouds(x, y, z, centres, (x.square() + y.square() + z.square()).sum(1))


def squared(a: Clouds, b: Clouds) -> Float[Tensor, "a b"]:
    """Distance of every window to every other, square metres (weights sum to 1)."""
    aside = (torch.cat((a.x, -a.z), dim=1), torch.cat((b.z, b.x), dim=1))
    ahead = (torch.cat((a.x, a.z), dim=1), torch.cat((b.x, b.z), dim=1))
    result = torch.empty(len(a.x), len(b.x), dtype=a.x.dtype)
    for rows in _blocks(len(a.x), len(b.x)):
        turned = torch.hypot(aside[0][rows] @ aside[1].T, ahead[0][rows] @ ahead[1].T)
        level = torch.addmm(turned, a.y[rows], b.y.T)  # |.| + sum w y y'
        out = a.sums[rows].unsqueeze(1) + b.sums
        result[rows] = out.sub_(level, alpha=2.0).clamp_(min=0.0)
    return result


def distances(a: Clouds, b: Clouds) -> Float[Tensor, "a b"]:
    """Root-mean-square distance of corresponding points after the best alignment, metres."""
    return squared(a, b).sqrt_()


def align(a: Clouds, b: Clouds) -> Alignment:
    """What brings each window of b onto the same-numbered window of a."""
    aside = (a.x * b.z - b.x * a.z).sum(1)
    ahead = (a.x * b.x + a.z * b.z).sum(1)
    angle = torch.atan2(aside, ahead)
    c, s = angle.cos(), angle.sin()
    x, z = b.centres.unbind(-1)
    turned = torch.stack((c * x + s * z, c * z - s * x), dim=-1)
    apart = a.sums + b.sums - 2.0 * ((a.y * b.y).sum(1) + torch.hypot(aside, ahead))
    return Alignment(angle, a.centres - turned, apart.clamp(min=0.0))


def _blocks(rows: int, columns: int) -> Iterator[slice]:
    step = max(1, BLOCK // max(1, columns))
    return (slice(start, start + step) for start in range(0, rows, step))
