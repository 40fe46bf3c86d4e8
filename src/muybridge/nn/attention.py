"""Multi-head attention whose queries may share keys: MHA, GQA and MQA are one formula.

With H query heads and G key/value heads: G = H is multi-head attention, 1 < G < H grouped-query,
G = 1 multi-query attention. The cache holds 2 G K numbers a token, so G sets its size.

B batch, T time, S keys, D width, H query heads, G key/value heads, K channels of a head.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from muybridge.errors import InputError
from muybridge.nn.cache import LayerCache
from muybridge.nn.reach import Reach, attend
from muybridge.nn.rope import Rotation

__all__ = ["Attention", "GroupedAttention"]


@dataclass(frozen=True)
class GroupedAttention:
    """Shape of the attention; `bias` on all four projections (GPT-2) or none (LLaMA)."""

    heads: int
    key_value_heads: int
    head_width: int
    bias: bool = False

    def __post_init__(self) -> None:
        if self.heads % self.key_value_heads:
            raise InputError(
                f"expected heads in whole groups, got {self.heads} for {self.key_value_heads} "
                "key/value heads; choose a divisor"
            )

    @property
    def cache_shapes(self) -> tuple[tuple[int, int], ...]:
        """Heads and channels of the keys and of the values."""
        return ((self.key_value_heads, self.head_width),) * 2


class Attention(nn.Module):
    """y = W_o concat_h softmax(q_h k_g^T / sqrt(K)) v_g, with g the group of head h.

    Args:
        width: D of input and output.
        shape: Heads.
    References:
        Vaswani et al., arXiv 1706.03762; Shazeer, MQA, arXiv 1911.02150; Ainslie et al., GQA,
        arXiv 2305.13245.
    """

    def __init__(self, width: int, shape: GroupedAttention) -> None:
        super().__init__()
        self.shape = shape
        queries = shape.heads * shape.head_width
        keys = shape.key_value_heads * shape.head_width
        self.query = nn.Linear(width, queries, bias=shape.bias)
        self.key = nn.Linear(width, keys, bias=shape.bias)
        self.value = nn.Linear(width, keys, bias=shape.bias)
        self.output = nn.Linear(queries, width, bias=shape.bias)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        over: Reach,
        rotation: Rotation | None = None,
        cache: LayerCache | None = None,
        memory: Float[Tensor, "b s d"] | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Attend; with a cache, also to what it holds, and leave the new tokens in it.

        Args:
            x: What asks.
            over: Which keys each token may see.
            rotation: Of the positions of `x`; None: no rotary positions.
            cache: Keys and values of the past.
            memory: What is asked, if not `x` itself: an encoder's states.
        """
        head_width = self.shape.head_width
        asked = x if memory is None else memory
        q_bhtk, k_bgtk, v_bgtk = (
            project(source).unflatten(-1, (-1, head_width)).transpose(1, 2)
            for project, source in ((self.query, x), (self.key, asked), (self.value, asked))
        )
        if rotation is not None:
            q_bhtk, k_bgtk = rotation.turn(q_bhtk), rotation.turn(k_bgtk)
        if cache is not None:
            k_bgtk, v_bgtk = cache.append(k_bgtk, v_bgtk)
        y_bhtk = attend(q_bhtk, k_bgtk, v_bgtk, over, head_width**-0.5)
        return self.output(y_bhtk.transpose(1, 2).flatten(2))
