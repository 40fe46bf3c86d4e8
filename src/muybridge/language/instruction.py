"""Instruction tuning: templates of Alpaca, Vicuna and BELLE, and targets for the answers alone.

A dialogue is a row of segments, of which the answers are learned. Each segment is encoded by
itself. Traps: encoded as one text, the last letters of the prompt and the first of the answer may
become one token, and a mask by the prompt's length then cuts in the wrong place; and the first
token of an answer is the target of the last token of its prompt, which a mask that is shifted by
one drops.

N tokens, B examples, T tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from muybridge.errors import InputError
from muybridge.language.bpe import ByteBpe
from muybridge.language.sentencepiece_bpe import SentencePieceBpe
from muybridge.language.tokenizer import Tokenizer
from muybridge.train.packing import NO_TARGET, FlatBatch, flatten

__all__ = [
    "VICUNA_SYSTEM",
    "Example",
    "Segment",
    "alpaca",
    "belle",
    "encode_example",
    "flatten_examples",
    "pad_examples",
    "vicuna",
]

VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)


@dataclass(frozen=True)
class Segment:
    """A stretch of a dialogue, and whether the model is to learn to write it."""

    text: str
    learned: bool = False


@dataclass(frozen=True)
class Example:
    """A dialogue as tokens.

    Attributes:
        tokens: Ids.
        targets: The token that follows each where it belongs to an answer, else NO_TARGET.
    """

    tokens: tuple[int, ...]
    targets: tuple[int, ...]

    @property
    def predicted(self) -> int:
        """Tokens that are learned."""
        return sum(target != NO_TARGET for target in self.targets)


def alpaca(instruction: str, answer: str | None = None, *, given: str = "") -> list[Segment]:
    """Stanford Alpaca's template, also that of Alpaca-LoRA but for a line break at its end.

    Args:
        instruction: What to do.
        answer: What to learn; None leaves the prompt open.
        given: Material for the instruction.
    References:
        Taori et al. 2023, tatsu-lab/stanford_alpaca.
    """
    what = ", paired with an input that provides further context" if given else ""
    about = f"\n\n### Input:\n{given}" if given else ""
    prompt = (
        f"Below is an instruction that describes a task{what}. Write a response that "
        f"appropriately completes the request.\n\n### Instruction:\n{instruction}{about}"
        "\n\n### Response:"
    )
    return _with_answer(prompt, answer)


def belle(question: str, answer: str | None = None) -> list[Segment]:
    """BELLE's template.

    References:
        Ji et al. 2023, arXiv 2303.14742; LianjiaTech/BELLE.
    """
    return _with_answer(f"Human: \n{question}\n\nAssistant: \n", answer)


def vicuna(turns: Sequence[tuple[str, str | None]], system: str = VICUNA_SYSTEM) -> list[Segment]:
    """Vicuna 1.1's template of many turns; an answer of None, the last, leaves the prompt open.

    The blank before an answer belongs to the answer: the prompt that a user sends ends in a colon.

    Args:
        turns: Questions and their answers.
        system: What comes before them.
    Raises:
        InputError: If an answer before the last is missing.
    References:
        Chiang et al. 2023, lm-sys/FastChat, the conversation `vicuna_v1.1`.
    """
    if any(answer is None for _, answer in turns[:-1]):
        raise InputError(
            "expected an answer to all but the last question, got none; leave that turn out"
        )
    segments = []
    for place, (question, answer) in enumerate(turns):
        before = "" if place else f"{system} "
        reply = None if answer is None else f" {answer}"
        segments += _with_answer(f"{before}USER: {question} ASSISTANT:", reply)
    return segments


def _with_answer(prompt: str, answer: str | None) -> list[Segment]:
    return [Segment(prompt), *([] if answer is None else [Segment(answer, learned=True)])]


def encode_example(
    tokenizer: Tokenizer, segments: Sequence[Segment], *, start: int | None = None, end: int | None
) -> Example:
    """Tokens of a dialogue and what is learned of them.

    Special tokens count as plain text inside segments: a question cannot end an answer.

    Args:
        tokenizer: Any; SentencePiece puts its blank before the first segment alone.
        segments: Prompts and answers.
        start: Token before all, never learned.
        end: Token after each answer, learned with it; None: none.
    Raises:
        InputError: If there is no segment, or nothing is learned.
    """
    tokens = [] if start is None else [start]
    learned = [False] * len(tokens)
    for place, segment in enumerate(segments):
        ids = _encode(tokenizer, segment.text, begins=place == 0)
        ids += [end] if segment.learned and end is not None else []
        tokens += ids
        learned += [segment.learned] * len(ids)
    # a first token has nothing before it that could predict it
    targets = [t if yes else NO_TARGET for t, yes in zip(tokens[1:], learned[1:], strict=True)]
    example = Example(tuple(tokens), (*targets, NO_TARGET) if tokens else ())
    if not example.predicted:
        raise InputError(
            f"expected a dialogue with an answer to learn, got {len(tokens)} tokens of prompt; add "
            "the answer"
        )
    return example


def _encode(tokenizer: Tokenizer, text: str, *, begins: bool) -> list[int]:
    if isinstance(tokenizer, SentencePieceBpe):
        return tokenizer.encode(text, specials=False, begins=begins)
    if isinstance(tokenizer, ByteBpe):
        return tokenizer.encode(text, specials=False)
    return tokenizer.encode(text)


def pad_examples(
    examples: Sequence[Example], padding: int = 0
) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
    """Tokens and targets, padded on the right, where a causal model never looks.

    Args:
        examples: B dialogues.
        padding: Any token; nothing is learned of it.
    """
    longest = max(len(example.tokens) for example in examples)

    def rows(kept: Sequence[tuple[int, ...]], filling: int) -> Tensor:
        return torch.tensor([[*row, *[filling] * (longest - len(row))] for row in kept])

    tokens = rows([example.tokens for example in examples], padding)
    return tokens, rows([example.targets for example in examples], NO_TARGET)


def flatten_examples(examples: Sequence[Example]) -> FlatBatch:
    """Dialogues in one row without padding, for `Decoder(..., lengths=)`."""
    flat = flatten([example.tokens for example in examples])
    targets = [target for example in examples for target in example.targets]
    return replace(flat, targets=torch.tensor(targets)[None])
