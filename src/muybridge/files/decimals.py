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
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from muybridge.errors import InputError

__all__ = ["format_table", "parse_numbers"]

BLOCK_BYTES = 1 << 17  # text read at a time; its words stay in the cache
BLOCK_VALUES = 1 << 15  # numbers written at a time; their digit table stays in the cache
EXACT = 2**53  # integers below it are exact in float64
WORD = 8  # characters in a word
SCALES = 10.0 ** np.arange(WORD + 1)
LAST_BYTES = np.array(
    [2**64 - 2 ** (8 * max(WORD - n, 0)) for n in range(2 * WORD + 2)], np.uint64
)  # masks that keep the last n characters of a word
LAST_OF_FOUR = (LAST_BYTES[:5] >> np.uint64(32)).astype(np.uint32)
EACH = 0x0101010101010101  # one in every byte
ZEROS, DOTS, LOW, HIGH = (np.uint64(EACH * byte) for byte in (0x30, 0x30 ^ ord("."), 0x01, 0x80))

Numbers = Float64[np.ndarray, "n"]
Table = Float64[np.ndarray, "t n"]


def parse_numbers(text: bytes, start: int = 0) -> Numbers:
    """All numbers of a text from byte `start` on, separated by white space, in reading order.

    Memory: the numbers and one block of text.

    Raises:
        InputError: If a word is no finite number; names its line in the whole text.
    """
    numbers, count = np.empty(0), 0
    while start < len(text):
        stop = text.find(b"\n", start + BLOCK_BYTES) + 1 or len(text)
        block = text[start:stop]
        found = _short_decimals(block)
        if found is None:
            found = _any_decimals(block, 1 + text.count(b"\n", 0, start))
        if count + len(found) > len(numbers):  # as many again for each byte, and a little more
            more = int(1.01 * len(found) * (len(text) - start) / len(block)) + len(found)
            numbers.resize(count + more, refcheck=False)
        numbers[count : count + len(found)] = found
        count += len(found)
        start = stop
    numbers.resize(count, refcheck=False)
    return numbers


def _short_decimals(block: bytes) -> Numbers | None:
    """Numbers of up to eight digits before the dot and seven after; None if one is otherwise.

    The last eight characters of each number are one word. Its dot is found in it by arithmetic, so
    that decimals may differ from number to number; the digits before the dot are a second word.
    """
    data = np.frombuffer(b" " * WORD + block + b" ", np.uint8)
    blank = data <= ord(" ")
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    starts, ends = edges[0::2], edges[1::2]
    negative = data[starts] == ord("-")
    size = ends - starts
    size -= negative
    dot_count = np.count_nonzero(data == ord("."))
    known = np.count_nonzero(blank) + np.count_nonzero(data - np.uint8(ord("0")) <= 9)
    known += dot_count + np.count_nonzero(negative)
    if known != len(data) or data.min() < ord("\t") or not 0 < size.max(initial=0) <= 2 * WORD:
        return None
    last = _words(data, ends - WORD, LAST_BYTES[size])
    after, has_dot = _after_dot(last)
    found = np.count_nonzero(has_dot)
    each = (np.bitwise_count(after) >> 3).astype(np.intp)
    alike = found == len(size) and each.min() == each.max()  # the usual file: one number does
    decimals = each[:1] if alike else each
    dotted = decimals + (1 if alike else has_dot)
    size -= dotted  # now the digits before the dot
    if found != dot_count or (size + decimals).min() < 1:
        return None
    whole = _whole(data, ends - dotted, size)
    if whole is None:
        return None
    last &= after
    return _joined(whole, _eight_digits(last), SCALES[decimals], negative)


def _words(
    data: NDArray[np.uint8], places: NDArray[np.intp], mask: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Eight characters from each place on as digits, those outside the mask zero."""
    words = np.ndarray((len(data) - WORD + 1,), "<u8", data, strides=(1,))[places]
    words ^= ZEROS
    words &= mask
    return words


def _after_dot(words: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Masks of the characters behind the dot of each word, empty without a dot, and who has one."""
    others = words ^ DOTS
    dots = others - LOW
    np.invert(others, out=others)
    dots &= others
    dots &= HIGH  # the top bit of the byte that was a dot
    found = dots != 0
    dots <<= np.uint64(1)
    dots -= np.uint64(1)
    return np.invert(dots, out=dots), found


def _whole(
    data: NDArray[np.uint8], ends: NDArray[np.intp], size: NDArray[np.intp]
) -> NDArray[Any] | None:
    """The integers that so many digits before each place write; None for more than eight digits."""
    longest = size.max()
    if longest > WORD:
        return None
    if longest > 4:
        return _eight_digits(_words(data, ends - WORD, LAST_BYTES[size]))
    halves = np.ndarray((len(data) - 3,), "<u4", data, strides=(1,))[ends - 4]  # twice as fast
    halves ^= np.uint32(ZEROS & np.uint64(0xFFFFFFFF))
    halves &= LAST_OF_FOUR[size]
    pairs = halves * np.uint32(10) + (halves >> np.uint32(8))
    byte = np.uint32(0xFF)
    return (pairs & byte) * np.uint32(100) + (pairs >> np.uint32(16) & byte)


def _eight_digits(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The number that eight bytes write, each a digit."""
    pairs = words * np.uint64(10)
    pairs += words >> np.uint64(8)
    low = pairs >> np.uint64(16)
    for part, weights in ((pairs, 0x000F424000000064), (low, 0x0000271000000001)):
        part &= np.uint64(0x000000FF000000FF)
        part *= np.uint64(weights)  # 10^6 and 10^2; 10^4 and 1
    pairs += low
    pairs >>= np.uint64(32)
    return pairs


def _joined(
    whole: NDArray[Any],
    fraction: NDArray[np.uint64],
    scale: Float64[np.ndarray, "#n"],
    negative: NDArray[np.bool_],
) -> Numbers | None:
    """(whole + fraction / scale) with its sign; None where the division would not be exact."""
    numbers: Numbers = whole * scale
    numbers += fraction
    if numbers.max() >= EXACT:
        return None
    numbers /= scale
    numbers *= 1.0 - 2.0 * negative
    return numbers


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
    """One word of four bytes for each group of three digits, from the last group to the first.

    A byte of each word is free: before the whole digits for the sign, in the first group of
    decimals for the dot, in the last for the separator, unless that is the first.
    """
    scaled = _scaled(values.ravel(), decimals)
    rest = np.abs(scaled)
    largest = int(rest.max(initial=0))
    if largest < 2**32:
        rest = rest.astype(np.uint32)  # its divisions are four times as fast
    fraction = [3] * (decimals // 3) + ([decimals % 3] if decimals % 3 else [])
    whole = max(1, -(-(len(str(largest)) - decimals) // 3))
    width = whole + len(fraction) + (len(fraction) < 2)
    table = np.zeros((len(scaled), width), np.uint32)
    for place in reversed(range(len(fraction))):
        rest, low = _split(rest, fraction[place])
        table[:, whole + place] = _digit_words("." if place == 0 else "", fraction[place])[low]
    for place in reversed(range(1, whole)):
        rest, low = _split(rest, 3)
        words = _digit_words("\0", 3)[low]
        leading = _digit_words("\0", 3, place == whole - 1)[low]
        table[:, place] = np.where(rest == 0, leading, words)
    table[:, 0] = _digit_words("\0", 3, whole == 1)[rest]
    characters = table.view(np.uint8)
    characters[:, 0] = (scaled < 0) * np.uint8(ord("-"))
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
