"""BVH channels to rotations and positions and back.

A joint's rotation channels apply in the order written, intrinsically: "Zrotation Xrotation
Yrotation" is R = Rz Rx Ry. Its position channels replace its rest offset, axis by axis.

T frames, J joints, N channels. Angles in degrees and positions in the file's unit on the channel
side; quaternions (x, y, z, w) on the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray

from muybridge.geometry.rotation import euler_from_matrix, matrix_from_quaternion

__all__ = ["Layout", "angles_from_quaternions", "order_of", "quaternions_from_channels"]

Layout = tuple[tuple[str, ...], ...]  # channel names of each joint, as CHANNELS lists them
Quaternions = Float64[np.ndarray, "t j 4"]
Angles = Float64[np.ndarray, "t j 3"]
BLOCK = 1 << 13  # joints times frames that are converted at a time and stay in the cache
LOCKED = 1e-7  # cosine of the middle angle below which first and last angle share one axis
HINGE = 1e-9  # an angle below it, radians, is no rotation: a hinge keeps its one channel


def order_of(channels: Sequence[str]) -> str:
    """Rotation axes of a joint in order, completed to three: ("Zrotation",) gives "zxy"."""
    axes = "".join(name[0].lower() for name in channels if name.endswith("rotation"))
    return axes + "".join(axis for axis in "xyz" if axis not in axes)


def columns_of(layout: Layout, kind: str) -> NDArray[np.intp]:
    """Column of each joint's channels of a kind; -1 where it has none.

    For "rotation" in the joint's own order, for "position" in the order x, y, z. Shape (J, 3).
    """
    columns = np.full((len(layout), 3), -1)
    start = 0
    for joint, channels in enumerate(layout):
        axes = order_of(channels) if kind == "rotation" else "xyz"
        for column, name in enumerate(channels, start):
            if name.endswith(kind):
                columns[joint, axes.index(name[0].lower())] = column
        start += len(channels)
    return columns


def gather(values: Float64[np.ndarray, "t n"], columns: NDArray[np.intp]) -> Angles:
    """Channel values of all joints; 0 where a joint lacks the channel."""
    padded = np.concatenate((values, np.zeros((len(values), 1))), axis=1)
    return padded[:, columns]


def quaternions_from_channels(values: Float64[np.ndarray, "t n"], layout: Layout) -> Quaternions:
    """Local rotations of all joints.

    In blocks of frames that stay in the cache: a long file costs its quaternions and no more.
    """
    orders = np.array([["xyz".index(a) for a in order_of(channels)] for channels in layout])
    columns, frames = columns_of(layout, "rotation"), max(1, BLOCK // len(layout))
    quaternions = np.empty((len(values), len(layout), 4))
    for start in range(0, len(values), frames):
        block = slice(start, start + frames)
        half = 0.5 * np.radians(gather(values[block], columns))
        _half_turns(half, orders, quaternions[block])
    return quaternions


def _half_turns(half: Angles, orders: NDArray[np.intp], out: Quaternions) -> None:
    """The product of three half-angle quaternions, written out.

    `sign` is +1 for the cyclic orders xyz, yzx, zxy and -1 for the others.
    """
    sign = np.where((orders[:, 1] - orders[:, 0]) % 3 == 1, 1.0, -1.0)
    (ca, cb, cc), (sa, sb, sc) = np.moveaxis(np.cos(half), -1, 0), np.moveaxis(np.sin(half), -1, 0)
    parts = np.stack(
        (
            sa * cb * cc + sign * (ca * sb * sc),
            ca * sb * cc - sign * (sa * cb * sc),
            ca * cb * sc + sign * (sa * sb * cc),
        ),
        axis=-1,
    )
    np.put_along_axis(out, np.broadcast_to(orders, parts.shape), parts, axis=-1)
    out[..., 3] = ca * cb * cc - sign * (sa * sb * sc)


def angles_from_quaternions(
    quaternions: Quaternions, layout: Layout, near: Angles | None = None
) -> Angles:
    """Angles of all joints in each joint's own order, degrees.

    Of the two ways to write a rotation, and of all full turns, those are taken that lie nearest to
    `near` (degrees); without it those that move least from frame to frame, so that curves between
    the frames do not spin. At gimbal lock the last angle is that of `near`, or zero.
    """
    angles = np.empty((*quaternions.shape[:2], 3))
    orders = [order_of(channels) for channels in layout]
    alike = {
        order: [j for j, o in enumerate(orders) if o == order] for order in sorted(set(orders))
    }
    frames = max(1, BLOCK // len(layout))
    for start in range(0, len(angles), frames):
        block = slice(start, start + frames)
        matrices = matrix_from_quaternion(torch.from_numpy(quaternions[block]))
        for order, joints in alike.items():
            principal = euler_from_matrix(matrices[:, joints], order).numpy()
            if near is None:
                before = angles[max(start - 1, 0) : start, joints]
                chosen = _smoothest(np.concatenate((before, principal)))[len(before) :]
            else:
                chosen = _nearest(principal, np.radians(near[block, joints]), order)
            angles[block, joints] = chosen
    return np.degrees(angles, out=angles)


def _other(angles: Angles) -> Angles:
    """The second way to write the same rotations: (a + pi, pi - b, c + pi)."""
    return angles * (1.0, -1.0, 1.0) + np.pi


def _distance(a: Angles, b: Angles) -> Float64[np.ndarray, "t j"]:
    """Sum of squared differences, blind to full turns."""
    turns = (a - b) / (2.0 * np.pi)
    turns -= np.rint(turns)
    return np.einsum("tji,tji->tj", turns, turns)  # three times as fast as a sum of three


def _smoothest(angles: Angles) -> Angles:
    """Choose between the two ways so that neighbours in time are near, then unwrap full turns.

    Whether to change over between two frames does not depend on the way the first is written, so
    that the choice is a running parity.
    """
    changes = _distance(_other(angles[1:]), angles[:-1]) < _distance(angles[1:], angles[:-1])
    odd = np.cumsum(changes, axis=0) % 2 == 1
    chosen = angles.copy()
    chosen[1:][odd] = _other(angles[1:])[odd]
    return np.unwrap(chosen, axis=0)


def _nearest(angles: Angles, near: Angles, order: str) -> Angles:
    """Choose the way and the full turns nearest to `near`, radians."""
    locked = np.abs(np.cos(angles[..., 1])) < LOCKED
    cyclic = 1.0 if order in ("xyz", "yzx", "zxy") else -1.0
    shared = np.where(locked, near[..., 2] - angles[..., 2], 0.0)
    angles = angles.copy()
    angles[..., 2] += shared
    angles[..., 0] -= cyclic * np.sign(angles[..., 1]) * shared
    other = _other(angles)
    swap = _distance(other, near) < _distance(angles, near)
    angles[swap] = other[swap]
    return angles + 2.0 * np.pi * np.rint((near - angles) / (2.0 * np.pi))
