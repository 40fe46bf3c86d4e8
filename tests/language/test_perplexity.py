"""Perplexity against a source whose entropy is known, and against arithmetic by hand."""

import numpy as np
import pytest

from muybridge.language.ngram_run import train_ngram
from muybridge.language.smoothing import METHODS, Method, Smoothing


def _chain(random: np.random.Generator, states: int, length: int) -> tuple[str, float]:
    """One line drawn from a Markov chain, and the chain's entropy rate in bits."""
    chain = random.gamma(0.5, size=(states, states)) + 0.01
    chain /= chain.sum(axis=1, keepdims=True)
    values, vectors = np.linalg.eig(chain.T)
    steady = np.abs(vectors[:, np.argmax(values.real)].real)
    steady /= steady.sum()
    entropy = -float(steady @ (chain * np.log2(chain)).sum(axis=1))
    heaps, state, line = chain.cumsum(axis=1), 0, []
    for u in random.random(length):
        line.append(chr(97 + state))
        state = min(int(np.searchsorted(heaps[state], u)), states - 1)
    return " ".join(line), entropy


@pytest.mark.parametrize("method", METHODS)
def test_the_entropy_of_a_known_source_is_found(method: Method) -> None:
    """Within 1 %, by a model of the source's order trained on 60,000 words of it."""
    text, entropy = _chain(np.random.default_rng(0), 8, 80_000)
    words = text.split(" ")
    run = train_ngram(" ".join(words[:60_000]), 2, Smoothing(method), span="text")
    held = run.evaluate(" ".join(words[60_000:]))
    bits = (held.bits - 16) / held.predicted if method == "mle" else held.bits_per_token
    if method == "mle":  # the one </s> costs infinity unless it was seen after the same word
        bits = entropy if np.isinf(bits) else bits
    assert bits == pytest.approx(entropy, rel=0.01)


def test_by_hand() -> None:
    """One order, relative frequencies: a a b </s> twice gives 1/2, 1/4, 1/4."""
    run = train_ngram("a a b\na b a\n", 1, Smoothing("mle"))
    held = run.evaluate("a b\n")
    assert held.predicted == 3
    assert held.bits == pytest.approx(1 + 2 + 2)
    assert held.perplexity == pytest.approx(2 ** (5 / 3))
    assert held.nats_per_token == pytest.approx(5 / 3 * np.log(2))
    assert held.bits_per_character == pytest.approx(5 / 4)


def test_open_and_closed_vocabulary() -> None:
    text, held = "a a b\na b a\n" * 20, "a zebra b\n"
    opened = train_ngram(text, 2).evaluate(held)
    closed = train_ngram(text, 2, closed=True).evaluate(held)
    assert (opened.unknown, closed.unknown, opened.predicted) == (1, 1, 4)
    assert np.isfinite(opened.perplexity)
    assert opened.perplexity > opened.perplexity_known
    assert np.isinf(closed.perplexity)
    assert np.isinf(closed.bits_per_character)
    assert np.isfinite(closed.perplexity_known)


def test_the_own_text_of_a_uniform_source_costs_its_alphabet() -> None:
    run = train_ngram("a b c d\n" * 3, 1, Smoothing("add-k", k=1e9), closed=True)
    assert run.evaluate("a b\nc d\n").perplexity == pytest.approx(5.0)
