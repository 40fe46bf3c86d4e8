"""The dense feed-forward layer of a block: two matrices, or three with a gate.

"mlp":   y = W_down f(W_up x)                  GPT-2, GPT-3: f = GELU; the 2017 Transformer: ReLU
"gated": y = W_down (f(W_gate x) * W_up x)     SwiGLU with f = SiLU: LLaMA, DeepSeek

Trap: OpenAI's GELU is the tanh approximation; the exact one differs by up to 5e-4.

B batch, T time, D width, F inner width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from muybridge.nn.activation import ACTIVATIONS, ActivationName

__all__ = ["DenseFeedForward", "FeedForward", "llama_inner_width"]


@dataclass(frozen=True)
class DenseFeedForward:
    """Shape of a dense feed-forward layer."""

    inner_width: int
    kind: Literal["mlp", "gated"] = "gated"
    activation: ActivationName = "silu"
    bias: bool = False


class FeedForward(nn.Module):
    """One hidden layer, with or without a gate.

    Args:
        width: D of input and output.
        shape: Inner width, gate, activation and bias.
    References:
        Shazeer, GLU Variants Improve Transformer, arXiv 2002.05202.
    """

    def __init__(self, width: int, shape: DenseFeedForward) -> None:
        super().__init__()
        self.shape = shape
        self.activate = ACTIVATIONS[shape.activation]
        if shape.kind == "gated":
            self.gate = nn.Linear(width, shape.inner_width, bias=shape.bias)
        self.up = nn.Linear(width, shape.inner_width, bias=shape.bias)
        self.down = nn.Linear(shape.inner_width, width, bias=shape.bias)

    def forward(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        """Each token on its own."""
        if self.shape.kind == "gated":
            return self.down(self.activate(self.gate(x)) * self.up(x))
        return self.down(self.activate(self.up(x)))


def llama_inner_width(width: int, multiple_of: int = 256, factor: float = 1.0) -> int:
    """LLaMA's F: two thirds of 4 D (three matrices for the price of two), rounded up.

    Args:
        width: D.
        multiple_of: F becomes a multiple of this.
        factor: `ffn_dim_multiplier`, 1.3 for LLaMA 2 70B and LLaMA 3 8B.
    """
    inner = int(int(8 * width / 3) * factor)
    return -(-inner // multiple_of) * multiple_of
