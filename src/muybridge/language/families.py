"""The decoder families as plain data: what each name means, and the sizes its authors published.

| family | norm | position | heads | feed-forward | else |
|---|---|---|---|---|---|
| transformer (2017, decoder part) | LayerNorm after | sinusoids | MHA | ReLU 4 D | tied |
| gpt2 | LayerNorm | learned | MHA | GELU 4 D | tied, biases |
| gpt3 | as gpt2 | learned | MHA, odd layers banded | as gpt2 | context 2048 |
| llama1 | RMSNorm 1e-6 | RoPE 1e4 | MHA | SwiGLU 8/3 D | no biases |
| llama2 | RMSNorm 1e-5 | RoPE 1e4 | GQA in 34B, 70B | SwiGLU | context 4096 |
| llama3 | RMSNorm 1e-5 | RoPE 5e5 | GQA | SwiGLU | vocabulary 128,256 |
| llama3.1 | as llama3 | + scaling to 131,072 | GQA | SwiGLU | 405B |
| deepseek-v3 | RMSNorm 1e-6 | RoPE 1e4 + YaRN | MLA | MoE | multi-token prediction |

`make_family` gives a family at any size; `PUBLISHED` the sizes of the papers.

D width, L layers, H heads, F inner width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from muybridge.errors import InputError
from muybridge.language.decoder import DecoderConfig
from muybridge.nn.attention import GroupedAttention
from muybridge.nn.feedforward import DenseFeedForward, llama_inner_width
from muybridge.nn.latent import LatentAttention
from muybridge.nn.moe import Mixture
from muybridge.nn.rope import Llama3Scaling, Rope, YarnScaling

__all__ = ["FAMILIES", "PUBLISHED", "Size", "make_family", "published"]

GPT3_BAND = 128  # the paper gives no width; Sparse Transformers (arXiv 1904.10509) used 128


@dataclass(frozen=True)
class Size:
    """What may differ within a family.

    Attributes:
        vocabulary: Tokens.
        width: D.
        layers: L.
        heads: H; D is a multiple.
        context: Longest text.
        key_value_heads: For LLaMA 2 and 3; None: as many as `heads`.
        inner_width: F; None: the family's own rule.
        experts: Routed experts of DeepSeek-V3, each of width F / 9 as in the paper.
        active: Of these, used by a token.
    """

    vocabulary: int
    width: int
    layers: int
    heads: int
    context: int
    key_value_heads: int | None = None
    inner_width: int | None = None
    experts: int = 16
    active: int = 4


def _transformer(size: Size) -> DecoderConfig:
    """arXiv 1706.03762, the decoder without its attention to an encoder."""
    gpt = _gpt2(size)
    return replace(
        gpt,
        norm_place="after",
        position="sinusoidal",
        feedforward=replace(gpt.feedforward, activation="relu"),
        scale_residual=False,
    )


def _gpt2(size: Size) -> DecoderConfig:
    """Radford et al., Language Models are Unsupervised Multitask Learners, 2019."""
    return DecoderConfig(
        vocabulary=size.vocabulary,
        width=size.width,
        layers=size.layers,
        context=size.context,
        attention=GroupedAttention(size.heads, size.heads, size.width // size.heads, bias=True),
        feedforward=DenseFeedForward(
            size.inner_width or 4 * size.width, kind="mlp", activation="gelu_tanh", bias=True
        ),
        norm="layernorm",
        position="learned",
        tied=True,
        scale_residual=True,
    )


def _gpt3(size: Size) -> DecoderConfig:
    """arXiv 2005.14165: GPT-2 with alternating dense and locally banded sparse attention.

    Dense layers come first here; the paper does not say which do, nor how wide the band is.
    """
    return replace(_gpt2(size), window=GPT3_BAND)


def _llama1(size: Size) -> DecoderConfig:
    """arXiv 2302.13971."""
    return DecoderConfig(
        vocabulary=size.vocabulary,
        width=size.width,
        layers=size.layers,
        context=size.context,
        attention=GroupedAttention(
            size.heads, size.key_value_heads or size.heads, size.width // size.heads
        ),
        feedforward=DenseFeedForward(size.inner_width or llama_inner_width(size.width)),
        norm_epsilon=1e-6,
        rope=Rope(),
    )


def _llama2(size: Size) -> DecoderConfig:
    """arXiv 2307.09288."""
    return replace(_llama1(size), norm_epsilon=1e-5)


def _llama3(size: Size) -> DecoderConfig:
    """Meta, 2024: eight key/value heads, or one for every four queries in a small model."""
    grouped = size.key_value_heads or max(1, min(8, size.heads // 4))
    return replace(_llama2(replace(size, key_value_heads=grouped)), rope=Rope(500_000.0))


def _llama31(size: Size) -> DecoderConfig:
    """arXiv 2407.21783."""
    return replace(_llama3(size), rope=Rope(500_000.0, scaling=Llama3Scaling()))


def _deepseek(size: Size) -> DecoderConfig:
    """arXiv 2412.19437, all inner sizes in the proportions of the paper (D = 56 x 128)."""
    inner = size.inner_width or 18 * size.width // 7
    head = max(2, size.width // size.heads // 2 * 2)
    return DecoderConfig(
        vocabulary=size.vocabulary,
        width=size.width,
        layers=size.layers,
        context=size.context,
        attention=LatentAttention(
            heads=size.heads,
            query_rank=max(4, 3 * size.width // 14),
            key_value_rank=max(4, size.width // 14),
            nope_width=head,
            rope_width=max(2, head // 4 * 2),
            value_width=head,
        ),
        feedforward=DenseFeedForward(inner),
        mixture=Mixture(size.experts, size.active, max(1, inner // 9), shared=1, scale=2.5),
        dense_layers=max(1, size.layers // 20),
        norm_epsilon=1e-6,
        rope=Rope(layout="interleaved"),
        predictions=1,
        deviation=0.006,
    )


FAMILIES: Mapping[str, Callable[[Size], DecoderConfig]] = {
    "transformer": _transformer,
    "gpt2": _gpt2,
    "gpt3": _gpt3,
    "llama1": _llama1,
    "llama2": _llama2,
    "llama3": _llama3,
    "llama3.1": _llama31,
    "deepseek-v3": _deepseek,
}


def make_family(name: str, size: Size) -> DecoderConfig:
    """The configuration of a family at a size of your own.

    Raises:
        InputError: If there is no such family, or the width is no multiple of the heads.
    """
    if name not in FAMILIES:
        raise InputError(f"expected a family, got {name!r}; choose one of {', '.join(FAMILIES)}")
    if size.width % size.heads:
        raise InputError(
            f"expected a width that is a multiple of the heads, got {size.width} and "
            f"{size.heads}; change one of them"
        )
    return FAMILIES[name](size)


def _gpt(name: str, width: int, layers: int, heads: int, context: int) -> DecoderConfig:
    return make_family(name, Size(50257, width, layers, heads, context))


def _llama(
    name: str, width: int, layers: int, heads: int, groups: int, inner: int
) -> DecoderConfig:
    vocabulary, context = {
        "llama1": (32_000, 2048),
        "llama2": (32_000, 4096),
        "llama3": (128_256, 8192),
        "llama3.1": (128_256, 131_072),
    }[name]
    return make_family(name, Size(vocabulary, width, layers, heads, context, groups, inner))


PUBLISHED: Mapping[str, DecoderConfig] = {
    "gpt2": _gpt("gpt2", 768, 12, 12, 1024),
    "gpt2-medium": _gpt("gpt2", 1024, 24, 16, 1024),
    "gpt2-large": _gpt("gpt2", 1280, 36, 20, 1024),
    "gpt2-xl": _gpt("gpt2", 1600, 48, 25, 1024),
    "gpt3-125m": _gpt("gpt3", 768, 12, 12, 2048),
    "gpt3-350m": _gpt("gpt3", 1024, 24, 16, 2048),
    "gpt3-760m": _gpt("gpt3", 1536, 24, 16, 2048),
    "gpt3-2.7b": _gpt("gpt3", 2560, 32, 32, 2048),
    "gpt3-6.7b": _gpt("gpt3", 4096, 32, 32, 2048),
    "gpt3": _gpt("gpt3", 12288, 96, 96, 2048),
    "llama1-7b": _llama("llama1", 4096, 32, 32, 32, 11008),
    "llama1-13b": _llama("llama1", 5120, 40, 40, 40, 13824),
    "llama1-33b": _llama("llama1", 6656, 60, 52, 52, 17920),
    "llama1-65b": _llama("llama1", 8192, 80, 64, 64, 22016),
    "llama2-7b": _llama("llama2", 4096, 32, 32, 32, 11008),
    "llama2-13b": _llama("llama2", 5120, 40, 40, 40, 13824),
    "llama2-34b": _llama("llama2", 8192, 48, 64, 8, 22016),
    "llama2-70b": _llama("llama2", 8192, 80, 64, 8, 28672),
    "llama3-8b": _llama("llama3", 4096, 32, 32, 8, 14336),
    "llama3-70b": _llama("llama3", 8192, 80, 64, 8, 28672),
    "llama3.1-8b": _llama("llama3.1", 4096, 32, 32, 8, 14336),
    "llama3.1-70b": _llama("llama3.1", 8192, 80, 64, 8, 28672),
    "llama3.1-405b": _llama("llama3.1", 16384, 126, 128, 8, 53248),
    "deepseek-v3": DecoderConfig(
        vocabulary=129_280,
        width=7168,
        layers=61,
        context=163_840,
        attention=LatentAttention(),
        feedforward=DenseFeedForward(18_432),
        mixture=Mixture(256, 8, 2048, shared=1, groups=8, kept_groups=4, scale=2.5),
        dense_layers=3,
        norm_epsilon=1e-6,
        rope=Rope(layout="interleaved", scaling=YarnScaling()),
        predictions=1,
        deviation=0.006,
    ),
}


def published(name: str) -> DecoderConfig:
    """The configuration of a published size, such as "llama3.1-405b".

    Raises:
        InputError: If the name is none of them.
    """
    if name not in PUBLISHED:
        raise InputError(
            f"expected a published size, got {name!r}; choose one of {', '.join(PUBLISHED)}"
        )
    return PUBLISHED[name]
