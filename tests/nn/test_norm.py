"""Norms equal torch's in float32, and LLaMA's order of rounding in half precision."""

import torch

from muybridge.nn.norm import RMSNorm, make_norm


def test_rms_norm_is_torchs_in_float32() -> None:
    x = torch.randn(3, 5, 16) * 4
    ours, theirs = RMSNorm(16, 1e-5), torch.nn.RMSNorm(16, eps=1e-5)
    weight = torch.randn(16)
    for norm in (ours, theirs):
        norm.weight.data.copy_(weight)
    torch.testing.assert_close(ours(x), theirs(x))


def test_rounding_comes_before_the_weight() -> None:
    norm = RMSNorm(64, 1e-5).to(torch.bfloat16)
    norm.weight.data.uniform_(0.5, 1.5)
    x = torch.randn(200, 64).to(torch.bfloat16)
    wide = x.float() * torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-5)
    assert torch.equal(norm(x), norm.weight * wide.to(torch.bfloat16))
    late = (norm.weight.float() * wide).to(torch.bfloat16)
    assert not torch.equal(norm(x), late)


def test_float64_stays_float64() -> None:
    x = torch.randn(4, 8, dtype=torch.float64)
    expected = x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(RMSNorm(8, 1e-6).double()(x), expected, rtol=1e-14, atol=0)


def test_both_kinds_are_made() -> None:
    assert isinstance(make_norm("layernorm", 8, 1e-5), torch.nn.LayerNorm)
    assert "epsilon=1e-06" in repr(make_norm("rmsnorm", 8, 1e-6))
