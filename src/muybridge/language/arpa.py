"""ARPA files: n-gram models as text, the form that KenLM, SRILM and speech toolkits exchange.

    \\data\\                          how many n-grams of each order
    \\1-grams:                       log10 p <tab> words <tab> log10 back-off weight
    ...
    \\end\\

-99 stands for the logarithm of zero. A history that is missing though longer n-grams begin with it
(SRILM leaves some out) is put in with the probability that backing off gives it.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Float64, Int64

from muybridge.atomic import write_bytes
from muybridge.errors import InputError
from muybridge.language.corpus import BLANKS, read_text
from muybridge.language.ngram import NgramModel, Table
from muybridge.language.ngram_counts import find_grams
from muybridge.language.vocabulary import (
    END,
    START,
    START_ID,
    UNKNOWN,
    UNKNOWN_ID,
    Vocabulary,
)

__all__ = ["format_arpa", "parse_arpa", "read_arpa", "write_arpa"]

ZERO = -99.0
COUNT = re.compile(r"ngram +(\d+) *= *(\d+)")
LONGEST = 100  # orders beyond it are taken for damage
LONGEST_COUNT = 18  # digits


@dataclass
class Section:
    """The n-grams of one order as they stand in the file."""

    ids: Int64[np.ndarray, "g n"]
    log_probability: Float64[np.ndarray, "g"]
    log_weight: Float64[np.ndarray, "g"]


class _Lines:
    """The lines of a file, with their numbers for messages."""

    def __init__(self, text: str) -> None:
        self._lines = text.split("\n")
        self.at = 0

    def filled(self) -> str:
        """The next line that is not blank."""
        line = ""
        while not line:
            if self.at >= len(self._lines):
                self.fail("more lines", "the end of the file", "copy it again, it is cut short")
            line = self._lines[self.at].strip(" \t\r")
            self.at += 1
        return line

    def take(self, count: int) -> list[str]:
        """The next lines, blank or not."""
        if count > len(self._lines) - self.at:
            left = len(self._lines) - self.at
            self.fail(f"{count} n-grams", f"{left} lines", "copy the file again, it is cut short")
        self.at += count
        return self._lines[self.at - count : self.at]

    def fail(self, expected: str, found: str, advice: str) -> NoReturn:
        """Say what is wrong at this line."""
        raise InputError(f"expected {expected} at line {self.at}, found {found}; {advice}")


def read_arpa(path: Path) -> NgramModel:
    """Read an ARPA file, packed by gzip or not.

    Raises:
        InputError: If it is not one; the sentence names the line.
    """
    try:
        return parse_arpa(read_text(path))
    except InputError as error:
        prefix = "" if str(error).startswith(str(path)) else f"{path}: "
        raise InputError(f"{prefix}{error}") from error


def parse_arpa(text: str) -> NgramModel:
    """The model that an ARPA text describes.

    Raises:
        InputError: If the text is malformed.
    """
    lines = _Lines(text)
    counts = _header(lines)
    words: list[str] = []
    sections: list[Section] = []
    index: dict[str, int] = {}
    for order, count in enumerate(counts, start=1):
        if order > 1 and lines.filled() != f"\\{order}-grams:":
            lines.fail(f"\\{order}-grams:", "another line", "check the counts under \\data\\")
        phrases, logs, weights = _entries(lines, order, count)
        if order == 1:
            words = _vocabulary(lines, phrases)
            index = {word: number for number, word in enumerate(words)}
        sections.append(_section(lines, order, phrases, index, (logs, weights)))
    if lines.filled() != "\\end\\":
        lines.fail("\\end\\", "more lines", "check the counts under \\data\\")
    return _assemble(words, sections)


def _header(lines: _Lines) -> list[int]:
    while lines.filled() != "\\data\\":
        pass
    counts: list[int] = []
    while (line := lines.filled()) != "\\1-grams:":
        match = COUNT.fullmatch(line)
        if not match or int(match[1]) != len(counts) + 1 or len(counts) >= LONGEST:
            lines.fail(f"'ngram {len(counts) + 1}=...'", repr(line[:60]), "mend the \\data\\ part")
        if len(match[2]) > LONGEST_COUNT:
            lines.fail("a count of n-grams", repr(line[:60]), "mend the \\data\\ part")
        counts.append(int(match[2]))
    if not counts:
        lines.fail("counts under \\data\\", "none", "give an ARPA file")
    return counts


def _entries(
    lines: _Lines, order: int, count: int
) -> tuple[list[list[str]], list[float], list[float]]:
    """Words, logarithms and weights of the n-grams of one order."""
    start = lines.at
    phrases, logs, weights = [], [], []
    for number, line in enumerate(lines.take(count), start=start + 1):
        fields = BLANKS.split(line.strip(" \t\r"))
        lines.at = number
        if not order + 1 <= len(fields) <= order + 2:
            lines.fail(
                f"a logarithm, {order} words and perhaps a weight",
                repr(line[:60]),
                "check the counts under \\data\\",
            )
        logs.append(_number(lines, fields[0]))
        if logs[-1] > 0:
            lines.fail("a logarithm of at most 0", fields[0], "mend or make the file again")
        weights.append(_number(lines, fields[-1]) if len(fields) == order + 2 else 0.0)
        phrases.append(fields[1 : order + 1])
    return phrases, logs, weights


def _number(lines: _Lines, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if np.isnan(value) or value == np.inf:
        lines.fail("a number", repr(text[:40]), "mend or make the file again")
    return value if value > ZERO else -np.inf


def _vocabulary(lines: _Lines, phrases: list[list[str]]) -> list[str]:
    """Words with the special ones in their places; `<UNK>` is spelled as ours."""
    for phrase in phrases:
        phrase[0] = UNKNOWN if phrase[0] == "<UNK>" else phrase[0]
    listed = [phrase[0] for phrase in phrases]
    if len(set(listed)) < len(listed):
        lines.fail("each word once among the 1-grams", "one twice", "make the file again")
    if START not in listed or END not in listed:
        lines.fail(f"{START} and {END} among the 1-grams", "one missing", "make the file again")
    special = {UNKNOWN, START, END}
    return [UNKNOWN, START, END, *(word for word in listed if word not in special)]


def _section(
    lines: _Lines,
    order: int,
    phrases: list[list[str]],
    index: dict[str, int],
    values: tuple[list[float], list[float]],
) -> Section:
    try:
        flat = [index[word] for phrase in phrases for word in phrase]
    except KeyError as error:
        lines.fail(
            f"{order}-grams of words that are among the 1-grams",
            repr(error.args[0]),
            "add it there",
        )
    ids = np.array(flat, dtype=np.int64).reshape(len(phrases), order)
    return Section(ids, np.array(values[0]), np.array(values[1]))


def _assemble(words: list[str], sections: list[Section]) -> NgramModel:
    """Sort, find each n-gram's history, and fill in histories that are missing."""
    size = len(words)
    closed = UNKNOWN_ID not in sections[0].ids
    logs, weights = np.full(size, -np.inf), np.zeros(size)
    logs[sections[0].ids[:, 0]] = sections[0].log_probability
    weights[sections[0].ids[:, 0]] = sections[0].log_weight
    logs[START_ID] = -np.inf
    tables = [Table(np.arange(size), logs, weights)]
    vocabulary = Vocabulary(tuple(words), closed)
    sections = _with_histories(sections, size)
    for section in sections[1:]:
        known = NgramModel(vocabulary, tuple(tables))
        tables.append(_table(known, section))
    return NgramModel(vocabulary, tuple(tables), method="arpa")


def _with_histories(sections: list[Section], size: int) -> list[Section]:
    """Add the histories that are missing, their probability NaN."""
    for above, below in zip(sections[:1:-1], sections[-2:0:-1], strict=True):
        listed = {row.tobytes() for row in below.ids}
        needed = {row.tobytes() for row in np.ascontiguousarray(above.ids[:, :-1])}
        missing = sorted(needed - listed)
        if missing:
            rows = np.frombuffer(b"".join(missing), dtype=np.int64).reshape(len(missing), -1)
            below.ids = np.concatenate([below.ids, rows])
            unknown = np.full(len(missing), np.nan)
            below.log_probability = np.concatenate([below.log_probability, unknown])
            below.log_weight = np.concatenate([below.log_weight, np.zeros(len(missing))])
    return sections


def _table(known: NgramModel, section: Section) -> Table:
    """One more order on top of a model of the lower ones."""
    size = len(known.vocabulary)
    row = section.ids[:, 0]
    for table, word in zip(known.tables[1:], section.ids[:, 1:-1].T, strict=True):
        row = find_grams(table.keys, row, word, size)
    assert (row >= 0).all(), "every history is listed by now"
    logs, absent = section.log_probability, np.isnan(section.log_probability)
    if absent.any():
        lower = known.score_ngrams(section.ids[absent, 1:])
        logs[absent] = known.tables[-1].log_weight[row[absent]] + lower
    keys = row * size + section.ids[:, -1]
    order = np.argsort(keys)
    keys = keys[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        phrase = " ".join(known.vocabulary.decode(section.ids[order[twice[0]]].tolist()))
        raise InputError(f"expected each n-gram once, found {phrase!r} twice; make the file again")
    return Table(keys, logs[order], section.log_weight[order])


# -- writing -----------------------------------------------------------------------------------
def write_arpa(path: Path, model: NgramModel) -> None:
    """Write an ARPA file, packed by gzip where the name ends in .gz.

    Raises:
        InputError: If the model does not back off to shorter histories, so that ARPA cannot say it.
    """
    data = format_arpa(model).encode()
    write_bytes(path, gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def format_arpa(model: NgramModel) -> str:
    """A model as ARPA text, nine digits a number.

    Raises:
        InputError: See `write_arpa`.
    """
    if model.unseen == "uniform" and model.order > 1:
        raise InputError(
            f"expected a model that backs off to shorter histories, got {model.method}, which ARPA "
            "cannot express; train another method, or order 1"
        )
    words = model.vocabulary.words
    wrong = next((word for word in words if BLANKS.search(word) or "\n" in word or not word), None)
    if wrong is not None:
        raise InputError(
            f"expected words without blanks, got {wrong!r}; spell blanks by other characters"
        )
    head = ["\\data\\"]
    listed = np.arange(int(model.vocabulary.closed), len(words))
    sizes = [len(listed), *(len(table) for table in model.tables[1:])]
    head += [f"ngram {order}={size}" for order, size in enumerate(sizes, start=1)]
    return "\n".join([*head, "", *_sections(model, listed.tolist()), "\\end\\", ""])


def _sections(model: NgramModel, listed: Sequence[int]) -> Iterator[str]:
    words, size = model.vocabulary.words, len(model.vocabulary)
    phrases = list(words)
    for order, table in enumerate(model.tables, start=1):
        yield f"\\{order}-grams:"
        if order > 1:
            parents, lasts = (part.tolist() for part in np.divmod(table.keys, size))
            phrases = [f"{phrases[p]} {words[w]}" for p, w in zip(parents, lasts, strict=True)]
        logs = np.maximum(table.log_probability, ZERO).tolist()
        if order == 1:
            logs[START_ID] = 0.0  # as KenLM writes it; nobody predicts <s>
        rows: Sequence[int] = listed if order == 1 else range(len(phrases))
        if order == model.order:
            yield from (f"{logs[row]:.9g}\t{phrases[row]}" for row in rows)
        else:
            weights = np.maximum(table.log_weight, ZERO).tolist()
            yield from (f"{logs[r]:.9g}\t{phrases[r]}\t{weights[r]:.9g}" for r in rows)
        yield ""
