"""Sinusoids as the paper writes them."""

import math

import torch

from muybridge.nn.position import sinusoids


def test_sinusoids_are_the_papers() -> None:
    table = sinusoids(50, 8)
    for p, i in ((0, 0), (7, 2), (49, 3)):
        angle = p / 10_000 ** (2 * i / 8)
        expected = torch.tensor([math.sin(angle), math.cos(angle)])
        torch.testing.assert_close(table[p, 2 * i : 2 * i + 2], expected, rtol=0, atol=1e-5)


def test_a_shift_is_a_fixed_rotation() -> None:
    """Why the paper chose them: the products of positions depend on their distance alone."""
    table = sinusoids(100, 16)
    torch.testing.assert_close(table[3] @ table[10], table[50] @ table[57], rtol=0, atol=1e-4)
