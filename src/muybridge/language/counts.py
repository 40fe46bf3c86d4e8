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
    "CostRow",
    "ModelCounts",
    "Part",
    "cost_rows",
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
        activation_width: Numbers that all blocks keep a token for the backward pass.
        context: Tokens that FLOPs are for.
        width: D.
        layers: L.
        vocabulary: V.
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
    activation_width: int
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
        """What a training step keeps between forward and backward for `tokens` tokens.

        Attention scores are never stored; with `checkpoint` only each block's input is. The
        float32 logits and their gradient are in it, and often dominate a small model.
        """
        kept = self.layers * self.width if checkpoint else self.activation_width
        return tokens * (kept * bytes_each + 8 * self.vocabulary)

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


def _attention_activations(shape: GroupedAttention | LatentAttention) -> int:
    """Numbers kept a token: queries, keys, values, answers, and MLA's compressed forms."""
    if isinstance(shape, GroupedAttention):
        return 2 * (shape.heads + shape.key_value_heads) * shape.head_width
    head = shape.nope_width + shape.rope_width
    expanded = shape.heads * (3 * head + shape.nope_width + 2 * shape.value_width)
    return expanded + 3 * (shape.query_rank or 0) + 3 * shape.key_value_rank + shape.rope_width


def _activation_width(config: DecoderConfig, layer: int) -> int:
    """Numbers that autograd keeps of one block for one token, the block's input included."""
    kept = 2 * config.width * (2 if config.norm == "layernorm" else 3)
    kept += _attention_activations(config.attention)
    mixture, gated = config.mixture_of(layer), config.feedforward.kind == "gated"
    if mixture is None:
        return kept + (4 if gated else 2) * config.feedforward.inner_width
    inner = 4 * (mixture.active + mixture.shared) * mixture.inner_width
    return kept + inner + 2 * mixture.active * config.width + mixture.experts


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
        activation_width=sum(_activation_width(config, i) for i in range(config.layers)),
        context=tokens,
        width=config.width,
        layers=config.layers,
        vocabulary=config.vocabulary,
    )


@dataclass(frozen=True)
class CostRow:
    """One line of the cost table: what, how much, in which unit, and under which assumption."""

    name: str
    value: int
    unit: str
    note: str = ""


def cost_rows(
    config: DecoderConfig, training_tokens: int | None = None, text_tokens: int | None = None
) -> tuple[CostRow, ...]:
    """The table of `muybridge lm count`.

    Args:
        config: Family and size.
        training_tokens: Length of a whole run; None: 20 a parameter in use (Chinchilla).
        text_tokens: Length of one text; None: the whole context.
    References:
        Hoffmann et al., Training Compute-Optimal Large Language Models, arXiv 2203.15556.
    """
    text = text_tokens or config.context
    counts = count_decoder(config, text)
    run = training_tokens or 20 * counts.active
    rows = [CostRow(part.name, part.parameters, "parameters") for part in counts.parts]
    rows += [
        CostRow("all", counts.parameters, "parameters"),
        CostRow("in use", counts.active, "parameters", "by any one token"),
        CostRow("matrices", counts.matrices_untied, "parameters", "head counted of its own"),
        CostRow("routing biases", counts.buffers, "numbers", "buffers, not parameters"),
        CostRow("prediction modules", counts.prediction, "parameters", "beside the model"),
        CostRow("training", counts.training_flops, "FLOPs a token", f"in texts of {text:,}"),
        CostRow("run", counts.total_training_flops(run), "FLOPs", f"{run:,} tokens"),
        CostRow("weights", 2 * counts.parameters, "bytes", "bfloat16"),
        CostRow("weights, gradients, Adam", counts.optimiser_bytes(), "bytes", "mixed precision"),
        CostRow("activations", counts.activation_bytes(text), "bytes", f"one text of {text:,}"),
        CostRow(
            "activations, checkpointed",
            counts.activation_bytes(text, checkpoint=True),
            "bytes",
            "one input a block",
        ),
        CostRow("cache", counts.cache_per_token, "numbers a token"),
        CostRow("cache", counts.cache_bytes(text), "bytes", f"one text of {text:,}, bfloat16"),
    ]
    return tuple(row for row in rows if row.value)
