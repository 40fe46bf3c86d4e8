"""Weights in 8 bits: a quarter of the bytes of float32, so up to four times the decoding speed.

    w_nk ~ low_k + step_k q_nk,   q in 0 .. 255,   step_k = (max_n w_nk - min_n w_nk) / 255

Only weights are rounded; activations and sums stay float32. Each input channel has its own scale
and offset, because FBGEMM's 8-bit embedding bag then gives a product with one row (see
`row_product`). Products with more rows unpack the matrix first. An entry is off by at most half a
step, and so |y - y'| <= sum_k |x_k| step_k / 2.

Measured before this was chosen (110M decoder, weights of a token, one thread): this kernel 5.2 ms,
`torch._weight_int8pack_mm` 6.9 ms with activations rounded to bfloat16, `_int_mm` 6.0 ms and
FBGEMM's dynamic quantisation 4.0 ms with activations rounded to 8 bits as well; float32 12.3 ms.

K inputs, N outputs, S parts of a row, one for each thread.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from muybridge.nn.row_product import BagIndex, parts_of

__all__ = ["Int8Linear"]


class Int8Linear(nn.Module):
    """A linear layer whose weights are stored in 8 bits; for inference on the CPU.

    Args:
        linear: What it stands for; its weights are rounded, its bias is kept.
    References:
        Dettmers et al., LLM.int8(), arXiv 2208.07339 (weights alone need no outlier handling);
        Khudia et al., FBGEMM, arXiv 2101.05615.
    """

    table: UInt8[Tensor, "sk m"]
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        columns = linear.weight.detach().float().T.contiguous()
        self.in_features, self.out_features = columns.shape
        self.index = BagIndex(self.in_features, parts_of(self.out_features))
        rows = columns.view(self.in_features * self.index.parts, -1)
        # each row: N / S bytes, then scale and offset as two float32
        self.register_buffer("table", torch.ops.quantized.embedding_bag_byte_prepack(rows))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach())

    @property
    def weight(self) -> Float[Tensor, "n k"]:
        """The rounded weights, unpacked anew at each call."""
        rows = torch.ops.quantized.embedding_bag_byte_unpack(self.table)
        return rows.view(self.in_features, self.out_features).T

    def row(self, x: Float[Tensor, "k"]) -> Float[Tensor, "n"]:
        """One vector's outputs."""
        index = self.index
        made: Tensor = torch.ops.quantized.embedding_bag_byte_rowwise_offsets(
            self.table, index.rows, index.starts, False, 0, False, index.weights(x), None, False
        )
        made = made.view(-1)
        return made if self.bias is None else made.add_(self.bias)

    def forward(self, x: Float[Tensor, "*n k"]) -> Float[Tensor, "*n m"]:
        """Any number of vectors' outputs; no gradient reaches the weights."""
        if x.numel() == self.in_features and not torch.is_grad_enabled():
            return self.row(x.reshape(-1)).view(*x.shape[:-1], -1)
        return functional.linear(x, self.weight.to(x.dtype), self.bias)

    def extra_repr(self) -> str:
        """Inputs and outputs."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"
