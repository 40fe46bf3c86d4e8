"""Llama 3.1's stretched frequencies find a needle in texts longer than any that were learned."""

import runpy
from pathlib import Path

import pytest

NEEDLE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "needle.py"))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)
def test_needles_are_found_beyond_the_trained_length(seed: int) -> None:
    decoder, context = NEEDLE["train"](seed), NEEDLE["CONTEXT"]

    def accuracy(times: int, factor: float | None) -> float:
        return float(NEEDLE["accuracy"](decoder, times * context, factor))

    assert accuracy(1, None) > 0.98
    assert accuracy(4, None) < 0.6  # angles it never saw
    assert accuracy(4, 8.0) > 0.95
    assert accuracy(8, 8.0) > 0.9
    assert accuracy(8, 2.0) < accuracy(8, 8.0) - 0.3  # a factor for less than that length
