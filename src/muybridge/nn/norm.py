"""Normalisation over the last axis: LayerNorm and RMSNorm.

What differs from `torch.nn`: RMSNorm computes in at least float32 and rounds to the input's type
BEFORE it multiplies by its weight, as Meta's and Hugging Face's LLaMA do; `torch.nn.RMSNorm`
multiplies first, which in bfloat16 gives other last bits.

D width of the last axis.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["NormKind", "RMSNorm", "make_norm"]

NormKind = Literal["layernorm", "rmsnorm"]


class RMSNorm(nn.Module):
    """Divide by the root mean square, then scale each channel: y = w * x / sqrt(mean(x^2) + eps).

    Trap: Meta's LLaMA 1 was trained with eps 1e-6, LLaMA 2 and 3 with 1e-5.

    Args:
        width: Channels D.
        epsilon: Added to the mean square, inside the root.
    References:
        Zhang & Sennrich, Root Mean Square Layer Normalization, arXiv 1910.07467.
    """

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Normalise each vector."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.epsilon)
        return self.weight * wide.to(x.dtype)

    def extra_repr(self) -> str:
        """Width and epsilon."""
        return f"{self.weight.shape[0]}, epsilon={self.epsilon}"


def make_norm(kind: NormKind, width: int, epsilon: float) -> nn.Module:
    """A LayerNorm with weight and bias (arXiv 1607.06450), or an RMSNorm with a weight."""
    return RMSNorm(width, epsilon) if kind == "rmsnorm" else nn.LayerNorm(width, eps=epsilon)
