"""The log-linear language model for long texts: features hashed to the rows of one table.

    p(w | h) = exp(sum_k table[hash(last k tokens of h)]_w + bias_w) / Z(h)

Two n-grams that meet in a row share it; rows that are rare are hardly moved from 0, which is all
the smoothing there is: stop early. `maxent` has the exact model.

B batch, T time, V vocabulary; R rows of the table, K orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from muybridge.errors import InputError

__all__ = ["HashedMaxent", "MaxentConfig"]


@dataclass(frozen=True)
class MaxentConfig:
    """Size of a hashed log-linear model.

    Attributes:
        vocabulary: V.
        context: Length of the windows it is trained on.
        order: Longest piece of history, in tokens; features are the last 1, 2, ..., `order`.
        rows: R, a power of two.
    """

    vocabulary: int
    context: int
    order: int = 4
    rows: int = 2**16

    def __post_init__(self) -> None:
        if self.rows < 1 or self.rows & (self.rows - 1):
            raise InputError(f"expected a power of two of rows, got {self.rows}; take 65536")


class HashedMaxent(nn.Module):
    """Sum of the rows of logits that the last 1, ..., `order` tokens hash to, and a bias.

    Tokens before the window's start are a token of their own, so a first position has features too.

    Args:
        config: Its size.
        sparse: Gradients of the table hold only the rows in use, for Adagrad and SGD.
    References:
        Rosenfeld 1996; hashing: Mikolov et al., Strategies for training large scale neural network
        language models (RNNME), 2011.
    """

    def __init__(self, config: MaxentConfig, sparse: bool = False) -> None:
        super().__init__()
        self.config, self.sparse = config, sparse
        self.table = nn.Parameter(torch.zeros(config.rows, config.vocabulary))
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))

    def rows(self, tokens: Int[Tensor, "b t"]) -> Int[Tensor, "b t k"]:
        """The row of each piece of history that ends at each position."""
        config = self.config
        padded = functional.pad(tokens, (config.order - 1, 0), value=config.vocabulary)
        time, key, keys = tokens.shape[1], torch.zeros_like(tokens), []
        for lag in range(config.order):
            start = config.order - 1 - lag
            key = key * (config.vocabulary + 2) + padded[:, start : start + time] + 1
            keys.append(_mix(key))
        return torch.stack(keys, dim=-1) & (config.rows - 1)

    def forward(self, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b t v"]:
        """Logits of the token that follows each position."""
        rows = self.rows(tokens)
        summed = functional.embedding_bag(
            rows.flatten(0, 1), self.table, mode="sum", sparse=self.sparse
        )
        return (summed + self.bias).unflatten(0, rows.shape[:2])

    def loss(self, tokens: Int[Tensor, "b t"], targets: Int[Tensor, "b t"]) -> Float[Tensor, ""]:
        """Mean nats of the targets; -100 is no target."""
        return functional.cross_entropy(self(tokens).flatten(0, 1), targets.flatten())

    def extra_repr(self) -> str:
        """Size."""
        return f"parameters={sum(p.numel() for p in self.parameters()):,}"


def _mix(key: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Spread neighbouring keys over all bits; products wrap around, as they should."""
    key = (key ^ (key >> 31)) * 0x7FB5D329728EA185
    key = (key ^ (key >> 27)) * -0x7E25210B43D22BB3
    return key ^ (key >> 33)
