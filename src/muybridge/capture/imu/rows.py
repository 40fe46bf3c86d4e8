"""Quaternions and vectors as rows of numbers, for loops over time that no array can replace.

A filter goes sample by sample, for all sensors at once. What such a step costs is the number of
calls into numpy, not the arithmetic: a quaternion product written out is 28 calls, as an outer
product and one constant matrix it is two. So every bilinear map here is `TABLE @ outer(a, b)`.

Rows: components first, (4, n) quaternions x, y, z, w and (3, n) vectors; n sensors, or sensors
times samples. Quaternions are earth from sensor: R(q) takes a vector of the sensor to the earth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CROSS",
    "DIRECTIONS",
    "PRODUCT",
    "Rows",
    "bilinear",
    "cross",
    "exponential",
    "from_rows",
    "matrices",
    "multiply",
    "normalized",
    "prefix_products",
    "shortest_turn",
    "to_rows",
]

Rows = NDArray[np.float64]


def _product_table() -> Rows:
    """(4, 16): component k of a b is the sum over i, j of table[k, 4 i + j] a_i b_j."""
    table = np.zeros((4, 4, 4))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        table[k, i, j], table[k, j, i] = 1.0, -1.0
        table[i, i, 3] = table[i, 3, i] = 1.0
        table[3, i, i] = -1.0
    table[3, 3, 3] = 1.0
    return table.reshape(4, 16)


def _direction_tables() -> Rows:
    """(3, 3, 4, 4): R(q)_ij = delta_ij + q^T table[i, j] q, each symmetric, for unit q."""
    table = np.zeros((3, 3, 4, 4))
    for i in range(3):
        for j in range(3):
            if i == j:
                others = [k for k in range(3) if k != i]
                table[i, i, others, others] = -2.0
                continue
            k, sign = 3 - i - j, 1.0 if (j - i) % 3 == 2 else -1.0
            table[i, j, i, j] = table[i, j, j, i] = 1.0
            table[i, j, k, 3] = table[i, j, 3, k] = sign
    return table


PRODUCT = _product_table()
DIRECTIONS = _direction_tables()
CROSS = np.ascontiguousarray(_product_table().reshape(4, 4, 4)[:3, :3, :3].reshape(3, 9))
_MATRIX = DIRECTIONS.reshape(9, 16)
_EYE = np.eye(3).reshape(9, 1)


def bilinear(table: Rows, a: Rows, b: Rows) -> Rows:
    """Rows of `table` applied to all products a_i b_j: (k, i j), (i, n), (j, n) -> (k, n)."""
    return table @ (a[:, None] * b).reshape(table.shape[1], -1)


def multiply(a: Rows, b: Rows) -> Rows:
    """Quaternion product, apply b first."""
    return PRODUCT @ (a[:, None] * b).reshape(16, -1)


def cross(a: Rows, b: Rows) -> Rows:
    """Vector product."""
    return CROSS @ (a[:, None] * b).reshape(9, -1)


def matrices(q: Rows) -> Rows:
    """Rotation matrices (3, 3, n) of unit quaternions (4, n)."""
    flat = _MATRIX @ (q[:, None] * q).reshape(16, -1) + _EYE
    return flat.reshape(3, 3, -1)


def normalized(rows: Rows) -> Rows:
    """Columns of length 1; a column of zeros stays."""
    length = np.sqrt(np.einsum("in,in->n", rows, rows))
    return rows / np.where(length > 0.0, length, 1.0)


def exponential(rotvec: Rows) -> Rows:
    """Quaternions of rotation vectors (radians): [sin(a/2) v/a, cos(a/2)]."""
    half = 0.5 * np.sqrt(np.einsum("in,in->n", rotvec, rotvec))
    quaternion = np.empty((4, rotvec.shape[1]))
    np.multiply(rotvec, 0.5 * np.sinc(half / np.pi), out=quaternion[:3])
    np.cos(half, out=quaternion[3])
    return quaternion


def shortest_turn(start: Rows, end: Rows) -> Rows:
    """Quaternions that take unit vectors to unit vectors by the shortest way.

    Opposite vectors have no shortest way; they get a half turn about an axis square to both.
    """
    turn = np.empty((4, start.shape[1]))
    turn[:3] = CROSS @ (start[:, None] * end).reshape(9, -1)
    turn[3] = 1.0 + np.einsum("in,in->n", start, end)
    if turn[3].min(initial=1.0) < 1e-12:
        opposite = turn[3] < 1e-12
        flat = start[:, opposite]
        least = np.eye(3)[:, np.abs(flat).argmin(axis=0)]
        turn[:3, opposite], turn[3, opposite] = cross(flat, least), 0.0
    return normalized(turn)


def prefix_products(steps: Rows) -> Rows:
    """Products q_0, q_0 q_1, q_0 q_1 q_2, ... along the second axis of (4, m, s), in log m rounds.

    References:
        Hillis & Steele, Data parallel algorithms, Communications of the ACM 29, 1986.
    """
    products, shift = steps.copy(), 1
    shape = steps.shape
    while shift < shape[1]:
        left, right = products[:, :-shift], products[:, shift:]
        both = PRODUCT @ (left[:, None] * right).reshape(16, -1)
        products[:, shift:] = both.reshape(4, -1, shape[2])
        shift *= 2
    return products


def to_rows(values: NDArray[np.float64]) -> Rows:
    """(t, s, c) to (t, c, s), each step's rows together in memory."""
    return np.ascontiguousarray(np.swapaxes(values, 1, 2), dtype=np.float64)


def from_rows(rows: Rows) -> NDArray[np.float64]:
    """The inverse of `to_rows`."""
    return np.ascontiguousarray(np.swapaxes(rows, 1, 2))
