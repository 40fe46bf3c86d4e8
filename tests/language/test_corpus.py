"""Text to tokens and back, and text that is none."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.language.corpus import encode, join_tokens, read_text, split_text
from muybridge.language.vocabulary import Vocabulary, collect

PLAIN = st.text(st.characters(blacklist_characters="\r\n▁␤␉␍␋␌", blacklist_categories=["Cs"]))


@given(PLAIN)
def test_characters_come_back(line: str) -> None:
    assert join_tokens(split_text(line, "characters")[0], "characters") == line


@given(st.lists(PLAIN, min_size=1))
def test_a_whole_text_of_characters_comes_back(lines: list[str]) -> None:
    text = "\n".join(lines)
    (tokens,) = split_text(text, "characters", "text")
    assert join_tokens(tokens, "characters") == text
    assert all(token.strip(" \t\n\r\v\f") for token in tokens), "no token is a blank"


@given(PLAIN)
def test_ascii_takes_the_same_way_as_any_text(line: str) -> None:
    """The fast path for ASCII splits as the other one does."""
    other = split_text(line + " é")[0][:-1]
    assert split_text(line)[0] == other


def test_words_of_a_whole_text_keep_line_breaks() -> None:
    (tokens,) = split_text("to  be\nor\n\nnot\n", "words", "text")
    assert tokens == ["to", "be", "␤", "or", "␤", "␤", "not", "␤"]
    assert join_tokens(tokens) == "to be\nor\n\nnot\n"


def test_lines_are_sentences() -> None:
    assert split_text("a b\r\n\nc\n") == [["a", "b"], [], ["c"]]
    encoded = encode([["a", "b"], [], ["c"]], collect([["a", "b"]]), "a b\n\nc\n")
    assert encoded.ids.tolist() == [1, 3, 4, 2, 1, 2, 1, 0, 2]
    assert encoded.place.tolist() == [0, 1, 2, 3, 0, 1, 0, 1, 2]
    assert (encoded.predicted, encoded.characters) == (6, 7)


def test_rare_words_become_unknown() -> None:
    vocabulary = collect([["a", "b", "a", "<unk>"]], min_count=2)
    assert vocabulary.words == ("<unk>", "<s>", "</s>", "a")
    assert vocabulary.encode(["a", "b", "<unk>"]) == [3, 0, 0]
    assert (vocabulary.outcomes, Vocabulary(vocabulary.words, closed=True).outcomes) == (3, 2)


@pytest.mark.parametrize("special", ["<s>", "</s>"])
def test_sentence_marks_in_the_text_are_refused(special: str) -> None:
    with pytest.raises(InputError, match=special):
        collect([["a", special]])
    with pytest.raises(InputError, match="found them"):
        encode([["a", special]], collect([["a"]]), "")


def test_no_words_are_refused() -> None:
    with pytest.raises(InputError, match="not blank"):
        collect([[], []])
    with pytest.raises(InputError, match="closed"):
        collect([["a"]], min_count=2, closed=True)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"a\0b", "binary"),
        (b"caf\xe9", "0xe9 at 3"),
        (gzip.compress(b"hello " * 50, mtime=0)[:-9], "gzip"),
        (b"\x1f\x8b\x08broken", "gzip"),
    ],
)
def test_a_file_that_is_no_text_is_named(data: bytes, names: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(data)
    with pytest.raises(InputError, match=names):
        read_text(path)


def test_packed_and_marked_files(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(gzip.compress("naïve\n".encode()))
    assert read_text(path) == "naïve\n"
    path.write_bytes(b"\xef\xbb\xbfa\n")
    assert read_text(path) == "a\n", "a byte order mark is no character"


def test_places_of_a_long_text() -> None:
    sentences = [["a"] * n for n in (0, 3, 1, 7)]
    encoded = encode(sentences, collect(sentences), "")
    expected = np.concatenate([np.arange(n + 2) for n in (0, 3, 1, 7)])
    np.testing.assert_array_equal(encoded.place, expected)
