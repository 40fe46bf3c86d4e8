"""Tiny configurations of every family that transformers has, and weights that any machine makes."""

import dataclasses

import torch

from muybridge.language.decoder import DecoderConfig
from muybridge.language.families import Size, make_family
from muybridge.nn.latent import LatentAttention
from muybridge.nn.moe import Mixture
from muybridge.nn.rope import Llama3Scaling, Rope, YarnScaling

VOCABULARY, LENGTH = 31, 14
LATENT = LatentAttention(2, 6, 8, nope_width=4, rope_width=4, value_width=6)


def _deepseek(**changes: object) -> DecoderConfig:
    base = make_family("deepseek-v3", Size(VOCABULARY, 16, 3, 2, 64, inner_width=20))
    mixture = Mixture(8, 2, 8, shared=1, groups=4, kept_groups=2, scale=2.5)
    base = dataclasses.replace(base, attention=LATENT, mixture=mixture, predictions=0)
    return dataclasses.replace(base, **changes)


def _llama(name: str, groups: int, **changes: object) -> DecoderConfig:
    size = Size(VOCABULARY, 16, 2, 4, 64, key_value_heads=groups, inner_width=24)
    return dataclasses.replace(make_family(name, size), **changes)


# the contexts of the scalings are short so that every branch of them acts on so few channels
TINY: dict[str, DecoderConfig] = {
    "gpt2": make_family("gpt2", Size(VOCABULARY, 16, 2, 2, 64)),
    "llama1": _llama("llama1", 4),
    "llama2-gqa": _llama("llama2", 2),
    "llama3-mqa-tied": _llama("llama3", 1, tied=True),
    "llama3.1": dataclasses.replace(
        make_family("llama3.1", Size(VOCABULARY, 32, 2, 2, 64, 1, 24)),
        rope=Rope(5e5, scaling=Llama3Scaling(8.0, 1.0, 4.0, 64)),
    ),
    "deepseek-v3": _deepseek(),
    "deepseek-v3-yarn": _deepseek(
        rope=Rope(layout="interleaved", scaling=YarnScaling(4.0, 32.0, 1.0, 0.7, 1.0, 32))
    ),
    "deepseek-v3-half": _deepseek(rope=Rope()),
    "deepseek-v2-queries": _deepseek(attention=dataclasses.replace(LATENT, query_rank=None)),
    "deepseek-v3-mtp": _deepseek(predictions=2),
}


def fill(name: str, shape: torch.Size | list[int]) -> torch.Tensor:
    """Numbers in [-0.25, 0.25) from integer arithmetic alone; norms lie around 1."""
    count = int(torch.tensor(list(shape)).prod())
    seed = sum((i + 1) * ord(letter) for i, letter in enumerate(name))
    state = (torch.arange(count, dtype=torch.int64) * 2654435761 + seed * 40503) % 2**32
    state = (state ^ (state >> 15)) * 2246822519 % 2**32
    values = ((state >> 8).to(torch.float64) / 2**24 - 0.5) / 2
    norm = len(shape) == 1 and "norm" in name.replace("ln_", "norm") and not name.endswith("bias")
    return (values + 1 if norm else values).to(torch.float32).reshape(list(shape))


def tokens() -> torch.Tensor:
    """Two rows of token ids."""
    return (torch.arange(2 * LENGTH) * 17 + 5).reshape(2, LENGTH) % VOCABULARY
