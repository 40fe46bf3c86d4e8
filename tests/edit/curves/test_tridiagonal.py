"""Cyclic reduction against dense solves."""

import pytest
import torch

from muybridge.edit.curves.tridiagonal import reduce_blocks, solve, solve_cyclic


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8, 17, 64])
def test_equals_a_dense_solve(rows: int) -> None:
    below, above = torch.rand(2, rows, dtype=torch.float64)
    diagonal = 2.5 + torch.rand(rows, dtype=torch.float64)
    right = torch.randn(rows, 2, 3, dtype=torch.float64)
    dense = torch.diag(diagonal) + torch.diag(below[1:], -1) + torch.diag(above[:-1], 1)
    wanted = torch.linalg.solve(dense, right.flatten(1)).reshape(right.shape)
    found = solve(below, diagonal, above, right)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)
    if rows >= 3:
        dense[0, -1], dense[-1, 0] = below[0], above[-1]
        wanted = torch.linalg.solve(dense, right.flatten(1)).reshape(right.shape)
        found = solve_cyclic(below, diagonal, above, right)
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("rows", [1, 2, 5, 13])
def test_blocks_equal_a_dense_solve(rows: int) -> None:
    below, above = torch.randn(2, rows, 4, 3, 3, dtype=torch.float64) * 0.3
    diagonal = torch.randn(rows, 4, 3, 3, dtype=torch.float64) * 0.3 + 4.0 * torch.eye(3)
    right = torch.randn(rows, 4, 3, 2, dtype=torch.float64)
    found = reduce_blocks(below, diagonal, above).solve(right)
    for batch in range(4):
        dense = torch.zeros(rows, 3, rows, 3, dtype=torch.float64)
        for i in range(rows):
            dense[i, :, i] = diagonal[i, batch]
            if i:
                dense[i, :, i - 1], dense[i - 1, :, i] = below[i, batch], above[i - 1, batch]
        wanted = torch.linalg.solve(dense.reshape(3 * rows, -1), right[:, batch].flatten(0, 1))
        torch.testing.assert_close(found[:, batch].flatten(0, 1), wanted, rtol=0, atol=1e-13)
