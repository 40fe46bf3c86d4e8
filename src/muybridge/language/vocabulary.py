"""Words and their numbers.

The first three are special: `<unk>` stands for every word that is not listed, `<s>` begins a
sentence and is never predicted, `</s>` ends it. An open vocabulary gives `<unk>` a probability; a
closed one does not, and words outside it are counted but not scored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from muybridge.errors import InputError

__all__ = ["END", "END_ID", "START", "START_ID", "UNKNOWN", "UNKNOWN_ID", "Vocabulary", "collect"]

UNKNOWN, START, END = "<unk>", "<s>", "</s>"
UNKNOWN_ID, START_ID, END_ID = 0, 1, 2
SPECIAL = (UNKNOWN, START, END)


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows.

    Attributes:
        words: `<unk>`, `<s>`, `</s>`, then all others; a word's place is its number.
        closed: True where `<unk>` has no probability.
    """

    words: tuple[str, ...]
    closed: bool = False

    def __post_init__(self) -> None:
        assert self.words[:3] == SPECIAL, f"a vocabulary begins with {SPECIAL}"
        assert len(self.index) == len(self.words), "a vocabulary lists each word once"

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of each word."""
        return {word: number for number, word in enumerate(self.words)}

    @property
    def outcomes(self) -> int:
        """How many words can come next: all but `<s>`, and but `<unk>` where closed."""
        return len(self.words) - 1 - self.closed

    def encode(self, words: Iterable[str]) -> list[int]:
        """Numbers of words; `<unk>` for those not listed."""
        index = self.index
        return [index.get(word, UNKNOWN_ID) for word in words]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Words of numbers."""
        return [self.words[number] for number in ids]


def collect(
    sentences: Sequence[Sequence[str]], *, min_count: int = 1, closed: bool = False
) -> Vocabulary:
    """Every word of the sentences, in the order in which they first appear.

    Args:
        sentences: Sentences as words, without `<s>` and `</s>`.
        min_count: Words that are rarer become `<unk>`.
        closed: Give `<unk>` no probability.
    Raises:
        InputError: If there is no word, or if `<s>` or `</s>` is one.
    """
    counts = Counter(chain.from_iterable(sentences))
    if not counts:
        raise InputError(
            "expected text with at least one word, found none; give a file that is not blank"
        )
    if closed and min_count > 1:
        raise InputError(
            f"expected min_count 1 for a closed vocabulary, got {min_count}; "
            "leave the vocabulary open, so that rare words can become <unk>"
        )
    for special in (START, END):
        if special in counts:
            raise InputError(
                f"expected words other than {special}, found it {counts[special]} times; "
                "take it out, lines begin and end sentences by themselves"
            )
    listed = (word for word, count in counts.items() if count >= min_count and word != UNKNOWN)
    return Vocabulary((*SPECIAL, *listed), closed)
