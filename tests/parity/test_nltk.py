"""n-gram estimates against NLTK, where it is installed, to 1e-9.

NLTK does not smooth single words and pads with more `<s>`; so what is compared is the step from one
order to the next: kept and freed shares of every history that does not begin with `<s>`.
"""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from muybridge.language.corpus import split_text
from muybridge.language.ngram import NgramModel
from muybridge.language.ngram_run import train_ngram
from muybridge.language.smoothing import Method, Smoothing
from tests.language.texts import made_text

TEXT = made_text(80, words=15)
ORDER = 3


@pytest.fixture(scope="module")
def nltk_lm() -> ModuleType:
    return pytest.importorskip("nltk.lm", reason="pip install nltk")


def _counted(lm: ModuleType, model: Any) -> Any:
    """An NLTK model that has counted the text, with one `<s>` a line and our vocabulary."""
    sentences = [["<s>", *line, "</s>"] for line in split_text(TEXT)]
    model.vocab = lm.Vocabulary(w for line in sentences for w in line if w != "<s>")
    model.counts.update(
        [tuple(s[b : b + n]) for n in range(1, ORDER + 1) for b in range(len(s) - n + 1)]
        for s in sentences
    )
    return model


def _one(model: NgramModel, history: tuple[str, ...], word: str) -> float:
    index = model.vocabulary.index
    return float(model.distribution([index[w] for w in history])[index[word]])


HISTORIES = [("w0",), ("w3",), ("w14",), ("w0", "w1"), ("w1", "w0"), ("w2", "w5")]


@pytest.mark.parametrize("method", ["absolute", "kneser-ney"])
def test_interpolated_discounting(nltk_lm: ModuleType, method: Method) -> None:
    kind = {
        "absolute": nltk_lm.AbsoluteDiscountingInterpolated,
        "kneser-ney": nltk_lm.KneserNeyInterpolated,
    }[method]
    theirs = _counted(nltk_lm, kind(ORDER, discount=0.6))
    ours = train_ngram(TEXT, ORDER, Smoothing(method, discount=0.6)).model
    compared = 0
    for history in HISTORIES:
        if not theirs.counts[history].N():
            continue
        for word in ours.vocabulary.words[2:]:
            kept, freed = theirs.estimator.alpha_gamma(word, history)
            expected = kept + freed * _one(ours, history[1:], word)
            assert _one(ours, history, word) == pytest.approx(expected, abs=1e-9)
            compared += 1
    assert compared > 50


def test_adding_k(nltk_lm: ModuleType) -> None:
    theirs = _counted(nltk_lm, nltk_lm.Lidstone(0.3, ORDER))
    ours = train_ngram(TEXT, ORDER, Smoothing("add-k", k=0.3)).model
    assert len(theirs.vocab) == ours.vocabulary.outcomes
    for history in [*HISTORIES, ("<s>",), ("<s>", "w1"), ("w14", "w14")]:
        for word in ours.vocabulary.words[2:]:
            expected = theirs.unmasked_score(word, history)
            assert _one(ours, history, word) == pytest.approx(expected, abs=1e-9)


def test_relative_frequency(nltk_lm: ModuleType) -> None:
    theirs = _counted(nltk_lm, nltk_lm.MLE(ORDER))
    ours = train_ngram(TEXT, ORDER, Smoothing("mle")).model
    for history in HISTORIES:
        if theirs.counts[history].N():
            expected = [theirs.unmasked_score(w, history) for w in ours.vocabulary.words[2:]]
            np.testing.assert_allclose(
                [_one(ours, history, w) for w in ours.vocabulary.words[2:]], expected, atol=1e-9
            )
