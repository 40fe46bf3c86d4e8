"""ARPA files: there and back, what other tools write, and damage."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.language.arpa import format_arpa, parse_arpa, read_arpa, write_arpa
from muybridge.language.corpus import encode, split_text
from muybridge.language.ngram import NgramModel
from muybridge.language.ngram_run import load_run, train_ngram
from muybridge.language.smoothing import METHODS, Method, Smoothing
from tests.language.texts import made_text

TEXT = made_text(60, words=20)
SMALL = """made by hand
\\data\\
ngram 1=4
ngram 2=2
ngram 3=1

\\1-grams:
-1.0\t<UNK>
-99\t<s>\t-0.3
-0.5\t</s>
-0.25\ta\t-0.2

\\2-grams:
-0.1\t<s> a\t-0.4
-0.7\ta </s>

\\3-grams:
-0.05\ta a </s>

\\end\\
"""


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("method", [m for m in METHODS if m != "add-k"])
def test_writing_and_reading_changes_nothing(method: Method, closed: bool) -> None:
    model = train_ngram(TEXT, 3, Smoothing(method), closed=closed).model
    again = parse_arpa(format_arpa(model))
    assert again.vocabulary == model.vocabulary
    for ours, theirs in zip(model.tables, again.tables, strict=True):
        np.testing.assert_array_equal(ours.keys, theirs.keys)
        np.testing.assert_allclose(ours.log_probability, theirs.log_probability, rtol=1e-8)
        weights = np.broadcast_to(ours.log_weight, theirs.log_weight.shape)
        np.testing.assert_allclose(weights, theirs.log_weight, rtol=1e-8, atol=1e-12)
    assert format_arpa(again) == format_arpa(model)


def test_adding_k_cannot_be_said_in_arpa(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="add-k"):
        write_arpa(tmp_path / "a.arpa", train_ngram(TEXT, 2, Smoothing("add-k")).model)
    assert not list(tmp_path.iterdir())
    single = train_ngram(TEXT, 1, Smoothing("add-k")).model
    assert parse_arpa(format_arpa(single)).order == 1


def test_gzip_by_name(tmp_path: Path) -> None:
    model = train_ngram(TEXT, 2).model
    write_arpa(tmp_path / "a.arpa.gz", model)
    write_arpa(tmp_path / "a.arpa", model)
    assert (tmp_path / "a.arpa.gz").read_bytes()[:2] == b"\x1f\x8b"
    assert format_arpa(read_arpa(tmp_path / "a.arpa.gz")) == (tmp_path / "a.arpa").read_text()


def test_what_srilm_leaves_out() -> None:
    """No weights where they are 1, <UNK>, -99, and a history that is not listed."""
    model = parse_arpa(SMALL)
    assert model.vocabulary.words == ("<unk>", "<s>", "</s>", "a")
    a, end = 3, 2

    def log(*words: int) -> float:
        row = np.full((1, 3), -1)
        row[0, 3 - len(words) :] = words
        return float(model.score_ngrams(row)[0])

    assert log(a, a, end) == -0.05
    assert log(a, a) == pytest.approx(-0.2 - 0.25)
    assert log(a, a, a) == pytest.approx(-0.2 - 0.25), "a a was put in, its weight is 1"
    assert log(1, a, end) == pytest.approx(-0.4 - 0.7)
    assert log(1, a, 0) == pytest.approx(-0.4 - 0.2 - 1.0)


def test_no_unknown_word_means_a_closed_vocabulary() -> None:
    closed = SMALL.replace("-1.0\t<UNK>\n", "").replace("ngram 1=4", "ngram 1=3")
    assert parse_arpa(closed).vocabulary.closed
    assert not parse_arpa(SMALL).vocabulary.closed


def test_characters_are_known_again(tmp_path: Path) -> None:
    run = train_ngram("to be or not\nto be\n", 3, unit="characters")
    write_arpa(tmp_path / "a.arpa", run.model)
    assert load_run(tmp_path / "a.arpa").unit == "characters"
    write_arpa(tmp_path / "b.arpa", train_ngram("to be or not\nto be\n", 3).model)
    assert load_run(tmp_path / "b.arpa").unit == "words"


def test_words_with_odd_blanks_survive() -> None:
    """Only ASCII blanks separate words, as in KenLM."""
    text = "a\u00a0b c\u2028d \u3000 e\x85f\x1cg\n"
    model = train_ngram(text, 2).model
    assert model.vocabulary.words[3:] == ("a\u00a0b", "c\u2028d", "\u3000", "e\x85f\x1cg")
    assert parse_arpa(format_arpa(model)).vocabulary == model.vocabulary


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        ("\\data\\", "data", "more lines"),
        ("ngram 2=2", "ngram 3=2", "ngram 2="),
        ("ngram 2=2", "ngram 2=3", "line 16"),
        ("ngram 3=1", "ngram 3=1000000000", "cut short"),
        ("ngram 1=4", "ngram 1=3", "another line"),
        ("ngram 1=4\nngram 2=2\nngram 3=1\n", "", "counts"),
        ("-0.25\ta", "x\ta", "a number"),
        ("-0.25\ta", "nan\ta", "a number"),
        ("-0.25\ta", "0.25\ta", "at most 0"),
        ("-0.25\ta", "-0.25\t</s>", "each word once"),
        ("-99\t<s>", "-99\tb", "<s> and </s>"),
        ("a </s>", "b </s>", "'b'"),
        ("-0.7\ta </s>", "-0.7\t<s> a", "twice"),
        ("\\end\\", "", "cut short"),
        ("\\3-grams:", "\\4-grams:", "3-grams"),
    ],
)
def test_damage_is_named(old: str, new: str, names: str, tmp_path: Path) -> None:
    assert old in SMALL
    path = tmp_path / "bad.arpa"
    path.write_text(SMALL.replace(old, new))
    with pytest.raises(InputError, match=names) as caught:
        read_arpa(path)
    assert str(path) in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(SMALL)), st.integers(0, 20), st.text(max_size=8))
def test_any_damage_is_an_input_error(start: int, cut: int, put: str) -> None:
    try:
        model = parse_arpa(SMALL[:start] + put + SMALL[start + cut :])
    except InputError:
        return
    assert isinstance(model, NgramModel)
    assert np.isfinite(model.score(encode(split_text("a\n"), model.vocabulary, "a\n"))[0])
