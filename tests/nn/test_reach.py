"""Who sees whom, against a plain softmax."""

import math

import pytest
import torch

from muybridge.nn.reach import Reach, attend, causal_mask, reach


def _plain(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """The slow twin: scores, -inf, softmax, with keys repeated for every query head."""
    groups = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(groups, dim=1) for x in (k, v))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~seen, -math.inf)
    return scores.softmax(-1) @ v


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, over: Reach) -> torch.Tensor:
    return attend(q, k, v, over, q.shape[-1] ** -0.5)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("queries", "keys"), [(6, 6), (1, 6), (3, 6)])
@pytest.mark.parametrize("window", [None, 2, 4, 99])
def test_attention_is_the_plain_softmax(
    groups: int, queries: int, keys: int, window: int | None
) -> None:
    q = torch.randn(2, 4, queries, 8, dtype=torch.float64)
    k = torch.randn(2, groups, keys, 8, dtype=torch.float64)
    v = torch.randn(2, groups, keys, 5, dtype=torch.float64)
    expected = _plain(q, k, v, causal_mask(queries, keys, window))
    found = _attend(q, k, v, reach(queries, keys, window=window))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)


def test_the_last_query_sees_all_and_the_band_is_so_wide() -> None:
    assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True] * 4]
    assert causal_mask(1, 5, 2).tolist() == [[False, False, False, True, True]]


def test_padding_sees_only_itself() -> None:
    mask = reach(4, 4, torch.tensor([2])).mask
    assert mask is not None
    assert mask[0, 0].tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [False, False, True, False],
        [False, False, True, True],
    ]


@pytest.mark.parametrize("window", [None, 2])
def test_documents_are_attended_alone(window: int | None) -> None:
    q, k, v = torch.randn(3, 1, 2, 9, 4, dtype=torch.float64)
    found = _attend(q, k, v, Reach(lengths=(4, 1, 4), window=window))
    parts = [
        _attend(*(x[:, :, a:b] for x in (q, k, v)), reach(b - a, b - a, window=window))
        for a, b in ((0, 4), (4, 5), (5, 9))
    ]
    torch.testing.assert_close(found, torch.cat(parts, dim=2), rtol=0, atol=1e-13)


def test_lengths_must_add_up() -> None:
    q = torch.randn(1, 1, 5, 4)
    with pytest.raises(AssertionError, match="do not add up"):
        _attend(q, q, q, Reach(lengths=(2, 2)))
