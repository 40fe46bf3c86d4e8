"""What every `tokenizer.json` has: added tokens, a vocabulary, merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from muybridge.errors import InputError
from muybridge.language.bpe_merge import Merges

__all__ = [
    "added_to_json",
    "added_tokens",
    "field",
    "merges_of",
    "merges_to_json",
    "token_list",
]

Kind = TypeVar("Kind")
RANKS = "muybridge_ranks"  # a field that Hugging Face overlooks


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
        normalised: Whether it has a normaliser that changes names of tokens.
    Raises:
        InputError: If one is damaged, or takes blanks beside it along.
    """
    found: dict[str, int] = {}
    tokens = data.get("added_tokens") or []
    if not isinstance(tokens, list) or not all(isinstance(token, dict) for token in tokens):
        raise InputError(
            f"expected added tokens as objects, got {str(tokens)[:40]!r}; the file is damaged"
        )
    for token in tokens:
        name, number = field(token, "content", str), field(token, "id", int)
        flags = [flag for flag in ("lstrip", "rstrip", "single_word") if token.get(flag)]
        if normalised and token.get("normalized"):
            flags.append("normalized")
        if flags:
            raise InputError(
                f"expected added tokens that stand for themselves, got {name!r} with {flags[0]}; "
                "such tokenizers are not computed"
            )
        found[name] = number
    return found


def added_to_json(specials: Mapping[str, int]) -> list[dict[str, Any]]:
    """Special tokens as `added_tokens` lists them."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    ordered = sorted(specials.items(), key=lambda item: item[1])
    return [{"id": n, "content": name, **flags, "special": True} for name, n in ordered]


def token_list(vocabulary: Mapping[str, Any], specials: Mapping[str, int]) -> list[str]:
    """Names of the tokens by id, from 0 without a gap.

    Args:
        vocabulary: Name and id of each token.
        specials: The same, of those that a text may name.
    Raises:
        InputError: If ids are no numbers, occur twice or leave a gap.
    """
    names: dict[int, str] = {}
    for name, number in (*vocabulary.items(), *specials.items()):
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
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
    return [names[number] for number in range(len(names))]


def merges_of(model: Mapping[str, Any], vocabulary: Mapping[str, Any]) -> Merges:
    """Ranked pairs, from `["a", "b"]` or the older `"a b"`.

    Raises:
        InputError: If one is no pair, or not of tokens that make a token.
    """
    merges: dict[tuple[int, int], tuple[int, int]] = {}
    entries = field(model, "merges", list)
    ranks = model.get(RANKS, [*range(len(entries))])
    if (
        not isinstance(ranks, list)
        or len(ranks) != len(entries)
        or not all(isinstance(rank, int) for rank in ranks)
    ):
        raise InputError(
            f"expected a rank for each of {len(entries)} merges, got {str(ranks)[:40]!r}; the "
            "tokenizer's file is damaged"
        )
    for rank, entry in zip(ranks, entries, strict=True):
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


def merges_to_json(merges: Merges, names: Sequence[str]) -> dict[str, Any]:
    """What `merges_of` reads: `merges`, and a field of ours where pairs share a rank.

    Hugging Face ranks such pairs one after the other, here those of the lower ids first: the same
    but for words in which two of them overlap.
    """
    ranked = sorted(merges.items(), key=lambda item: (item[1][0], item[0]))
    pairs = [[names[left], names[right]] for (left, right), _ in ranked]
    ranks = [rank for _, (rank, _) in ranked]
    return {"merges": pairs} | ({} if ranks == [*range(len(ranks))] else {RANKS: ranks})
