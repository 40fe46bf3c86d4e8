"""Each method against a slow twin that follows its formula with dictionaries."""

from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest

from muybridge.errors import InputError
from muybridge.language.corpus import encode, split_text
from muybridge.language.ngram_counts import count_ngrams
from muybridge.language.ngram_run import train_ngram
from muybridge.language.smoothing import Smoothing, estimate
from muybridge.language.smoothing_discounts import (
    good_turing_ratios,
    katz_ratios,
    modified_discounts,
    single_discount,
)
from muybridge.language.vocabulary import collect
from tests.language.texts import made_text

TEXT = made_text(150, words=25)
SENTENCES = [["<s>", *line, "</s>"] for line in split_text(TEXT)]
OUTCOMES = len({word for line in SENTENCES for word in line} | {"<unk>"}) - 1
ORDER = 3


def _raw() -> Counter:
    """Counts of all n-grams as tuples; `<s>` alone is no outcome."""
    counts: Counter = Counter()
    for line in SENTENCES:
        for end in range(len(line)):
            counts.update(tuple(line[b : end + 1]) for b in range(max(0, end - 2), end + 1))
    del counts[("<s>",)]
    return counts


RAW = _raw()


def _continuations() -> dict:
    left = defaultdict(set)
    for gram in RAW:
        left[gram[1:]].add(gram[0])
    return {
        gram: count if len(gram) == ORDER or gram[0] == "<s>" else len(left[gram])
        for gram, count in RAW.items()
    }


def _interpolated(counts: dict, discount: dict):
    """p(w | h) with one or three discounts an order, straight from the definition."""
    after = defaultdict(dict)
    for gram, count in counts.items():
        after[gram[:-1]][gram[-1]] = count

    @cache
    def probability(word: str, history: tuple) -> float:
        lower = probability(word, history[1:]) if history else 1 / OUTCOMES
        if history not in after:
            return lower
        own, total = after[history], sum(after[history].values())
        taken = {w: discount[len(history) + 1][min(c, 3) - 1] for w, c in own.items()}
        kept = own[word] - taken[word] if word in own else 0.0
        return kept / total + sum(taken.values()) / total * lower

    return probability


def _discounts(counts: dict, modified: bool) -> dict:
    result = {}
    for order in range(1, ORDER + 1):
        n = Counter(c for g, c in counts.items() if len(g) == order)
        share = n[1] / max(n[1] + 2 * n[2], 1)
        result[order] = (share,) * 3
        if modified:
            three = tuple(r - (r + 1) * share * n[r + 1] / max(n[r], 1) for r in (1, 2, 3))
            good = all(0 < d <= r for r, d in enumerate(three, start=1)) and n[1] * n[2] * n[3]
            result[order] = three if good else (0.5, 1.0, 1.5)
        elif not n[1] * n[2]:
            result[order] = (0.75,) * 3
    return result


@pytest.mark.parametrize("method", ["absolute", "kneser-ney", "modified-kneser-ney"])
def test_discounting_is_its_definition(method: str) -> None:
    counts = RAW if method == "absolute" else _continuations()
    twin = _interpolated(counts, _discounts(counts, method == "modified-kneser-ney"))
    model = train_ngram(TEXT, ORDER, Smoothing(method)).model
    for history in [(), ("w1",), ("<s>",), ("<s>", "w0"), ("w0", "w1"), ("w3", "w3"), ("w9", "w0")]:
        ours = model.distribution(model.vocabulary.encode(history))
        words = [w for w in model.vocabulary.words if w != "<s>"]
        theirs = [twin(word, history) for word in words]
        np.testing.assert_allclose(ours[model.vocabulary.encode(words)], theirs, atol=1e-13)


def test_adding_k_is_its_definition() -> None:
    model = train_ngram(TEXT, 2, Smoothing("add-k", k=0.25)).model
    total = sum(c for g, c in RAW.items() if len(g) == 2 and g[0] == "w1")
    for word in ("w1", "w7", "</s>", "<unk>"):
        expected = (RAW[("w1", word)] + 0.25) / (total + 0.25 * OUTCOMES)
        ours = model.distribution(model.vocabulary.encode(["w1"]))[model.vocabulary.index[word]]
        assert ours == pytest.approx(expected, rel=1e-12)


def test_no_smoothing_is_relative_frequency() -> None:
    model = train_ngram(TEXT, 3, Smoothing("mle")).model
    index = model.vocabulary.index
    for gram, count in RAW.items():
        if len(gram) == 3:
            ours = model.distribution([index[w] for w in gram[:2]])[index[gram[2]]]
            total = sum(c for g, c in RAW.items() if len(g) == 3 and g[:2] == gram[:2])
            assert ours == pytest.approx(count / total, rel=1e-12)


def test_katz_is_its_definition() -> None:
    model = train_ngram(TEXT, 2, Smoothing("katz", cutoff=3)).model
    index = model.vocabulary.index
    ratios, note = katz_ratios(np.array([RAW[("w1", "w1")]]), 2, 3)
    assert note, "one count alone is too few"
    bigrams = {g: c for g, c in RAW.items() if len(g) == 2}
    values = np.array(list(bigrams.values()))
    ratios, note = katz_ratios(values, 2, 3)
    kept = dict(zip(bigrams, ratios * values, strict=True))
    for first in ("w0", "w1", "w2"):
        own = {g[1]: k for g, k in kept.items() if g[0] == first}
        total = sum(bigrams[(first, w)] for w in own)
        ours, single = model.distribution([index[first]]), model.distribution([])
        for word, share in own.items():
            assert ours[index[word]] == pytest.approx(share / total, rel=1e-12)
        unseen = [i for w, i in index.items() if w not in own and w != "<s>"]
        assert len(unseen) > 2
        ratio = ours[unseen] / single[unseen]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-9)


def test_jelinek_mercer_weights_are_the_best() -> None:
    """No other weight of one bucket predicts the left-out words better."""
    from muybridge.language import smoothing_mixture as mixture

    sentences = split_text(TEXT)
    vocabulary = collect(sentences)
    counts = count_ngrams(encode(sentences, vocabulary, TEXT), vocabulary, ORDER)
    totals = [g.sums(g.counts, c) for g, c in zip(counts.orders, counts.contexts, strict=True)]
    rows, occurrences = mixture._events(counts)
    assert occurrences.sum() == sum(len(line) - 1 for line in SENTENCES)
    relative, buckets = mixture._left_one_out(counts, totals, rows)
    learned = mixture._maximise(relative, buckets, occurrences, 1 / OUTCOMES)

    def likelihood(weights: np.ndarray) -> float:
        p = np.full(len(occurrences), 1 / OUTCOMES)
        for ratio, bucket, own in zip(relative, buckets, weights, strict=True):
            weight = np.where(bucket >= 0, own[bucket], 0.0)
            p = weight * ratio + (1 - weight) * p
        return float(occurrences @ np.log(p))

    best = likelihood(learned)
    assert best > likelihood(np.full_like(learned, 0.5)) + 50
    for order in range(ORDER):
        for bucket in set(buckets[order][buckets[order] >= 0].tolist()):
            for step in (-0.05, 0.05):
                other = learned.copy()
                other[order, bucket] = np.clip(other[order, bucket] + step, 0, 0.9999)
                assert likelihood(other) <= best * (1 - 1e-4)


def test_good_turing_keeps_one_minus_singles() -> None:
    """Total kept mass is 1 - n1/N, and frequent words are hardly discounted (Gale & Sampson)."""
    random = np.random.default_rng(0)
    counts = np.bincount(random.zipf(1.5, 20_000).clip(max=5000)).astype(np.int64)
    counts = counts[counts > 0]
    ratios, note = good_turing_ratios(counts, 1)
    assert not note
    singles = (counts == 1).sum() / counts.sum()
    assert (ratios * counts).sum() / counts.sum() == pytest.approx(1 - singles, abs=0.002)
    assert ratios[counts == 1].mean() < 0.7
    assert ratios[counts.argmax()] > 0.97


def test_bad_discounts_fall_back_and_say_so() -> None:
    three, note = modified_discounts(np.array([1, 1, 2, 2, 2, 5]), 2)
    assert three == (0.5, 1.0, 1.5)
    assert "no 2-gram has a count of 3" in note
    assert "small or artificial" in note
    three, note = modified_discounts(np.repeat([1, 2, 3], [10, 1, 5]), 1)
    assert three == (0.5, 1.0, 1.5)
    assert "formula gives" in note
    assert single_discount(np.array([1, 1, 1]), 1)[0] == 0.75
    assert "no 1-gram occurs 2 times" in single_discount(np.array([1, 1, 1]), 1)[1]
    assert "no 1-gram occurs 1 times" in single_discount(np.array([2, 2, 3]), 1)[1]
    assert modified_discounts(np.repeat([1, 2, 3, 4], [400, 100, 40, 20]), 1)[1] == ""


def test_every_note_reaches_the_model() -> None:
    model = train_ngram("a b a\n", 3).model
    assert [note[:7] for note in model.notes] == ["order 1", "order 2", "order 3"]


def test_wrong_settings_are_refused() -> None:
    for wrong in ({"k": 0.0}, {"discount": 1.5}, {"discount": 0.0}, {"cutoff": 0}):
        with pytest.raises(InputError, match="expected"):
            Smoothing("katz", **wrong)


def test_a_fixed_discount_is_used() -> None:
    sentences = split_text(TEXT)
    vocabulary = collect(sentences)
    counts = count_ngrams(encode(sentences, vocabulary, TEXT), vocabulary, 2)
    fixed = estimate(counts, Smoothing("kneser-ney", discount=0.6))
    assert fixed.notes == ()
    word = vocabulary.index["w1"]
    total = sum(c for g, c in RAW.items() if len(g) == 2 and g[0] == "w1")
    types = sum(len(g) == 2 and g[0] == "w1" for g in RAW)
    assert 10 ** fixed.tables[0].log_weight[word] == pytest.approx(0.6 * types / total)
