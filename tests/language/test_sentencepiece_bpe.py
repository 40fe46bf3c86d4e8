"""SentencePiece's BPE: what may become a piece, where blanks go, and nothing lost."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.language.bpe_merge import ranks_by_token
from muybridge.language.sentencepiece_bpe import BYTE_PIECES, SentencePieceBpe
from muybridge.language.sentencepiece_train import PieceOptions, train_sentencepiece_bpe
from tests.language.token_texts import CHINESE, ODD, TEXT

ANY_TEXT = st.text(st.characters(codec=None), max_size=40)  # lone surrogates included
MIXED = st.text(st.sampled_from("ab ▁\n\udc80\ud800é" + CHINESE[:5]), max_size=30)
BPE = train_sentencepiece_bpe(TEXT + CHINESE, 900, PieceOptions(coverage=0.97))


def _tiny(*merged: str, **options) -> SentencePieceBpe:
    """Pieces of a, b, c and the blank, and some longer ones."""
    pieces = ("<unk>", "<s>", "</s>", *merged, "▁", "a", "b", "c")
    ids = {piece: number for number, piece in enumerate(pieces) if number > 2}
    merges = ranks_by_token({piece: rank for rank, piece in enumerate(merged)}, ids)
    return SentencePieceBpe(pieces, merges, {"<s>": 1, "</s>": 2}, **options)


def _spelled(bpe: SentencePieceBpe, text: str, **options) -> list[str]:
    return [bpe.pieces[number] for number in bpe.encode(text, **options)]


def test_the_best_piece_is_joined_first() -> None:
    """By hand: bc ranks above ab, so that abc is a-bc."""
    bpe = _tiny("bc", "ab", "▁a")
    assert _spelled(bpe, "abc") == ["▁a", "bc"]
    assert _spelled(bpe, "ab") == ["▁", "ab"]
    assert _spelled(bpe, "cabab") == ["▁", "c", "ab", "ab"]


def test_pieces_across_blanks_are_found() -> None:
    """Words may be cut apart only where no piece has a blank inside."""
    assert _spelled(_tiny("a▁", "a▁b"), "a b") == ["▁", "a▁b"]
    assert _spelled(_tiny("▁▁", "▁a"), "   a") == ["▁▁", "▁▁", "a"]


@given(st.text("abc ", max_size=25))
def test_cutting_before_blanks_changes_nothing(text: str) -> None:
    bpe = _tiny("▁▁", "ab", "▁a", "▁ab", "abc")
    whole = _tiny("▁▁", "ab", "▁a", "▁ab", "abc")
    whole.__dict__["_cuttable"] = False
    assert bpe._cuttable
    assert bpe.encode(text) == whole.encode(text)


def test_unknown_characters_are_one_token_without_bytes() -> None:
    bpe = _tiny("ab")
    assert bpe.encode("xyab") == [bpe.pieces.index("▁"), 0, bpe.pieces.index("ab")]
    assert bpe.decode([0]) == "<unk>"


@pytest.mark.parametrize(
    ("prefix", "ids_of_a", "parts"),
    [("text", "▁ a", "▁ a <s> b"), ("missing", "▁ a", "▁ a <s> b"),
     ("part", "▁ a", "▁ a <s> ▁ b"), ("none", "a", "a <s> b")],
)  # fmt: skip
def test_where_blanks_are_put(prefix, ids_of_a: str, parts: str) -> None:
    bpe = _tiny(prefix=prefix)
    assert _spelled(bpe, "a") == ids_of_a.split()
    assert _spelled(bpe, "a<s>b") == parts.split()
    assert _spelled(bpe, "a", begins=False) == ["a"]
    assert _spelled(bpe, " a") == (["▁", "▁", "a"] if prefix in ("text", "part") else ["▁", "a"])
    if prefix != "missing":
        assert bpe.decode(bpe.encode(" a b")) == " a b"


def test_special_tokens_are_known_only_where_wanted() -> None:
    assert _spelled(_tiny(), "a</s>") == ["▁", "a", "</s>"]
    assert 2 not in BPE.encode("a</s>", specials=False)
    assert BPE.decode(BPE.encode("a</s>", specials=False)) == "a</s>"


def test_single_blanks() -> None:
    bpe = _tiny("▁a", single_blanks=True)
    assert _spelled(bpe, "  a   b ") == ["▁a", "▁", "b"]


@given(ANY_TEXT | MIXED)
def test_text_returns(text: str) -> None:
    """All but `▁`, which SentencePiece cannot tell from a blank."""
    data = text.encode("utf-8", "surrogatepass")
    ids = BPE.encode(text, specials=False)
    assert BPE.decode_bytes(ids) == data.replace("▁".encode(), b" ")


@given(st.binary(max_size=60) | MIXED.map(lambda t: t.encode("utf-8", "surrogatepass")))
def test_bytes_return(data: bytes) -> None:
    assert BPE.decode_bytes(BPE.encode_bytes(data)) == data


@given(st.text(max_size=40).filter(lambda text: "▁" not in text))
def test_bytes_of_text_give_its_ids(text: str) -> None:
    assert BPE.encode_bytes(text.encode()) == BPE.encode(text, specials=False)


def test_all_pairs_of_bytes_return() -> None:
    every_pair = bytes(itertools.chain.from_iterable(itertools.product(range(256), range(256))))
    assert BPE.decode_bytes(BPE.encode_bytes(every_pair)) == every_pair


def test_what_may_become_a_piece() -> None:
    merged = BPE.pieces[259:]
    assert BPE.pieces[3:259] == BYTE_PIECES
    assert not any(len(piece) > 1 and any(c.isdigit() for c in piece) for piece in merged)
    assert not any("▁" in piece[1:] for piece in merged)
    assert not any(c.isascii() and d > "\u4e00" for p in merged for c, d in itertools.pairwise(p))
    free = train_sentencepiece_bpe("a1 a1 a1 x22 x22", 330, PieceOptions(split_digits=False))
    assert "▁a1" not in free.pieces  # digits are of another script than letters
    assert "22" in free.pieces
    loose = PieceOptions(split_digits=False, split_scripts=False, longest=2)
    mixed = train_sentencepiece_bpe("a1 a1 a1 x22 x22", 330, loose)
    assert "a1" in mixed.pieces
    assert max(map(len, mixed.pieces[259:])) == 2


def test_coverage_leaves_rare_characters_to_bytes() -> None:
    assert BPE.pieces.count("世") == 0
    assert _spelled(BPE, "世", begins=False) == ["<0xE4>", "<0xB8>", "<0x96>"]
    full = train_sentencepiece_bpe(TEXT, 900, PieceOptions(coverage=1.0))
    assert "世" in full.pieces


def test_rare_pairs_are_not_joined() -> None:
    assert "ab" not in train_sentencepiece_bpe("ab cd cd", 300).pieces
    assert "▁ab" in train_sentencepiece_bpe("ab cd cd", 300, PieceOptions(least=1)).pieces


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train_sentencepiece_bpe(" \n ", 300), "empty one"),
        (lambda: train_sentencepiece_bpe("abc", 262), "at least 263"),
        (lambda: SentencePieceBpe(("<unk>",), {}, byte_ids=(0,)), "all 256 bytes"),
        (lambda: SentencePieceBpe(("<unk>",), {}, {"<s>": 1}), "from 0 to 0, got 1"),
        (lambda: _tiny().encode_bytes(b"a"), "256 bytes that leaves blanks alone"),
        (lambda: BPE.decode([BPE.size]), f"got {BPE.size}"),
    ],
)
def test_bad_input_is_told(make, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_odd_text_returns() -> None:
    assert BPE.decode(BPE.encode(ODD)) == ODD
