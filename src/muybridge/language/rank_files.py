"""tiktoken's files of ranks: one token a line, in base64, and its rank, which is its id.

Such a file holds neither the pattern that cuts words nor the special tokens; Llama 3's
`tokenizer.model` is one, with the pattern `llama3` and 256 special tokens.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path

from muybridge.atomic import write_bytes
from muybridge.errors import InputError
from muybridge.language.bpe import PATTERNS, ByteBpe, PatternName
from muybridge.language.bpe_merge import ranks_by_token

__all__ = ["LLAMA3_SPECIALS", "parse_ranks", "ranks_of", "read_ranks", "write_ranks"]

_NAMED = {
    0: "begin_of_text", 1: "end_of_text", 4: "finetune_right_pad_id", 5: "step_id",
    6: "start_header_id", 7: "end_header_id", 8: "eom_id", 9: "eot_id", 10: "python_tag",
    11: "image",
}  # fmt: skip


def _llama3_specials() -> tuple[str, ...]:
    reserved = iter(range(256))
    named = (_NAMED.get(place) for place in range(256))
    return tuple(f"<|{name or f'reserved_special_token_{next(reserved)}'}|>" for name in named)


LLAMA3_SPECIALS = _llama3_specials()
"""Names of the 256 tokens that follow the 128,000 of Llama 3."""


def read_ranks(
    path: Path, pattern: PatternName = "llama3", specials: Sequence[str] = ()
) -> ByteBpe:
    """Read a file of ranks.

    Args:
        path: The file.
        pattern: How its model cuts words.
        specials: Tokens that follow those of the file.
    Raises:
        InputError: If there is no such file, or it is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"expected a file of ranks in {path}, got {error.strerror}; check the path"
        ) from error
    return parse_ranks(data, pattern, specials)


def parse_ranks(
    data: bytes, pattern: PatternName = "llama3", specials: Sequence[str] = ()
) -> ByteBpe:
    """A tokenizer from the content of a file of ranks.

    Raises:
        InputError: If a line is no token and rank, or ranks leave gaps.
    """
    ids: dict[bytes, int] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            token, rank = line.split()
            ids[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            raise InputError(
                f"expected a token in base64 and its rank in line {number}, got {line[:40]!r}; the "
                "file is damaged, or of another kind"
            ) from error
    tokens = sorted(ids, key=ids.__getitem__)
    if [ids[token] for token in tokens] != list(range(len(ids))):
        raise InputError(
            "expected every rank from 0 on once, got gaps or repetitions; the file is damaged"
        )
    return ByteBpe(
        (*tokens, *(name.encode() for name in specials)),
        ranks_by_token(ids, ids),
        (PATTERNS[pattern],),
        {name: len(tokens) + place for place, name in enumerate(specials)},
        whole=True,
    )


def ranks_of(tokenizer: ByteBpe) -> dict[bytes, int]:
    """Token and rank, as tiktoken's `Encoding(mergeable_ranks=...)` takes them.

    tiktoken joins any two tokens whose bytes are a token; a tokenizer with a list of merges joins
    only those listed. They agree but for rare words of repeated signs.

    Raises:
        InputError: If tokens were made in another order than that of their ids.
    """
    special = set(tokenizer.specials.values())
    made = sorted((rank, joined) for rank, joined in tokenizer.merges.values())
    order = list(dict.fromkeys(joined for _, joined in made))
    if order != sorted(order) or (special and min(special) < tokenizer.size - len(special)):
        raise InputError(
            "expected ids in the order of the merges and special tokens behind them, got others; "
            "such a tokenizer has no file of ranks: write a tokenizer.json"
        )
    plain = tokenizer.tokens[: tokenizer.size - len(special)]
    return {token: number for number, token in enumerate(plain)}


def write_ranks(path: Path, tokenizer: ByteBpe) -> None:
    """Write a file of ranks, whole or not at all; pattern and special tokens are not in it.

    Raises:
        InputError: If tokens were made in another order than that of their ids.
    """
    lines = (
        base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks_of(tokenizer).items()
    )
    write_bytes(path, b"".join(lines))
