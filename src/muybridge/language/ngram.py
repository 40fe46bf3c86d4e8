"""The n-gram model: every smoothing method ends as one table of probabilities and weights.

    p(w | h) = p_table(h w)                 where the n-gram h w is listed,
               weight(h) p(w | shorter h)   else; weight 1 where h is not listed.

That is the form of an ARPA file. Interpolated methods fit it because their probability of a word
that was never seen after h is a multiple of the one after the shorter history. Only add-k differs:
its unseen words are all alike, so it gives weight(h) / V whatever the shorter history says.
Logarithms are to base 10, as in ARPA files. V words, Q queries, T words of text, N the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int32, Int64, Integer

from muybridge.errors import InputError
from muybridge.language.corpus import Sentences
from muybridge.language.ngram_counts import find_grams
from muybridge.language.vocabulary import END_ID, START_ID, UNKNOWN_ID, Vocabulary

__all__ = ["NgramModel", "Table"]

Unseen = Literal["backoff", "uniform"]


@dataclass(frozen=True)
class Table:
    """All n-grams of one order.

    Attributes:
        keys: Row of the first words in the order below * V + last word, ascending.
        log_probability: log10 p(last word | first words).
        log_weight: log10 of the back-off weight of the n-gram as a history; 0 in the top order.
    """

    keys: Int64[np.ndarray, "g"]
    log_probability: Float64[np.ndarray, "g"]
    log_weight: Float64[np.ndarray, "#g"]

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class NgramModel:
    """Probabilities of the next word after up to N - 1 words.

    Attributes:
        vocabulary: The words; row i of the first table is word i.
        tables: Orders 1 to N.
        unseen: Whence words come that were never seen after a history.
        method: Name of the smoothing.
        notes: What the estimation had to do otherwise than asked, in sentences.
    """

    vocabulary: Vocabulary
    tables: tuple[Table, ...]
    unseen: Unseen = "backoff"
    method: str = ""
    notes: tuple[str, ...] = ()

    @property
    def order(self) -> int:
        """N: the longest history plus one."""
        return len(self.tables)

    @property
    def bytes(self) -> int:
        """Memory of the tables."""
        arrays = (a for t in self.tables for a in (t.keys, t.log_probability, t.log_weight))
        return sum(array.nbytes for array in arrays)

    def score(self, sentences: Sentences) -> Float64[np.ndarray, "t"]:
        """log10 probability of every word of a text; 0 for the `<s>`, which nobody predicts."""
        scores = self._walk(sentences.ids.astype(np.int64), sentences.place)
        scores[sentences.place == 0] = 0.0
        return scores

    def score_ngrams(self, ngrams: Integer[np.ndarray, "q n"]) -> Float64[np.ndarray, "q"]:
        """log10 probability of the last word of each row after the words before it.

        Args:
            ngrams: Numbers of words; -1 fills rows with a shorter history from the left.
        """
        grams = ngrams[:, -self.order :].astype(np.int64)
        scores = np.zeros(len(grams))
        todo = np.arange(len(grams))
        for start in range(grams.shape[1]):
            whole = grams[todo, start] >= 0
            rows = todo[whole]
            table = self.tables[grams.shape[1] - start - 1]
            history, found = self._trace(grams[rows, start:])
            scores[rows] += np.where(
                found >= 0,
                table.log_probability[found],
                self._weights(grams.shape[1] - start - 1, history),
            )
            if self.unseen == "uniform":
                scores[rows] += np.where(found < 0, self._uniform[grams[rows, -1]], 0.0)
                found = np.zeros_like(found)
            todo = np.concatenate([rows[found < 0], todo[~whole]])
        return scores

    def _trace(
        self, grams: Int64[np.ndarray, "q n"]
    ) -> tuple[Int64[np.ndarray, "q"], Int64[np.ndarray, "q"]]:
        """Rows of the first n - 1 words and of all n, -1 where they are not listed."""
        history, found = np.full(len(grams), -1, dtype=np.int64), grams[:, 0]
        for table, words in zip(self.tables[1:], grams.T[1:], strict=False):
            history, found = found, find_grams(table.keys, found, words, len(self.vocabulary))
        return history, found

    def _walk(
        self, ids: Int64[np.ndarray, "t"], place: Int32[np.ndarray, "t"]
    ) -> Float64[np.ndarray, "t"]:
        """Score a stream order by order; `place` counts the words that belong to the history.

        The row of the n-gram that ends at t follows from the row of the shorter one that ends at
        t - 1, so each order costs one search.
        """
        size = len(self.vocabulary)
        scores = self.tables[0].log_probability[ids]
        row = ids
        for length, table in enumerate(self.tables[1:], start=2):
            ends = np.flatnonzero(place >= length - 1)
            parent = row[ends - 1]
            found = find_grams(table.keys, parent, ids[ends], size)
            weight = self._weights(length - 1, parent)
            lower = scores if self.unseen == "backoff" else self._uniform[ids]
            scores[ends] = np.where(found >= 0, table.log_probability[found], weight + lower[ends])
            row = np.full(len(ids), -1, dtype=np.int64)
            row[ends] = found
        return scores

    @cached_property
    def _uniform(self) -> Float64[np.ndarray, "v"]:
        """log10 of the uniform distribution over the words that can come next."""
        logs = np.full(len(self.vocabulary), -np.log10(self.vocabulary.outcomes))
        logs[START_ID] = -np.inf
        if self.vocabulary.closed:
            logs[UNKNOWN_ID] = -np.inf
        return logs

    def _weights(self, length: int, row: Int64[np.ndarray, "q"]) -> Float64[np.ndarray, "q"]:
        weights = self.tables[length - 1].log_weight
        return np.where(row >= 0, weights[row], 0.0)

    def distribution(self, history: Sequence[int]) -> Float64[np.ndarray, "v"]:
        """Probability of every word after a history.

        Args:
            history: Numbers of the words before, the nearest last; only N - 1 of them matter.
        """
        result = 10.0 ** self.tables[0].log_probability
        kept = list(history)[max(0, len(history) - self.order + 1) :]
        for length in range(1, len(kept) + 1):
            row = self._find(kept[len(kept) - length :])
            if self.unseen == "uniform":
                result = 10.0**self._uniform
            if row < 0:
                continue
            result *= 10.0 ** self.tables[length - 1].log_weight[row]
            table, size = self.tables[length], len(self.vocabulary)
            begin, end = np.searchsorted(table.keys, [row * size, (row + 1) * size])
            result[table.keys[begin:end] - row * size] = 10.0 ** table.log_probability[begin:end]
        return result

    def _find(self, words: Sequence[int]) -> int:
        """Row of an n-gram, -1 if it is not listed."""
        row = np.array([words[0]], dtype=np.int64)
        for table, word in zip(self.tables[1:], words[1:], strict=False):
            row = find_grams(table.keys, row, np.array([word]), len(self.vocabulary))
        return int(row[0])

    def sample(
        self,
        random: np.random.Generator,
        history: Sequence[int] = (START_ID,),
        *,
        longest: int = 200,
        temperature: float = 1.0,
    ) -> list[int]:
        """Go on from a history until `</s>`, which is not returned, or for `longest` words.

        Args:
            random: Source of chance.
            history: Words before.
            longest: Most words to draw.
            temperature: Probabilities are raised to 1 / temperature; 0 takes the likeliest word.
        Raises:
            InputError: If the temperature is negative.
        """
        if temperature < 0:
            raise InputError(
                f"expected a temperature of 0 or more, got {temperature}; 1 samples the model"
            )
        words = list(history)
        while len(words) - len(history) < longest:
            word = _draw(self.distribution(words), temperature, random)
            if word == END_ID:
                break
            words.append(word)
        return words[len(history) :]


def _draw(
    probability: Float64[np.ndarray, "v"], temperature: float, random: np.random.Generator
) -> int:
    if temperature == 0:
        return int(np.argmax(probability))
    if temperature != 1:
        probability = (probability / probability.max()) ** (1.0 / temperature)
    heap = np.cumsum(probability)
    return int(np.searchsorted(heap, random.random() * heap[-1], side="right"))
