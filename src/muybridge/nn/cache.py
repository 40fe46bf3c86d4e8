"""Room for what attention has seen, allocated once.

One layer keeps one or two stores: keys and values of G heads, or MLA's latents and shared rotary
keys with G = 1. New tokens are written behind the old ones; nothing is copied as the text grows.

B batch, G key/value heads, S room for tokens, T new tokens, K channels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["LayerCache"]


class LayerCache:
    """The stores of one layer and how many tokens they hold.

    Args:
        batch: B.
        room: Tokens that fit, S.
        shapes: Heads and channels (G, K) of each store.
        dtype: Of the activations.
        device: Of the activations.
    """

    def __init__(
        self,
        batch: int,
        room: int,
        shapes: tuple[tuple[int, int], ...],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.length = 0
        self.stores = tuple(
            torch.zeros(batch, heads, room, channels, dtype=dtype, device=device)
            for heads, channels in shapes
        )

    def append(self, *new: Float[Tensor, "b _ t _"]) -> tuple[Tensor, ...]:
        """Write T tokens into every store; returns views of all that is now held.

        Gradients do not flow through a cache: it is for `torch.no_grad`.
        """
        assert not torch.is_grad_enabled(), "a cache has no gradient: use torch.no_grad()"
        end = self.length + new[0].shape[2]
        room = self.stores[0].shape[2]
        assert end <= room, f"the cache has room for {room} tokens, {end} were written"
        for store, values in zip(self.stores, new, strict=True):
            store[:, :, self.length : end] = values
        self.length = end
        return tuple(store[:, :, :end] for store in self.stores)

    def keep_rows(self, rows: Int[Tensor, "b"]) -> None:
        """Let row b continue what row `rows[b]` held, as beams do."""
        for store in self.stores:
            store[:, :, : self.length] = store[rows, :, : self.length]

    @property
    def values_per_token(self) -> int:
        """Numbers held for each token of one sequence."""
        return sum(store.shape[1] * store.shape[3] for store in self.stores)
