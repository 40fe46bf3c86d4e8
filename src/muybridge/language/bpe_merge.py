"""What every pair-merging tokenizer shares: joining pairs by rank, and tokens that text may name.

Byte-level BPE and SentencePiece's BPE differ in their symbols and in how they cut a text; the
merging is the same: of all neighbours that may be joined, those of the lowest rank are joined
first, the leftmost of equals before the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TypeVar

import regex

from muybridge.errors import InputError

__all__ = ["Merges", "PieceCache", "check_ids", "merge", "ranks_by_token", "split_specials"]

Merges = Mapping[tuple[int, int], tuple[int, int]]
"""Pair of token ids -> its rank and the id of the joined token."""

Piece = TypeVar("Piece", str, bytes)

CACHED_PIECES = 1 << 16
CACHED_LENGTH = 64  # characters; longer pieces hardly come again


def merge(symbols: list[int], merges: Merges) -> list[int]:
    """Join neighbours, lowest rank first, until no pair is left that may be joined.

    A queue of (rank, place) and a linked list of symbols: n log n, so that a megabyte without a
    blank does not take hours.

    Args:
        symbols: Token ids of one piece of text.
        merges: Which pairs may be joined.
    Returns:
        Fewer token ids of the same text.
    References:
        Sennrich, Haddow & Birch 2016, arXiv 1508.07909 (the merging, there by a loop).
    """
    count = len(symbols)
    queue = [
        found[0] * count + place  # one number, that sorts as (rank, place) does
        for place, pair in enumerate(pairwise(symbols))
        if (found := merges.get(pair))
    ]
    if not queue:
        return symbols
    heapify(queue)
    symbols, after, before = list(symbols), [*range(1, count), -1], [*range(-1, count - 1)]
    while queue:
        rank, left = divmod(heappop(queue), count)
        right = after[left]
        found = merges.get((symbols[left], symbols[right])) if right >= 0 else None
        if not found or found[0] != rank:
            continue  # one of the two has been joined with its other neighbour since
        symbols[left], symbols[right] = found[1], -1
        after[left], after[right] = after[right], -1
        if after[left] >= 0:
            before[after[left]] = left
        for place in (before[left], left):
            if place >= 0 and after[place] >= 0:
                found = merges.get((symbols[place], symbols[after[place]]))
                if found:
                    heappush(queue, found[0] * count + place)
    return [symbol for symbol in symbols if symbol >= 0]


def ranks_by_token(
    ranks: Mapping[Piece, int], ids: Mapping[Piece, int]
) -> dict[tuple[int, int], tuple[int, int]]:
    """Every pair whose text is a token, ranked by that token, as tiktoken and SentencePiece do.

    Args:
        ranks: Tokens that may come of a merge, and which is made first: the lowest.
        ids: All tokens that may be a part of one.
    Returns:
        Merges; all pairs of one token share its rank.
    """
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    for token, rank in ranks.items():
        for cut in range(1, len(token)):
            left, right = ids.get(token[:cut]), ids.get(token[cut:])
            if left is not None and right is not None:
                merges[left, right] = (rank, ids[token])
    return merges


class PieceCache(dict[str, list[int]]):
    """Pieces that have been merged before; of a bounded size."""

    def __init__(self, make: Callable[[str], list[int]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, piece: str) -> list[int]:
        ids = self._make(piece)
        if len(piece) <= CACHED_LENGTH:
            if len(self) >= CACHED_PIECES:
                self.clear()
            self[piece] = ids
        return ids


def split_specials(
    text: str, pattern: regex.Pattern[str] | None, specials: Mapping[str, int]
) -> Iterator[str | int]:
    """Stretches of plain text, and the ids of the special tokens between them."""
    end = 0
    for match in pattern.finditer(text) if pattern else ():
        if match.start() > end:
            yield text[end : match.start()]
        yield specials[match.group()]
        end = match.end()
    if end < len(text):
        yield text[end:]


def special_pattern(specials: Iterable[str]) -> regex.Pattern[str] | None:
    """Finds special tokens, of those that begin alike the longest."""
    names = sorted((name for name in specials if name), key=len, reverse=True)
    return regex.compile("|".join(map(regex.escape, names))) if names else None


def check_ids(ids: Sequence[int], size: int) -> None:
    """Refuse ids that are no tokens.

    Raises:
        InputError: If one is below 0, or `size` or more.
    """
    if ids and not 0 <= min(ids) <= max(ids) < size:
        wrong = next(number for number in ids if not 0 <= number < size)
        raise InputError(
            f"expected token ids from 0 to {size - 1}, got {wrong}; they are of another tokenizer"
        )
