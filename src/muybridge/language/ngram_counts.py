"""Counting n-grams of all orders at once, as a tree of prefixes in sorted arrays.

An n-gram is the number of its first n - 1 words (a row of the order below) and its last word; the
pair makes one integer key. So a table of any order is one sorted array of integers, its children
lie side by side, and counting is sorting. V words; G n-grams of one order, T words of text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from muybridge.errors import InputError
from muybridge.language.corpus import Sentences
from muybridge.language.vocabulary import START_ID, Vocabulary

__all__ = ["Grams", "NgramCounts", "count_ngrams", "find_grams"]


@dataclass(frozen=True)
class Grams:
    """All n-grams of one order that occur.

    Attributes:
        keys: parent * V + word, ascending.
        parent: Row of the first n - 1 words in the order below; 0 for single words.
        word: The last word.
        suffix: Row of the last n - 1 words in the order below; 0 for single words.
        first: The first word.
        counts: How often each occurs; 0 for a `<s>` alone, which is never predicted.
    """

    keys: Int64[np.ndarray, "g"]
    parent: Int64[np.ndarray, "g"]
    word: Int64[np.ndarray, "g"]
    suffix: Int64[np.ndarray, "g"]
    first: Int64[np.ndarray, "g"]
    counts: Int64[np.ndarray, "g"]

    def __len__(self) -> int:
        return len(self.keys)

    def sums(
        self, values: Shaped[np.ndarray, "g"] | None, contexts: int
    ) -> Float64[np.ndarray, "c"]:
        """Sum of `values` (their number, where None) over the n-grams of each context."""
        return np.bincount(self.parent, values, minlength=contexts).astype(np.float64)


@dataclass(frozen=True)
class NgramCounts:
    """Counts of the orders 1, 2, ..., N of one text."""

    vocabulary: Vocabulary
    orders: tuple[Grams, ...]

    @cached_property
    def contexts(self) -> tuple[int, ...]:
        """For each order, how many rows the order below has; one empty context for words."""
        return (1, *(len(grams) for grams in self.orders[:-1]))

    @property
    def predictable(self) -> Bool[np.ndarray, "v"]:
        """The words that can come next."""
        allowed = np.ones(len(self.vocabulary), dtype=bool)
        allowed[START_ID] = False
        if self.vocabulary.closed:
            allowed[0] = False
        return allowed

    @cached_property
    def continuations(self) -> tuple[Int64[np.ndarray, "_"], ...]:
        """Counts for Kneser-Ney: below the top order, how many words occur before the n-gram.

        An n-gram that begins with `<s>` has nothing before it and keeps its count.

        References:
            Kneser & Ney 1995; Heafield et al. 2013, section 3.
        """
        result = []
        for grams, above in zip(self.orders, self.orders[1:], strict=False):
            distinct = np.bincount(above.suffix, minlength=len(grams))
            result.append(np.where(grams.first == START_ID, grams.counts, distinct))
        return (*result, self.orders[-1].counts)


def count_ngrams(sentences: Sentences, vocabulary: Vocabulary, order: int) -> NgramCounts:
    """Count the n-grams of all orders up to `order` within the sentences.

    Orders for which every sentence is too short are left out.

    Raises:
        InputError: If the order is below 1.
    """
    if order < 1:
        raise InputError(f"expected an order of at least 1, got {order}; take 3 or 5")
    size = len(vocabulary)
    ids = sentences.ids.astype(np.int64)
    orders = [_single_words(ids, size)]
    row = ids
    for length in range(2, order + 1):
        ends = np.flatnonzero(sentences.place >= length - 1)
        if not len(ends):
            break
        grams, found = _longer(row, ends, ids[ends], orders[-1], size)
        orders.append(grams)
        row = np.full(len(ids), -1, dtype=np.int64)
        row[ends] = found
    return NgramCounts(vocabulary, tuple(orders))


def _single_words(ids: Int64[np.ndarray, "t"], size: int) -> Grams:
    words, zeros = np.arange(size), np.zeros(size, dtype=np.int64)
    counts = np.bincount(ids, minlength=size)
    counts[START_ID] = 0
    return Grams(words, zeros, words, zeros, words, counts)


def _longer(
    row: Int64[np.ndarray, "t"],
    ends: Int64[np.ndarray, "e"],
    words: Int64[np.ndarray, "e"],
    below: Grams,
    size: int,
) -> tuple[Grams, Int64[np.ndarray, "e"]]:
    """The n-grams that end at `ends`, and the row of each; `row` has those of the order below."""
    assert len(below) < 2**62 // size, "keys must fit 63 bits"
    keys, found, counts = np.unique(
        row[ends - 1] * size + words, return_inverse=True, return_counts=True
    )
    parent, word = np.divmod(keys, size)
    suffix = np.empty(len(keys), dtype=np.int64)
    suffix[found] = row[ends]
    return Grams(keys, parent, word, suffix, below.first[parent], counts), found


def find_grams(
    keys: Int64[np.ndarray, "g"],
    parent: Shaped[np.ndarray, "q"],
    words: Shaped[np.ndarray, "q"],
    size: int,
) -> Int64[np.ndarray, "q"]:
    """Row of each n-gram, -1 where it does not occur.

    The queries are sorted first: a search in order walks through memory instead of jumping about,
    which is worth 2.5 times the speed, sorting included.

    Args:
        keys: Of the order to look in, ascending.
        parent: Row of its first words, -1 where they do not occur.
        words: Its last word.
        size: V.
    """
    if not len(keys):
        return np.full(len(words), -1, dtype=np.int64)
    wanted = parent.astype(np.int64) * size + words
    order = np.argsort(wanted)
    row = np.empty(len(wanted), dtype=np.int64)
    row[order] = np.searchsorted(keys, wanted[order])
    row = np.minimum(row, len(keys) - 1)
    return np.where((keys[row] == wanted) & (parent >= 0), row, -1)
