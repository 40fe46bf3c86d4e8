"""Texts for the tests: real ones where ../shared/data is there, and made ones of known truth."""

from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[2] / "../shared/data/text"


def shared(name: str) -> Path:
    """A file of ../shared/data/text, or skip."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"../shared/data/text/{name} is absent")
    return path


def made_text(lines: int = 300, words: int = 40, seed: int = 0) -> str:
    """Lines of words with Zipf's frequencies, each word leaning on the one before it."""
    random = np.random.default_rng(seed)
    zipf = 1.0 / np.arange(1, words + 1)
    chain = zipf * random.gamma(0.3, size=(words, words)) + 1e-3 * zipf
    chain /= chain.sum(axis=1, keepdims=True)
    result = []
    for _ in range(lines):
        word, line = int(random.choice(words, p=zipf / zipf.sum())), []
        for _ in range(int(random.integers(1, 15))):
            line.append(f"w{word}")
            word = int(random.choice(words, p=chain[word]))
        result.append(" ".join(line))
    return "\n".join(result) + "\n"
