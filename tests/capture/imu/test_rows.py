"""The row kernels against the plain functions of geometry.rotation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.imu.rows import (
    CROSS,
    PRODUCT,
    bilinear,
    cross,
    exponential,
    matrices,
    multiply,
    normalized,
    prefix_products,
    shortest_turn,
)
from muybridge.geometry import rotation

COUNT = 7


def unit(seed: int, components: int) -> np.ndarray:
    return normalized(np.random.default_rng(seed).normal(size=(components, COUNT)))


def as_tensor(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows.T.copy())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_rows_equal_the_plain_functions(seed: int) -> None:
    a, b, v = unit(seed, 4), unit(seed + 1, 4), unit(seed + 2, 3)
    product = rotation.multiply(as_tensor(a), as_tensor(b)).numpy().T
    np.testing.assert_allclose(multiply(a, b), product, atol=1e-15)
    np.testing.assert_allclose(bilinear(PRODUCT, a, b), product, atol=1e-15)
    np.testing.assert_allclose(cross(a[:3], v), np.cross(a[:3], v, axis=0), atol=1e-15)
    np.testing.assert_allclose(bilinear(CROSS, v, a[:3]), np.cross(v, a[:3], axis=0), atol=1e-15)
    axes = rotation.matrix_from_quaternion(as_tensor(a)).numpy()
    np.testing.assert_allclose(np.moveaxis(matrices(a), -1, 0), axes, atol=1e-14)
    turns = rotation.quaternion_from_rotvec(as_tensor(2.0 * v)).numpy().T
    np.testing.assert_allclose(exponential(2.0 * v), turns, atol=1e-15)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 13])
def test_prefix_products_equal_a_loop(count: int) -> None:
    steps = np.random.default_rng(count).normal(size=(4, count, 3))
    steps /= np.linalg.norm(steps, axis=0)
    product, slow = steps[:, 0], [steps[:, 0]]
    for k in range(1, count):
        product = multiply(product, steps[:, k])
        slow.append(product)
    np.testing.assert_allclose(prefix_products(steps), np.stack(slow, axis=1), atol=1e-13)


def test_the_shortest_turn_takes_start_to_end_and_is_short() -> None:
    start, end = unit(1, 3), unit(2, 3)
    turn = shortest_turn(start, end)
    there = np.einsum("ijn,jn->in", matrices(turn), start)
    np.testing.assert_allclose(there, end, atol=1e-14)
    angle = 2.0 * np.arctan2(np.linalg.norm(turn[:3], axis=0), turn[3])
    np.testing.assert_allclose(np.cos(angle), (start * end).sum(0), atol=1e-14)


def test_opposite_vectors_turn_by_half_a_circle() -> None:
    start = np.concatenate((np.eye(3), unit(3, 3)), axis=1)
    there = np.einsum("ijn,jn->in", matrices(shortest_turn(start, -start)), start)
    np.testing.assert_allclose(there, -start, atol=1e-12)


def test_no_turn_is_the_identity_and_zeros_stay() -> None:
    np.testing.assert_array_equal(exponential(np.zeros((3, 2))), [[0, 0]] * 3 + [[1, 1]])
    np.testing.assert_array_equal(normalized(np.zeros((3, 1))), np.zeros((3, 1)))
