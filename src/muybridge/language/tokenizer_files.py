"""Byte-pair tokenizers as Hugging Face's `tokenizer.json`, which is our own format as well.

What a file asks for is computed, or refused by name: a normaliser that we do not have would give
other ids without a word. Not read, because `encode` adds no tokens of its own: post-processors,
padding and truncation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.errors import InputError
from muybridge.language.bpe import (
    PATTERNS,
    ByteBpe,
    UnicodeForm,
    bytes_of_signs,
    signs_of_bytes,
)
from muybridge.language.rank_files import parse_ranks
from muybridge.language.sentencepiece_bpe import SentencePieceBpe
from muybridge.language.sentencepiece_json import sentencepiece_from_json, sentencepiece_to_json
from muybridge.language.sentencepiece_model import parse_sentencepiece
from muybridge.language.tokenizer_json import (
    added_to_json,
    added_tokens,
    field,
    merges_of,
    merges_to_json,
    token_list,
)

__all__ = ["bpe_from_json", "bpe_to_json", "parse_model"]

BYTE_LEVEL = {"type": "ByteLevel", "trim_offsets": True}
FORMS: tuple[UnicodeForm, ...] = ("NFC", "NFD", "NFKC", "NFKD")


def bpe_to_json(tokenizer: object) -> dict[str, Any]:
    """A tokenizer as the data of a `tokenizer.json`.

    Raises:
        InputError: If there is no such file for this kind of tokenizer.
    """
    if isinstance(tokenizer, ByteBpe):
        return _byte_bpe_to_json(tokenizer)
    if isinstance(tokenizer, SentencePieceBpe):
        return sentencepiece_to_json(tokenizer)
    raise InputError(
        f"expected a byte-pair tokenizer, got a {type(tokenizer).__name__}; it has no such file"
    )


def bpe_from_json(data: Mapping[str, Any]) -> ByteBpe | SentencePieceBpe:
    """Undo `bpe_to_json`; reads what Hugging Face's tokenizers write, too.

    Raises:
        InputError: If it is damaged, or of a kind that we do not compute.
    """
    model = field(data, "model", dict)
    if model.get("type", "BPE") != "BPE" or "merges" not in model:
        raise InputError(
            f"expected a BPE model, got {model.get('type')!r}; other kinds of tokenizer.json are "
            "not computed"
        )
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise InputError(
                f"expected a BPE model without {name}, got {model[name]!r}; such tokenizers are "
                "not computed"
            )
    if model.get("unk_token") is not None and "ByteLevel" not in str(data.get("pre_tokenizer")):
        return sentencepiece_from_json(data, model)
    return _byte_bpe_from_json(data, model)


def parse_model(content: bytes) -> ByteBpe | SentencePieceBpe:
    """A tokenizer from the content of a `.model` or `.tiktoken` file: ranks, or SentencePiece's.

    Raises:
        InputError: If it is neither.
    """
    text = content[:1024].isascii() and content[:1024].split(b"\n")[0].count(b" ") == 1
    return parse_ranks(content) if text else parse_sentencepiece(content)


def _byte_bpe_to_json(tokenizer: ByteBpe) -> dict[str, Any]:
    special = set(tokenizer.specials.values())
    names = [signs_of_bytes(token) for token in tokenizer.tokens]
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": added_to_json(tokenizer.specials),
        "normalizer": None if tokenizer.form is None else {"type": tokenizer.form},
        "pre_tokenizer": _splits_to_json(tokenizer),
        "post_processor": None,
        "decoder": BYTE_LEVEL | {"add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": tokenizer.whole,
            "vocab": {name: n for n, name in enumerate(names) if n not in special},
            **merges_to_json(tokenizer.merges, names),
        },
    }  # fmt: skip


def _splits_to_json(tokenizer: ByteBpe) -> dict[str, Any]:
    if tokenizer.prefix_space:
        if tokenizer.patterns != (PATTERNS["gpt2"],):
            raise InputError(
                "expected the pattern gpt2 for a tokenizer that puts a blank in front, got "
                f"{tokenizer.patterns}; no tokenizer.json says this"
            )
        return BYTE_LEVEL | {"add_prefix_space": True, "use_regex": True}
    splits = [
        {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
        for p in tokenizer.patterns
    ]
    spell = BYTE_LEVEL | {"add_prefix_space": False, "use_regex": False}
    return {"type": "Sequence", "pretokenizers": [*splits, spell]}


def _byte_bpe_from_json(data: Mapping[str, Any], model: Mapping[str, Any]) -> ByteBpe:
    form = _unicode_form(data.get("normalizer"))
    patterns, prefix_space = _read_splits(data.get("pre_tokenizer"))
    specials = added_tokens(data, form in ("NFKC", "NFKD"))
    vocabulary = field(model, "vocab", dict)
    names, special = token_list(vocabulary, specials), set(specials.values())
    tokens = (
        name.encode() if number in special else bytes_of_signs(name)
        for number, name in enumerate(names)
    )
    return ByteBpe(
        tuple(tokens),
        merges_of(model, vocabulary),
        tuple(patterns),
        specials,
        whole=bool(model.get("ignore_merges")),
        prefix_space=prefix_space,
        form=form,
    )


def _unicode_form(normaliser: Any) -> UnicodeForm | None:
    if normaliser is None:
        return None
    kind = normaliser.get("type") if isinstance(normaliser, dict) else normaliser
    if kind == "Sequence":
        parts = field(normaliser, "normalizers", list)
        if not parts:
            return None
        kind = parts[0].get("type") if len(parts) == 1 and isinstance(parts[0], dict) else parts
    for form in FORMS:
        if kind == form:
            return form
    raise InputError(
        f"expected no normaliser or a Unicode normal form, got {str(kind)[:60]!r}; such tokenizers "
        "are not computed"
    )


def _read_splits(data: Any) -> tuple[list[str], bool]:
    """Patterns, and whether a blank is put in front; the last step must be the byte alphabet."""
    *steps, last = _steps(data)
    if last.get("type") != "ByteLevel" or (steps and last.get("add_prefix_space", True)):
        raise InputError(
            "expected splits and at last the byte alphabet, with a blank in front only where it is "
            f"the only step, got {str(data)[:60]!r}; such tokenizers are not computed"
        )
    patterns = [_split_pattern(step) for step in steps]
    patterns += [PATTERNS["gpt2"]] if last.get("use_regex", True) else []
    return patterns, bool(last.get("add_prefix_space", True))


def _steps(data: Any) -> list[Mapping[str, Any]]:
    steps = [data]
    if isinstance(data, dict) and data.get("type") == "Sequence":
        steps = field(data, "pretokenizers", list)
    if not steps or not all(isinstance(step, dict) for step in steps):
        raise InputError(
            f"expected a byte-level tokenizer, got the steps {str(data)[:60]!r}; others are not "
            "computed"
        )
    return steps


def _split_pattern(step: Mapping[str, Any]) -> str:
    if step.get("type") == "Digits":
        return r"\p{N}" if step.get("individual_digits") else r"\p{N}+"
    pattern = step.get("pattern")
    pattern = pattern.get("Regex") if isinstance(pattern, dict) else None
    usual = step.get("behavior") == "Isolated" and not step.get("invert")
    if pattern in PATTERNS.values():  # they cover the whole text, so that this is the same
        usual |= step.get("behavior") == "Removed" and step.get("invert") is True
    if step.get("type") != "Split" or not isinstance(pattern, str) or not usual:
        raise InputError(
            f"expected splits that keep each match of a regular expression, got {str(step)[:60]!r}"
            "; such tokenizers are not computed"
        )
    return pattern
