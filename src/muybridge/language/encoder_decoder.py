"""The Transformer of 2017: an encoder reads the source, a decoder writes the target.

Post-norm, ReLU, sinusoids, biases everywhere, one matrix for both embeddings and the head, as in
the paper; no dropout. The layers are those of `Decoder`; only cross-attention is added.

Traps of the references: a True in `nn.MultiheadAttention`'s mask blocks, in ours it keeps;
`torch.nn.Transformer` adds a norm after the last layer of each stack, the paper does not;
embeddings are multiplied by sqrt(D), the shared head is not.

B batch, S source tokens, T target tokens, D width, V vocabulary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.nn.attention import Attention, GroupedAttention
from muybridge.nn.cache import LayerCache
from muybridge.nn.feedforward import DenseFeedForward, FeedForward
from muybridge.nn.position import sinusoids
from muybridge.nn.reach import Reach, reach

__all__ = ["EncoderDecoder", "EncoderDecoderConfig"]


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """Sizes; the defaults are the paper's base model but for its vocabulary."""

    vocabulary: int
    width: int = 512
    layers: int = 6
    heads: int = 8
    inner_width: int = 2048
    context: int = 1024

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(
                f"expected a width that is a multiple of the heads, got {self.width} and "
                f"{self.heads}; change one of them"
            )

    @property
    def attention(self) -> GroupedAttention:
        """Of every sub-layer."""
        return GroupedAttention(self.heads, self.heads, self.width // self.heads, bias=True)


class Layer(nn.Module):
    """Self-attention, in the decoder cross-attention, feed-forward: x = norm(x + sublayer(x))."""

    def __init__(self, config: EncoderDecoderConfig, *, crossed: bool) -> None:
        super().__init__()
        width = config.width
        self.attention = Attention(width, config.attention)
        self.attention_norm = nn.LayerNorm(width)
        self.crossed = crossed
        if crossed:
            self.cross = Attention(width, config.attention)
            self.cross_norm = nn.LayerNorm(width)
        shape = DenseFeedForward(config.inner_width, "mlp", "relu", bias=True)
        self.feedforward = FeedForward(width, shape)
        self.feedforward_norm = nn.LayerNorm(width)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        over: Reach,
        memory: Float[Tensor, "b s d"] | None = None,
        source: Reach | None = None,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "b t d"]:
        """The states after this layer."""
        x = self.attention_norm(x + self.attention(x, over, None, cache))
        if self.crossed:
            assert source is not None, "a decoder's layer reads an encoder's states"
            x = self.cross_norm(x + self.cross(x, source, memory=memory))
        return self.feedforward_norm(x + self.feedforward(x))


class EncoderDecoder(nn.Module):
    """A model of target texts given source texts.

    Args:
        config: Sizes.
    References:
        Vaswani et al., Attention Is All You Need, arXiv 1706.03762.
    """

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.table = sinusoids(config.context, config.width)
        self.embedding = nn.Embedding(config.vocabulary, config.width)
        self.encoder = nn.ModuleList(Layer(config, crossed=False) for _ in range(config.layers))
        self.decoder = nn.ModuleList(Layer(config, crossed=True) for _ in range(config.layers))
        nn.init.normal_(self.embedding.weight, std=config.width**-0.5)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def _embed(self, tokens: Int[Tensor, "b t"], first: int = 0) -> Float[Tensor, "b t d"]:
        end = first + tokens.shape[1]
        if end > self.config.context:
            raise InputError(
                f"expected at most {self.config.context} tokens, the context of this model, "
                f"got {end}; shorten the text"
            )
        x = self.embedding(tokens) * math.sqrt(self.config.width)
        return x + self.table[first:end].to(x)

    def encode(
        self, source: Int[Tensor, "b s"], real: Bool[Tensor, "b s"] | None = None
    ) -> Float[Tensor, "b s d"]:
        """States of the source; `real` is False where a token is padding."""
        x = self._embed(source)
        for layer in self.encoder:
            x = layer(x, _over(real, source.shape[1]))
        return x

    def decode(
        self,
        target: Int[Tensor, "b t"],
        memory: Float[Tensor, "b s d"],
        real: Bool[Tensor, "b s"] | None = None,
        caches: list[LayerCache] | None = None,
    ) -> Float[Tensor, "b t v"]:
        """Logits of the token after each of the target's, which begins with a start token.

        Args:
            target: The target so far, or what follows the part that `caches` hold.
            memory: From `encode`.
            real: Of the source.
            caches: One a layer, remembers this call's tokens for the next.
        """
        time = target.shape[1]
        past = caches[0].length if caches else 0
        x, over = self._embed(target, past), reach(time, past + time, device=target.device)
        source = _over(real, time)
        for i, layer in enumerate(self.decoder):
            x = layer(x, over, memory, source, caches[i] if caches else None)
        return functional.linear(x, self.embedding.weight)

    def forward(
        self,
        source: Int[Tensor, "b s"],
        target: Int[Tensor, "b t"],
        real: Bool[Tensor, "b s"] | None = None,
    ) -> Float[Tensor, "b t v"]:
        """`decode` of `encode`, as in training."""
        return self.decode(target, self.encode(source, real), real)

    @torch.no_grad()
    def translate(
        self,
        source: Int[Tensor, "b s"],
        start: int,
        new_tokens: int,
        real: Bool[Tensor, "b s"] | None = None,
    ) -> Int[Tensor, "b n"]:
        """The most probable next token, again and again; without the start token."""
        memory, batch = self.encode(source, real), source.shape[0]
        shapes = self.config.attention.cache_shapes
        caches = [
            LayerCache(batch, new_tokens, shapes, memory.dtype, memory.device) for _ in self.decoder
        ]
        token = torch.full((batch, 1), start, device=source.device)
        found = []
        for _ in range(new_tokens):
            token = self.decode(token, memory, real, caches)[:, -1:].argmax(-1)
            found.append(token)
        return torch.cat(found, dim=1)


def _over(real: Bool[Tensor, "b s"] | None, queries: int) -> Reach:
    """All of the source but its padding."""
    if real is None:
        return Reach()
    return Reach(mask=real[:, None, None, :].expand(-1, 1, queries, -1))
