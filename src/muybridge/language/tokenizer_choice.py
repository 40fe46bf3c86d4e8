"""A tokenizer by name: made from a text, or read from a file."""

from __future__ import annotations

from pathlib import Path

from muybridge.errors import InputError
from muybridge.language.tokenizer import (
    ByteTokenizer,
    Tokenizer,
    collect_characters,
    load_tokenizer,
)

__all__ = ["make_tokenizer"]


def make_tokenizer(name: str, text: str, vocabulary: int = 1024) -> Tokenizer:
    """What `--tokenizer` asks for.

    Args:
        name: "characters", "bytes", "bpe", or a tokenizer's file.
        text: What characters are collected from and bpe is trained on.
        vocabulary: Tokens of bpe, the 256 bytes included.
    Raises:
        InputError: If there is no such file, or it is no tokenizer.
    """
    if name == "characters":
        return collect_characters(text)
    if name == "bytes":
        return ByteTokenizer()
    if name == "bpe":
        from muybridge.language.bpe_train import train_byte_bpe

        return train_byte_bpe(text, vocabulary)
    if not Path(name).is_file():
        raise InputError(
            f"expected characters, bytes, bpe or a tokenizer's file, got {name!r}; check the path"
        )
    return load_tokenizer(Path(name))
