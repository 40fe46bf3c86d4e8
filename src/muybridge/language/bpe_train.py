"""Training byte-pair encodings: join the most frequent pair of neighbours, again and again.

The words of the text are counted once. Each merge then touches only the words that hold its pair,
and a queue with entries corrected when they come up finds the next. Of equally frequent pairs the
one with the lower ids is joined first, as in Hugging Face's tokenizers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any, TypeVar

from muybridge.errors import InputError
from muybridge.language.bpe import (
    PATTERNS,
    SIGN_OF_BYTE,
    ByteBpe,
    PatternName,
    bytes_of_signs,
    cut,
)

__all__ = ["Pair", "PairCounts", "learn_merges", "train_byte_bpe"]

Piece = TypeVar("Piece", str, bytes)
Pair = tuple[int, int]
Order = Callable[[Pair], Any]
"""What decides between equally frequent pairs: the lowest."""


def train_byte_bpe(
    text: str,
    vocabulary: int,
    *,
    pattern: PatternName = "llama3",
    specials: Sequence[str] = (),
    least: int = 2,
) -> ByteBpe:
    """Learn a byte-level BPE tokenizer from a text.

    Args:
        text: What to learn from.
        vocabulary: Tokens: 256 bytes, one a merge, and the special ones; fewer where the text has
            no more pairs to join.
        pattern: How words are cut.
        specials: Tokens that a text may name; they get the last ids.
        least: A pair that is rarer is not joined.
    Raises:
        InputError: If the text is empty, or the vocabulary holds no more than the bytes need.
    """
    if not text:
        raise InputError("expected a text to learn from, got an empty one; give another file")
    if vocabulary < 256 + len(specials):
        raise InputError(
            f"expected a vocabulary of at least {256 + len(specials)}, the 256 bytes and "
            f"{len(specials)} special tokens, got {vocabulary}; ask for more"
        )
    # the alphabet in the order of its printable signs, as Hugging Face's trainer sorts it
    tokens = [bytes_of_signs(sign) for sign in sorted(SIGN_OF_BYTE)]
    number = {token[0]: index for index, token in enumerate(tokens)}
    words = Counter(cut(text, (PATTERNS[pattern],)))
    spelled = [[number[byte] for byte in word.encode("utf-8", "surrogatepass")] for word in words]
    merges = learn_merges(
        PairCounts(spelled, list(words.values())), tokens, vocabulary - len(specials), least=least
    )
    special_ids = {name: len(tokens) + index for index, name in enumerate(specials)}
    return ByteBpe(
        (*tokens, *(name.encode() for name in specials)),
        {pair: (rank, joined) for rank, (pair, joined) in enumerate(merges)},
        (PATTERNS[pattern],),
        special_ids,
    )


@dataclass
class PairCounts:
    """Words as symbols, and how often each pair of neighbours occurs in all of them.

    Attributes:
        words: Symbols of each different word; merging shortens them.
        weights: How often each word occurs.
    """

    words: list[list[int]]
    weights: list[int]

    def __post_init__(self) -> None:
        self.count: dict[Pair, int] = defaultdict(int)
        self._where: dict[Pair, set[int]] = defaultdict(set)
        for index, word in enumerate(self.words):
            for pair in pairwise(word):
                self.count[pair] += self.weights[index]
                self._where[pair].add(index)

    def join(self, pair: Pair, joined: int) -> set[Pair]:
        """Join a pair in all words; returns the pairs that may have become more frequent."""
        gained: set[Pair] = set()
        for index in self._where.pop(pair):
            before, after = self._join_in(index, pair, joined)
            fresh = {(symbol, joined) for symbol in before} | {(joined, s) for s in after}
            for each in fresh:
                self._where[each].add(index)
            gained |= fresh
        return gained

    def _join_in(self, index: int, pair: Pair, joined: int) -> tuple[list[int], list[int]]:
        """Join a pair in one word; returns what then stands before and after the new symbol."""
        word, weight, count = self.words[index], self.weights[index], self.count
        first, second = pair
        before, after, place = [], [], 0
        while place < len(word) - 1:
            if word[place] != first or word[place + 1] != second:
                place += 1
                continue
            word[place : place + 2] = [joined]
            count[pair] -= weight
            if place:
                left = word[place - 1]
                count[left, first] -= weight
                count[left, joined] += weight
                before.append(left)
            place += 1
            if place < len(word):
                right = word[place]
                count[second, right] -= weight
                count[joined, right] += weight
                after.append(right)
        return before, after


def learn_merges(
    counts: PairCounts,
    tokens: list[Piece],
    vocabulary: int,
    *,
    least: int = 2,
    order: Order = lambda pair: pair,
    allowed: Callable[[Piece], bool] = lambda piece: True,
) -> list[tuple[Pair, int]]:
    """Join the most frequent pair until there are `vocabulary` tokens.

    Args:
        counts: Words and pairs; changed.
        tokens: Text of each symbol; the new ones are appended.
        vocabulary: How many to have in the end.
        least: A pair that is rarer is not joined.
        order: Decides between equally frequent pairs.
        allowed: Says of a joined text whether it may become a token.
    Returns:
        Pairs and the id of what they become, in the order of joining. An id comes again where
        two pairs spell the same.
    """
    known = {token: number for number, token in enumerate(tokens)}
    merges: list[tuple[Pair, int]] = []

    def entries(pairs: Iterable[Pair]) -> list[tuple[int, Any, Pair]]:
        frequent = (pair for pair in pairs if counts.count[pair] >= max(least, 1))
        return [
            (-counts.count[pair], order(pair), pair)
            for pair in frequent
            if allowed(tokens[pair[0]] + tokens[pair[1]])
        ]

    queue = entries(list(counts.count))
    heapify(queue)
    while queue and len(tokens) < vocabulary:
        negative, _, pair = heappop(queue)
        changed = {
            pair
        }  # its count was that of an earlier step, and it goes back with the true one
        if counts.count[pair] == -negative:
            text = tokens[pair[0]] + tokens[pair[1]]
            joined = known.setdefault(text, len(tokens))
            if joined == len(tokens):
                tokens.append(text)
            merges.append((pair, joined))
            changed = counts.join(pair, joined)
        for entry in entries(changed):
            heappush(queue, entry)
    return merges
