"""SentencePiece's `.model` files: a protocol buffer of pieces, scores and a few switches.

The few wire types it needs are read here, so that no protobuf package is. Only BPE models without
normalisation are read: Llama 1 and 2, Mistral. The default of SentencePiece's own trainer,
`nmt_nfkc`, is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from muybridge.atomic import write_bytes
from muybridge.errors import InputError
from muybridge.language.bpe_merge import ranks_by_token
from muybridge.language.sentencepiece_bpe import BYTE_PIECES, SentencePieceBpe

__all__ = ["parse_sentencepiece", "write_sentencepiece"]

NORMAL, UNKNOWN, CONTROL, NAMED, UNUSED, BYTE = range(1, 7)  # kinds of pieces
PIECES, TRAINER, NORMALISER = 1, 2, 3  # fields of the model
TEXT, SCORE, KIND = 1, 2, 3  # of a piece
MODEL_TYPE, FALLBACK, BPE = 3, 35, 2  # of the trainer, and a value of the first
CHARACTER_MAP, PREFIX, SINGLE, ESCAPE = 2, 3, 4, 5  # of the normaliser
VARINT, EIGHT, STRING, FOUR = 0, 1, 2, 5  # wire types

Fields = Mapping[int, list[int | bytes]]


@dataclass(frozen=True)
class _Piece:
    text: str
    score: float
    kind: int


def _fields(data: bytes) -> Fields:
    """Values of each field of a message."""
    found: dict[int, list[int | bytes]] = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == VARINT:
            value: int | bytes
            value, place = _varint(data, place)
        else:
            size = {EIGHT: 8, FOUR: 4}.get(wire)
            if size is None:
                if wire != STRING:
                    raise ValueError(f"wire type {wire}")
                size, place = _varint(data, place)
            value = data[place : place + size]
            place += size
            if place > len(data):
                raise ValueError("cut off")
        found.setdefault(key >> 3, []).append(value)
    return found


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if place >= len(data):
            raise ValueError("cut off")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number of more than 64 bits")


def _message(fields: Fields, number: int) -> bytes:
    return b"".join(value for value in fields.get(number, []) if isinstance(value, bytes))


def _number(fields: Fields, number: int, default: int) -> int:
    value = fields.get(number, [default])[-1]
    if not isinstance(value, int):
        raise ValueError(f"a string in field {number}")
    return value


def _piece(value: int | bytes) -> _Piece:
    if not isinstance(value, bytes):
        raise ValueError("a number as a piece")
    fields = _fields(value)
    score = fields.get(SCORE, [b"\0\0\0\0"])[-1]
    if not isinstance(score, bytes) or len(score) != 4:
        raise ValueError("a score that is no number")
    text = _message(fields, TEXT).decode("utf-8")
    return _Piece(text, struct.unpack("<f", score)[0], _number(fields, KIND, NORMAL))


def parse_sentencepiece(data: bytes) -> SentencePieceBpe:
    """A tokenizer from the content of a `.model` file.

    Control tokens, as `<s>`, become special tokens: `encode` knows their names in a text, which
    SentencePiece itself does not; `specials=False` gives its ids.

    Raises:
        InputError: If it is damaged, no BPE model, or normalises.
    """
    try:
        fields = _fields(data)
        pieces = [_piece(value) for value in fields.get(PIECES, [])]
        trainer = _fields(_message(fields, TRAINER))
        normaliser = _fields(_message(fields, NORMALISER))
        kind = _number(trainer, MODEL_TYPE, 1)
        prefix, single = _number(normaliser, PREFIX, 1), _number(normaliser, SINGLE, 1)
        escape = _number(normaliser, ESCAPE, 1)
    except (ValueError, struct.error) as error:
        raise InputError(
            f"expected a SentencePiece model, got bytes that are none ({error}); the file is "
            "damaged, or of another kind"
        ) from error
    if kind != BPE or not escape or _message(normaliser, CHARACTER_MAP):
        raise InputError(
            f"expected a BPE model without normalisation, got model type {kind} with "
            f"{len(_message(normaliser, CHARACTER_MAP))} bytes of normalisation; such models are "
            "not computed"
        )
    return _tokenizer(pieces, bool(prefix), bool(single))


def _tokenizer(pieces: list[_Piece], prefix: bool, single: bool) -> SentencePieceBpe:
    unknown = [n for n, piece in enumerate(pieces) if piece.kind == UNKNOWN]
    wrong = next((piece for piece in pieces if not NORMAL <= piece.kind <= BYTE), None)
    unused = next((piece for piece in pieces if piece.kind == UNUSED), wrong)
    if len(unknown) != 1 or unused:
        raise InputError(
            f"expected one unknown piece and none unused, got {len(unknown)} and "
            f"{unused.text if unused else 'none'!r}; such models are not computed"
        )
    ids = {piece.text: n for n, piece in enumerate(pieces) if piece.kind == NORMAL}
    order = sorted({pieces[n].score for n in ids.values()}, reverse=True)
    rank = {score: place for place, score in enumerate(order)}
    byte_ids = {piece.text: n for n, piece in enumerate(pieces) if piece.kind == BYTE}
    if byte_ids and set(byte_ids) != set(BYTE_PIECES):
        raise InputError(
            f"expected all 256 bytes among the pieces or none, got {len(byte_ids)}; the file is "
            "damaged"
        )
    return SentencePieceBpe(
        tuple(piece.text for piece in pieces),
        ranks_by_token({text: rank[pieces[n].score] for text, n in ids.items()}, ids),
        {p.text: n for n, p in enumerate(pieces) if p.kind in (CONTROL, NAMED)},
        unknown[0],
        tuple(byte_ids[name] for name in BYTE_PIECES) if byte_ids else (),
        "text" if prefix else "none",
        single,
    )


def write_sentencepiece(path: Path, tokenizer: SentencePieceBpe) -> None:
    """Write a `.model` file, whole or not at all.

    Raises:
        InputError: If pairs that spell the same piece do not share a rank.
    """
    rank: dict[int, int] = {}
    for place, joined in tokenizer.merges.values():
        if rank.setdefault(joined, place) != place:
            raise InputError(
                f"expected one rank for all pairs that make {tokenizer.pieces[joined]!r}, got "
                f"{rank[joined]} and {place}; such a tokenizer has no SentencePiece model: write "
                "a tokenizer.json"
            )
    last = max(rank.values(), default=-1) + 1
    content = b"".join(_string(PIECES, piece) for piece in _piece_messages(tokenizer, rank, last))
    trainer = _flag(MODEL_TYPE, BPE) + _flag(FALLBACK, int(bool(tokenizer.byte_ids)))
    normaliser = _string(1, b"identity") + b"".join(
        _flag(field, int(value))
        for field, value in (
            (PREFIX, tokenizer.prefix != "none"), (SINGLE, tokenizer.single_blanks), (ESCAPE, True),
        )
    )  # fmt: skip
    write_bytes(path, content + _string(TRAINER, trainer) + _string(NORMALISER, normaliser))


def _piece_messages(
    tokenizer: SentencePieceBpe, rank: Mapping[int, int], last: int
) -> Iterator[bytes]:
    kinds = dict.fromkeys(tokenizer.specials.values(), CONTROL)
    kinds |= dict.fromkeys(tokenizer.byte_ids, BYTE) | {tokenizer.unknown: UNKNOWN}
    for number, text in enumerate(tokenizer.pieces):
        kind = kinds.get(number, NORMAL)
        score = 0.0 if kind != NORMAL else -float(rank.get(number, last + number))
        yield (
            _string(TEXT, text.encode())
            + _key(SCORE, FOUR) + struct.pack("<f", score)
            + _flag(KIND, kind)
        )  # fmt: skip


def _key(field: int, wire: int) -> bytes:
    return _unsigned(field << 3 | wire)


def _flag(field: int, value: int) -> bytes:
    return _key(field, VARINT) + _unsigned(value)


def _string(field: int, value: bytes) -> bytes:
    return _key(field, STRING) + _unsigned(len(value)) + value


def _unsigned(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])
