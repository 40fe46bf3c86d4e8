"""Which model, how large, and how its text is cut, as plain data that needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from muybridge.errors import InputError

__all__ = ["SIZES", "Family", "ModelOptions", "ReadingOptions", "SizeName"]

Family = Literal[
    "log-linear", "nlm", "rnn", "lstm", "gru", "transformer", "gpt2", "gpt3", "llama1", "llama2",
    "llama3", "llama3.1", "deepseek-v3",
]  # fmt: skip
SizeName = Literal["tiny", "small", "base"]

LARGEST = {"layers": 1000, "width": 2**17, "inner_width": 2**19, "heads": 1024, "experts": 4096}

# width, layers, heads: about 0.8M, 5M and 85M parameters beside the embedding
SIZES: Mapping[SizeName, tuple[int, int, int]] = {
    "tiny": (128, 4, 4),
    "small": (288, 6, 6),
    "base": (768, 12, 12),
}


@dataclass(frozen=True)
class ModelOptions:
    """Size of a neural language model; what a family has no use for is ignored."""

    size: SizeName = "tiny"
    """Width, layers and heads by name: 128/4/4, 288/6/6 or 768/12/12."""
    width: int | None = None
    """Channels; instead of the size's."""
    layers: int | None = None
    """Blocks or recurrent layers; instead of the size's (log-linear, nlm: none; recurrent: 1)."""
    heads: int | None = None
    """Query heads; instead of the size's."""
    inner_width: int | None = None
    """Channels within a decoder's dense feed-forward layer; instead of its family's rule."""
    context: int = 128
    """Longest text the model sees at once, in tokens (nlm, log-linear: the windows they train on;
    their history is 12 and 5 tokens)."""
    kv_heads: int | None = None
    """Key/value heads of the LLaMA families."""
    experts: int = 8
    """Routed experts of deepseek-v3."""
    active: int = 2
    """Of these, used by a token."""

    def check(self) -> None:
        """Refuse sizes below 1.

        Raises:
            InputError: If there is one.
        """
        for name in ("width", "layers", "heads", "inner_width", "context"):
            _check_count(name, getattr(self, name))
        for name in ("kv_heads", "experts", "active"):
            _check_count(name, getattr(self, name))


@dataclass(frozen=True)
class ReadingOptions:
    """How the text becomes tokens, and the tokens batches."""

    tokenizer: str = "characters"
    """characters, bytes, bpe (trained on the text), or a tokenizer file."""
    vocabulary: int = 1024
    """Tokens of a trained bpe tokenizer."""
    held_out: float = 0.1
    """Share at the end of the text that is kept for validation; 0: none."""
    window: int = 0
    """Tokens of one training window; 0: the model's context."""
    batch: int = 16
    """Windows read at once."""
    accumulate: int = 1
    """Batches of one step."""

    def check(self) -> None:
        """Refuse shares and sizes that mean nothing.

        Raises:
            InputError: If there is one.
        """
        if not 0 <= self.held_out < 1:
            raise InputError(
                f"expected a held-out share from 0 to below 1, got {self.held_out}; 0.1 is usual"
            )
        for name in ("vocabulary", "batch", "accumulate"):
            _check_count(name, getattr(self, name))
        if not 0 <= self.window <= 2**24:
            raise InputError(f"expected a window of 0 or more, got {self.window}; 0: the context")


def _check_count(name: str, value: int | None) -> None:
    most = LARGEST.get(name, 2**24)
    if value is not None and not 1 <= value <= most:
        raise InputError(
            f"expected {name} from 1 to {most}, got {value}; leave it out for the usual"
        )
