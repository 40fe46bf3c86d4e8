"""Numbers as text: equal to float() and to '%.6f', whatever path they take."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.files import decimals
from muybridge.files.decimals import format_table, parse_numbers

finite = st.floats(allow_nan=False, allow_infinity=False)
ordinary = st.floats(-9e5, 9e5)


def _printed(values: np.ndarray, places: int = 6) -> str:
    rows = [" ".join(f"{v:.{places}f}" for v in row) for row in values.tolist()]
    text = "\n".join((*rows, ""))
    return text.replace("-0." + "0" * places, "0." + "0" * places)


@given(st.lists(finite, min_size=1, max_size=40), st.integers(0, 12))
def test_reading_equals_float(values: list[float], places: int) -> None:
    words = [f"{v:.{places}f}" for v in values] + [repr(values[0])]
    for text in (" ".join(words[:-1]), "\n".join(words[:-1]), "  \t".join(words) + " \r\n"):
        expected = np.array([float(word) for word in text.split()])
        np.testing.assert_array_equal(parse_numbers(text.encode()), expected)


@given(st.text(alphabet="0123456789.-+eE \n_x", max_size=60))
def test_any_text_reads_as_float_does_or_is_refused(text: str) -> None:
    try:
        expected = [float(word) for word in text.split()]
    except ValueError:
        with pytest.raises(InputError, match="line"):
            parse_numbers(text.encode())
        return
    if not np.isfinite(expected).all():
        with pytest.raises(InputError, match="finite"):
            parse_numbers(text.encode())
    else:
        np.testing.assert_array_equal(parse_numbers(text.encode()), expected)


def test_blocks_of_both_kinds_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decimals, "BLOCK_BYTES", 64)
    rng = np.random.default_rng(0)
    rows = [" ".join(f"{v:.4f}" for v in rng.normal(size=5)) for _ in range(50)]
    rows[20] = "0 1 2.5 -3e2 .25"
    text = "\n".join(rows).encode()
    np.testing.assert_array_equal(parse_numbers(text), [float(w) for w in text.split()])


@pytest.mark.parametrize("word", ["nan", "inf", "1..2", "--1", "one", "1,5", "0x10"])
def test_a_bad_word_is_named_with_its_line(word: str) -> None:
    text = f"head\n1.0 2.0\n3.0 {word}\n".encode()
    with pytest.raises(InputError, match=f"'{word.replace('.', '.')}' in line 3"):
        parse_numbers(text, start=5)


@given(st.lists(ordinary, min_size=1, max_size=30), st.sampled_from([0, 1, 3, 4, 6]))
def test_writing_equals_printf(values: list[float], places: int) -> None:
    table = np.array([values, values[::-1]])
    printed = _printed(table, places) if places else _printed(table, 0)
    written = b"".join(format_table(table, places)).decode()
    assert written == (printed if places else printed.replace("-0 ", "0 ").replace("-0\n", "0\n"))


def test_ties_are_rounded_as_printf_rounds() -> None:
    whole = np.arange(-2000, 2000)
    table = ((whole + 0.5) * 1e-6).reshape(-1, 10)  # nearest doubles to exact ties
    assert b"".join(format_table(table)).decode() == _printed(table)


def test_minus_zero_is_never_written() -> None:
    table = np.array([[-0.0, -1e-9, 1e-9, -4.9e-7]])
    assert b"".join(format_table(table)) == b"0.000000 0.000000 0.000000 0.000000\n"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e12])
def test_what_cannot_be_written_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="finite numbers below"):
        list(format_table(np.array([[1.0, value]])))
