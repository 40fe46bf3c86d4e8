"""Byte-level byte-pair encoding: the tokenizer of GPT-2, GPT-4, Llama 3, Qwen and DeepSeek.

A text is cut into words by a pattern; the bytes of a word are tokens, and neighbours are joined by
rank. All 256 bytes are tokens, so nothing is unknown and nothing is lost.

What differs from the reference implementations: pairs are looked up by their ids, so that one class
computes both Hugging Face's lists of merges and tiktoken's ranks of tokens; bytes that are no UTF-8
are encoded as well.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from typing import Literal

import regex

from muybridge.errors import InputError
from muybridge.language.bpe_merge import (
    Merges,
    PieceCache,
    check_ids,
    merge,
    special_pattern,
    split_specials,
)

__all__ = [
    "BYTE_OF_SIGN",
    "PATTERNS",
    "SIGN_OF_BYTE",
    "ByteBpe",
    "PatternName",
    "UnicodeForm",
    "bytes_of_signs",
    "cut",
    "signs_of_bytes",
]

PatternName = Literal["gpt2", "llama3"]
UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]

PATTERNS: Mapping[PatternName, str] = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    # also that of cl100k: any case of 's; digits by threes; line breaks close what stands before
    "llama3": (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ),
}


def _byte_signs() -> str:
    """256 printable characters: a byte's own Latin-1 one, else the next from U+0100 on."""
    own = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return "".join(chr(byte if byte in own else next(spare)) for byte in range(256))


SIGN_OF_BYTE = _byte_signs()
"""GPT-2's spelling of bytes, in which its files write tokens; `Ġ` is a blank."""
BYTE_OF_SIGN: Mapping[str, int] = {sign: byte for byte, sign in enumerate(SIGN_OF_BYTE)}
_TO_SIGNS = dict(enumerate(SIGN_OF_BYTE))


def signs_of_bytes(token: bytes) -> str:
    """A token as GPT-2's files spell it."""
    return token.decode("latin-1").translate(_TO_SIGNS)


def bytes_of_signs(spelled: str) -> bytes:
    """Undo `signs_of_bytes`.

    Raises:
        InputError: If a character stands for no byte.
    """
    try:
        return bytes(map(BYTE_OF_SIGN.__getitem__, spelled))
    except KeyError as error:
        raise InputError(
            f"expected tokens spelled in GPT-2's byte characters, got {spelled!r}; the file is "
            "damaged, or of another kind of tokenizer"
        ) from error


@lru_cache(maxsize=64)
def _compile(pattern: str) -> regex.Pattern[str]:
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise InputError(
            f"expected a regular expression that cuts words, got {pattern[:60]!r} ({error}); the "
            "tokenizer's file is damaged"
        ) from error


def cut(text: str, patterns: Sequence[str]) -> list[str]:
    """Cut a text by each pattern in turn: matches, and what lies between them, become pieces.

    Raises:
        InputError: If a pattern is no regular expression.
    """
    pieces = [text]
    for pattern in map(_compile, patterns):
        pieces = list(chain.from_iterable(_isolate(pattern, piece) for piece in pieces))
    return pieces


def _isolate(pattern: regex.Pattern[str], text: str) -> list[str]:
    if not pattern.groups:
        found = pattern.findall(text)
        if sum(map(len, found)) == len(text):  # nothing lies between the matches: the usual case
            return found if all(found) else [piece for piece in found if piece]
    pieces, end = [], 0
    for match in pattern.finditer(text):
        if match.group():
            pieces += [text[end : match.start()], match.group()]
            end = match.end()
    return [piece for piece in (*pieces, text[end:]) if piece]


@dataclass(frozen=True)
class ByteBpe:
    """A byte-level BPE tokenizer.

    Attributes:
        tokens: Bytes of each token, by id; of a special one its name's.
        merges: Which pairs are joined, in which order.
        patterns: Cut the text before merging, one after the other.
        specials: Tokens that a text may name, as `<|end|>`, and their ids.
        whole: A word that is a token is taken as it is, whatever the merges would make of it.
        prefix_space: A blank is put before a text that has none.
        form: Unicode normal form of the text; None leaves it as it is, so that nothing is lost.
    Raises:
        InputError: If a byte is no token, or an id no token's.
    References:
        Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.2.
    """

    tokens: tuple[bytes, ...]
    merges: Merges
    patterns: tuple[str, ...] = (PATTERNS["llama3"],)
    specials: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False
    prefix_space: bool = False
    form: UnicodeForm | None = None

    def __post_init__(self) -> None:
        missing = [byte for byte in range(256) if bytes([byte]) not in self._id_of]
        if missing:
            raise InputError(
                f"expected all 256 bytes among the tokens, got none for byte {missing[0]}; train "
                "with the whole byte alphabet"
            )
        for number in self.specials.values():
            check_ids([number], self.size)
        for pattern in self.patterns:
            _compile(pattern)

    @property
    def size(self) -> int:
        """How many tokens there are."""
        return len(self.tokens)

    @cached_property
    def _id_of(self) -> dict[bytes, int]:
        special = set(self.specials.values())
        return {token: number for number, token in enumerate(self.tokens) if number not in special}

    @cached_property
    def _byte_ids(self) -> list[int]:
        return [self._id_of[bytes([byte])] for byte in range(256)]

    @cached_property
    def _special_pattern(self) -> regex.Pattern[str] | None:
        return special_pattern(self.specials)

    @cached_property
    def _cache(self) -> PieceCache:
        return PieceCache(lambda piece: self._merge(piece.encode("utf-8", "surrogatepass")))

    def _merge(self, piece: bytes) -> list[int]:
        if self.whole and (known := self._id_of.get(piece)) is not None:
            return [known]
        return merge([self._byte_ids[byte] for byte in piece], self.merges)

    def encode(self, text: str, *, specials: bool = True) -> list[int]:
        """Ids of a text.

        Args:
            text: Any text; lone surrogates become the three bytes that UTF-8 would give them.
            specials: Whether names of special tokens mean the tokens; say False for a text that
                you do not trust.
        """
        pattern = self._special_pattern if specials else None
        ids: list[int] = []
        for part in split_specials(text, pattern, self.specials):
            ids += [part] if isinstance(part, int) else self._encode_plain(part)
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        if self.form is not None:
            text = unicodedata.normalize(self.form, text)
        if self.prefix_space and not text.startswith(" "):
            text = " " + text
        found = map(self._cache.__getitem__, cut(text, self.patterns))
        return list(chain.from_iterable(found))

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of bytes, UTF-8 or not, with no special tokens; `decode_bytes` gives them back."""
        text = data.decode("utf-8", "surrogateescape")
        pieces = (piece.encode("utf-8", "surrogateescape") for piece in cut(text, self.patterns))
        return list(chain.from_iterable(map(self._merge, pieces)))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; what is no UTF-8 becomes U+FFFD.

        Raises:
            InputError: If an id is no token.
        """
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of ids.

        Raises:
            InputError: If an id is no token.
        """
        check_ids(ids, self.size)
        return b"".join(map(self.tokens.__getitem__, ids))
