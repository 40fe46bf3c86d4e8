"""One thread inside, the old number outside, whatever happens."""

import pytest
import torch

from muybridge.capture import threads
from muybridge.capture.threads import one_thread


def _fail() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        assert all(count() == 1 for count, _ in threads._blas())
        raise ValueError("on purpose")


def test_the_number_of_threads_comes_back_even_after_an_error() -> None:
    pools = [(torch.get_num_threads, torch.set_num_threads), *threads._blas()]
    before = [count() for count, _ in pools]
    for _, limit in pools:
        limit(2)
    try:
        with pytest.raises(ValueError, match="on purpose"):
            _fail()
        assert [count() for count, _ in pools] == [2] * len(pools)
    finally:
        for (_, limit), number in zip(pools, before, strict=True):
            limit(number)


def test_another_blas_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "BLAS", "unheard_of_{}_threads")
    assert threads._blas() == []
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
