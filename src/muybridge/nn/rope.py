"""Rotary position embedding: turn pairs of channels by angles that grow with the position.

Pair i of a head at position p is rotated by the angle p f_i, f_i = theta^(-2 i / K). The product of
a rotated query and a rotated key then depends on the distance of their positions only.

Two layouts say which channels form pair i. Weights of one are silently wrong in the other:
- "half": channels i and i + K/2 (Hugging Face LLaMA, GPT-NeoX);
- "interleaved": channels 2 i and 2 i + 1 (the paper, Meta's LLaMA, DeepSeek).
`half_from_interleaved` and `interleaved_from_half` permute the rows of query and key projections;
value and output projections have no layout.

Traps of the references: angles are float32, so at position 131,071 they are off by up to 0.004 rad,
and trained weights expect just that; Hugging Face's DeepSeek takes interleaved weights but returns
rotated queries and keys in the half order, which leaves every score as it was.

B batch, T time, H heads, K channels of a head (rotated ones), P = K / 2 pairs, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = [
    "Llama3Scaling",
    "Rope",
    "RopeLayout",
    "Rotation",
    "YarnScaling",
    "half_from_interleaved",
    "interleaved_from_half",
    "inverse_frequencies",
    "rotation",
    "score_scale",
]

RopeLayout = Literal["half", "interleaved"]


@dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's stretch of the slow frequencies, for a context 16 times the trained one.

    Wavelengths above original_context / low are stretched by `factor`, those below
    original_context / high are kept, those between are blended.

    References:
        The Llama 3 Herd of Models, arXiv 2407.21783; `apply_scaling` in meta-llama/llama-models.
    """

    factor: float = 8.0
    low: float = 1.0
    high: float = 4.0
    original_context: int = 8192


@dataclass(frozen=True)
class YarnScaling:
    """YaRN as DeepSeek-V3 uses it: a ramp over the pairs, and sharper attention.

    References:
        Peng et al., YaRN, arXiv 2309.00071.
    """

    factor: float = 40.0
    fast: float = 32.0
    slow: float = 1.0
    magnitude: float = 1.0
    magnitude_all: float = 1.0
    original_context: int = 4096


@dataclass(frozen=True)
class Rope:
    """Base of the frequencies, layout of the pairs, and how a longer context is reached.

    References:
        Su et al., RoFormer, arXiv 2104.09864.
    """

    theta: float = 10_000.0
    layout: RopeLayout = "half"
    scaling: Llama3Scaling | YarnScaling | None = None


@dataclass(frozen=True)
class Rotation:
    """Cosine and sine of each pair's angle at each position, and the layout they are for."""

    cosine: Float[Tensor, "b 1 t p"]
    sine: Float[Tensor, "b 1 t p"]
    layout: RopeLayout

    def turn(self, x: Float[Tensor, "b h t k"]) -> Float[Tensor, "b h t k"]:
        """Rotate every pair: (u, v) -> (u cos - v sin, v cos + u sin)."""
        if self.layout == "half":
            u, v = x.chunk(2, dim=-1)
        else:
            u, v = x[..., 0::2], x[..., 1::2]
        u, v = u * self.cosine - v * self.sine, v * self.cosine + u * self.sine
        if self.layout == "half":
            return torch.cat((u, v), dim=-1)
        return torch.stack((u, v), dim=-1).flatten(-2)


def inverse_frequencies(channels: int, rope: Rope) -> Float[Tensor, "p"]:
    """Angle per position of each pair, radians, scaled where `rope` says so; float32.

    Args:
        channels: Rotated channels K of a head; even.
        rope: Base and scaling.
    """
    exponents = torch.arange(0, channels, 2, dtype=torch.float32, device="cpu") / channels
    frequencies = 1.0 / rope.theta**exponents
    if isinstance(rope.scaling, Llama3Scaling):
        return _stretch_llama3(frequencies, rope.scaling)
    if isinstance(rope.scaling, YarnScaling):
        return _stretch_yarn(frequencies, rope.scaling, rope.theta)
    return frequencies


def _stretch_llama3(frequencies: Float[Tensor, "p"], scaling: Llama3Scaling) -> Float[Tensor, "p"]:
    wavelengths = 2 * math.pi / frequencies
    turns = scaling.original_context / wavelengths  # full turns within the trained context
    blend = ((turns - scaling.low) / (scaling.high - scaling.low)).clamp(0.0, 1.0)
    return (1 - blend) * frequencies / scaling.factor + blend * frequencies


def _stretch_yarn(
    frequencies: Float[Tensor, "p"], scaling: YarnScaling, theta: float
) -> Float[Tensor, "p"]:
    pairs = frequencies.shape[0]

    def pair_of(turns: float) -> float:
        wavelength = scaling.original_context / (turns * 2 * math.pi)
        return pairs * math.log(wavelength) / math.log(theta)

    first = max(math.floor(pair_of(scaling.fast)), 0)
    last = min(math.ceil(pair_of(scaling.slow)), 2 * pairs - 1)  # 2 P: as the reference has it
    width = last - first if last > first else 0.001
    ramp = ((torch.arange(pairs, dtype=torch.float32, device="cpu") - first) / width).clamp(
        0.0, 1.0
    )
    return frequencies / scaling.factor * ramp + frequencies * (1 - ramp)


def _magnitude(factor: float, weight: float) -> float:
    return 0.1 * weight * math.log(factor) + 1.0 if factor > 1 else 1.0


def score_scale(rope: Rope | None) -> float:
    """What YaRN multiplies attention scores with (DeepSeek-V3: 1.87), else 1.

    The square, because the reference scales both query and key.
    """
    if rope is None or not isinstance(rope.scaling, YarnScaling):
        return 1.0
    return _magnitude(rope.scaling.factor, rope.scaling.magnitude_all) ** 2


def rotation(
    positions: Int[Tensor, "b t"],
    frequencies: Float[Tensor, "p"],
    rope: Rope,
    dtype: torch.dtype,
) -> Rotation:
    """The rotation of every position; one serves all layers.

    Args:
        positions: Place of each token in its own text, from 0; a B of 1 serves any batch.
        frequencies: From `inverse_frequencies`.
        rope: Gives the layout, and YaRN's factor on cosine and sine.
        dtype: Type of the queries and keys.
    """
    angles = positions[:, None, :, None].to(torch.float32) * frequencies
    gain = 1.0
    if isinstance(rope.scaling, YarnScaling):
        gain = _magnitude(rope.scaling.factor, rope.scaling.magnitude)
        gain /= _magnitude(rope.scaling.factor, rope.scaling.magnitude_all)
    return Rotation((angles.cos() * gain).to(dtype), (angles.sin() * gain).to(dtype), rope.layout)


def half_from_interleaved(weight: Float[Tensor, "n d"], heads: int) -> Float[Tensor, "n d"]:
    """Reorder the rows of a query or key projection from Meta's layout to Hugging Face's.

    Args:
        weight: All heads' rows, N = H K; every row of a head is rotated.
        heads: H, of queries or of keys, whichever `weight` makes.
    """
    rows, width = weight.shape
    return weight.view(heads, rows // heads // 2, 2, width).transpose(1, 2).reshape(rows, width)


def interleaved_from_half(weight: Float[Tensor, "n d"], heads: int) -> Float[Tensor, "n d"]:
    """Undo `half_from_interleaved`."""
    rows, width = weight.shape
    return weight.view(heads, 2, rows // heads // 2, width).transpose(1, 2).reshape(rows, width)
