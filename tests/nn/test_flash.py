"""Our FlashAttention: equal to torch's attention, its gradient proven, its memory linear."""

from typing import Literal

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from muybridge.errors import InputError
from muybridge.nn.flash import Tiling, flash_attention, forward_v1, forward_v2
from tests.live_bytes import LiveBytes

Version = Literal["v1", "v2"]
VERSIONS: tuple[Version, ...] = ("v1", "v2")


def _inputs(queries: int, keys: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    shapes = ((2, 3, queries, 8), (2, 3, keys, 8), (2, 3, keys, 5))
    return [torch.randn(s, dtype=dtype).mul_(2).requires_grad_() for s in shapes]


def _naive(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """The whole matrix, aligned at the end; rows that see nothing give 0."""
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if causal:
        seen = torch.ones(scores.shape[-2:]).tril(k.shape[-2] - q.shape[-2]).bool()
        scores = scores.masked_fill(~seen, -torch.inf)
    return scores.softmax(-1).nan_to_num() @ v


def _with_gradients(made: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    weight = torch.linspace(-1, 1, made.numel(), dtype=made.dtype).view_as(made)
    return [made, *torch.autograd.grad((made * weight).sum(), inputs)]


@pytest.mark.parametrize("backend", [*VERSIONS, "torch"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("queries", "keys"), [(24, 24), (19, 19), (5, 21), (1, 9), (21, 5)])
@pytest.mark.parametrize(("rows", "columns"), [(4, 16), (7, 3)])
def test_equals_the_whole_matrix(
    backend: Literal["torch", "v1", "v2"],
    causal: bool,
    queries: int,
    keys: int,
    rows: int,
    columns: int,
) -> None:
    inputs = _inputs(queries, keys)
    tiling = Tiling(rows, columns, causal)
    ours = _with_gradients(flash_attention(*inputs, backend=backend, tiling=tiling), inputs)
    seeing = queries <= keys or not causal
    naive = _naive(*inputs, causal) if seeing else _naive_of_seeing(*inputs)
    for a, b in zip(ours, _with_gradients(naive, inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def _naive_of_seeing(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """For T > S: softmax of a row of -inf has no gradient, so such queries are left out."""
    blind = q.shape[-2] - k.shape[-2]
    return functional.pad(_naive(q[..., blind:, :], k, v, True), (0, 0, blind, 0))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equals_torch(version: Version, dtype: torch.dtype, tolerance: float) -> None:
    inputs = _inputs(150, 150, dtype)
    inputs[2] = torch.randn(2, 3, 150, 8, dtype=dtype, requires_grad=True)
    ours = flash_attention(*inputs, backend=version, tiling=Tiling(32, 16))
    theirs = functional.scaled_dot_product_attention(*inputs, is_causal=True)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)
    ours_all, theirs_all = (_with_gradients(x, inputs) for x in (ours, theirs))
    for a, b in zip(ours_all[1:], theirs_all[1:], strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("queries", "keys", "causal"), [(5, 5, True), (3, 6, True), (4, 5, False)])
def test_gradcheck(version: Version, queries: int, keys: int, causal: bool) -> None:
    shapes = ((1, 2, queries, 3), (1, 2, keys, 3), (1, 2, keys, 2))
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in shapes]

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return flash_attention(q, k, v, backend=version, tiling=Tiling(2, 3, causal))

    assert torch.autograd.gradcheck(attend, inputs)


def test_versions_agree_on_output_and_log_sum() -> None:
    q, k, v = (x.detach() for x in _inputs(33, 40))
    for tiling in (Tiling(8, 8), Tiling(5, 9, False)):
        one, two = forward_v1(q, k, v, tiling), forward_v2(q, k, v, tiling)
        torch.testing.assert_close(one, two, rtol=0, atol=1e-13)
    scores = q @ k.mT * q.shape[-1] ** -0.5
    torch.testing.assert_close(two[1], scores.logsumexp(-1, keepdim=True), rtol=0, atol=1e-12)


def test_large_scores_do_not_overflow() -> None:
    q, k, v = (x.detach() * 100 for x in _inputs(20, 20, torch.float32))
    for version in VERSIONS:
        made = flash_attention(q, k, v, backend=version, tiling=Tiling(4, 4))
        assert made.isfinite().all()


def test_the_last_query_sees_the_last_key() -> None:
    q, k, v = (x.detach() for x in _inputs(3, 7))
    theirs_top_left = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    for backend in (*VERSIONS, "torch"):
        made = flash_attention(q, k, v, backend=backend, tiling=Tiling(2, 2))
        torch.testing.assert_close(made[..., -1:, :], _naive(q[..., -1:, :], k, v, False))
        assert not torch.allclose(made, theirs_top_left)
        changed = k.clone()
        changed[..., 5, :] += 1.0  # seen by queries 1 and 2 alone
        moved = flash_attention(q, changed, v, backend=backend, tiling=Tiling(2, 2)) - made
        assert (moved.abs().amax((0, 1, 3)) > 1e-9).tolist() == [False, True, True]


def _memory(attend: object, length: int) -> LiveBytes:
    assert callable(attend)
    q, k, v = (torch.randn(1, 1, length, 16, requires_grad=True) for _ in range(3))
    with LiveBytes() as live:
        attend(q, k, v).sum().backward()
    return live


def test_memory_is_linear_in_length() -> None:
    tiling = Tiling(32, 32)
    whole = [_memory(lambda q, k, v: _naive(q, k, v, True), n) for n in (256, 512)]
    assert whole[1].peak > 3.5 * whole[0].peak
    for version in VERSIONS:

        def attend(q: Tensor, k: Tensor, v: Tensor, version: Version = version) -> Tensor:
            return flash_attention(q, k, v, backend=version, tiling=tiling)

        short, long = (_memory(attend, n) for n in (256, 512))
        assert long.peak < 2.05 * short.peak
        assert long.largest == 512 * 16 * 4, "nothing is larger than an output"
        assert whole[1].peak > 5 * long.peak


def test_blocks_must_hold_something() -> None:
    with pytest.raises(InputError, match="blocks"):
        Tiling(0, 4)
