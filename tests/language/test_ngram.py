"""One contract for every way of smoothing."""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from muybridge.errors import InputError
from muybridge.language.corpus import Unit, encode, split_text
from muybridge.language.ngram import NgramModel
from muybridge.language.ngram_run import NgramRun, load_run, save_run, train_ngram
from muybridge.language.smoothing import METHODS, Method, Smoothing
from muybridge.language.vocabulary import START_ID, UNKNOWN_ID
from tests.language.texts import made_text

TEXT = made_text()
HELD = made_text(seed=1) + "never_seen w1 w2 never_seen\n"
ORDER = 3
SMOOTHED = [method for method in METHODS if method != "mle"]
KINDS = list(itertools.product(METHODS, ["words", "characters"], [False, True]))


def _train(
    method: Method, unit: Unit = "words", closed: bool = False, order: int = ORDER
) -> NgramRun:
    return train_ngram(TEXT, order, Smoothing(method), unit=unit, closed=closed)


def _histories(model: NgramModel) -> list[list[int]]:
    """Every history of one word, many of two (most of them never seen), the empty one, unknown."""
    size = len(model.vocabulary)
    random = np.random.default_rng(0)
    pairs = random.integers(0, size, (60, 2)).tolist()
    starts = [[START_ID, word] for word in range(size)]
    return [[], [UNKNOWN_ID, 5], [5, UNKNOWN_ID], *([w] for w in range(size)), *pairs, *starts]


@pytest.mark.parametrize(("method", "unit", "closed"), KINDS)
def test_probabilities_sum_to_one_after_every_history(
    method: Method, unit: Unit, closed: bool
) -> None:
    model = _train(method, unit, closed).model
    sums = [model.distribution(history).sum() for history in _histories(model)]
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)


@pytest.mark.parametrize(("method", "unit", "closed"), KINDS)
def test_scores_are_the_distribution(method: Method, unit: Unit, closed: bool) -> None:
    model = _train(method, unit, closed).model
    size = len(model.vocabulary)
    for history in _histories(model)[::7]:
        rows = np.full((size, ORDER), -1)
        rows[:, ORDER - 1] = np.arange(size)
        if history:
            rows[:, ORDER - 1 - len(history) : -1] = history
        scores = 10.0 ** model.score_ngrams(rows)
        np.testing.assert_allclose(scores, model.distribution(history), atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_scoring_a_text_is_scoring_its_ngrams(method: Method) -> None:
    run = _train(method)
    held = encode(split_text(HELD), run.model.vocabulary, HELD)
    rows = np.full((len(held.ids), ORDER), -1)
    for t, place in enumerate(held.place):
        width = min(place + 1, ORDER)
        rows[t, ORDER - width :] = held.ids[t - width + 1 : t + 1]
    expected = np.where(held.place == 0, 0.0, run.model.score_ngrams(rows))
    np.testing.assert_allclose(run.model.score(held), expected, atol=1e-12)


@pytest.mark.parametrize("method", SMOOTHED)
@pytest.mark.parametrize("lines", [1, 3, 30, 300])
def test_no_text_makes_the_unseen_impossible(method: Method, lines: int) -> None:
    text = "".join(TEXT.splitlines(keepends=True)[:lines])
    run = train_ngram(text, ORDER, Smoothing(method))
    assert np.isfinite(run.evaluate(HELD).perplexity)
    closed = train_ngram(text, ORDER, Smoothing(method), closed=True)
    assert np.isfinite(closed.evaluate(HELD).perplexity_known)
    assert np.isinf(closed.evaluate(HELD).perplexity)


@pytest.mark.parametrize("method", SMOOTHED)
def test_smoothing_predicts_better_than_single_words(method: Method) -> None:
    held = made_text(seed=0, lines=400).split("\n", 300)[300]
    longer = _train(method, order=2).evaluate(held).perplexity
    assert longer < _train(method, order=1).evaluate(held).perplexity


def test_kneser_ney_beats_adding_one() -> None:
    held = made_text(seed=0, lines=400).split("\n", 300)[300]
    assert _train("kneser-ney").evaluate(held).perplexity < (
        0.8 * _train("add-k").evaluate(held).perplexity
    )


@pytest.mark.parametrize("method", METHODS)
def test_keeping_and_loading_changes_nothing(method: Method, tmp_path: Path) -> None:
    run = _train(method, closed=True)
    save_run(tmp_path / "run", run)
    again = load_run(tmp_path / "run")
    assert (again.model.vocabulary, again.unit, again.span) == (
        run.model.vocabulary,
        "words",
        "line",
    )
    assert (again.model.method, again.model.notes) == (method, run.model.notes)
    assert again.evaluate(TEXT) == run.evaluate(TEXT)
    assert again.generate(seed=3) == run.generate(seed=3)


@pytest.mark.parametrize("method", METHODS)
def test_samples_follow_the_distribution(method: Method) -> None:
    """Chi squared of 4000 first words, against its mean plus six standard deviations."""
    model = _train(method).model
    random = np.random.default_rng(0)
    drawn = Counter(tuple(model.sample(random, longest=1)) for _ in range(4000))
    expected = model.distribution([START_ID]) * 4000
    counts = np.array([drawn[(word,)] for word in range(len(expected))], dtype=float)
    counts[2] = drawn[()]
    assert counts[expected == 0].sum() == 0
    often = expected > 5
    chi = ((counts - expected)[often] ** 2 / expected[often]).sum()
    assert chi < often.sum() + 6 * np.sqrt(2 * often.sum())


def test_a_cold_sample_takes_the_likeliest_word() -> None:
    model = _train("katz").model
    random = np.random.default_rng(0)
    word = model.sample(random, longest=1, temperature=0.0)[0]
    assert word == np.argmax(model.distribution([START_ID]))
    hot = [tuple(model.sample(random, longest=1, temperature=50.0)) for _ in range(300)]
    assert len(set(hot)) > 25, "a hot sample is nearly uniform"
    with pytest.raises(InputError, match="temperature"):
        model.sample(random, temperature=-1.0)


def test_orders_longer_than_the_text_are_left_out() -> None:
    assert train_ngram("a b\n", 9).model.order == 4
    with pytest.raises(InputError, match="order of at least 1"):
        train_ngram("a b\n", 0)


def test_memory_is_24_bytes_an_ngram() -> None:
    model = _train("katz").model
    rows = sum(len(table) for table in model.tables)
    assert model.bytes == 24 * rows - 8 * len(model.tables[-1]) + 8


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    save_run(tmp_path / "a", _train("katz"))
    save_run(tmp_path / "b", train_ngram("x y z\n", 2))
    weights, config = tmp_path / "a" / "model.safetensors", tmp_path / "a" / "config.json"
    whole, text = weights.read_bytes(), config.read_text()
    for damage, names in (
        (lambda: weights.write_bytes(whole[:-100]), "safetensors"),
        (lambda: weights.unlink(), "safetensors"),
        (lambda: weights.write_bytes((tmp_path / "b" / "model.safetensors").read_bytes()), "train"),
        (lambda: config.write_text(text[:50]), "JSON"),
        (lambda: config.write_text('{"family": "gpt2"}'), "family ngram"),
        (lambda: config.write_text('{"family": "ngram"}'), "config"),
        (lambda: config.write_text(text.replace('"w1"', '"w2"')), "config"),
        (lambda: config.write_text(text.replace('"words",\n "span"', '"bytes",\n "span"')), "unit"),
        (lambda: config.write_text(text.replace('"w1",', '"w1", "extra",')), "does not"),
    ):
        damage()
        with pytest.raises(InputError, match=names):
            load_run(tmp_path / "a")
        weights.write_bytes(whole)
        config.write_text(text)
    with pytest.raises(InputError, match="lm train"):
        load_run(tmp_path / "absent")
