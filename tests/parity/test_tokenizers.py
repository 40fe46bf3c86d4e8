"""Training and encoding equal tokenizers, tiktoken and SentencePiece, id by id.

Llama 3's own ranks are not ours to ship: set LLAMA3_RANKS to its `tokenizer.model`
(meta-llama/llama-models, models/llama3) to compare with it.
"""

import io
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from muybridge.language.bpe import PATTERNS, ByteBpe, signs_of_bytes
from muybridge.language.bpe_train import train_byte_bpe
from muybridge.language.rank_files import LLAMA3_SPECIALS, ranks_of, read_ranks
from muybridge.language.sentencepiece_model import parse_sentencepiece, write_sentencepiece
from muybridge.language.sentencepiece_train import PieceOptions, train_sentencepiece_bpe
from muybridge.language.tokenizer import load_tokenizer, save_tokenizer
from muybridge.language.tokenizer_files import bpe_from_json, bpe_to_json
from tests.language.token_texts import CHINESE, ODD, TEXT, mixed_texts

PIECES = PieceOptions(least=1)  # SentencePiece joins pairs that occur once, too


@pytest.fixture(scope="module")
def hf() -> Any:
    return pytest.importorskip("tokenizers", reason="pip install tokenizers")


@pytest.fixture(scope="module")
def spm() -> Any:
    return pytest.importorskip("sentencepiece", reason="pip install sentencepiece")


def _hf_byte_bpe(hf: Any, text: str, size: int, name: str, specials: list[str]) -> Any:
    """Trained by tokenizers as GPT-2's or Llama 3's would be."""
    level = hf.pre_tokenizers.ByteLevel
    peer = hf.Tokenizer(hf.models.BPE())
    peer.pre_tokenizer = level(add_prefix_space=False)
    if name != "gpt2":
        split = hf.pre_tokenizers.Split(hf.Regex(PATTERNS[name]), "isolated")
        byte_level = level(add_prefix_space=False, use_regex=False)
        peer.pre_tokenizer = hf.pre_tokenizers.Sequence([split, byte_level])
    peer.decoder = hf.decoders.ByteLevel()
    trainer = hf.trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, initial_alphabet=level.alphabet(),
        special_tokens=specials, show_progress=False,
    )  # fmt: skip
    peer.train_from_iterator([text], trainer)
    return peer


def _spelled(ours: ByteBpe) -> list[list[str]]:
    return [[signs_of_bytes(ours.tokens[n]) for n in pair] for pair in ours.merges]


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_byte_bpe_learns_the_merges_of_tokenizers(hf: Any, name) -> None:
    ours = train_byte_bpe(TEXT, 700, pattern=name)
    peer = json.loads(_hf_byte_bpe(hf, TEXT, 700, name, []).to_str())["model"]
    assert len(peer["merges"]) > 300
    assert _spelled(ours) == peer["merges"]
    assert {signs_of_bytes(token): n for n, token in enumerate(ours.tokens)} == peer["vocab"]


@pytest.mark.parametrize("seed", range(20))
def test_ties_and_repetitions_are_broken_alike(hf: Any, seed: int) -> None:
    """Few letters, so that counts are equal, pairs overlap, and two pairs spell one token."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("ab-", k=draw.randint(1, 12))) for _ in range(40)]
    text = " ".join(words)
    peer = json.loads(_hf_byte_bpe(hf, text, 330, "gpt2", []).to_str())["model"]
    assert _spelled(train_byte_bpe(text, 330, pattern="gpt2")) == peer["merges"]


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_a_file_of_tokenizers_encodes_alike(hf: Any, tmp_path: Path, name) -> None:
    """Special tokens have the first ids there; both encode texts with and without their names."""
    peer = _hf_byte_bpe(hf, TEXT, 500, name, ["<|a|>", "<|ab|>"])
    peer.save(str(tmp_path / "theirs.json"))
    ours = load_tokenizer(tmp_path / "theirs.json")
    for text in [*mixed_texts(), "x<|a|> <|ab|><|a", "<|ab|>", ""]:
        assert ours.encode(text) == peer.encode(text).ids
        assert ours.decode(ours.encode(text)) == text
        assert peer.decode(ours.encode(text), skip_special_tokens=False) == text


@pytest.mark.parametrize("name", sorted(PATTERNS))
def test_tokenizers_reads_our_files(hf: Any, tmp_path: Path, name) -> None:
    ours = train_byte_bpe(TEXT, 500, pattern=name, specials=["<|end|>"])
    save_tokenizer(tmp_path / "ours.json", ours)
    peer = hf.Tokenizer.from_file(str(tmp_path / "ours.json"))
    for text in [*mixed_texts(), "a<|end|>b"]:
        assert peer.encode(text).ids == ours.encode(text)
    assert bpe_from_json(json.loads(peer.to_str())) == ours


@pytest.mark.parametrize("digits", [True, False])
def test_other_steps_of_byte_level_files(hf: Any, digits: bool) -> None:
    data = bpe_to_json(train_byte_bpe(TEXT, 500, pattern="gpt2", specials=["<|end|>"]))
    level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    data["pre_tokenizer"] = level | {"add_prefix_space": True}
    if digits:
        steps = [{"type": "Digits", "individual_digits": True}, level | {"add_prefix_space": False}]
        data["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    data["normalizer"] = {"type": "NFC"}
    data["model"]["ignore_merges"] = True
    peer, ours = hf.Tokenizer.from_str(json.dumps(data)), bpe_from_json(data)
    again = bpe_from_json(bpe_to_json(ours))
    for text in [*mixed_texts(), "<|end|>a<|end|> b", "e\u0301 12345 a1b2", " "]:
        assert ours.encode(text) == peer.encode(text).ids == again.encode(text)


def test_tiktoken_encodes_alike() -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="pip install tiktoken")
    ours = train_byte_bpe(TEXT, 700, specials=["<|end|>"])
    peer = tiktoken.Encoding(
        "ours", pat_str=PATTERNS["llama3"], mergeable_ranks=ranks_of(ours),
        special_tokens=dict(ours.specials),
    )  # fmt: skip
    for text in [*mixed_texts(), "a<|end|>b"]:
        assert ours.encode(text) == peer.encode(text, allowed_special="all")
        assert ours.encode(text, specials=False) == peer.encode_ordinary(text)
    for text in mixed_texts():
        for data in (text.encode()[1:], text.encode()[:-1] + b"\xff"):
            assert peer.decode_bytes(ours.encode_bytes(data)) == data


def test_llama3_encodes_as_its_own_ranks() -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="pip install tiktoken")
    path = Path(os.environ.get("LLAMA3_RANKS", ""))
    if not path.is_file():
        pytest.skip("LLAMA3_RANKS names no file")
    ours = read_ranks(path, "llama3", LLAMA3_SPECIALS)
    assert ours.size == 128_256
    assert ours.specials["<|begin_of_text|>"] == 128_000
    assert ours.specials["<|reserved_special_token_245|>"] == 128_255
    peer = tiktoken.Encoding(
        "llama3", pat_str=PATTERNS["llama3"], mergeable_ranks=ranks_of(ours),
        special_tokens=dict(ours.specials),
    )  # fmt: skip
    assert ours.encode("Hello world!") == [9906, 1917, 0]
    for text in [*mixed_texts(200), "<|begin_of_text|>a<|eot_id|>"]:
        assert ours.encode(text) == peer.encode(text, allowed_special="all")


def _sp_train(spm: Any, text: str, size: int, **options: object) -> Any:
    out = io.BytesIO()
    settings = {
        "byte_fallback": True, "split_digits": True, "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
    } | options  # fmt: skip
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(text.split("\n")), model_writer=out, vocab_size=size,
        model_type="bpe", minloglevel=2, num_threads=1, **settings,
    )  # fmt: skip
    return spm.SentencePieceProcessor(model_proto=out.getvalue())


def _pieces(peer: Any) -> list[str]:
    return [peer.id_to_piece(number) for number in range(peer.get_piece_size())]


@pytest.mark.parametrize(
    ("text", "size", "options"),
    [
        (TEXT, 600, {}),
        (TEXT, 600, {"split_digits": False, "split_by_unicode_script": False}),
        (TEXT, 340, {"max_sentencepiece_length": 4, "character_coverage": 0.98}),
        (TEXT, 300, {"byte_fallback": False}),
        (CHINESE, 1400, {}),
        (TEXT + CHINESE, 1600, {}),
    ],
)
def test_sentencepiece_learns_the_same_pieces(spm: Any, text: str, size: int, options) -> None:
    peer = _sp_train(spm, text, size, **options)
    ours = train_sentencepiece_bpe(
        text,
        size,
        PieceOptions(
            coverage=options.get("character_coverage", 0.9995),
            bytes=options.get("byte_fallback", True),
            split_digits=options.get("split_digits", True),
            split_scripts=options.get("split_by_unicode_script", True),
            longest=options.get("max_sentencepiece_length", 16),
            least=1,
        ),
    )
    assert list(ours.pieces) == _pieces(peer)
    for line in [*mixed_texts(), text]:
        assert ours.encode(line, specials=False) == peer.encode(line)


@pytest.mark.parametrize("single", [True, False])
def test_sentencepiece_models_are_read(spm: Any, single: bool) -> None:
    """With user-defined pieces of our own choice, and both ways to treat blanks."""
    peer = _sp_train(spm, TEXT + CHINESE, 1600, remove_extra_whitespaces=single)
    ours = parse_sentencepiece(peer.serialized_model_proto())
    assert ours.specials == {"<s>": 1, "</s>": 2}
    for text in [*mixed_texts(), "  a   b  ", "<s>", ODD]:
        ids = ours.encode(text, specials=False)
        assert ids == peer.encode(text)
        assert ours.decode(ids) == peer.decode(ids)


def test_sentencepiece_reads_our_models(spm: Any, tmp_path: Path) -> None:
    ours = train_sentencepiece_bpe(TEXT + CHINESE, 1600, PIECES)
    write_sentencepiece(tmp_path / "ours.model", ours)
    peer = spm.SentencePieceProcessor(model_file=str(tmp_path / "ours.model"))
    for text in [*mixed_texts(), ODD]:
        assert peer.encode(text) == ours.encode(text, specials=False)
    assert load_tokenizer(tmp_path / "ours.model") == ours


def test_llama2_files_of_tokenizers(hf: Any, tmp_path: Path) -> None:
    """The same pieces in a tokenizer.json: ids, and text of ids."""
    ours = train_sentencepiece_bpe(TEXT + CHINESE, 1600, PIECES)
    save_tokenizer(tmp_path / "ours.json", ours)
    peer = hf.Tokenizer.from_file(str(tmp_path / "ours.json"))
    for text in [*mixed_texts(), ODD, "<s>a b</s>"]:
        ids = ours.encode(text)
        if not text.startswith("<s>"):
            assert peer.decode(ids, skip_special_tokens=False) == text == ours.decode(ids)
            assert peer.encode(text).ids == ids
    assert load_tokenizer(tmp_path / "ours.json") == ours
    theirs = bpe_from_json(json.loads(peer.to_str()))  # as Llama 2's: a blank before each part
    assert theirs.prefix == "part"
    for text in [*mixed_texts(), "<s>a b</s>c</s> d"]:
        assert theirs.encode(text) == peer.encode(text).ids


@pytest.mark.parametrize("scheme", ["first", "never"])
def test_metaspace_files_of_tokenizers(hf: Any, scheme: str) -> None:
    data = bpe_to_json(train_sentencepiece_bpe(TEXT, 700, PIECES))
    data["normalizer"] = None
    data["pre_tokenizer"] = {
        "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True,
    }  # fmt: skip
    peer, ours = hf.Tokenizer.from_str(json.dumps(data)), bpe_from_json(data)
    again = bpe_from_json(bpe_to_json(ours))
    for text in [*mixed_texts(), " a", "  a  b", "<s>a b</s>c", "a</s>", ODD]:
        assert ours.encode(text) == peer.encode(text).ids == again.encode(text)
