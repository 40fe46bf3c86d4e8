"""What a decoder costs, from its configuration alone: parameters, FLOPs and memory.

Parameters are exact (the tests count the modules' own, on the meta device). FLOPs follow PaLM's
appendix B: 2 for each multiply-add, the backward pass twice the forward one, attention over all T
positions counted in full as the papers do, recomputation not counted. Memory is an estimate of what
must be held, in bytes; no allocator's overhead.

A published count means one thing a paper: GPT-3's 175,181,291,520 of the popular calculation are
its matrices with an untied head (`matrices_untied`); the model itself has 174,604,259,328.

D width, L layers, T tokens, V vocabulary, E experts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from muybridge.language.decoder import DecoderConfig
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.latent import LatentAttention
from muybridge.nn.moe import Mixture

__all__ = [
    "ModelCounts",
    "Part",
    "count_decoder",
    "count_parts",
]


@dataclass(frozen=True)
class Part:
    """One line of the table: a kind of weight, how many in all, and how many one token uses.

    Attributes:
        name: What it is, as in "attention.query".
        parameters: In the whole model.
        active: Of these, used by any one token.
        matrix: Counts as a matrix (not a norm, bias or position).
    """

    name: str
    parameters: int
    active: int
    matrix: bool = True


@dataclass(frozen=True)
class ModelCounts:
    """The costs of one decoder.

    Attributes:
        parts: Parameters by kind, without the prediction modules.
        parameters: Their sum.
        active: Parameters that one token uses, embedding and head included.
        matrices_untied: Matrices alone, the head counted even if it is tied.
        buffers: Routing biases, which are no parameters.
        prediction: Parameters of the multi-token-prediction modules.
        forward_flops: To read one token at full context.
        training_flops: Forward and backward of one token at full context.
        cache_per_token: Numbers that the key/value cache holds a token.
        context: Tokens that the per-sequence figures are for.
    """

    parts: tuple[Part, ...]
    parameters: int
    active: int
    matrices_untied: int
    buffers: int
    prediction: int
    forward_flops: int
    training_flops: int
    cache_per_token: int
    context: int
    width: int
    layers: int
    vocabulary: int

    def cache_bytes(self, tokens: int, bytes_each: int = 2) -> int:
        """Key/value cache of one sequence."""
        return self.cache_per_token * tokens * bytes_each

    def optimiser_bytes(self, *, mixed: bool = True) -> int:
        """Weights, gradients and Adam's two moments.

        16 bytes a parameter either way: mixed precision holds 2 + 2 + a float32 copy and moments
        (12); float32 holds 4 + 4 + 8.
        """
        weights, gradients, rest = (2, 2, 12) if mixed else (4, 4, 8)
        return (self.parameters + self.prediction) * (weights + gradients + rest)

    def activation_bytes(
        self, tokens: int, *, checkpoint: bool = False, bytes_each: int = 2
    ) -> int:
        """What a training step keeps for `tokens` tokens, attention scores never stored.

        34 D bytes a token and layer in half precision (arXiv 2205.05198, without the quadratic
        term), 2 D where every block is recomputed and only its input kept; plus float32 logits.
        """
        per_layer = (1 if checkpoint else 17) * self.width * bytes_each
        return tokens * (self.layers * per_layer + 4 * self.vocabulary)

    def total_training_flops(self, tokens: int) -> int:
        """Of a whole run over `tokens` tokens at full context."""
        return self.training_flops * tokens


def _grouped_parts(shape: GroupedAttention, width: int) -> Iterator[tuple[str, int, int]]:
    queries = shape.heads * shape.head_width
    keys = shape.key_value_heads * shape.head_width
    bias = int(shape.bias)
    yield "attention.query", width * queries, bias * queries
    yield "attention.key", width * keys, bias * keys
    yield "attention.value", width * keys, bias * keys
    yield "attention.output", queries * width, bias * width


def _latent_parts(shape: LatentAttention, width: int) -> Iterator[tuple[str, int, int]]:
    head = shape.nope_width + shape.rope_width
    rank = shape.key_value_rank
    if shape.query_rank is None:
        yield "attention.query", width * shape.heads * head, 0
    else:
        yield "attention.query_down", width * shape.query_rank, shape.query_rank
        yield "attention.query_up", shape.query_rank * shape.heads * head, 0
    yield "attention.latent_down", width * (rank + shape.rope_width), rank
    up = shape.heads * (shape.nope_width + shape.value_width)
    yield "attention.latent_up", rank * up, 0
    yield "attention.output", shape.heads * shape.value_width * width, 0


def _dense_parts(config: DecoderConfig) -> Iterator[tuple[str, int, int]]:
    shape, width = config.feedforward, config.width
    bias = int(shape.bias)
    if shape.kind == "gated":
        yield "feedforward.gate", width * shape.inner_width, bias * shape.inner_width
    yield "feedforward.up", width * shape.inner_width, bias * shape.inner_width
    yield "feedforward.down", shape.inner_width * width, bias * width


def _block_parts(config: DecoderConfig, mixture: Mixture | None) -> Iterator[Part]:
    """Parts of one block; the small vectors of each sub-layer are summed up."""
    width = config.width
    if isinstance(config.attention, LatentAttention):
        pieces = list(_latent_parts(config.attention, width))
    else:
        pieces = list(_grouped_parts(config.attention, width))
    if mixture is None:
        pieces += _dense_parts(config)
    for name, matrix, _ in pieces:
        yield Part(name, matrix, matrix)
    if mixture is not None:
        one = 3 * width * mixture.inner_width
        gate = width * mixture.experts
        yield Part("mixture.gate", gate, gate)
        yield Part("mixture.experts", one * mixture.experts, one * mixture.active)
        yield Part("mixture.shared", one * mixture.shared, one * mixture.shared)
    norms = 2 * _norm_size(config)
    small = norms + sum(vector for _, _, vector in pieces)
    yield Part("norms and biases", small, small, matrix=False)


def _norm_size(config: DecoderConfig) -> int:
    return config.width * (2 if config.norm == "layernorm" else 1)


def count_parts(config: DecoderConfig) -> tuple[Part, ...]:
    """Parameters by kind, summed over the layers; prediction modules apart."""
    embedding = config.vocabulary * config.width
    parts = [Part("embedding", embedding, embedding)]
    if config.position == "learned":
        positions = config.context * config.width
        parts.append(Part("position", positions, config.width, matrix=False))
    for layer in range(config.layers):
        parts += _block_parts(config, config.mixture_of(layer))
    if config.norm_place == "before":
        parts.append(Part("norms and biases", _norm_size(config), _norm_size(config), False))
    if not config.tied:
        parts.append(Part("head", embedding, embedding))
    sums: dict[str, Part] = {}
    for part in parts:
        old = sums.get(part.name, Part(part.name, 0, 0, part.matrix))
        sums[part.name] = Part(
            part.name, old.parameters + part.parameters, old.active + part.active, part.matrix
        )
    return tuple(part for part in sums.values() if part.parameters)


def _prediction_size(config: DecoderConfig) -> int:
    block = sum(p.parameters for p in _block_parts(config, config.mixture_of(config.layers)))
    return config.predictions * (block + 2 * config.width**2 + 3 * _norm_size(config))


def _score_width(config: DecoderConfig) -> int:
    """Multiply-adds of scores and weighted sum for one query and one key, all heads."""
    shape = config.attention
    if isinstance(shape, LatentAttention):
        return shape.heads * (shape.nope_width + shape.rope_width + shape.value_width)
    return shape.heads * 2 * shape.head_width


def count_decoder(config: DecoderConfig, tokens: int | None = None) -> ModelCounts:
    """Parameters, FLOPs and cache of a decoder, without building it.

    Args:
        config: Family and size.
        tokens: Length of the text that FLOPs are for; None: the whole context.
    """
    tokens = config.context if tokens is None else tokens
    parts = count_parts(config)
    parameters = sum(part.parameters for part in parts)
    head = config.vocabulary * config.width
    matrices = sum(part.parameters for part in parts if part.matrix)
    multiplied = sum(p.active for p in parts if p.matrix and p.name != "embedding")
    multiplied += head if config.tied else 0
    seen = sum(
        min(tokens, config.window) if config.window and layer % 2 else tokens
        for layer in range(config.layers)
    )
    forward = 2 * multiplied + 2 * seen * _score_width(config)
    mixtures = sum(config.mixture_of(i) is not None for i in range(config.layers))
    biased = config.mixture is not None and config.mixture.gate == "sigmoid"
    return ModelCounts(
        parts=parts,
        parameters=parameters,
        active=sum(part.active for part in parts),
        matrices_untied=matrices + (head if config.tied else 0),
        buffers=mixtures * config.mixture.experts if config.mixture and biased else 0,
        prediction=_prediction_size(config),
        forward_flops=forward,
        training_flops=3 * forward,
        cache_per_token=config.layers * sum(g * k for g, k in config.attention.cache_shapes),
        context=tokens,
        width=config.width,
        layers=config.layers,
        vocabulary=config.vocabulary,
    )
