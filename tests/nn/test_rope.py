"""Rotations: relative, in both layouts, stretched as Llama 3.1 and DeepSeek-V3 stretch them."""

import math

import pytest
import torch

from muybridge.nn.rope import (
    Llama3Scaling,
    Rope,
    YarnScaling,
    half_from_interleaved,
    interleaved_from_half,
    inverse_frequencies,
    rotation,
    score_scale,
)


def _turn(x: torch.Tensor, first: int, rope: Rope) -> torch.Tensor:
    positions = torch.arange(first, first + x.shape[2])[None]
    return rotation(positions, inverse_frequencies(x.shape[-1], rope), rope, x.dtype).turn(x)


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_scores_depend_on_the_distance_alone(layout: str) -> None:
    q, k = torch.randn(2, 1, 3, 6, 16, dtype=torch.float64)
    rope = Rope(layout=layout)
    here = _turn(q, 0, rope) @ _turn(k, 0, rope).mT
    there = _turn(q, 100, rope) @ _turn(k, 100, rope).mT
    torch.testing.assert_close(here, there, rtol=0, atol=2e-5)  # angles are float32
    torch.testing.assert_close(_turn(q, 7, rope).norm(dim=-1), q.norm(dim=-1))
    torch.testing.assert_close(_turn(q, 0, rope)[:, :, :1], q[:, :, :1], rtol=0, atol=0)


def test_interleaved_pairs_are_complex_numbers() -> None:
    """The naive twin: x_2i + i x_2i+1 times e^(i p f)."""
    x, rope = torch.randn(1, 2, 5, 8, dtype=torch.float64), Rope(layout="interleaved")
    angles = torch.arange(5)[:, None] * inverse_frequencies(8, rope)
    factor = torch.polar(torch.ones(5, 4, dtype=torch.float64), angles.double())
    expected = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * factor)
    torch.testing.assert_close(_turn(x, 0, rope), expected.flatten(-2), rtol=0, atol=1e-6)


def test_the_mappers_undo_each_other_and_keep_scores() -> None:
    heads, width = 3, 24
    weight_q, weight_k = torch.randn(2, heads * 8, width, dtype=torch.float64)
    assert torch.equal(
        interleaved_from_half(half_from_interleaved(weight_q, heads), heads), weight_q
    )
    x = torch.randn(1, 6, width, dtype=torch.float64)

    def scores(q: torch.Tensor, k: torch.Tensor, rope: Rope) -> torch.Tensor:
        made = [
            _turn((x @ w.T).unflatten(-1, (heads, -1)).transpose(1, 2), 0, rope) for w in (q, k)
        ]
        return made[0] @ made[1].mT

    meta = scores(weight_q, weight_k, Rope(layout="interleaved"))
    moved = [half_from_interleaved(w, heads) for w in (weight_q, weight_k)]
    torch.testing.assert_close(scores(*moved, Rope()), meta, rtol=0, atol=1e-12)
    wrong = scores(weight_q, weight_k, Rope())
    assert (wrong - meta).abs().max() > 1  # silently wrong, were the layout forgotten


def test_llama_31_blends_between_its_two_wavelengths() -> None:
    plain = inverse_frequencies(128, Rope(500_000.0))
    scaled = inverse_frequencies(128, Rope(500_000.0, scaling=Llama3Scaling()))
    ratio, wavelengths = scaled / plain, 2 * math.pi / plain
    torch.testing.assert_close(
        ratio[wavelengths < 2048], torch.ones(1).expand_as(ratio[wavelengths < 2048])
    )
    slow = ratio[wavelengths > 8192]
    torch.testing.assert_close(slow, torch.full_like(slow, 1 / 8))
    between = ratio[(wavelengths > 2048) & (wavelengths < 8192)]
    assert len(between) > 3
    assert (between.diff() < 0).all()
    assert ((between > 1 / 8) & (between < 1)).all()


def test_yarn_sharpens_scores_as_deepseek_does() -> None:
    rope = Rope(scaling=YarnScaling())
    assert score_scale(rope) == pytest.approx((0.1 * math.log(40) + 1) ** 2)
    assert score_scale(Rope()) == score_scale(None) == 1.0
    plain, scaled = inverse_frequencies(64, Rope()), inverse_frequencies(64, rope)
    assert scaled[0] == plain[0]
    torch.testing.assert_close(scaled[-1], plain[-1] / 40)
