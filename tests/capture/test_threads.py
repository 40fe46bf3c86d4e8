"""One thread inside, the old number outside, whatever happens."""

import pytest
import torch

from muybridge.capture.threads import one_thread


def _fail() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
        raise ValueError("on purpose")


def test_the_number_of_threads_comes_back_even_after_an_error() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="on purpose"):
            _fail()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
