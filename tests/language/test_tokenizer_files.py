"""Tokenizers on disk: every kind returns as it was, and no damage brings more than one sentence."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muybridge.errors import InputError
from muybridge.language.bpe import ByteBpe
from muybridge.language.bpe_train import train_byte_bpe
from muybridge.language.rank_files import LLAMA3_SPECIALS, parse_ranks, read_ranks, write_ranks
from muybridge.language.sentencepiece_bpe import SentencePieceBpe
from muybridge.language.sentencepiece_model import parse_sentencepiece, write_sentencepiece
from muybridge.language.sentencepiece_train import PieceOptions, train_sentencepiece_bpe
from muybridge.language.tokenizer import (
    load_tokenizer,
    save_tokenizer,
    tokenizer_from_json,
    tokenizer_to_json,
)
from muybridge.language.tokenizer_choice import make_tokenizer
from tests.language.token_texts import TEXT, mixed_texts

BYTES = train_byte_bpe(TEXT, 300, specials=("<|end|>",))
PIECES = train_sentencepiece_bpe(TEXT, 360, PieceOptions(coverage=0.98))


@pytest.mark.parametrize(
    "tokenizer",
    [
        BYTES,
        train_byte_bpe(TEXT, 300, pattern="gpt2"),
        ByteBpe(BYTES.tokens, BYTES.merges, (r"\d", r"\s+"), whole=True, form="NFC"),
        ByteBpe(BYTES.tokens, {}, BYTES.patterns, BYTES.specials),
        PIECES,
        SentencePieceBpe(PIECES.pieces, PIECES.merges, {}, byte_ids=PIECES.byte_ids, prefix="part"),
        SentencePieceBpe(PIECES.pieces, PIECES.merges, prefix="missing"),
        SentencePieceBpe(PIECES.pieces, PIECES.merges, prefix="none"),
    ],
    ids=range(8),
)
def test_a_file_returns_what_was_saved(tmp_path: Path, tokenizer) -> None:
    save_tokenizer(tmp_path / "a.json", tokenizer)
    again = load_tokenizer(tmp_path / "a.json")
    assert again == tokenizer
    assert all(again.encode(text) == tokenizer.encode(text) for text in mixed_texts(20))
    save_tokenizer(tmp_path / "b.json", again)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("prefix", ["text", "none"])
def test_a_model_file_returns_what_was_saved(tmp_path: Path, single: bool, prefix) -> None:
    tokenizer = SentencePieceBpe(
        PIECES.pieces, PIECES.merges, PIECES.specials, 0, PIECES.byte_ids, prefix, single
    )
    write_sentencepiece(tmp_path / "a.model", tokenizer)
    assert load_tokenizer(tmp_path / "a.model") == tokenizer
    assert make_tokenizer(str(tmp_path / "a.model"), "") == tokenizer


def test_ranks_return_what_was_saved(tmp_path: Path) -> None:
    write_ranks(tmp_path / "a.tiktoken", BYTES)
    again = read_ranks(tmp_path / "a.tiktoken", "llama3", ("<|end|>",))
    assert (again.tokens, again.specials) == (BYTES.tokens, BYTES.specials)
    assert all(again.encode(text) == BYTES.encode(text) for text in mixed_texts())
    plain = load_tokenizer(tmp_path / "a.tiktoken")
    assert plain.size == BYTES.size - 1
    (tmp_path / "tokenizer.model").write_bytes((tmp_path / "a.tiktoken").read_bytes())
    assert load_tokenizer(tmp_path / "tokenizer.model") == plain
    save_tokenizer(tmp_path / "b.json", again)  # pairs that share a rank do so again
    assert load_tokenizer(tmp_path / "b.json") == again


def test_older_merges_are_read() -> None:
    data = tokenizer_to_json(BYTES)
    data["model"]["merges"] = [" ".join(pair) for pair in data["model"]["merges"]]
    assert tokenizer_from_json(data) == BYTES


def test_special_tokens_of_llama3() -> None:
    assert len(set(LLAMA3_SPECIALS)) == 256
    assert LLAMA3_SPECIALS[2] == "<|reserved_special_token_0|>"
    assert LLAMA3_SPECIALS[12] == "<|reserved_special_token_2|>"


JsonChange = Callable[[dict[str, Any]], object]
REFUSED: dict[str, tuple[object, JsonChange, str]] = {
    "wordpiece": (BYTES, lambda d: d["model"].update(type="WordPiece"), "expected a BPE model"),
    "dropout": (BYTES, lambda d: d["model"].update(dropout=0.1), "without dropout"),
    "suffix": (BYTES, lambda d: d["model"].update(end_of_word_suffix="</w>"), "end_of_word"),
    "lowercase": (BYTES, lambda d: d.update(normalizer={"type": "Lowercase"}), "normal form"),
    "whitespace": (BYTES, lambda d: d.update(pre_tokenizer={"type": "Whitespace"}), "alphabet"),
    "no split": (BYTES, lambda d: d.update(pre_tokenizer=None), "byte-level"),
    "strip": (BYTES, lambda d: d["added_tokens"][0].update(lstrip=True), "stand for themselves"),
    "a gap": (BYTES, lambda d: d["added_tokens"][0].update(id=999), "none for 299"),
    "two names": (BYTES, lambda d: d["added_tokens"][0].update(id=3), "one token for id 3"),
    "no byte": (BYTES, lambda d: d["model"]["vocab"].update(日=d["model"]["vocab"].pop("!")), "日"),
    "merges": (BYTES, lambda d: d["model"]["merges"].append(["a", "日"]), "two tokens that make"),
    "long merge": (BYTES, lambda d: d["model"]["merges"].append(["a", "b", "c"]), "two tokens"),
    "pattern": (BYTES, lambda d: d["pre_tokenizer"]["pretokenizers"][0].update(
        pattern={"Regex": "("}), "regular expression"),
    "behaviour": (BYTES, lambda d: d["pre_tokenizer"]["pretokenizers"][0].update(
        behavior="MergedWithNext"), "keep each match"),
    "piece normaliser": (PIECES, lambda d: d.update(normalizer={"type": "NFKC"}), "nothing else"),
    "piece metaspace": (PIECES, lambda d: d.update(normalizer=None, pre_tokenizer={
        "type": "Metaspace", "replacement": "_", "prepend_scheme": "first"}), "Metaspace of ▁"),
    "always": (PIECES, lambda d: d.update(normalizer=None, pre_tokenizer={
        "type": "Metaspace", "replacement": "▁"}), "puts a blank first or never"),
    "normalised": (PIECES, lambda d: d["added_tokens"][0].update(normalized=True), "normalized"),
    "fuse": (PIECES, lambda d: d["model"].update(fuse_unk=False), "a run of unknown"),
    "lost byte": (PIECES, lambda d: d["model"]["vocab"].update(
        x=d["model"]["vocab"].pop("<0x0A>")), "<0x0A>"),
    "ranks": (PIECES, lambda d: d["model"].update(muybridge_ranks=[1]), "a rank for each"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_computed_is_refused(name: str) -> None:
    tokenizer, change, message = REFUSED[name]
    data = json.loads(json.dumps(tokenizer_to_json(tokenizer)))
    change(data)
    with pytest.raises(InputError, match=message):
        tokenizer_from_json(data)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"", "expected JSON"),
        ("a.json", b"\xff\xfe{", "expected JSON"),
        ("a.json", b"[]", "JSON object"),
        ("a.json", b"{}", "model of type dict"),
        ("a.json", b"[" * 100_000, "expected JSON"),
        ("a.tiktoken", b"IQ== 0\nIg==\n", "in line 2"),
        ("a.tiktoken", b"IQ== 0\nIg== 2\n", "every rank from 0"),
        ("a.tiktoken", b"I!== 0\n", "in line 1"),
        ("a.tiktoken", b"IQ== 0\n", "all 256 bytes"),
        ("a.model", b"", "BPE model"),
        ("a.model", b"\x0a\xff", "SentencePiece model"),
        ("a.model", b"\x0f", "SentencePiece model"),
    ],
)
def test_damaged_files_are_told(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_tokenizer(tmp_path / name)


def test_absent_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_tokenizer(tmp_path / "a.json")
    with pytest.raises(InputError, match="No such file"):
        read_ranks(tmp_path / "a.tiktoken")
    with pytest.raises(InputError, match="expected characters, bytes, bpe"):
        make_tokenizer(str(tmp_path / "a.json"), "")


def test_what_has_no_such_file_is_told(tmp_path: Path) -> None:
    shuffled = ByteBpe(BYTES.tokens, dict(reversed(BYTES.merges.items())), BYTES.patterns)
    assert shuffled == ByteBpe(BYTES.tokens, BYTES.merges, BYTES.patterns)  # order is in the ranks
    late = {pair: (-rank, joined) for pair, (rank, joined) in BYTES.merges.items()}
    with pytest.raises(InputError, match="no file of ranks"):
        write_ranks(tmp_path / "a", ByteBpe(BYTES.tokens, late, BYTES.patterns))
    apart = {pair: (rank, made) for rank, (pair, (_, made)) in enumerate(PIECES.merges.items())}
    with pytest.raises(InputError, match="one rank for all pairs"):
        write_sentencepiece(tmp_path / "a", SentencePieceBpe(PIECES.pieces, apart))
    with pytest.raises(InputError, match="leaves blanks alone"):
        tokenizer_to_json(SentencePieceBpe(PIECES.pieces, {}, single_blanks=True))
    assert not any(tmp_path.iterdir())


ODDITIES = [
    None,
    True,
    -1,
    2**70,
    0.5,
    float("nan"),
    "",
    "▁",
    "(",
    "[[a",
    "x y",
    [],
    [[]],
    {},
    {"a": 1},
]


def _damage(value: Any, draw: random.Random) -> Any:
    """One node somewhere in the data replaced by something else, or left out."""
    if isinstance(value, dict) and value and draw.random() < 0.9:
        key = draw.choice(list(value))
        if draw.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _damage(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.9:
        place = draw.randrange(len(value))
        return [*value[:place], _damage(value[place], draw), *value[place + 1 :]]
    return draw.choice(ODDITIES)


@pytest.mark.parametrize("tokenizer", [BYTES, PIECES], ids=["bytes", "pieces"])
def test_no_damage_to_json_brings_another_error(tokenizer) -> None:
    data = json.loads(json.dumps(tokenizer_to_json(tokenizer)))
    refused = 0
    for seed in range(400):
        damaged = _damage(data, random.Random(seed))
        if not isinstance(damaged, dict):
            continue
        try:
            read = tokenizer_from_json(damaged)
            read.decode(read.encode("a b ▁ 12 é"))
        except InputError:
            refused += 1
    assert refused > 40


@pytest.mark.parametrize("kind", ["ranks", "model"])
def test_no_damage_to_bytes_brings_another_error(tmp_path: Path, kind: str) -> None:
    if kind == "ranks":
        write_ranks(tmp_path / "a", BYTES)
        parse: Callable[[bytes], object] = parse_ranks
    else:
        write_sentencepiece(tmp_path / "a", PIECES)
        parse = parse_sentencepiece
    content = (tmp_path / "a").read_bytes()
    parse(content)
    draw, refused = random.Random(0), 0
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            parse(bytes(damaged[: draw.choice([len(damaged), draw.randrange(len(damaged))])]))
        except InputError:
            refused += 1
    assert refused > 50
