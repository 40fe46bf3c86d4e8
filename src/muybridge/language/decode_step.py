"""One token of one text, as fast as memory gives the weights.

`Decoder.forward` serves any batch and length; for one token most of its time is MKL's slow product
with one row, and Python. Here the matrices that read the same input lie behind one another in one
table, each table is read by `RowProduct`, and a block is some 25 operations on vectors. Nothing is
stored twice: the parameters of the decoder become views of the tables.

The step serves dense decoders with grouped attention and their norms first (GPT-2, GPT-3, LLaMA);
`generate` takes it for a single text and runs `forward` for all else.

D width, H query heads, G key/value heads, K channels of a head, N outputs, S keys, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from muybridge.language.decoder import Block, Decoder, DecoderCache
from muybridge.nn.attention import Attention
from muybridge.nn.feedforward import FeedForward
from muybridge.nn.int8 import Int8Linear
from muybridge.nn.norm import RMSNorm
from muybridge.nn.rope import rotation
from muybridge.nn.row_product import RowProduct

__all__ = ["DecodeStep", "turn_for_decoding"]

Vector = Callable[[Tensor], Tensor]


@torch.no_grad()
def turn_for_decoding(decoder: Decoder) -> None:
    """Store every matrix by columns, those that read the same input behind one another.

    Values and shapes stay, and files are written as ever; `generate` then runs `DecodeStep` where
    it can. The decoder is put in evaluation mode; `decoder.train()` undoes all, because torch's
    fused optimisers step over memory and would mix matrices that lie side by side.
    """
    decoder.eval()
    serves = DecodeStep.serves(decoder)
    rest = {id(m): m for m in decoder.modules() if isinstance(m, nn.Linear)}
    for module in decoder.modules() if serves else ():
        for group in _groups(module):
            if all(isinstance(m, nn.Linear) for m in group):
                _fuse([rest.pop(id(m)).weight for m in group])
    for weight in (*(m.weight for m in rest.values()), decoder.head_weight):
        if not weight.T.is_contiguous():
            weight.data = weight.data.T.contiguous().T
    decoder.step = DecodeStep(decoder) if serves else None


def _groups(module: nn.Module) -> list[list[nn.Module]]:
    """Projections of a layer that read the same input."""
    if isinstance(module, Attention):
        return [[module.query, module.key, module.value]]
    if isinstance(module, FeedForward) and module.shape.kind == "gated":
        return [[module.gate, module.up]]
    return []


def _fuse(weights: Sequence[Tensor]) -> None:
    """Let the weights be views of one table, side by side."""
    table = torch.cat([w.data.T for w in weights], dim=1)
    for weight, columns in zip(weights, table.split([len(w) for w in weights], 1), strict=True):
        weight.data = columns.T


def _table(weights: Sequence[Tensor]) -> Tensor:
    """The table that `_fuse` made of them, (K, N)."""
    first, outputs = weights[0].T, sum(len(w) for w in weights)
    return first.as_strided((len(first), outputs), (outputs, 1))


def _product(modules: Sequence[nn.Module]) -> Vector:
    """All outputs of some projections of one vector, biases added."""
    if isinstance(modules[0], Int8Linear):
        parts: list[Vector] = [m.row for m in modules if isinstance(m, Int8Linear)]
        return parts[0] if len(parts) == 1 else lambda x: torch.cat([part(x) for part in parts])
    linears = [m for m in modules if isinstance(m, nn.Linear)]
    product = RowProduct(_table([m.weight for m in linears]))
    if linears[0].bias is None:
        return product
    bias = torch.cat([m.bias for m in linears])
    return lambda x: product(x).add_(bias)


def _norm(module: nn.Module) -> Vector:
    if isinstance(module, RMSNorm):
        weight, width, epsilon = module.weight, len(module.weight), module.epsilon
        # the scale as a Python number: three small calls instead of six
        return lambda x: torch.mul(x, (x.dot(x).item() / width + epsilon) ** -0.5).mul_(weight)
    assert isinstance(module, nn.LayerNorm)
    scale, bias, eps, shape = module.weight, module.bias, module.eps, module.normalized_shape
    return lambda x: torch.layer_norm(x, shape, scale, bias, eps)


@dataclass(frozen=True)
class _Layer:
    """A block as functions of vectors."""

    attention_norm: Vector
    project: Vector
    output: Vector
    feedforward_norm: Vector
    inner: Vector
    activate: Vector
    gated: bool
    down: Vector
    window: int | None


def _layer(block: Block, window: int | None) -> _Layer:
    attention, feed = block.attention, block.feedforward
    assert isinstance(attention, Attention)
    assert isinstance(feed, FeedForward)
    gated = feed.shape.kind == "gated"
    return _Layer(
        _norm(block.attention_norm),
        _product([attention.query, attention.key, attention.value]),
        _product([attention.output]),
        _norm(block.feedforward_norm),
        _product([feed.gate, feed.up] if gated else [feed.up]),
        feed.activate,
        gated,
        _product([feed.down]),
        window,
    )


class DecodeStep:
    """The logits that follow one more token of a single text.

    Args:
        decoder: After `turn_for_decoding`; later changes of its weights in place are seen.
    """

    def __init__(self, decoder: Decoder) -> None:
        config = decoder.config
        self.config = config
        self.embedding = decoder.embedding.weight
        self.position = decoder.position.weight if config.position == "learned" else None
        self.frequencies = decoder.frequencies if config.rope is not None else None
        windows = (None, config.window)  # odd blocks are banded
        self.layers = [
            _layer(block, windows[i % 2])
            for i, block in enumerate(decoder.blocks)
            if isinstance(block, Block)
        ]
        self.norm = _norm(decoder.norm)
        head = getattr(decoder, "head", None)
        self.head = _product([head]) if head is not None else RowProduct(self.embedding.T)
        self.turns = self.embedding.new_empty(2, 0, config.rotary_width)
        self._places = _places(decoder)

    @staticmethod
    def serves(decoder: Decoder) -> bool:
        """Whether a decoder is of the kind that this step knows."""
        config = decoder.config
        attention = all(isinstance(b.attention, Attention) for b in decoder.blocks)
        feed = all(isinstance(b.feedforward, FeedForward) for b in decoder.blocks)
        weight = decoder.embedding.weight
        return (
            attention
            and feed
            and config.norm_place == "before"
            and config.position != "sinusoidal"
            and weight.device.type == "cpu"
            and weight.dtype in (torch.float32, torch.float64)
        )

    def current(self, decoder: Decoder) -> bool:
        """Whether the decoder's weights still lie where this step reads them."""
        return self._places == _places(decoder)

    @torch.inference_mode()
    def __call__(self, token: int, cache: DecoderCache) -> Float[Tensor, "v"]:
        """Read a token, leave its keys and values in the cache, and predict the next one.

        Args:
            token: Its id.
            cache: Of a batch of one, without padding, with room for one more.
        """
        past = cache.length
        x = self.embedding[token].clone()
        if self.position is not None:
            x += self.position[past]
        turn = self._turn(past, cache.layers[0].stores[0].shape[2])
        for layer, held in zip(self.layers, cache.layers, strict=True):
            made = layer.project(layer.attention_norm(x))
            x += layer.output(self._attend(made, layer, held.stores, past, turn))
            held.length = past + 1
            inner = layer.inner(layer.feedforward_norm(x))
            if layer.gated:
                gate, up = inner.view(2, -1)
                inner = layer.activate(gate).mul_(up)
            else:
                inner = layer.activate(inner)
            x += layer.down(inner)
        return self.head(self.norm(x))

    def _attend(
        self,
        made: Tensor,
        layer: _Layer,
        stores: tuple[Tensor, ...],
        past: int,
        turn: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """Attention of the new token to all held ones and itself; (H K)."""
        shape = self.config.attention
        heads, groups = shape.heads, stores[0].shape[1]
        made = made.view(heads + 2 * groups, -1)
        turned = made[: heads + groups]
        if turn is not None:
            turned = (turned * turn[0]).addcmul_(self._swapped(turned), turn[1])
        keys, values = stores
        keys[0, :, past] = turned[heads:]
        values[0, :, past] = made[heads + groups :]
        first = 0 if layer.window is None else max(0, past + 1 - layer.window)
        y = functional.scaled_dot_product_attention(
            turned[None, :heads, None],
            keys[:, :, first : past + 1],
            values[:, :, first : past + 1],
            enable_gqa=heads != groups,
        )
        return y.view(-1)

    def _swapped(self, x: Tensor) -> Tensor:
        """Both channels of every pair, exchanged."""
        pairs = x.shape[-1] // 2
        half = self.config.rope is not None and self.config.rope.layout == "half"
        if half:
            return x.view(-1, 2, pairs).flip(1).view(x.shape)
        return x.view(-1, pairs, 2).flip(2).view(x.shape)

    def _turn(self, past: int, room: int) -> tuple[Tensor, Tensor] | None:
        """Cosines, and sines with the sign of `_swapped`, of each channel at this position."""
        rope = self.config.rope
        if rope is None or self.frequencies is None:
            return None
        if self.turns.shape[1] <= past:
            places = torch.arange(max(room, past + 1))[None]
            made = rotation(places, self.frequencies, rope, self.embedding.dtype)
            cosine, sine = made.cosine[0, 0], made.sine[0, 0]
            axis = -2 if rope.layout == "half" else -1
            both = [torch.stack(p, axis).flatten(1) for p in ((cosine, cosine), (-sine, sine))]
            self.turns = torch.stack(both)
        return self.turns[0, past], self.turns[1, past]


def _places(decoder: Decoder) -> list[int]:
    return [p.data_ptr() for p in (*decoder.parameters(), *decoder.buffers())]
