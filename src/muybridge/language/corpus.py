"""Text files as sentences, and sentences as numbers.

A sentence is a line, or the whole text as one. Words are what stands between ASCII blanks, as
KenLM splits them: a no-break space is part of a word. Characters that would be blanks are spelled
by visible signs, so that every token can stand in an ARPA file.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int32

from muybridge.errors import InputError
from muybridge.language.vocabulary import END, END_ID, START, START_ID, Vocabulary

__all__ = [
    "Sentences",
    "Span",
    "Unit",
    "decode_text",
    "encode",
    "join_tokens",
    "read_text",
    "split_text",
]

Unit = Literal["words", "characters"]
Span = Literal["line", "text"]

SPELLED = {" ": "▁", "\n": "␤", "\t": "␉", "\r": "␍", "\v": "␋", "\f": "␌"}
BLANK_OF = {sign: blank for blank, sign in SPELLED.items()}
SPELL = str.maketrans(SPELLED)
BLANKS = re.compile(r"[ \t\r\v\f]+")
SEPARATORS = re.compile("[\x1c-\x1f]")
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Sentences:
    """Encoded sentences, one after another, each as `<s> ... </s>`.

    Attributes:
        ids: Numbers of the words.
        place: Place of each word in its own sentence, 0 for `<s>`.
        characters: Length of the text that was encoded, line breaks included.
    """

    ids: Int32[np.ndarray, "t"]
    place: Int32[np.ndarray, "t"]
    characters: int

    @property
    def predicted(self) -> int:
        """How many words a model predicts: all but the `<s>`."""
        return int(np.count_nonzero(self.place))


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, or of one packed by gzip.

    Raises:
        InputError: If it is empty, or not text.
    """
    return decode_text(path.read_bytes(), path)


def decode_text(data: bytes, path: Path) -> str:
    """Text of a file's bytes: UTF-8, packed by gzip or not.

    Args:
        data: The bytes.
        path: The file's name, for messages.
    Raises:
        InputError: If it is empty, or not text.
    """
    if data.startswith(GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(
                f"{path}: expected whole gzip data, got an error ({error}); copy the file again"
            ) from error
    if not data.strip():
        raise InputError(f"{path}: expected text, found an empty file; give one with words")
    if b"\0" in data:
        raise InputError(f"{path}: expected text, found binary data (NUL); give a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: expected UTF-8, found byte 0x{data[error.start]:02x} at {error.start}; "
            "convert it, for example: iconv -f latin1 -t utf-8"
        ) from error


def split_text(text: str, unit: Unit = "words", span: Span = "line") -> list[list[str]]:
    """Sentences as lists of tokens.

    Args:
        text: Any text; lines end at line feeds only.
        unit: What a token is.
        span: A sentence is a line, or the whole text; then a line break is a token.
    """
    if span == "text":
        if unit == "characters":
            return [list(text.translate(SPELL))]
        sign = f" {SPELLED[chr(10)]} "
        return [[word for word in BLANKS.split(text.replace("\n", sign)) if word]]
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if unit == "characters":
        return [list(line.translate(SPELL)) for line in lines]
    if text.isascii() and not SEPARATORS.search(text):  # str.split is faster, but knows more blanks
        return [line.split() for line in lines]
    return [[word for word in BLANKS.split(line) if word] for line in lines]


def join_tokens(tokens: Sequence[str], unit: Unit = "words") -> str:
    """Text of tokens: the inverse of `split_text` but for runs of blanks between words."""
    if unit == "characters":
        return "".join(BLANK_OF.get(token, token) for token in tokens)
    text = " ".join(BLANK_OF.get(token, token) for token in tokens)
    return text.replace(" \n ", "\n").replace("\n ", "\n").replace(" \n", "\n")


def encode(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary, text: str) -> Sentences:
    """Number the words of sentences and put `<s>` and `</s>` around each.

    Args:
        sentences: What `split_text` gave.
        vocabulary: Words that it lacks become `<unk>`.
        text: The text itself, for its length.
    Raises:
        InputError: If `<s>` or `</s>` is written in the text.
    """
    words = vocabulary.encode(chain.from_iterable(sentences))
    body = np.array(words, dtype=np.int32)
    if np.any((body == START_ID) | (body == END_ID)):
        raise InputError(
            f"expected words other than {START} and {END}, found them in the text; "
            "take them out, lines begin and end sentences by themselves"
        )
    lengths = np.array([len(sentence) for sentence in sentences], dtype=np.int64)
    starts = np.cumsum(lengths + 2) - (lengths + 2)
    ids = np.empty(int(lengths.sum()) + 2 * len(lengths), dtype=np.int32)
    place = np.arange(len(ids)) - np.repeat(starts, lengths + 2)
    last = np.repeat(lengths + 1, lengths + 2)
    ids[place == 0] = START_ID
    ids[place == last] = END_ID
    ids[(place > 0) & (place < last)] = body
    return Sentences(ids, place.astype(np.int32), len(text))
