"""Self-instruct: a model writes new instructions in the manner of a few, and what is new is kept.

That is how the 52,000 instructions of Alpaca came about, from 175 written by people. The model is
any function from a prompt to its continuation. Words are what stands between blanks and signs, so
that it is not for languages that write none.

    prompt: eight instructions of the pool as a numbered list, and the number of the next
    kept:   of sensible length, about text alone, and unlike all others (ROUGE-L below 0.7)
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from muybridge.errors import InputError

__all__ = ["Pool", "ask_for_more", "read_list", "rouge_l", "self_instruct"]

ALIKE = 0.7  # ROUGE-L from which two instructions count as one
SHOWN, SHOWN_OWN = 8, 2  # instructions of a prompt, and how many of them the model's own
WORDS = (4, 150)  # of an instruction, least and most
# what a language model cannot look at or make
SENSES = frozenset(
    {
        "audio", "diagram", "drawing", "file", "files", "flowchart", "graph", "graphs", "image",
        "images", "map", "maps", "music", "photo", "picture", "pictures", "plot", "video",
    }
)  # fmt: skip
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"^\s*\d+\.\s*", re.MULTILINE)


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """Likeness of two texts: F1 of their longest common subsequence of words.

    Args:
        one: Words of a text.
        other: Words of another.
    Returns:
        0 where no word is common or a text is empty, 1 for equal texts.
    References:
        Lin 2004, "ROUGE: a package for automatic evaluation of summaries", section 3.
    """
    longest = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for place, against in enumerate(other, 1):
            above = longest[place]
            best = max(above, longest[place - 1])
            longest[place] = diagonal + 1 if word == against else best
            diagonal = above
    return 2 * longest[-1] / (len(one) + len(other)) if longest[-1] else 0.0


@dataclass
class Pool:
    """Instructions so far.

    Attributes:
        seeds: Written by people.
        made: Written by the model, and kept.
        refused: How many were not kept, and why.
    """

    seeds: list[str]
    made: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._words = [_words(text) for text in (*self.seeds, *self.made)]

    def offer(self, text: str) -> bool:
        """Keep an instruction if it is sensible and new; says whether it was."""
        words = _words(text)
        reason = self._reason(words)
        if reason is None:
            self.made.append(text)
            self._words.append(words)
        else:
            self.refused[reason] = self.refused.get(reason, 0) + 1
        return reason is None

    def _reason(self, words: Sequence[str]) -> str | None:
        if not WORDS[0] <= len(words) <= WORDS[1]:
            return "length"
        if SENSES & set(words):
            return "senses"
        if any(rouge_l(words, known) >= ALIKE for known in self._words):
            return "alike"
        return None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def ask_for_more(shown: Sequence[str]) -> str:
    """A prompt that lists instructions and leaves the next number open."""
    rows = [f"{number}. {text}" for number, text in enumerate(shown, 1)]
    return "\n".join(["Come up with a series of tasks:", *rows, f"{len(shown) + 1}."])


def read_list(continuation: str) -> list[str]:
    """Instructions of a numbered list whose first number stands in the prompt.

    The last is dropped where the text ends in the middle of it.
    """
    rows = [" ".join(row.split()) for row in _NUMBER.split(continuation)]
    if rows and not rows[-1].endswith((".", "?", "!", ":", "。", "\uff1f")):
        rows.pop()
    return [row for row in rows if row]


def self_instruct(
    seeds: Sequence[str],
    write: Callable[[str], str],
    wanted: int,
    *,
    rounds: int = 1000,
    seed: int = 0,
) -> Pool:
    """Let a model write instructions until there are enough.

    Args:
        seeds: Instructions written by people.
        write: Continues a prompt.
        wanted: Instructions to make.
        rounds: Prompts at most.
        seed: Of what is shown in a prompt.
    Returns:
        Seeds and what was made; fewer than wanted where the rounds did not suffice.
    Raises:
        InputError: If there is no seed.
    References:
        Wang et al. 2023, arXiv 2212.10560, section 2.2; Taori et al. 2023, Stanford Alpaca.
    """
    if not seeds:
        raise InputError("expected instructions to begin with, got none; write a few")
    pool, draw = Pool(list(seeds)), random.Random(seed)
    for _ in range(rounds):
        own = draw.sample(pool.made, min(SHOWN_OWN, len(pool.made)))
        shown = own + draw.sample(pool.seeds, min(SHOWN - len(own), len(pool.seeds)))
        draw.shuffle(shown)
        for text in read_list(write(ask_for_more(shown))):
            if len(pool.made) == wanted:
                return pool
            pool.offer(text)
    return pool
