"""Tables of decimal numbers as text, at the speed of memory rather than of a parser.

Reading: the digits of all numbers of a block are taken at once, up to eight before and eight after
the dot, each group as one 64-bit word ("SIMD within a register"). The digits make an integer that
is divided by a power of ten. Integers below 2^53 and powers up to 10^22 are exact in float64, so
the one division rounds correctly and the result equals `float()` to the last bit. A block with
longer numbers, exponents or mistakes goes through `numpy.loadtxt`, then number by number.

Writing: three digits at a time are looked up for all numbers at once into a table of fixed width,
unused places are zero bytes, and `bytes.translate` drops them. Equal to '%.6f' byte for byte,
except that "-0.000000" is written "0.000000".

References:
    Lemire, Number parsing at a gigabyte per second, Software: Practice and Experience 51(8), 2021
    (when a division is exact; eight digits in one word).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from muybridge.errors import InputError

__all__ = ["format_table", "parse_numbers"]

BLOCK_BYTES = 1 << 17  # text read at a time; its words stay in the cache
BLOCK_VALUES = 1 << 15  # numbers written at a time; their digit table stays in the cache
EXACT = 2**53  # integers below it are exact in float64
WORD = 8  # characters in a word
POWERS = 10 ** np.arange(WORD + 1, dtype=np.uint64)
LAST_BYTES = np.array([2**64 - 2 ** (8 * n) for n in range(WORD, -1, -1)], np.uint64)  # masks

Numbers = Float64[np.ndarray, "n"]
Table = Float64[np.ndarray, "t n"]


def parse_numbers(text: bytes, start: int = 0) -> Numbers:
    """All numbers of a text from byte `start` on, separated by white space, in reading order.

    Raises:
        InputError: If a word is no finite number; names its line in the whole text.
    """
    parts = []
    while start < len(text):
        stop = text.find(b"\n", start + BLOCK_BYTES) + 1 or len(text)
        block = text[start:stop]
        numbers = _short_decimals(block)
        if numbers is None:
            numbers = _any_decimals(block, 1 + text.count(b"\n", 0, start))
        parts.append(numbers)
        start = stop
    return np.concatenate(parts) if parts else np.empty(0)


def _short_decimals(block: bytes) -> Numbers | None:
    """Numbers of up to eight digits on each side of the dot; None if one is written otherwise."""
    data = np.frombuffer(b" " * WORD + block + b" ", np.uint8)
    if data.min() < ord("\t"):
        return None
    blank = data <= ord(" ")
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    starts, ends = edges[0::2], edges[1::2]
    dots = _dot_places(data, starts, ends)
    if dots is None:
        return None
    negative = data[starts] == ord("-")
    digits, decimals = dots - starts - negative, np.maximum(ends - dots - 1, 0)
    if digits.max() > WORD or decimals.max() > WORD or (digits + decimals).min() < 1:
        return None
    words = np.ndarray((len(data) - WORD + 1,), "<u8", data, strides=(1,))
    whole, fraction = _digits(words[dots - WORD], digits), _digits(words[ends - WORD], decimals)
    if whole is None or fraction is None:
        return None
    scale = POWERS[decimals]
    exact = whole * scale + fraction
    if exact.max() >= EXACT:
        return None
    numbers: Numbers = exact.astype(np.float64) / scale * np.where(negative, -1.0, 1.0)
    return numbers


def _dot_places(
    data: NDArray[np.uint8], starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> NDArray[np.intp] | None:
    """Place of each word's dot, its end where it has none; None if a word has two."""
    dots = np.flatnonzero(data == ord("."))
    if len(starts) == 0:
        return None
    if len(dots) == len(starts) and (starts <= dots).all() and (dots < ends).all():
        return dots
    last = np.searchsorted(dots, ends) - 1
    has_one = last >= 0
    has_one[has_one] = dots[last[has_one]] >= starts[has_one]
    if np.count_nonzero(has_one) != len(dots):
        return None
    places = ends.copy()
    places[has_one] = dots
    return places


def _digits(words: NDArray[np.uint64], count: NDArray[np.intp]) -> NDArray[np.uint64] | None:
    """The number that the last `count` of eight characters write; None if one is no digit."""
    values = (words ^ np.uint64(0x3030303030303030)) & LAST_BYTES[count]
    over_nine = values | (values + np.uint64(0x7676767676767676))
    if (over_nine & np.uint64(0x8080808080808080)).any():
        return None
    values = values * np.uint64(10) + (values >> np.uint64(8))  # pairs
    pairs, even = np.uint64(0x000000FF000000FF), values >> np.uint64(16)
    high = (values & pairs) * np.uint64(0x000F424000000064)  # 10^6 and 10^2
    low = (even & pairs) * np.uint64(0x0000271000000001)  # 10^4 and 1
    return (high + low) >> np.uint64(32)


def _any_decimals(block: bytes, line: int) -> Numbers:
    """Numbers of a block in any notation that `float()` reads."""
    lines = block.decode("latin-1").split("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a block of empty lines
            numbers = np.loadtxt(lines, dtype=np.float64, comments=None, ndmin=2).ravel()
    except ValueError:
        numbers = np.array(
            [_number(w, line + i) for i, row in enumerate(lines) for w in row.split()]
        )
    if not np.isfinite(numbers).all():
        row, word = next(
            (i, w) for i, r in enumerate(lines) for w in r.split() if not np.isfinite(float(w))
        )
        raise InputError(f"expected finite numbers, got {word!r} in line {line + row}; mend it")
    return numbers.astype(np.float64)


def _number(word: str, line: int) -> float:
    try:
        return float(word)
    except ValueError:
        shown = word if len(word) <= 20 else word[:20] + "..."
        raise InputError(f"expected numbers, got {shown!r} in line {line}; mend it") from None


def format_table(values: Table, decimals: int = 6) -> Iterator[bytes]:
    """Lines of a table, numbers as '%.<decimals>f' and one blank between, in blocks of lines.

    Raises:
        InputError: If a number is not finite, or too large to be written with so many decimals.
    """
    rows = max(1, BLOCK_VALUES // max(1, values.shape[1]))
    for start in range(0, len(values), rows):
        block = np.ascontiguousarray(values[start : start + rows])
        yield _format_block(block, decimals)


def _format_block(values: Table, decimals: int) -> bytes:
    """One word of four bytes for each group of three digits, from the last group to the first."""
    scaled = _scaled(values.ravel(), decimals)
    rest = np.abs(scaled)
    largest = int(rest.max(initial=0))
    if largest < 2**32:
        rest = rest.astype(np.uint32)  # its divisions are four times as fast
    fraction = [3] * (decimals // 3) + ([decimals % 3] if decimals % 3 else [])
    whole = max(1, -(-(len(str(largest)) - decimals) // 3))
    table = np.zeros((len(scaled), whole + len(fraction) + 1), np.uint32)
    for place in reversed(range(len(fraction))):
        rest, low = _split(rest, fraction[place])
        table[:, whole + place] = _digit_words("." if place == 0 else "", fraction[place])[low]
    for place in reversed(range(whole)):
        rest, low = _split(rest, 3)
        words = _digit_words("\0", 3)[low]
        leading = _digit_words("\0", 3, place == whole - 1)[low]
        table[:, place] = np.where(rest == 0, leading, words)
    characters = table.view(np.uint8)
    characters[:, 0] = np.where(scaled < 0, ord("-"), 0)
    separators = characters[:, -1].reshape(values.shape)
    separators[:, :-1], separators[:, -1] = ord(" "), ord("\n")
    return table.tobytes().translate(None, b"\0")


def _split(numbers: np.ndarray, digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers without their last digits, and those digits."""
    base = np.asarray(10**digits, numbers.dtype)
    high = numbers // base
    return high, numbers - high * base


@lru_cache
def _digit_words(before: str, digits: int, keep_zero: bool | None = None) -> np.ndarray:
    """Four bytes for each number of so many digits; with `keep_zero` given, no leading zeros."""
    texts = [f"{n:0{digits}d}" for n in range(10**digits)]
    if keep_zero is not None:
        texts = [t.lstrip("0").rjust(digits, "\0") for t in texts]
        texts[0] = "\0" * (digits - 1) + ("0" if keep_zero else "\0")
    joined = "".join((before + text).ljust(4, "\0") for text in texts)
    return np.frombuffer(joined.encode(), np.uint32)


def _scaled(values: Numbers, decimals: int) -> np.ndarray:
    """Each number times 10^decimals, rounded to an integer exactly as printf rounds."""
    scaled = values * 10.0**decimals
    if not np.isfinite(scaled).all() or np.abs(scaled).max(initial=0.0) >= EXACT:
        raise InputError(
            f"expected finite numbers below {EXACT / 10.0**decimals:.0f} to write, got "
            f"{values[~(np.abs(scaled) < EXACT)][0]}; check the data's unit and gaps"
        )
    rounded = np.rint(scaled)
    ties = np.flatnonzero(np.abs(np.abs(scaled - rounded) - 0.5) < 1e-4)
    for k in ties:  # the product may have been rounded across the tie: printf decides
        rounded[k] = float(f"{values[k]:.{decimals}f}".replace(".", ""))
    return rounded.astype(np.int64)
