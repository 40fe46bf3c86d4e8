"""Features of texts for classifiers: counts of words, runs of words, runs of characters.

N texts, F features, K classes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
from scipy.sparse import csr_array

from muybridge.errors import InputError

__all__ = ["FeatureTemplates", "TextFeatures", "learn_features"]

WORD = re.compile(r"\b\w+\b")


@dataclass(frozen=True)
class FeatureTemplates:
    """Which features a text has.

    Attributes:
        words: Runs of up to so many words.
        characters: Runs of up to so many characters, blanks included; 0 for none.
        lower_case: Do not tell capitals from small letters.
        min_count: Leave out features that are rarer in the training texts.
    """

    words: int = 2
    characters: int = 0
    lower_case: bool = True
    min_count: int = 1

    def __post_init__(self) -> None:
        if self.words < 0 or self.characters < 0 or self.words + self.characters < 1:
            raise InputError(
                f"expected runs of at least one word or character, got {self.words} and "
                f"{self.characters}; take words 2"
            )

    def of(self, text: str) -> Iterator[str]:
        """Every feature of a text, as often as it occurs; runs of characters begin with `~`."""
        text = text.lower() if self.lower_case else text
        words = WORD.findall(text)
        for length in range(1, self.words + 1):
            runs = zip(*(words[start:] for start in range(length)), strict=False)
            yield from map(" ".join, runs)
        for length in range(1, self.characters + 1):
            yield from (f"~{text[s : s + length]}" for s in range(len(text) - length + 1))


@dataclass(frozen=True)
class TextFeatures:
    """The features that some training texts have, each with a column.

    Attributes:
        templates: How features are found.
        names: The feature of each column.
    """

    templates: FeatureTemplates
    names: tuple[str, ...]

    @cached_property
    def columns(self) -> dict[str, int]:
        """Column of each feature."""
        return {name: column for column, name in enumerate(self.names)}

    def count(self, texts: Sequence[str]) -> csr_array:
        """Counts, N x F; features that training did not see are left out."""
        column = self.columns
        found = [
            Counter(column[f] for f in self.templates.of(text) if f in column) for text in texts
        ]
        ends = np.cumsum([0, *(len(counts) for counts in found)])
        columns = np.fromiter(chain.from_iterable(found), dtype=np.int32, count=int(ends[-1]))
        values = np.fromiter(
            chain.from_iterable(counts.values() for counts in found),
            dtype=np.float64,
            count=int(ends[-1]),
        )
        return csr_array((values, columns, ends), shape=(len(texts), len(self.names)))


def learn_features(texts: Sequence[str], templates: FeatureTemplates | None = None) -> TextFeatures:
    """The features of training texts, in the order in which they first appear.

    Raises:
        InputError: If no text has any.
    """
    templates = templates or FeatureTemplates()
    counts = Counter(chain.from_iterable(templates.of(text) for text in texts))
    names = tuple(name for name, count in counts.items() if count >= templates.min_count)
    if not names:
        raise InputError(
            f"expected texts with features that occur {templates.min_count} times, found none in "
            f"{len(texts)} texts; give texts with words"
        )
    return TextFeatures(templates, names)
