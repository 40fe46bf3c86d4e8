"""FlashAttention, versions 1 and 2, forward and backward: exact attention without its T x S matrix.

Softmax is computed online. Over the key blocks j of a query block, with S_j = scale q k_j^T:

    m' = max(m, rowmax S_j)     P_j = exp(S_j - m')     c = exp(m - m')
    l' = c l + rowsum P_j       O' = c O + P_j v_j      at the end  O / l,  LSE = m + ln l

Only O and LSE are kept, and the backward pass makes every P_j = exp(S_j - LSE) anew:

    D = rowsum(dO * O)    dP = dO v^T    dS = P * (dP - D)
    dV += P^T dO          dQ += scale dS k         dK += scale dS^T q

Version 1 walks over key blocks outside and carries a normalised O for all queries from one key
block to the next; version 2 walks over query blocks outside, so O stays on the chip, is divided
once, and the query blocks are independent. Both skip blocks that causality empties.

These are to read and to prove. They are Python loops: torch's own kernel is faster, and
`flash_attention` calls it unless told otherwise. Nothing here says anything about a GPU's speed.

Traps: for T != S causal means that the LAST query sees the LAST key (flash-attn since 2.1);
`is_causal` of torch aligns the first ones. A query that sees no key (T > S) gives 0, and its LSE
is kept as +inf, so that P is 0 in the backward pass and not NaN.

B batch, H heads, T queries, S keys, K channels of queries and keys, V channels of values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.nn.reach import causal_mask

__all__ = ["Tiling", "flash_attention", "forward_v1", "forward_v2"]


@dataclass(frozen=True)
class Tiling:
    """How the T x S matrix is cut, and what of it counts.

    Attributes:
        queries: Rows of a tile.
        keys: Columns of a tile.
        causal: Queries see keys up to their own place, counted from the end.
    """

    queries: int = 64
    keys: int = 64
    causal: bool = True

    def __post_init__(self) -> None:
        if min(self.queries, self.keys) < 1:
            raise InputError(
                f"expected blocks of at least one row and column, got {self.queries} by "
                f"{self.keys}; give positive sizes"
            )


def _blocks(length: int, size: int) -> Iterator[slice]:
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))


def _empty(rows: slice, columns: slice, shift: int, causal: bool) -> bool:
    """Whether causality leaves nothing of a tile; query t sees keys up to t + shift."""
    return causal and columns.start > rows.stop - 1 + shift


def _scores(q: Tensor, k: Tensor, rows: slice, columns: slice, tiling: Tiling) -> Tensor:
    """One tile of scale q k^T, -inf where a key is not seen."""
    s = q[..., rows, :] @ k[..., columns, :].mT * q.shape[-1] ** -0.5
    shift = k.shape[-2] - q.shape[-2]
    if not tiling.causal or columns.stop - 1 <= rows.start + shift:
        return s
    last = torch.arange(rows.start, rows.stop, device=q.device)[:, None] + shift
    return s.masked_fill(
        torch.arange(columns.start, columns.stop, device=q.device) > last, -torch.inf
    )


def _online(s: Tensor, v: Tensor, m: Tensor, l: Tensor, o: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take one more tile of scores into the maximum, the sum and the unnormalised output."""
    higher = torch.maximum(m, s.amax(-1, keepdim=True))
    base = higher.masked_fill(higher == -torch.inf, 0.0)  # nothing seen yet: avoid inf - inf
    p, old = (s - base).exp(), (m - base).exp()
    return higher, old * l + p.sum(-1, keepdim=True), old * o + p @ v


def _log_sum(m: Tensor, l: Tensor) -> Tensor:
    """LSE, +inf for a query that sees no key."""
    return torch.where(l > 0, m + l.log(), torch.inf)


def _start(q: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    m = q.new_full((*q.shape[:-1], 1), -torch.inf)
    return m, torch.zeros_like(m), q.new_zeros(*q.shape[:-1], v.shape[-1])


def forward_v1(
    q: Float[Tensor, "*b t k"],
    k: Float[Tensor, "*b s k"],
    v: Float[Tensor, "*b s v"],
    tiling: Tiling,
) -> tuple[Float[Tensor, "*b t v"], Float[Tensor, "*b t 1"]]:
    """Output and LSE, key blocks outside; the output of every query is rewritten at each of them.

    References:
        Dao et al., FlashAttention, arXiv 2205.14135, algorithm 1;
        Milakov & Gimelshein, Online normalizer calculation for softmax, arXiv 1805.02867.
    """
    m, l, o = _start(q, v)
    for columns in _blocks(k.shape[-2], tiling.keys):
        for rows in _blocks(q.shape[-2], tiling.queries):
            if _empty(rows, columns, k.shape[-2] - q.shape[-2], tiling.causal):
                continue
            s = _scores(q, k, rows, columns, tiling)
            m_i, l_i, o_i = (x[..., rows, :] for x in (m, l, o))
            m_new, l_new, sum_new = _online(s, v[..., columns, :], m_i, l_i, o_i * l_i)
            m[..., rows, :], l[..., rows, :] = m_new, l_new
            o[..., rows, :] = sum_new / l_new.masked_fill(l_new == 0, 1.0)
    return o, _log_sum(m, l)


def forward_v2(
    q: Float[Tensor, "*b t k"],
    k: Float[Tensor, "*b s k"],
    v: Float[Tensor, "*b s v"],
    tiling: Tiling,
) -> tuple[Float[Tensor, "*b t v"], Float[Tensor, "*b t 1"]]:
    """Output and LSE, query blocks outside; each block of the output is written once.

    References:
        Dao, FlashAttention-2, arXiv 2307.08691, algorithm 1.
    """
    m, _, o = _start(q, v)
    for rows in _blocks(q.shape[-2], tiling.queries):
        m_i, l_i, o_i = _start(q[..., rows, :], v)
        for columns in _blocks(k.shape[-2], tiling.keys):
            if _empty(rows, columns, k.shape[-2] - q.shape[-2], tiling.causal):
                break
            s = _scores(q, k, rows, columns, tiling)
            m_i, l_i, o_i = _online(s, v[..., columns, :], m_i, l_i, o_i)
        o[..., rows, :] = o_i / l_i.masked_fill(l_i == 0, 1.0)
        m[..., rows, :] = _log_sum(m_i, l_i)
    return o, m


def _backward(
    saved: tuple[Tensor, ...], do: Tensor, tiling: Tiling
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of q, k and v, key blocks outside (arXiv 2307.08691, algorithm 2)."""
    q, k, v, o, lse = saved
    dq, dk, dv = (torch.zeros_like(x) for x in (q, k, v))
    d = (do * o).sum(-1, keepdim=True)
    scale = q.shape[-1] ** -0.5
    for columns in _blocks(k.shape[-2], tiling.keys):
        for rows in _blocks(q.shape[-2], tiling.queries):
            if _empty(rows, columns, k.shape[-2] - q.shape[-2], tiling.causal):
                continue
            p = (_scores(q, k, rows, columns, tiling) - lse[..., rows, :]).exp()
            do_i = do[..., rows, :]
            dv[..., columns, :] += p.mT @ do_i
            ds = p * (do_i @ v[..., columns, :].mT - d[..., rows, :]) * scale
            dq[..., rows, :] += ds @ k[..., columns, :]
            dk[..., columns, :] += ds.mT @ q[..., rows, :]
    return dq, dk, dv


_FORWARD: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {"v1": forward_v1, "v2": forward_v2}


class _Tiled(torch.autograd.Function):
    """Either forward pass with the common backward pass."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, version: str, tiling: Tiling) -> Tensor:
        o, lse = _FORWARD[version](q, k, v, tiling)
        ctx.save_for_backward(q, k, v, o, lse)
        ctx.tiling = tiling
        return o

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, do: Tensor) -> tuple[Tensor | None, ...]:
        return (*_backward(ctx.saved_tensors, do, ctx.tiling), None, None)


def _torch(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """The same by torch's kernel, aligned at the end."""
    queries, keys = q.shape[-2], k.shape[-2]
    if not causal or queries == keys:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)
    if queries < keys:
        seen = causal_mask(queries, keys).to(q.device)
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    seeing = _torch(q[..., queries - keys :, :], k, v, causal)
    return functional.pad(seeing, (0, 0, queries - keys, 0))


def flash_attention(
    q: Float[Tensor, "b h t k"],
    k: Float[Tensor, "b h s k"],
    v: Float[Tensor, "b h s v"],
    *,
    backend: Literal["torch", "v1", "v2"] = "torch",
    tiling: Tiling | None = None,
) -> Float[Tensor, "b h t v"]:
    """softmax(q k^T / sqrt(K)) v in memory linear in T and S; the last query sees the last key.

    Args:
        q: Queries.
        k: Keys.
        v: Values.
        backend: "torch" for speed; "v1" and "v2" for the algorithms of this file.
        tiling: Size of the blocks and causality; torch chooses its own blocks.
    References:
        Dao et al., arXiv 2205.14135; Dao, arXiv 2307.08691.
    """
    tiling = tiling or Tiling()
    if backend == "torch":
        return _torch(q, k, v, tiling.causal)
    made: Tensor = _Tiled.apply(q, k, v, backend, tiling)  # type: ignore[no-untyped-call]
    return made
