"""Tridiagonal systems by parallel cyclic reduction: logarithmically many steps, none over the rows.

Each step eliminates the neighbours at distance 1, 2, 4, ... from every row at once, so a system of
n rows takes ceil(log2 n) steps of plain tensor products, batched over channels and seen by
autograd. Without pivoting; stable for the diagonally dominant systems of splines.

Legend: n rows, m size of a block, c channels.

References:
    Hockney & Jesshope, Parallel Computers 2, 1988, section 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Reduced", "reduce_blocks", "solve", "solve_cyclic"]


def _shifted(rows: Tensor, by: int) -> Tensor:
    """Row i - by in place of row i; zeros where there is none."""
    empty = torch.zeros_like(rows[: abs(by)])
    return torch.cat((empty, rows[:-by])) if by > 0 else torch.cat((rows[-by:], empty))


def solve(
    below: Float[Tensor, "n"],
    diagonal: Float[Tensor, "n"],
    above: Float[Tensor, "n"],
    right: Float[Tensor, "n *c"],
) -> Float[Tensor, "n *c"]:
    """Solve  below_i x_(i-1) + diagonal_i x_i + above_i x_(i+1) = right_i  for every channel.

    `below[0]` and `above[-1]` are not used.
    """
    blocks = (row.reshape(-1, 1, 1) for row in (below, diagonal, above))
    return reduce_blocks(*blocks).solve(right.reshape(len(right), 1, -1)).reshape(right.shape)


def solve_cyclic(
    below: Float[Tensor, "n"],
    diagonal: Float[Tensor, "n"],
    above: Float[Tensor, "n"],
    right: Float[Tensor, "n *c"],
) -> Float[Tensor, "n *c"]:
    """The same where row 0 also reads x_(n-1) by below[0], and row n - 1 reads x_0 by above[-1].

    The corners are a matrix of rank one on top of a tridiagonal one (Sherman-Morrison); n >= 3.
    """
    flat = right.reshape(len(right), -1)
    corner = -diagonal[0]
    ends = torch.zeros_like(diagonal).index_fill(0, torch.tensor([0]), 1.0)
    column = torch.cat((corner.reshape(1), torch.zeros_like(diagonal[2:]), above[-1:]))
    weight = below[0] / corner
    last = diagonal[-1] - above[-1] * weight
    plain = torch.cat(((diagonal[0] - corner).reshape(1), diagonal[1:-1], last.reshape(1)))
    both = solve(below, plain, above, torch.cat((flat, column.unsqueeze(-1)), dim=-1))
    x, z = both[:, :-1], both[:, -1:]
    row = ends.unsqueeze(-1)
    share = ((row * x).sum(0) + weight * x[-1]) / (1.0 + (row * z).sum() + weight * z[-1, 0])
    return (x - z * share).reshape(right.shape)


@dataclass(frozen=True)
class Reduced:
    """A block tridiagonal matrix, factored once for many right sides.

    Attributes:
        steps: Of each reduction step the distance, and what takes the row so far below and above.
        inverse: Of the diagonal blocks that remain.
    """

    steps: tuple[tuple[int, Tensor, Tensor], ...]
    inverse: Float[Tensor, "n *b m m"]

    def solve(self, right: Float[Tensor, "n *b m c"]) -> Float[Tensor, "n *b m c"]:
        """The solution for one right side (c columns)."""
        for by, low, high in self.steps:
            right = right + low @ _shifted(right, by) + high @ _shifted(right, -by)
        return self.inverse @ right


def reduce_blocks(
    below: Float[Tensor, "n *b m m"],
    diagonal: Float[Tensor, "n *b m m"],
    above: Float[Tensor, "n *b m m"],
) -> Reduced:
    """Factor a block tridiagonal matrix; any batch axes may lie between rows and blocks."""
    first = torch.zeros_like(below[:1])
    below, above = torch.cat((first, below[1:])), torch.cat((above[:-1], first))
    steps, by = [], 1
    while by < len(diagonal):
        inverse = _inverse(diagonal)
        low = -below @ _shifted(inverse, by)
        high = -above @ _shifted(inverse, -by)
        diagonal = diagonal + low @ _shifted(above, by) + high @ _shifted(below, -by)
        below, above = low @ _shifted(below, by), high @ _shifted(above, -by)
        steps.append((by, low, high))
        by *= 2
    return Reduced(tuple(steps), _inverse(diagonal))


def _inverse(blocks: Tensor) -> Tensor:
    return 1.0 / blocks if blocks.shape[-1] == 1 else torch.linalg.inv(blocks)
