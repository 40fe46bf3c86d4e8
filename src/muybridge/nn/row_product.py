"""One vector times a matrix, at the speed of memory.

    y = x W^T = sum_k x_k (W^T)_k        a weighted sum of the K rows of W^T: an embedding bag

A token of greedy decoding reads every weight once and multiplies it once, so nothing counts but the
bytes a second. MKL's product of one row reads 17 GB/s from matrices stored by rows and 22 GB/s by
columns; torch's embedding-bag kernel (FBGEMM) fetches the rows ahead and reads 35 GB/s, close to
what a plain sum over memory reaches (40; one thread of the machine of docs/speed.md).

K inputs, N outputs, S parts of a row, one for each thread.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["BagIndex", "RowProduct", "parts_of"]


def parts_of(outputs: int) -> int:
    """How many bags share the work: as many as threads, if they divide the outputs evenly."""
    threads = torch.get_num_threads()
    return threads if outputs % threads == 0 else 1


class BagIndex:
    """Which rows of a table make up which bag; the rows of W^T are cut into S parts.

    Args:
        inputs: K.
        parts: S; a bag runs on one thread.
    """

    def __init__(self, inputs: int, parts: int) -> None:
        self.parts = parts
        rows, part = torch.arange(inputs) * parts, torch.arange(parts)
        self.rows = (rows + part[:, None]).flatten()
        self.starts = part * inputs

    def weights(self, x: Float[Tensor, "k"]) -> Float[Tensor, "sk"]:
        """The input, once for every part."""
        return x if self.parts == 1 else x.repeat(self.parts)


class RowProduct:
    """Products of single vectors with one matrix on the CPU.

    Args:
        columns: W^T, contiguous; it is read where it lies, not copied.
    """

    def __init__(self, columns: Float[Tensor, "k n"]) -> None:
        assert columns.is_contiguous(), "the rows of W^T must lie one behind the other"
        inputs, outputs = columns.shape
        self.index = BagIndex(inputs, parts_of(outputs))
        self.table = columns.view(inputs * self.index.parts, -1)

    def __call__(self, x: Float[Tensor, "k"]) -> Float[Tensor, "n"]:
        """x W^T; no gradient."""
        index = self.index
        made, *_ = torch._embedding_bag_forward_only(
            self.table, index.rows, index.starts, False, 0, False, index.weights(x)
        )
        return made.view(-1)
