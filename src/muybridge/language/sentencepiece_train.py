"""Training SentencePiece's BPE: characters of words, whose frequent neighbours become pieces.

A line is a sentence, a blank is put before it, and words begin with their blank. Pieces do not mix
scripts, so that a language does not spend them on its neighbours' punctuation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

from muybridge.errors import InputError
from muybridge.language.bpe_merge import ranks_by_token
from muybridge.language.bpe_train import Pair, PairCounts, learn_merges
from muybridge.language.sentencepiece_bpe import BLANK, BYTE_PIECES, SentencePieceBpe

__all__ = ["PieceOptions", "train_sentencepiece_bpe"]

SPECIALS = ("<unk>", "<s>", "</s>")
_DIGITS = regex.compile("[0-9０-９]")  # noqa: RUF001 - the full-width ones are digits as well
# Han with kana, as in Japanese words; a mark that joins any script goes with its neighbours
_SCRIPTS = (
    r"\p{Common}", r"\p{Han}\p{Hiragana}\p{Katakana}\u30fc",
    *(rf"\p{{{name}}}" for name in (
        "Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Devanagari", "Bengali",
        "Tamil", "Telugu", "Thai", "Georgian", "Hangul", "Ethiopic", "Khmer", "Mongolian",
    )),
)  # fmt: skip
"""Classes of characters that may stand in one piece."""


@dataclass(frozen=True)
class PieceOptions:
    """What may become a piece.

    Attributes:
        coverage: Share of the text whose characters become pieces; rarer ones are spelled in bytes.
        bytes: Whether the 256 bytes are pieces; else rare characters are unknown.
        split_digits: Each digit is a piece of its own.
        split_scripts: No piece mixes scripts.
        longest: Characters of a piece.
        least: A pair that is rarer is not joined.
    """

    coverage: float = 0.9995
    bytes: bool = True
    split_digits: bool = True
    split_scripts: bool = True
    longest: int = 16
    least: int = 2


def train_sentencepiece_bpe(
    text: str, vocabulary: int, options: PieceOptions | None = None
) -> SentencePieceBpe:
    """Learn a SentencePiece BPE tokenizer from a text.

    Ids: `<unk>`, `<s>`, `</s>`, the bytes, merged pieces in their order, characters by frequency.

    Args:
        text: What to learn from; a line is a sentence.
        vocabulary: Pieces of all kinds; fewer where the text has no more pairs to join.
        options: What may become a piece.
    Raises:
        InputError: If the text is empty, or the vocabulary too small for its characters.
    References:
        Kudo & Richardson 2018, arXiv 1808.06226; SentencePiece's training for how ties are broken.
    """
    options = options or PieceOptions()
    words = _count_words(text.split("\n"))
    if not words:
        raise InputError("expected a text to learn from, got an empty one; give another file")
    characters = _covered(words, options.coverage)
    first = len(SPECIALS) + (256 if options.bytes else 0)
    if vocabulary < first + len(characters):
        raise InputError(
            f"expected a vocabulary of at least {first + len(characters)}, for special pieces, "
            f"bytes and {len(characters)} characters, got {vocabulary}; ask for more, or cover less"
        )
    merged = _merged_pieces(words, characters, vocabulary - first, options)
    pieces = [*SPECIALS, *(BYTE_PIECES if options.bytes else ()), *merged, *characters]
    ids = {piece: number for number, piece in enumerate(pieces) if number >= first}
    return SentencePieceBpe(
        tuple(pieces),
        ranks_by_token({piece: rank for rank, piece in enumerate(merged)}, ids),
        {name: SPECIALS.index(name) for name in ("<s>", "</s>")},
        byte_ids=tuple(range(len(SPECIALS), first)),
    )


def _count_words(lines: Iterable[str]) -> Mapping[str, int]:
    words: Counter[str] = Counter()
    for line in lines:
        words.update(BLANK + word for word in line.rstrip("\r").split(" ") if word)
    return words


def _covered(words: Mapping[str, int], coverage: float) -> list[str]:
    """Characters, the most frequent first, until they make up this share of the text."""
    count: Counter[str] = Counter()
    for word, times in words.items():
        for character in word:
            count[character] += times
    total, covered, chosen = sum(count.values()), 0, []
    for character, times in sorted(count.items(), key=lambda item: (-item[1], item[0])):
        if covered >= coverage * total:
            break
        covered += times
        chosen.append(character)
    return chosen if BLANK in chosen else [*chosen, BLANK]


def _merged_pieces(
    words: Mapping[str, int], characters: Sequence[str], size: int, options: PieceOptions
) -> list[str]:
    tokens = sorted(characters)
    number = {character: index for index, character in enumerate(tokens)}
    spelled: Counter[tuple[int, ...]] = Counter()
    for word, times in words.items():
        for part in _known_parts(word, number):
            spelled[part] += times
    start = len(tokens)
    counts = PairCounts([list(word) for word in spelled], list(spelled.values()))

    def shortest_first(pair: Pair) -> tuple[int, str]:
        text = tokens[pair[0]] + tokens[pair[1]]
        return len(text), text

    learn_merges(
        counts, tokens, size, least=options.least, order=shortest_first,
        allowed=lambda piece: _may_be_piece(piece, options),
    )  # fmt: skip
    return tokens[start:]


def _known_parts(word: str, number: Mapping[str, int]) -> Iterable[tuple[int, ...]]:
    """Stretches between characters that are no pieces."""
    part: list[int] = []
    for character in word:
        if character in number:
            part.append(number[character])
        else:
            yield tuple(part)
            part = []
    yield tuple(part)


def _may_be_piece(piece: str, options: PieceOptions) -> bool:
    if len(piece) > options.longest or (options.split_digits and _DIGITS.search(piece)):
        return False
    return not options.split_scripts or _one_script(piece.removeprefix(BLANK))


@lru_cache(maxsize=1 << 16)
def _one_script(piece: str) -> bool:
    return _script_pattern().fullmatch(piece) is not None


@lru_cache(maxsize=1)
def _script_pattern() -> regex.Pattern[str]:
    others = "".join(_SCRIPTS)
    runs = [rf"[{script}\p{{Inherited}}]*" for script in (*_SCRIPTS, f"^{others}")]
    return regex.compile("|".join(runs))
