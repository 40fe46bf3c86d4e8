"""Forward kinematics of one block of frames in place: the fast path of `kinematics`.

No temporary is made but one row: at 10,000 frames an allocation costs as much as the arithmetic.
The same formulas as `kinematics._multiply` and `_rotate_add`, to the last bit but rounding order.

T frames, J joints; rows are the components of one joint over all frames.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import add, subtract
from numpy.typing import NDArray

__all__ = ["walk_rows"]

Row = NDArray[np.floating]


def walk_rows(
    parents: Sequence[int],
    rotations: Float[np.ndarray, "t j 4"],
    translations: Float[np.ndarray, "t j 3"],
    positions: Float[np.ndarray, "t j 3"],
    orientations: Float[np.ndarray, "t j 4"],
) -> None:
    """World pose of every joint, from the root outwards, into `positions` and `orientations`.

    Args:
        parents: Parent of each joint; -1 for the first.
        rotations: Local rotations, unit quaternions.
        translations: Place of each joint in its parent's frame.
        positions: World positions, written.
        orientations: World orientations, written.
    """
    local_q, local_p = (
        np.ascontiguousarray(a.transpose(1, 2, 0)) for a in (rotations, translations)
    )
    world_q, world_p = np.empty_like(local_q), np.empty_like(local_p)
    world_q[0], world_p[0] = local_q[0], local_p[0]
    spare = np.empty_like(local_q[0])
    for joint, parent in enumerate(parents[1:], start=1):
        _multiply(world_q[parent], local_q[joint], world_q[joint], spare[0])
        _place(world_q[parent], local_p[joint], world_p[joint], spare)
        world_p[joint] += world_p[parent]
    positions[...] = world_p.transpose(2, 0, 1)
    orientations[...] = world_q.transpose(2, 0, 1)


def _multiply(a: Row, b: Row, out: Row, spare: Row) -> None:
    """Hamilton product a b; each component of `out` gets w b first, then its three products."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    np.multiply(b, aw, out=out)
    for row, products in zip(
        out,
        (
            ((add, ax, bw), (add, ay, bz), (subtract, az, by)),
            ((subtract, ax, bz), (add, ay, bw), (add, az, bx)),
            ((add, ax, by), (subtract, ay, bx), (add, az, bw)),
            ((subtract, ax, bx), (subtract, ay, by), (subtract, az, bz)),
        ),
        strict=True,
    ):
        for combine, left, right in products:
            np.multiply(left, right, out=spare)
            combine(row, spare, out=row)


def _place(q: Row, v: Row, out: Row, spare: Row) -> None:
    """Rotate v by q:  v + w t + u x t  with  t = 2 u x v  and u the vector part of q."""
    twice, one = spare[:3], spare[3]
    _cross(q, v, twice, one, begin=True)
    twice += twice
    np.multiply(twice, q[3], out=out)
    out += v
    _cross(q, twice, out, one, begin=False)


def _cross(u: Row, v: Row, out: Row, spare: Row, *, begin: bool) -> None:
    """u x v into `out`, or added to it where it is not to begin anew."""
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        if begin:
            np.multiply(u[j], v[k], out=out[i])
        else:
            np.multiply(u[j], v[k], out=spare)
            out[i] += spare
        np.multiply(u[k], v[j], out=spare)
        out[i] -= spare
