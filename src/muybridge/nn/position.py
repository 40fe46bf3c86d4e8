"""Positions that are added to the embeddings: the sinusoids of 2017.

T time, D width.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["sinusoids"]


def sinusoids(length: int, width: int) -> Float[Tensor, "t d"]:
    """Positions as waves: sin(p / 10000^(2i/D)) in channel 2i, cos in 2i + 1.

    Trap: the authors' own tensor2tensor code puts all sines first, then all cosines.

    References:
        Vaswani et al., Attention Is All You Need, arXiv 1706.03762, section 3.5.
    """
    steps = torch.arange(0, width, 2, device="cpu")
    rates = torch.exp(steps * (-math.log(10_000.0) / width))
    angles = torch.arange(length, device="cpu")[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)[:, :width]
