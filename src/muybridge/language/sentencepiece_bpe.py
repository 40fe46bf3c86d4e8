"""BPE over characters as SentencePiece does it: the tokenizer of Llama 1, Llama 2 and Mistral.

A text is one stretch of characters in which `▁` is a blank. Neighbours whose text is a piece are
joined, the best piece first. What is no piece in the end is spelled in bytes, if there are any.

What differs from the reference implementations: where no piece has a blank behind a character, the
text is cut before blanks, which changes nothing and lets words be remembered; the character `▁`
itself is spelled in bytes by `encode_bytes`, so that it is told from a blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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

__all__ = ["BLANK", "BYTE_PIECES", "Prefix", "SentencePieceBpe"]

Prefix = Literal["text", "missing", "part", "none"]

BLANK = "▁"
BYTE_PIECES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""How pieces spell bytes."""

_WORDS = re.compile(f"{BLANK}+[^{BLANK}]*|[^{BLANK}]+")
_INNER_BLANK = re.compile(f"[^{BLANK}]{BLANK}")
_BLANKS = re.compile(" +")


@dataclass(frozen=True)
class SentencePieceBpe:
    """A SentencePiece BPE tokenizer without normalisation.

    Attributes:
        pieces: Text of each piece, by id; `▁` is a blank.
        merges: Which pairs are joined, in which order.
        specials: Tokens that a text may name, as `<s>`, and their ids.
        unknown: Id of what is no piece, where there are no bytes; a run of such is one token.
        byte_ids: Ids of the 256 bytes, or none.
        prefix: Where a blank is put, which `decode` takes off again: "text", before each text;
            "missing", the same, but not before one that has a blank; "part", before each stretch
            between special tokens, as in Hugging Face's files of Llama 2; or "none".
        single_blanks: Runs of blanks become one, those at both ends none.
    Raises:
        InputError: If ids are no pieces.
    References:
        Kudo & Richardson 2018, arXiv 1808.06226.
    """

    pieces: tuple[str, ...]
    merges: Merges
    specials: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 0
    byte_ids: tuple[int, ...] = ()
    prefix: Prefix = "text"
    single_blanks: bool = False

    def __post_init__(self) -> None:
        if len(self.byte_ids) not in (0, 256):
            raise InputError(
                f"expected all 256 bytes among the pieces or none, got {len(self.byte_ids)}; the "
                "tokenizer's file is damaged"
            )
        check_ids([self.unknown, *self.byte_ids, *self.specials.values()], self.size)

    @property
    def size(self) -> int:
        """How many pieces there are."""
        return len(self.pieces)

    @cached_property
    def plain_ids(self) -> dict[str, int]:
        """Ids of characters and merged pieces: all but special ones, bytes and the unknown."""
        apart = {*self.specials.values(), *self.byte_ids, self.unknown}
        return {piece: n for n, piece in enumerate(self.pieces) if n not in apart}

    @cached_property
    def _byte_of(self) -> dict[int, bytes]:
        return {number: bytes([byte]) for byte, number in enumerate(self.byte_ids)}

    @cached_property
    def _cuttable(self) -> bool:
        return not any(map(_INNER_BLANK.search, self.plain_ids))

    @cached_property
    def _special_pattern(self) -> regex.Pattern[str] | None:
        return special_pattern(self.specials)

    @cached_property
    def _cache(self) -> PieceCache:
        return PieceCache(self.encode_piece)

    def encode_piece(self, piece: str) -> list[int]:
        """Ids of a stretch of text that is spelled as pieces are: with `▁`, nothing put before."""
        symbols: list[int] = []
        for character in piece:
            symbols += self._symbols(character)
        return merge(symbols, self.merges)

    def _symbols(self, character: str) -> Sequence[int]:
        known = self.plain_ids.get(character)
        if known is not None:
            return (known,)
        if not self.byte_ids:
            return (self.unknown,)
        return [self.byte_ids[byte] for byte in character.encode("utf-8", "surrogatepass")]

    def encode(self, text: str, *, specials: bool = True, begins: bool = True) -> list[int]:
        """Ids of a text.

        Args:
            text: Any text; lone surrogates become the three bytes that UTF-8 would give them.
            specials: Whether names of special tokens mean the tokens; say False for a text that
                you do not trust.
            begins: Whether it is the beginning of a text, before which a blank is put.
        """
        pattern = self._special_pattern if specials else None
        ids: list[int] = []
        for part in split_specials(text, pattern, self.specials):
            ids += [part] if isinstance(part, int) else self._encode_plain(part, begins)
            begins = self.prefix == "part"
        return ids

    def _encode_plain(self, text: str, begins: bool) -> list[int]:
        if self.single_blanks:
            text = _BLANKS.sub(" ", text).strip(" ")
        if begins:
            text = self._prefixed(text)
        pieces = self._cut(text.replace(" ", BLANK))
        return self._fuse(chain.from_iterable(map(self._cache.__getitem__, pieces)))

    def _prefixed(self, text: str) -> str:
        there = self.prefix == "missing" and text[:1] in (" ", BLANK)
        return text if there or not text or self.prefix == "none" else " " + text

    def _cut(self, text: str) -> list[str]:
        return _WORDS.findall(text) if self._cuttable else [text]

    def _fuse(self, ids: Iterator[int]) -> list[int]:
        """One unknown token for a run of them."""
        if self.byte_ids:
            return list(ids)
        result: list[int] = []
        for number in ids:
            if number != self.unknown or result[-1:] != [number]:
                result.append(number)
        return result

    def encode_bytes(self, data: bytes) -> list[int]:
        """Ids of bytes, UTF-8 or not, with no special tokens; `decode_bytes` gives them back.

        Raises:
            InputError: If the tokenizer has no bytes, or changes blanks.
        """
        if not self.byte_ids or self.single_blanks or self.prefix == "missing":
            raise InputError(
                f"expected a tokenizer with 256 bytes that leaves blanks alone, got "
                f"{len(self.byte_ids)} bytes, single_blanks={self.single_blanks} and "
                f"prefix={self.prefix!r}; encode text"
            )
        text = self._prefixed(data.decode("utf-8", "surrogateescape"))
        ids: list[int] = []
        # neither the sign of the blank nor a byte that is no text is ever part of a longer piece
        for part in re.split(f"([{BLANK}\\udc80-\\udcff]+)", text):
            if part[:1] == BLANK or "\udc80" <= part[:1] <= "\udcff":
                ids += [self.byte_ids[b] for b in part.encode("utf-8", "surrogateescape")]
            else:
                for piece in self._cut(part.replace(" ", BLANK)):
                    ids += self._cache[piece]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special ones by their names; what is no UTF-8 becomes U+FFFD.

        Raises:
            InputError: If an id is no piece.
        """
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """Bytes of ids, without the blank that was put before the text.

        Raises:
            InputError: If an id is no piece.
        """
        check_ids(ids, self.size)
        data = b"".join(map(self._bytes_by_id.__getitem__, ids))
        begins = bool(ids) and self.prefix != "none" and self.pieces[ids[0]][:1] == BLANK
        return data[1:] if begins else data

    @cached_property
    def _bytes_by_id(self) -> list[bytes]:
        plain = [
            piece.replace(BLANK, " ").encode("utf-8", "surrogatepass") for piece in self.pieces
        ]
        for number, byte in self._byte_of.items():
            plain[number] = byte
        for name, number in self.specials.items():
            plain[number] = name.encode()
        return plain
