"""Byte-pair tokenizers as Hugging Face's `tokenizer.json`, which is our own format as well.

What a file asks for is computed, or refused by name: a normaliser that we do not have would give
other ids without a word. Not read, because `encode` adds no tokens of its own: post-processors,
padding and truncation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from muybridge.errors import InputError
from muybridge.language.bpe import (
    PATTERNS,
    ByteBpe,
    UnicodeForm,
    bytes_of_signs,
    signs_of_bytes,
)
from muybridge.language.bpe_merge import Merges

__all__ = ["added_tokens", "bpe_from_json", "bpe_to_json", "field", "merges_of", "token_list"]

Kind = TypeVar("Kind")
FORMS: tuple[UnicodeForm, ...] = ("NFC", "NFD", "NFKC", "NFKD")
LARGEST = 1 << 24  # ids; a damaged file must not ask for all memory


def bpe_to_json(tokenizer: object) -> dict[str, Any]:
    """A tokenizer as the data of a `tokenizer.json`.

    Raises:
        InputError: If there is no such file for this kind of tokenizer.
    """
    if isinstance(tokenizer, ByteBpe):
        return _byte_bpe_to_json(tokenizer)
    raise InputError(
        f"expected a byte-pair tokenizer, got a {type(tokenizer).__name__}; it has no such file"
    )


def bpe_from_json(data: Mapping[str, Any]) -> ByteBpe:
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
    return _byte_bpe_from_json(data, model)


def field(data: Mapping[str, Any], name: str, kind: type[Kind]) -> Kind:
    """A field of JSON data that must be there and of its type.

    Raises:
        InputError: If it is not.
    """
    value = data.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InputError(
            f"expected {name} of type {kind.__name__} in a tokenizer, got {str(value)[:40]!r}; the "
            "file is damaged, or no tokenizer.json"
        )
    return value


def added_tokens(data: Mapping[str, Any], normalised: bool) -> dict[str, int]:
    """Tokens that a text may name.

    Args:
        data: A `tokenizer.json`.
        normalised: Whether it has a normaliser, which added tokens may ask for.
    Raises:
        InputError: If one is damaged, or takes blanks beside it along.
    """
    found: dict[str, int] = {}
    for token in data.get("added_tokens") or []:
        if not isinstance(token, dict):
            raise InputError(
                f"expected added tokens as objects, got {str(token)[:40]!r}; the file is damaged"
            )
        name, number = field(token, "content", str), field(token, "id", int)
        flags = [flag for flag in ("lstrip", "rstrip", "single_word") if token.get(flag)]
        if normalised and token.get("normalized") and not token.get("special"):
            flags.append("normalized")
        if flags:
            raise InputError(
                f"expected added tokens that stand for themselves, got {name!r} with {flags[0]}; "
                "such tokenizers are not computed"
            )
        found[name] = number
    return found


def token_list(
    vocabulary: Mapping[str, Any], specials: Mapping[str, int], spell: Callable[[str], Any]
) -> tuple[Any, ...]:
    """Tokens by id, from 0 without a gap.

    Args:
        vocabulary: Name and id of each token.
        specials: The same, of those that a text may name.
        spell: What a name in the vocabulary stands for; special ones stand for their names.
    Raises:
        InputError: If ids are no numbers, occur twice or leave a gap.
    """
    names: dict[int, str] = {}
    for name, number in (*vocabulary.items(), *specials.items()):
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < LARGEST:
            raise InputError(
                f"expected ids as numbers, got {str(number)[:40]!r} for {name!r}; the tokenizer's "
                "file is damaged"
            )
        if names.setdefault(number, name) != name:
            raise InputError(
                f"expected one token for id {number}, got {names[number]!r} and {name!r}; the "
                "tokenizer's file is damaged"
            )
    missing = next((number for number in range(len(names)) if number not in names), None)
    if missing is not None:
        raise InputError(
            f"expected a token for each id up to {max(names)}, got none for {missing}; the "
            "tokenizer's file is damaged, or leaves gaps, which we do not compute"
        )
    named = set(specials.values())
    return tuple(
        names[number] if number in named else spell(names[number]) for number in range(len(names))
    )


def merges_of(model: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> Merges:
    """Ranked pairs, from `["a", "b"]` or the older `"a b"`.

    Raises:
        InputError: If one is no pair, or not of tokens that make a token.
    """
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    for rank, entry in enumerate(field(model, "merges", list)):
        parts = entry.split(" ") if isinstance(entry, str) else entry
        try:
            left, right = parts
            merges[vocabulary[left], vocabulary[right]] = (rank, vocabulary[left + right])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"expected merges of two tokens that make a third, got {str(entry)[:60]!r}; the "
                "tokenizer's file is damaged"
            ) from error
    return merges


def _byte_bpe_to_json(tokenizer: ByteBpe) -> dict[str, Any]:
    special = set(tokenizer.specials.values())
    spelled = [signs_of_bytes(token) for token in tokenizer.tokens]
    ranked = sorted(
        tokenizer.merges.items(), key=lambda item: (item[1][0], item[0])
    )  # pairs of one rank in the order that Hugging Face gives to those of a rank file
    splits = [
        {"type": "Split", "pattern": {"Regex": p}, "behavior": "Isolated", "invert": False}
        for p in tokenizer.patterns
    ]
    spell_bytes = {"type": "ByteLevel", "trim_offsets": True}
    space = tokenizer.prefix_space
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number, "content": name, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False, "special": True,
            }
            for name, number in sorted(tokenizer.specials.items(), key=lambda item: item[1])
        ],
        "normalizer": None if tokenizer.form is None else {"type": tokenizer.form},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                # the blank in front is added before the text is cut
                *([spell_bytes | {"add_prefix_space": True, "use_regex": False}] if space else []),
                *splits,
                spell_bytes | {"add_prefix_space": False, "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": spell_bytes | {"add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": tokenizer.whole,
            "vocab": {name: n for n, name in enumerate(spelled) if n not in special},
            "merges": [[spelled[left], spelled[right]] for (left, right), _ in ranked],
        },
    }  # fmt: skip


def _byte_bpe_from_json(data: Mapping[str, Any], model: Mapping[str, Any]) -> ByteBpe:
    form = _unicode_form(data.get("normalizer"))
    patterns, prefix_space = _read_splits(data.get("pre_tokenizer"))
    specials = added_tokens(data, form is not None)
    vocabulary = field(model, "vocab", dict)
    tokens = token_list(vocabulary, specials, bytes_of_signs)
    return ByteBpe(
        tokens,
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
    steps = _steps(data)
    patterns: list[str] = []
    prefix_space = False
    for place, step in enumerate(steps):
        kind = step.get("type") if isinstance(step, dict) else step
        if kind == "ByteLevel" and step.get("add_prefix_space", True):
            if patterns:  # every piece would get a blank
                raise InputError(
                    "expected the blank in front before the first split, got it after; such "
                    "tokenizers are not computed"
                )
            prefix_space = True
        if kind == "ByteLevel" and (place == len(steps) - 1 or not step.get("use_regex", True)):
            patterns += [PATTERNS["gpt2"]] if step.get("use_regex", True) else []
        elif kind == "Split":
            patterns.append(_split_pattern(step))
        elif kind == "Digits":
            patterns.append(r"\p{N}" if step.get("individual_digits") else r"\p{N}+")
        else:
            raise InputError(
                f"expected splits and at last the byte alphabet, got {str(kind)[:40]!r}; such "
                "tokenizers are not computed"
            )
    if not steps or steps[-1].get("type") != "ByteLevel":
        raise InputError(
            f"expected a byte-level tokenizer, got {str(data)[:60]!r}; others are not computed"
        )
    return patterns, prefix_space


def _steps(data: Any) -> Sequence[Any]:
    if isinstance(data, dict) and data.get("type") == "Sequence":
        return field(data, "pretokenizers", list)
    return [] if data is None else [data]


def _split_pattern(step: Mapping[str, Any]) -> str:
    pattern = field(step, "pattern", dict).get("Regex")
    usual = step.get("behavior") == "Isolated" and not step.get("invert")
    if pattern in PATTERNS.values():  # they cover the whole text, so that this is the same
        usual |= step.get("behavior") == "Removed" and step.get("invert") is True
    if not isinstance(pattern, str) or not usual:
        raise InputError(
            f"expected splits that keep each match of a regular expression, got {str(step)[:60]!r}"
            "; such tokenizers are not computed"
        )
    return pattern
