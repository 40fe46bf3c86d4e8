"""Byte-level BPE: merging against a plain loop, training against a plain count, nothing lost."""

import itertools
from collections import Counter

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.language.bpe import PATTERNS, ByteBpe, bytes_of_signs, cut, signs_of_bytes
from muybridge.language.bpe_merge import merge, ranks_by_token
from muybridge.language.bpe_train import train_byte_bpe
from muybridge.language.tokenizer_choice import make_tokenizer
from tests.language.token_texts import TEXT

BPE = train_byte_bpe(TEXT, 360, specials=("<|end|>", "<|end|>more"))
ANY_TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates included


def _merge_plainly(symbols: list[int], merges: dict) -> list[int]:
    """Look at every pair, join the first of the lowest rank, begin anew."""
    while True:
        ranked = [
            (merges[p][0], i) for i, p in enumerate(itertools.pairwise(symbols)) if p in merges
        ]
        if not ranked:
            return symbols
        _, place = min(ranked)
        joined = merges[symbols[place], symbols[place + 1]][1]
        symbols = [*symbols[:place], joined, *symbols[place + 2 :]]


def _train_plainly(text: str, vocabulary: int) -> list[tuple[bytes, bytes]]:
    """Count every pair of the whole text anew for each merge."""
    words = [[bytes([b]) for b in w.encode()] for w in regex.findall(PATTERNS["llama3"], text)]
    alphabet = [bytes_of_signs(sign) for sign in sorted(signs_of_bytes(bytes(range(256))))]
    number = {token: index for index, token in enumerate(alphabet)}
    merges = []
    while len(number) < vocabulary:
        count = Counter(pair for word in words for pair in itertools.pairwise(word))
        if not count:
            break
        best = min(count, key=lambda p: (-count[p], number[p[0]], number[p[1]]))
        if count[best] < 2:
            break
        merges.append(best)
        number.setdefault(best[0] + best[1], len(number))
        for word in words:
            place = 0
            while place < len(word) - 1:
                if (word[place], word[place + 1]) == best:
                    word[place : place + 2] = [best[0] + best[1]]
                place += 1
    return merges


def test_training_equals_plain_counting() -> None:
    ours = [(BPE.tokens[a], BPE.tokens[b]) for a, b in BPE.merges]
    assert len(ours) > 100
    assert ours == _train_plainly(TEXT, 358)


def test_the_known_pair_is_joined_first() -> None:
    """Truth by hand: in 'ab ab abc' a-b is joined thrice, then ' '-ab twice."""
    bpe = train_byte_bpe("ab ab abc", 260, pattern="gpt2")
    merged = [bpe.tokens[joined] for _, joined in bpe.merges.values()]
    assert merged == [b"ab", b" ab"]
    assert [bpe.tokens[i] for i in bpe.encode("abc ab b")] == [b"ab", b"c", b" ab", b" ", b"b"]


@given(st.lists(st.integers(0, 3), max_size=30), st.randoms(use_true_random=False))
def test_merging_equals_a_plain_loop(symbols: list[int], random) -> None:
    merges, size = {}, 4
    for rank in range(25):
        pair = (random.randrange(size), random.randrange(size))
        if pair not in merges:
            merges[pair] = (rank // 2, size)  # every rank twice: the leftmost goes first
            size += 1
    assert merge(symbols, merges) == _merge_plainly(symbols, merges)


@given(ANY_TEXT)
def test_text_returns(text: str) -> None:
    ids = BPE.encode(text, specials=False)
    assert BPE.decode_bytes(ids) == text.encode("utf-8", "surrogatepass")
    assert BPE.decode(ids) == text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert BPE.decode(ids) == text


@given(st.binary(max_size=60))
def test_bytes_return(data: bytes) -> None:
    assert BPE.decode_bytes(BPE.encode_bytes(data)) == data


def test_all_bytes_return() -> None:
    every_pair = bytes(itertools.chain.from_iterable(itertools.product(range(256), range(256))))
    assert BPE.decode_bytes(BPE.encode_bytes(every_pair)) == every_pair


@given(ANY_TEXT.map(lambda t: t.encode("utf-8", "replace")))
def test_bytes_of_text_give_its_ids(data: bytes) -> None:
    assert BPE.encode_bytes(data) == BPE.encode(data.decode(), specials=False)


@given(st.text(max_size=60), st.sampled_from(sorted(PATTERNS)))
def test_cutting_loses_nothing(text: str, name) -> None:
    pieces = cut(text, (PATTERNS[name],))
    assert "".join(pieces) == text
    assert all(pieces)
    assert pieces == [m.group() for m in regex.finditer(PATTERNS[name], text)]


def test_gaps_between_matches_are_pieces_too() -> None:
    assert cut("a12b3", (r"\d+",)) == ["a", "12", "b", "3"]
    assert cut("a12b3", (r"(\d)(\d)?",)) == ["a", "12", "b", "3"]
    assert cut("ab12", (r"\d+", "b|z*")) == ["a", "b", "12"]


def test_words_of_llama3() -> None:
    pieces = cut("Don't WE'LL 12345 a\n\n  b!?\n", (PATTERNS["llama3"],))
    assert pieces == [
        "Don", "'t", " WE", "'LL", " ", "123", "45", " a", "\n\n", " ", " b", "!?\n",
    ]  # fmt: skip


def test_special_tokens() -> None:
    end, more = BPE.specials["<|end|>"], BPE.specials["<|end|>more"]
    assert (end, more) == (BPE.size - 2, BPE.size - 1)
    assert BPE.encode("a<|end|>b") == [*BPE.encode("a"), end, *BPE.encode("b")]
    assert BPE.encode("<|end|>more<|end|>mor") == [more, end, *BPE.encode("mor")]
    assert end not in BPE.encode("a<|end|>b", specials=False)
    assert BPE.decode([end]) == "<|end|>"
    assert BPE.decode(BPE.encode("<|end|>", specials=False)) == "<|end|>"


def test_a_word_that_is_a_token_is_taken_whole() -> None:
    plain = train_byte_bpe("abab abab abab", 258, pattern="gpt2")
    tokens = (*plain.tokens, b"bab")
    assert len(ByteBpe(tokens, plain.merges, plain.patterns).encode("bab")) == 2
    assert ByteBpe(tokens, plain.merges, plain.patterns, whole=True).encode("bab") == [258]


def test_pairs_of_one_token_share_its_rank() -> None:
    ids = {b"a": 0, b"b": 1, b"ab": 2, b"ba": 3, b"aba": 4}
    merges = ranks_by_token({b"ab": 0, b"ba": 1, b"aba": 2}, ids)
    assert merges == {(0, 1): (0, 2), (1, 0): (1, 3), (2, 0): (2, 4), (0, 3): (2, 4)}


def test_long_words_take_no_square_time() -> None:
    ids = BPE.encode("w" * 100_000 + " 1" * 1000)
    assert BPE.decode(ids) == "w" * 100_000 + " 1" * 1000


def test_more_merges_need_fewer_tokens() -> None:
    lengths = [len(train_byte_bpe(TEXT, size).encode(TEXT)) for size in (256, 270, 300, 400)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == len(TEXT.encode())
    assert lengths[-1] < 0.6 * lengths[0]


def test_the_choice_by_name() -> None:
    assert make_tokenizer("bpe", TEXT, 300) == train_byte_bpe(TEXT, 300)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train_byte_bpe("", 300), "empty one"),
        (lambda: train_byte_bpe("a", 255), "at least 256"),
        (lambda: train_byte_bpe("a", 256, specials=("<s>",)), "at least 257"),
        (lambda: ByteBpe((b"a",), {}), "all 256 bytes"),
        (lambda: ByteBpe(BPE.tokens, BPE.merges, ("(",)), "regular expression"),
        (lambda: ByteBpe(BPE.tokens, {}, specials={"<s>": 360}), "from 0 to 359"),
        (lambda: BPE.decode([0, 360]), "got 360"),
        (lambda: BPE.decode([-1]), "got -1"),
        (lambda: bytes_of_signs("日"), "byte characters"),
    ],
)
def test_bad_input_is_told(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


@settings(max_examples=30, deadline=None)
@given(st.text("ab ", min_size=1, max_size=200))
def test_training_on_few_letters_equals_plain_counting(text: str) -> None:
    """Repeated letters make pairs that overlap, and tokens that two pairs spell."""
    bpe = train_byte_bpe(text, 300)
    assert [(bpe.tokens[a], bpe.tokens[b]) for a, b in bpe.merges] == _train_plainly(text, 300)
