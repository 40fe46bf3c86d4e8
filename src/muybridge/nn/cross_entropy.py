"""Cross-entropy of a linear head, without ever holding the logits of all tokens.

    z = h W^T;   loss = mean_n (log sum_v exp z_nv - z_n,target)
    dloss/dz = (softmax(z) - onehot) / N;   dh = dz W;   dW = dz^T h

With V = 32,000 the logits of 2,048 tokens fill 262 MB, and their softmax and gradient as much
again. Here a chunk of tokens makes its logits, turns them into their own gradient in place, and
adds to dh and dW at once: the forward pass leaves what backward returns, nothing is recomputed, and
a chunk stays near the cache.

What differs from `functional.cross_entropy(linear(h, W))`: the same products in another order, so
the last bits. The loss cannot be differentiated twice.

N tokens, D width, V vocabulary, C tokens of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["NO_TARGET", "linear_cross_entropy"]

NO_TARGET = -100
ROOM = 2**25  # bytes of a chunk's logits; half of that slows the products by a tenth
LEAST_ROWS = 256  # below this, reading and writing dW slows its product
NEAR = 2**21  # bytes of logits that softmax takes at once: the second-level cache
BLOCK = 1024  # of the vocabulary: oneDNN's product over all 32,000 at once is a fifth slower


def linear_cross_entropy(
    hidden: Float[Tensor, "*n d"],
    weight: Float[Tensor, "v d"],
    targets: Int[Tensor, "*n"],
    *,
    chunk: int | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy, nats, of the logits `hidden @ weight.T`; NaN if nothing is learned.

    Under autocast the products are in its type; softmax and sums are at least float32.

    Args:
        hidden: What the head reads.
        weight: The head.
        targets: The right token; -100 where none is learned.
        chunk: Tokens at once; None: what fits into 32 MB, and at least 256.
    Raises:
        IndexError: If a target is outside the vocabulary.
    References:
        Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, arXiv 2411.09009;
        Hsu et al., Liger Kernel, arXiv 2410.10989 (gradients in the forward pass).
    """
    rows, wanted = hidden.flatten(0, -2), targets.flatten()
    learned = wanted != NO_TARGET
    if not bool(learned.all()):
        rows, wanted = rows[learned], wanted[learned]
    if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < len(weight):
        raise IndexError(
            f"expected targets from 0 to {len(weight) - 1} or {NO_TARGET}, got "
            f"{int(wanted.min())} to {int(wanted.max())}"
        )
    kind = rows.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    if chunk is None:
        chunk = max(LEAST_ROWS, ROOM // (len(weight) * dtype.itemsize))
    gradient = torch.is_grad_enabled()
    with torch.autocast(kind, enabled=False):
        made: Tensor = _Fused.apply(  # type: ignore[no-untyped-call]
            rows, weight, wanted, dtype, chunk, gradient
        )
    return made


class _Fused(torch.autograd.Function):
    """The loss, and both gradients as soon as the logits are there."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        dtype: torch.dtype,
        chunk: int,
        gradient: bool,
    ) -> Tensor:
        wanted = [gradient and need for need in ctx.needs_input_grad[:2]]
        loss, *gradients = _run(hidden, weight, targets, dtype, chunk, wanted)
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, up: Tensor) -> tuple[Tensor | None, ...]:
        made = ctx.saved_tensors
        if up.item() != 1.0:  # a copy of V x D numbers that most trainings do not need
            made = tuple(g if g is None else g * up.to(g.dtype) for g in made)
        return (*made, None, None, None, None)


def _run(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    dtype: torch.dtype,
    chunk: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The mean loss, dh and dW, the latter two None unless wanted."""
    wide = torch.promote_types(dtype, torch.float32)
    matrix = weight.to(dtype)
    d_hidden = torch.empty_like(hidden) if wanted[0] else None
    d_weight = torch.zeros_like(weight, dtype=wide) if wanted[1] else None
    scratch = hidden.new_empty(min(chunk, len(targets)), len(weight), dtype=dtype)
    total = torch.zeros((), dtype=wide, device=hidden.device)
    share = 1 / max(1, len(targets))
    for rows in _slices(len(targets), chunk):
        part = hidden[rows].to(dtype)
        logits = torch.mm(part, matrix.T, out=scratch[: len(part)])
        total += _to_gradient(logits, targets[rows], wide)
        if d_hidden is not None:
            d_hidden[rows] = _input_gradient(logits, matrix).mul_(share)
        if d_weight is not None:
            _add_weight_gradient(d_weight, logits, part, share)
    if d_weight is not None:
        d_weight = d_weight.to(weight.dtype)
    return total / len(targets), d_hidden, d_weight


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, length, step))


def _to_gradient(logits: Tensor, targets: Tensor, wide: torch.dtype) -> Tensor:
    """Turn logits into softmax - onehot, in place; gives the sum of the losses.

    log sum exp = max z - log max softmax: exact, and cheaper than the exponentials once more.
    """
    total = torch.zeros((), dtype=wide, device=logits.device)
    for rows in _slices(len(logits), max(1, NEAR // (logits.shape[1] * wide.itemsize))):
        target = targets[rows, None]
        z = logits[rows].to(wide)
        right, largest = z.gather(1, target), z.amax(1, keepdim=True)
        p = torch.softmax(z, 1, out=z)
        total += (largest - p.amax(1, keepdim=True).log() - right).sum()
        p.scatter_add_(1, target, torch.full_like(right, -1.0))
        if p.dtype != logits.dtype:
            logits[rows] = p
    return total


def _input_gradient(d_logits: Tensor, matrix: Tensor) -> Tensor:
    """dz W, summed over blocks of the vocabulary."""
    if d_logits.dtype.itemsize < 4:  # half precision would round the running sum
        return d_logits @ matrix
    made = d_logits.new_zeros(len(d_logits), matrix.shape[1])
    for block in _slices(len(matrix), BLOCK):
        made.addmm_(d_logits[:, block], matrix[block])
    return made


def _add_weight_gradient(d_weight: Tensor, d_logits: Tensor, part: Tensor, share: float) -> None:
    """Add share dz^T h to dW; half-precision products go through blocks into its float32."""
    if d_weight.dtype == part.dtype:
        d_weight.addmm_(d_logits.T, part, alpha=share)
        return
    for block in _slices(len(d_weight), 4 * BLOCK):
        d_weight[block].add_(d_logits[:, block].T @ part, alpha=share)
