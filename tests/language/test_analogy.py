"""An embedding trained here knows the plural: cats - cat lies along it, for nouns left out, too."""

import runpy
from pathlib import Path

import pytest

ANALOGY = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "analogy.py"))


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)
def test_every_plural_lies_along_the_direction_of_the_others(seed: int) -> None:
    nouns = ANALOGY["NOUNS"]
    raw, trained = ANALOGY["train"](seed, 0), ANALOGY["train"](seed)
    before = [ANALOGY["margin"](raw, noun) for noun in nouns]
    after = [ANALOGY["margin"](trained, noun) for noun in nouns]
    assert min(before) < 0, "by chance it is no direction"
    assert min(after) > 0.5
    plurals = {noun + "s" for noun in nouns}
    assert all(ANALOGY["complete"](trained, noun) in plurals for noun in nouns)
