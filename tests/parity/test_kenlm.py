"""n-gram models against KenLM: its estimator's files, and its scores of sentences.

The fixtures were made by `lmplz -o 3` and `-o 5 --discount_fallback`; they hold float32, hence
the tolerance of 1e-6 in log10. The Python package scores in float32 too.
"""

from pathlib import Path

import numpy as np
import pytest

from muybridge.language.arpa import read_arpa, write_arpa
from muybridge.language.corpus import encode, read_text, split_text
from muybridge.language.ngram_run import NgramRun, load_run, train_ngram
from tests.language.texts import shared

KINDS = {"word": 3, "char": 5}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def run(kind: str) -> NgramRun:
    return train_ngram(read_text(shared(f"arpa/{kind}.train.txt.gz")), KINDS[kind])


def test_every_number_of_lmplz(kind: str, run: NgramRun) -> None:
    theirs = read_arpa(shared(f"arpa/{kind}.{KINDS[kind]}.arpa.gz"))
    assert run.model.vocabulary == theirs.vocabulary
    for ours, fixture in zip(run.model.tables, theirs.tables, strict=True):
        np.testing.assert_array_equal(ours.keys, fixture.keys)
        np.testing.assert_allclose(ours.log_probability, fixture.log_probability, rtol=0, atol=1e-6)
        weights = np.broadcast_to(ours.log_weight, fixture.log_weight.shape)
        np.testing.assert_allclose(weights, fixture.log_weight, rtol=0, atol=1e-6)
    entries = sum(len(table) for table in run.model.tables)
    assert entries == {"word": 261_985, "char": 160_482}[kind]


def test_the_published_perplexities(kind: str, run: NgramRun) -> None:
    held = run.evaluate(read_text(shared(f"arpa/{kind}.valid.txt.gz")))
    if kind == "word":
        assert held.perplexity == pytest.approx(171.788, abs=5e-4)
        assert held.perplexity_known == pytest.approx(125.0, abs=0.05)
        assert (held.predicted, held.unknown) == (29_346, 1_153)
        assert run.model.notes == ()
    else:
        assert held.nats_per_token == pytest.approx(1.5806, abs=1e-4)
        assert held.predicted == 110_601
        assert [note[:7] for note in run.model.notes] == ["order 1"]


def test_the_kenlm_package_scores_our_file_as_we_do(
    kind: str, run: NgramRun, tmp_path: Path
) -> None:
    kenlm = pytest.importorskip("kenlm", reason="pip install kenlm==0.3.0")
    path = tmp_path / "ours.arpa"
    write_arpa(path, run.model)
    theirs, ours = kenlm.Model(str(path)), load_run(path).model
    text = read_text(shared(f"arpa/{kind}.valid.txt.gz"))
    lines = text.removesuffix("\n").split("\n")
    held = encode(split_text(text), ours.vocabulary, text)
    words = [score for line in lines for score, _, _ in theirs.full_scores(line)]
    np.testing.assert_allclose(ours.score(held)[held.place > 0], words, rtol=0, atol=1e-6)
    sentences = np.add.reduceat(ours.score(held), np.flatnonzero(held.place == 0))
    totals = [theirs.score(line) for line in lines]  # float32 sums of up to 70 terms
    np.testing.assert_allclose(sentences, totals, rtol=2e-6, atol=1e-6)
