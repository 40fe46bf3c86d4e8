"""What tells one decoder from another, as plain data: a family is one value of it.

D width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from muybridge.errors import InputError
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.feedforward import DenseFeedForward
from muybridge.nn.latent import LatentAttention
from muybridge.nn.moe import Mixture
from muybridge.nn.norm import NormKind
from muybridge.nn.rope import Rope

__all__ = ["DecoderConfig"]


@dataclass(frozen=True)
class DecoderConfig:
    """Everything that tells one decoder from another.

    Attributes:
        vocabulary: V.
        width: D.
        layers: Blocks.
        context: Longest text it is made for; learned positions allow no more.
        attention: Grouped (MHA, GQA, MQA) or latent (MLA).
        feedforward: The dense layer of a block.
        mixture: Experts instead of the dense layer, from block `dense_layers` on.
        dense_layers: Leading blocks that stay dense.
        norm: LayerNorm (weight and bias) or RMSNorm.
        norm_epsilon: Its epsilon.
        norm_place: "before" each sub-layer, with one more norm at the end; or "after" the sum
            of residual and sub-layer, as in 2017.
        position: Learned table, sinusoids, or rotation (then `rope` is given).
        rope: Frequencies and layout of the rotation.
        tied: The head is the embedding.
        window: Odd blocks see only this many tokens (GPT-3's locally banded layers).
        predictions: Modules that predict further tokens (DeepSeek-V3: 1).
        deviation: Standard deviation of the initial weights.
        scale_residual: Divide the deviation of what writes into the residual by sqrt(2 layers).
    """

    vocabulary: int
    width: int
    layers: int
    context: int
    attention: GroupedAttention | LatentAttention
    feedforward: DenseFeedForward
    mixture: Mixture | None = None
    dense_layers: int = 0
    norm: NormKind = "rmsnorm"
    norm_epsilon: float = 1e-5
    norm_place: Literal["before", "after"] = "before"
    position: Literal["learned", "sinusoidal", "rotary"] = "rotary"
    rope: Rope | None = None
    tied: bool = False
    window: int | None = None
    predictions: int = 0
    deviation: float = 0.02
    scale_residual: bool = False

    def __post_init__(self) -> None:
        sizes = (self.vocabulary, self.width, self.layers, self.context)
        if min(*sizes, self.window or 1) < 1 or min(self.dense_layers, self.predictions) < 0:
            raise InputError(
                f"expected vocabulary, width, layers and context of at least 1, got {sizes}, or a "
                "negative number elsewhere; correct the configuration"
            )
        if not 0 < self.norm_epsilon < 1:
            raise InputError(
                f"expected norm_epsilon between 0 and 1, got {self.norm_epsilon}; 1e-5 is usual"
            )
        latent = isinstance(self.attention, LatentAttention)
        if (self.rope is not None) != (self.position == "rotary") or (latent and not self.rope):
            raise InputError(
                f"expected rope for rotary positions and for them alone, got {self.position} "
                f"positions and {self.rope}; latent attention needs rotary ones"
            )
        if self.rotary_width % 2:
            raise InputError(
                f"expected an even number of channels to rotate, got {self.rotary_width}; "
                "change the width of a head"
            )

    @property
    def rotary_width(self) -> int:
        """Channels of a head that are rotated."""
        if isinstance(self.attention, LatentAttention):
            return self.attention.rope_width
        return self.attention.head_width

    def mixture_of(self, layer: int) -> Mixture | None:
        """The experts of a block; None where it is dense."""
        return self.mixture if layer >= self.dense_layers else None
