"""Text as numbers and back: characters, bytes, and the file that keeps any tokenizer.

Every tokenizer has a `size`, `encode` and `decode`. Characters suit small models of one script;
bytes lose nothing; pairs of bytes (`bpe`) are what large models use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from muybridge.atomic import write_text
from muybridge.errors import InputError

__all__ = [
    "ByteTokenizer",
    "CharacterTokenizer",
    "Tokenizer",
    "collect_characters",
    "load_tokenizer",
    "save_tokenizer",
    "tokenizer_from_json",
    "tokenizer_to_json",
]

LAST_CODE = 0x110000  # one past the last Unicode code point


@runtime_checkable
class Tokenizer(Protocol):
    """Text as token ids from 0 to `size` - 1, and back."""

    @property
    def size(self) -> int:
        """How many tokens there are."""
        ...

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids."""
        ...


@dataclass(frozen=True)
class CharacterTokenizer:
    """One token a character; number 0 stands for every character that is not listed.

    Attributes:
        characters: Those that are known, in their order; the first has number 1.
    """

    characters: str

    @property
    def size(self) -> int:
        """Characters, and the unknown one."""
        return len(self.characters) + 1

    @property
    def unknown(self) -> int:
        """The token of what is not listed."""
        return 0

    @cached_property
    def _table(self) -> np.ndarray:
        table = np.zeros(LAST_CODE, dtype=np.int32)
        table[[ord(character) for character in self.characters]] = np.arange(1, self.size)
        return table

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
        return self._table[codes].tolist()

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids; the unknown one becomes U+FFFD."""
        signs = "�" + self.characters
        return "".join(signs[number] for number in ids)


@dataclass(frozen=True)
class ByteTokenizer:
    """The 256 bytes of UTF-8: nothing is unknown."""

    @property
    def size(self) -> int:
        """256."""
        return 256

    def encode(self, text: str) -> list[int]:
        """Bytes of a text."""
        return list(text.encode("utf-8", "surrogatepass"))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of bytes; what is no UTF-8 becomes U+FFFD."""
        return bytes(ids).decode("utf-8", "replace")


def collect_characters(text: str) -> CharacterTokenizer:
    """A tokenizer of the characters that occur, in the order of their code points.

    Raises:
        InputError: If the text is empty.
    """
    if not text:
        raise InputError("expected a text with characters, got an empty one; give another file")
    return CharacterTokenizer("".join(sorted(set(text))))


def tokenizer_to_json(tokenizer: Tokenizer) -> dict[str, Any]:
    """A tokenizer as plain JSON data with its `type`."""
    if isinstance(tokenizer, CharacterTokenizer):
        return {"type": "characters", "characters": tokenizer.characters}
    if isinstance(tokenizer, ByteTokenizer):
        return {"type": "bytes"}
    from muybridge.language.tokenizer_files import bpe_to_json  # only where it is used

    return bpe_to_json(tokenizer)


def tokenizer_from_json(data: dict[str, Any]) -> Tokenizer:
    """Undo `tokenizer_to_json`; also Hugging Face's `tokenizer.json`.

    Raises:
        InputError: If it is none, or of a kind that we do not compute.
    """
    kind = data.get("type")
    if kind == "bytes":
        return ByteTokenizer()
    if kind == "characters":
        characters = data.get("characters")
        if not isinstance(characters, str) or len(set(characters)) != len(characters):
            raise InputError(
                f"expected a string of different characters, got {str(characters)[:40]!r}; the "
                "tokenizer's file is damaged"
            )
        return CharacterTokenizer(characters)
    from muybridge.language.tokenizer_files import bpe_from_json  # only where it is used

    return bpe_from_json(data)


def save_tokenizer(path: Path, tokenizer: Tokenizer) -> None:
    """Write a tokenizer's file, whole or not at all."""
    write_text(path, json.dumps(tokenizer_to_json(tokenizer), ensure_ascii=True) + "\n")


def load_tokenizer(path: Path) -> Tokenizer:
    """Read what `save_tokenizer` wrote, or another's file.

    `tokenizer.json` is Hugging Face's; `.tiktoken` and `.model` are files of ranks, which are
    taken with Llama 3's pattern and no special tokens; other `.model` files are SentencePiece's.

    Raises:
        InputError: If there is no such file, or it is no tokenizer.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"expected a tokenizer in {path}, got {error.strerror}; check the path"
        ) from error
    if path.suffix in (".tiktoken", ".model"):
        from muybridge.language.tokenizer_files import parse_model  # it needs this module

        return parse_model(content)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"expected JSON in {path}, got {error}; the file is damaged") from error
    if not isinstance(data, dict):
        raise InputError(
            f"expected a JSON object in {path}, got a {type(data).__name__}; this is no tokenizer"
        )
    return tokenizer_from_json(data)
