"""SentencePiece BPE as Hugging Face's `tokenizer.json`, as of Llama 2 and Mistral.

Blanks become `▁` by a normaliser (the older files) or a pre-tokenizer named Metaspace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muybridge.errors import InputError
from muybridge.language.sentencepiece_bpe import BLANK, BYTE_PIECES, Prefix, SentencePieceBpe
from muybridge.language.tokenizer_json import (
    added_to_json,
    added_tokens,
    field,
    merges_of,
    merges_to_json,
    token_list,
)

__all__ = ["sentencepiece_from_json", "sentencepiece_to_json"]

PREFIX = "muybridge_prefix"  # a field that Hugging Face overlooks
PREPEND = {"type": "Prepend", "prepend": BLANK}
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
METASPACE = {"type": "Metaspace", "replacement": BLANK}


def sentencepiece_to_json(tokenizer: SentencePieceBpe) -> dict[str, Any]:
    """A tokenizer as the data of a `tokenizer.json`.

    Hugging Face has no name for a blank before the text alone (`prefix="text"`): it puts one
    behind special tokens, too. A field of ours keeps the difference.

    Raises:
        InputError: If it makes one blank of many, which no `tokenizer.json` of this kind says.
    """
    if tokenizer.single_blanks:
        raise InputError(
            "expected a tokenizer that leaves blanks alone, got single_blanks=True; write it as "
            "a SentencePiece model"
        )
    prefix = tokenizer.prefix
    normaliser, pre_tokenizer = None, None
    if prefix == "missing":
        pre_tokenizer = METASPACE | {"prepend_scheme": "first", "split": False}
    else:
        steps = [REPLACE] if prefix == "none" else [PREPEND, REPLACE]
        normaliser = {"type": "Sequence", "normalizers": steps}
    pieces = tokenizer.pieces
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": added_to_json(tokenizer.specials),
        "normalizer": normaliser, "pre_tokenizer": pre_tokenizer, "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            *([] if prefix == "none" else
              [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]),
        ]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": pieces[tokenizer.unknown],
            "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
            "byte_fallback": bool(tokenizer.byte_ids), "ignore_merges": False,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            **merges_to_json(tokenizer.merges, pieces),
            **({PREFIX: prefix} if prefix == "text" else {}),
        },
    }  # fmt: skip


def sentencepiece_from_json(data: Mapping[str, Any], model: Mapping[str, Any]) -> SentencePieceBpe:
    """Undo `sentencepiece_to_json`; reads Hugging Face's own files, too.

    Raises:
        InputError: If it is damaged, or of a kind that we do not compute.
    """
    vocabulary = field(model, "vocab", dict)
    specials = added_tokens(data, data.get("normalizer") is not None)
    pieces = token_list(vocabulary, specials)
    unknown = field(model, "unk_token", str)
    if unknown not in vocabulary or not model.get("fuse_unk"):
        raise InputError(
            f"expected one token for a run of unknown characters, got {unknown!r} and fuse_unk "
            f"{model.get('fuse_unk')!r}; such tokenizers are not computed"
        )
    prefix = _prefix(data, pieces)
    return SentencePieceBpe(
        tuple(pieces),
        merges_of(model, vocabulary),
        specials,
        vocabulary[unknown],
        _byte_ids(vocabulary) if model.get("byte_fallback") else (),
        "text" if prefix == "part" and model.get(PREFIX) == "text" else prefix,
    )


def _byte_ids(vocabulary: Mapping[str, int]) -> tuple[int, ...]:
    missing = next((piece for piece in BYTE_PIECES if piece not in vocabulary), None)
    if missing is not None:
        raise InputError(
            f"expected all 256 bytes among the pieces, got none named {missing}; the tokenizer's "
            "file is damaged"
        )
    return tuple(vocabulary[piece] for piece in BYTE_PIECES)


def _prefix(data: Mapping[str, Any], pieces: list[str]) -> Prefix:
    """Where a blank is put, from the normaliser and the pre-tokenizer."""
    normaliser, splitter = data.get("normalizer"), data.get("pre_tokenizer")
    steps = [normaliser]
    if isinstance(normaliser, dict) and normaliser.get("type") == "Sequence":
        steps = field(normaliser, "normalizers", list)
    if splitter is None and steps in ([PREPEND, REPLACE], [REPLACE, PREPEND]):
        return "part"
    if splitter is None and steps == [REPLACE]:
        return "none"
    if normaliser is None and isinstance(splitter, dict):
        return _metaspace(splitter, pieces)
    raise InputError(
        "expected blanks that become ▁ and nothing else to be changed, got the normaliser "
        f"{str(normaliser)[:60]!r} and the pre-tokenizer {str(splitter)[:60]!r}; such tokenizers "
        "are not computed"
    )


def _metaspace(splitter: Mapping[str, Any], pieces: list[str]) -> Prefix:
    scheme = splitter.get("prepend_scheme", "always")
    prefixes: dict[object, Prefix] = {"first": "missing", "never": "none"}
    # cutting before each blank changes nothing where no piece has one behind its first character
    cuts = splitter.get("split", True) and any(BLANK in piece[1:] for piece in pieces)
    alike = splitter.get("type") == "Metaspace" and splitter.get("replacement") == BLANK
    if not alike or cuts or scheme not in prefixes:
        raise InputError(
            "expected a Metaspace of ▁ that puts a blank first or never, and cuts no piece, got "
            f"{str(dict(splitter))[:120]!r}; such tokenizers are not computed"
        )
    return prefixes[scheme]
