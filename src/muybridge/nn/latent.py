"""Multi-head latent attention (MLA): keys and values are read from one small vector a token.

    c_kv, k_rope = W_down x          R + 64 numbers, all that is cached (DeepSeek-V3: 512 + 64)
    k_h, v_h     = W_up norm(c_kv)   expanded per head
    q_h          = W_q_up norm(W_q_down x), its last 64 channels rotated as k_rope is

Two ways to the same scores. Naive: expand k and v, then attend; best for training. Absorbed:
    q_h . k_h = q_h . (U_h c) = (U_h^T q_h) . c
so queries are taken into the latent space and all heads read the SAME 576 numbers, as in MQA; best
for decoding, where expanding the whole past for one new token would be the cost.

Traps of the references: the norms of the latents keep the class default eps 1e-6 whatever the
config says; the scale is (nope + rope)^-1/2 times YaRN's `score_scale`; k_rope is one head that
all share; only the latent is normalised, not k_rope.

B batch, T time, S keys, D width, H heads, R rank of the latent, N channels without position,
P rotary channels, V value channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from muybridge.nn.cache import LayerCache
from muybridge.nn.norm import RMSNorm
from muybridge.nn.reach import Reach, attend
from muybridge.nn.rope import Rotation

__all__ = ["LatentAttention", "MultiHeadLatentAttention"]

LATENT_EPSILON = 1e-6


@dataclass(frozen=True)
class LatentAttention:
    """Shape of MLA; the defaults are DeepSeek-V3's. `query_rank` None: one full projection."""

    heads: int = 128
    query_rank: int | None = 1536
    key_value_rank: int = 512
    nope_width: int = 128
    rope_width: int = 64
    value_width: int = 128

    @property
    def cache_shapes(self) -> tuple[tuple[int, int], ...]:
        """Heads and channels of the latents and of the shared rotary keys."""
        return ((1, self.key_value_rank), (1, self.rope_width))


class MultiHeadLatentAttention(nn.Module):
    """MLA with both paths; `absorb` picks one, and the weights do not change.

    Args:
        width: D of input and output.
        shape: Heads, ranks and channels.
        gain: Factor on all scores, YaRN's `score_scale`.
    References:
        DeepSeek-V2, arXiv 2405.04434, section 2.1; DeepSeek-V3, arXiv 2412.19437.
    """

    def __init__(self, width: int, shape: LatentAttention, gain: float = 1.0) -> None:
        super().__init__()
        self.shape = shape
        self.absorb = False
        head = shape.nope_width + shape.rope_width
        self.scale = gain * head**-0.5
        if shape.query_rank is None:
            self.query = nn.Linear(width, shape.heads * head, bias=False)
        else:
            self.query_down = nn.Linear(width, shape.query_rank, bias=False)
            self.query_norm = RMSNorm(shape.query_rank, LATENT_EPSILON)
            self.query_up = nn.Linear(shape.query_rank, shape.heads * head, bias=False)
        rank = shape.key_value_rank
        self.latent_down = nn.Linear(width, rank + shape.rope_width, bias=False)
        self.latent_norm = RMSNorm(rank, LATENT_EPSILON)
        self.latent_up = nn.Linear(
            rank, shape.heads * (shape.nope_width + shape.value_width), bias=False
        )
        self.output = nn.Linear(shape.heads * shape.value_width, width, bias=False)

    def forward(
        self,
        x: Float[Tensor, "b t d"],
        over: Reach,
        rotation: Rotation,
        cache: LayerCache | None = None,
    ) -> Float[Tensor, "b t d"]:
        """Attend; with a cache, also to what it holds, and leave the new latents in it."""
        q_bhtn, q_bhtp = self._queries(x, rotation)
        c_btr, k_btp = self.latent_down(x).split(
            [self.shape.key_value_rank, self.shape.rope_width], dim=-1
        )
        c_b1sr = self.latent_norm(c_btr)[:, None]
        k_b1sp = rotation.turn(k_btp[:, None])
        if cache is not None:
            c_b1sr, k_b1sp = cache.append(c_b1sr, k_b1sp)
        path = self._absorbed if self.absorb else self._naive
        y_bhtv = path(q_bhtn, q_bhtp, c_b1sr, k_b1sp, over)
        return self.output(y_bhtv.transpose(1, 2).flatten(2))

    def _queries(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor]:
        if self.shape.query_rank is None:
            q = self.query(x)
        else:
            q = self.query_up(self.query_norm(self.query_down(x)))
        q_bhtk = q.unflatten(-1, (self.shape.heads, -1)).transpose(1, 2)
        q_bhtn, q_bhtp = q_bhtk.split([self.shape.nope_width, self.shape.rope_width], dim=-1)
        return q_bhtn, rotation.turn(q_bhtp)

    def _naive(
        self,
        q_bhtn: Float[Tensor, "b h t n"],
        q_bhtp: Float[Tensor, "b h t p"],
        c_b1sr: Float[Tensor, "b 1 s r"],
        k_b1sp: Float[Tensor, "b 1 s p"],
        over: Reach,
    ) -> Float[Tensor, "b h t v"]:
        up = self.latent_up(c_b1sr[:, 0]).unflatten(-1, (self.shape.heads, -1)).transpose(1, 2)
        k_bhsn, v_bhsv = up.split([self.shape.nope_width, self.shape.value_width], dim=-1)
        k_bhsk = torch.cat((k_bhsn, k_b1sp.expand(-1, self.shape.heads, -1, -1)), dim=-1)
        q_bhtk = torch.cat((q_bhtn, q_bhtp), dim=-1)
        return attend(q_bhtk, k_bhsk, v_bhsv, over, self.scale)

    def _absorbed(
        self,
        q_bhtn: Float[Tensor, "b h t n"],
        q_bhtp: Float[Tensor, "b h t p"],
        c_b1sr: Float[Tensor, "b 1 s r"],
        k_b1sp: Float[Tensor, "b 1 s p"],
        over: Reach,
    ) -> Float[Tensor, "b h t v"]:
        up = self.latent_up.weight.unflatten(0, (self.shape.heads, -1))
        up_hnr, up_hvr = up.split([self.shape.nope_width, self.shape.value_width], dim=1)
        q_bhtk = torch.cat((q_bhtn @ up_hnr, q_bhtp), dim=-1)
        y_bhtr = attend(q_bhtk, torch.cat((c_b1sr, k_b1sp), dim=-1), c_b1sr, over, self.scale)
        return y_bhtr @ up_hvr.transpose(1, 2)
