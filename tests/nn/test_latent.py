"""MLA: both paths agree, and the cache is as small as promised."""

import pytest
import torch

from muybridge.nn.cache import LayerCache
from muybridge.nn.latent import LatentAttention, MultiHeadLatentAttention
from muybridge.nn.reach import reach
from muybridge.nn.rope import Rope, inverse_frequencies, rotation

SHAPE = LatentAttention(4, 12, 10, nope_width=6, rope_width=4, value_width=8)


def _rotation(time: int, first: int = 0) -> object:
    rope = Rope(layout="interleaved")
    positions = torch.arange(first, first + time)[None]
    return rotation(positions, inverse_frequencies(4, rope), rope, torch.float64)


@pytest.mark.parametrize("rank", [12, None])
def test_naive_and_absorbed_agree_in_value_and_gradient(rank: int | None) -> None:
    torch.manual_seed(0)
    shape = LatentAttention(4, rank, 10, nope_width=6, rope_width=4, value_width=8)
    layer = MultiHeadLatentAttention(16, shape, 1.3).double()
    x = torch.randn(2, 7, 16, dtype=torch.float64)
    found = []
    for absorb in (False, True):
        layer.absorb = absorb
        layer.zero_grad()
        y = layer(x, reach(7, 7), _rotation(7))
        y.square().sum().backward()
        found.append((y, [p.grad.clone() for p in layer.parameters()]))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-13)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-10, atol=1e-12)


def test_the_published_shape_agrees_in_float32() -> None:
    torch.manual_seed(0)
    layer = MultiHeadLatentAttention(256, LatentAttention(heads=8))
    rope = Rope(layout="interleaved")
    turned = rotation(torch.arange(16)[None], inverse_frequencies(64, rope), rope, torch.float32)
    x = torch.randn(1, 16, 256)
    with torch.no_grad():
        naive = layer(x, reach(16, 16), turned)
        layer.absorb = True
        torch.testing.assert_close(layer(x, reach(16, 16), turned), naive, rtol=0, atol=1e-5)


def test_the_cache_of_deepseek_v3_holds_576_numbers_a_token() -> None:
    shape = LatentAttention()
    cache = LayerCache(1, 4, shape.cache_shapes, torch.float32, torch.device("cpu"))
    assert cache.values_per_token == 576
    # the keys and values of its 128 heads would be 40,960
    assert shape.heads * (shape.nope_width + shape.rope_width + shape.value_width) == 40_960


def test_the_shared_key_is_not_normalised() -> None:
    """Scaling the latent's rows changes nothing but through k_rope: only c_kv is normalised."""
    layer = MultiHeadLatentAttention(16, SHAPE).double()
    x = torch.randn(1, 5, 16, dtype=torch.float64)
    before = layer(x, reach(5, 5), _rotation(5))
    with torch.no_grad():
        layer.latent_down.weight[:10] *= 100
    torch.testing.assert_close(layer(x, reach(5, 5), _rotation(5)), before, rtol=1e-3, atol=1e-3)
    with torch.no_grad():
        layer.latent_down.weight[10:] *= 100
    assert (layer(x, reach(5, 5), _rotation(5)) - before).abs().max() > 1e-3
