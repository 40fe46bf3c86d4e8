"""A neural language model together with its tokenizer: train, evaluate, generate, keep.

A run is a folder: `config.json`, `model.safetensors` (the best weights), `tokenizer.json`, and of
the training `run.json` (every option), `last.safetensors` (its whole state) and `log.jsonl`. The
same call on a folder that was broken off goes on where its last checkpoint stands, to the same
weights bit for bit.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from muybridge.atomic import remove_unfinished, write_text
from muybridge.errors import InputError
from muybridge.language.decoder import Decoder
from muybridge.language.decoder_folder import config_to_json, read_json_object
from muybridge.language.generate import SamplingOptions, filter_logits, generate
from muybridge.language.memory import check_memory
from muybridge.language.model_options import Family, ModelOptions, ReadingOptions
from muybridge.language.models import load_model, make_model
from muybridge.language.ngram_run import check_folder
from muybridge.language.perplexity import Perplexity
from muybridge.language.text_task import TextTask, stream_nats
from muybridge.language.tokenizer import (
    Tokenizer,
    load_tokenizer,
    save_tokenizer,
)
from muybridge.language.tokenizer_choice import make_tokenizer
from muybridge.lock import locked
from muybridge.train.loop import LAST, MODEL, Listener, TrainResult, check_same, train
from muybridge.train.options import CheckpointPolicy, TrainOptions

__all__ = ["NeuralRun", "load_neural_run", "split_stream", "train_neural"]

CONFIG, RUN, TOKENIZER = "config.json", "run.json", "tokenizer.json"


@dataclass(frozen=True)
class NeuralRun:
    """A trained model that takes and gives plain text.

    Attributes:
        model: Any language model, in evaluation mode.
        tokenizer: Its own.
    """

    model: Any
    tokenizer: Tokenizer

    def evaluate(self, text: str) -> Perplexity:
        """How well the model predicts a text: one stream, every token but the first."""
        ids = _encode(self.tokenizer, text, "the text")
        if len(ids) < 2:
            raise InputError(
                f"expected a text of at least two tokens, got {len(ids)}; give a longer one"
            )
        bits = stream_nats(self.model, ids, self.model.config.context).double() / math.log(2)
        known = ids[1:] != getattr(self.tokenizer, "unknown", -1)
        unknown = len(known) - int(known.sum())
        return Perplexity(
            len(bits), unknown, bits.sum().item(), bits[known].sum().item(), len(text)
        )

    def generate(
        self, prompt: str = "", *, longest: int = 200, options: SamplingOptions | None = None
    ) -> str:
        """The prompt and what the model adds to it.

        Beyond the context the model goes on from the last half of it.

        Args:
            prompt: How the text begins; a line break where empty.
            longest: Tokens to add.
            options: How to draw.
        Raises:
            InputError: If the prompt is longer than the context.
        """
        options = options or SamplingOptions()
        ids = _encode(self.tokenizer, prompt or "\n", "the prompt").tolist()
        context = self.model.config.context
        if len(ids) > context:
            raise InputError(
                f"expected a prompt of at most {context} tokens, the model's context, got "
                f"{len(ids)}; shorten it"
            )
        made: list[int] = []
        while len(made) < longest:
            seen = [*ids, *made]
            seen = seen if len(seen) < context else seen[-max(1, context // 2) :]
            room = min(longest - len(made), max(1, context - len(seen)))
            draw = dataclasses.replace(options, seed=options.seed + len(made))
            made += self._extend(seen, room, draw)
        if not prompt:
            return self.tokenizer.decode(made)
        # together: what a token adds may depend on the one before it, such as a leading blank
        text = self.tokenizer.decode([*ids, *made])
        begun = len(self.tokenizer.decode(ids))
        return prompt + text[begun:]

    def prepare(self, int8: bool = False) -> NeuralRun:
        """Arrange the weights for writing long texts; the model is then for that alone.

        Args:
            int8: Round them to 8 bits, which reads a quarter of the memory.
        Raises:
            InputError: If `int8` is asked of a model that is no decoder.
        """
        from muybridge.language.decode_step import turn_for_decoding
        from muybridge.language.quantise import quantise_int8

        if not isinstance(self.model, Decoder):
            if int8:
                raise InputError(
                    f"expected a decoder to store in 8 bits, got a {type(self.model).__name__}; "
                    "leave out --int8"
                )
            return self
        if int8:
            quantise_int8(self.model)
        else:
            turn_for_decoding(self.model)
        return self

    def _extend(self, seen: Sequence[int], room: int, options: SamplingOptions) -> list[int]:
        if isinstance(self.model, Decoder):
            return generate(self.model, [seen], room, options)[0]
        return _extend_plainly(self.model, seen, room, options)


@torch.no_grad()
def _extend_plainly(
    model: Any, seen: Sequence[int], room: int, options: SamplingOptions
) -> list[int]:
    """For models without a cache: read the text anew for each token."""
    random = torch.Generator().manual_seed(options.seed)
    text = torch.tensor([list(seen)])
    for _ in range(room):
        logits = filter_logits(model(text)[:, -1].float(), options, text)
        if options.temperature == 0.0:
            token = logits.argmax(-1, keepdim=True)
        else:
            token = torch.multinomial(functional.softmax(logits, -1), 1, generator=random)
        text = torch.cat((text, token), dim=1)
    return text[0, len(seen) :].tolist()


def _encode(tokenizer: Tokenizer, text: str, what: str) -> Tensor:
    ids = torch.tensor(tokenizer.encode(text), dtype=torch.int64)
    assert not len(ids) or int(ids.max()) < tokenizer.size, f"{what} has an id beyond the tokenizer"
    return ids


def split_stream(text: str, held_out: float) -> tuple[str, str]:
    """First part to learn, the rest (a share from 0 to below 1) to validate, cut at a character."""
    cut = int(len(text) * (1 - held_out))
    return text[:cut], text[cut:]


def train_neural(
    text: str,
    folder: Path,
    family: Family,
    size: ModelOptions | None = None,
    reading: ReadingOptions | None = None,
    options: TrainOptions | None = None,
    *,
    checkpoint: CheckpointPolicy = "none",
    listeners: Sequence[Listener] = (),
    until: int | None = None,
) -> tuple[NeuralRun, TrainResult]:
    """Train a model on a text, or go on with what `folder` holds.

    Args:
        text: All of it; its end is held out.
        folder: The run.
        family: Kind of the model.
        size: Its size.
        reading: Tokens, windows and batches.
        options: Steps and rates.
        checkpoint: What blocks keep for the backward pass; decoders only.
        listeners: Told of every step.
        until: Stop there, as if broken off.
    Returns:
        The run with its best weights, and how the training ended.
    Raises:
        InputError: If text, sizes and folder do not fit together, or memory would not suffice.
    """
    size, reading, options = (
        size or ModelOptions(),
        reading or ReadingOptions(),
        options or TrainOptions(),
    )
    with locked(folder / ".lock"):
        remove_unfinished(folder, deep=False)
        wanted = _options(family, size, reading, options)
        check_folder(folder, neural=True)
        _check_options(folder, wanted)
        learn, held = split_stream(text, reading.held_out)
        tokenizer = _tokenizer(folder, reading, learn)
        torch.manual_seed(options.seed)
        model: Any = make_model(family, tokenizer.size, size)
        if checkpoint != "none":
            if not isinstance(model, Decoder):
                raise InputError(
                    f"expected a decoder for --checkpoint {checkpoint}, got {family}; leave it out"
                )
            from muybridge.train.checkpointing import checkpointed

            model.run_block = checkpointed(checkpoint, model.config.layers)
        task = TextTask(
            model,
            _encode(tokenizer, learn, "the text"),
            _encode(tokenizer, held, "the held-out text") if held else None,
            window=reading.window or model.config.context,
            batch=reading.batch,
            accumulate=reading.accumulate,
            seed=options.seed,
        )
        check_memory(model, reading.batch, task.window, checkpoint)
        write_text(folder / RUN, json.dumps(wanted, indent=2) + "\n")
        save_tokenizer(folder / TOKENIZER, tokenizer)
        write_text(folder / CONFIG, json.dumps(config_to_json(model.config), indent=2) + "\n")
        result = train(task, options, folder, listeners=listeners, until=until)
    best = load_model(folder) if (folder / MODEL).is_file() else model.eval()
    return NeuralRun(best, tokenizer), result


def _tokenizer(folder: Path, reading: ReadingOptions, text: str) -> Tokenizer:
    """The run's own, where it has begun; else a new one."""
    if (folder / LAST).is_file() and (folder / TOKENIZER).is_file():
        return load_tokenizer(folder / TOKENIZER)
    return make_tokenizer(reading.tokenizer, text, reading.vocabulary)


def _options(
    family: str, size: ModelOptions, reading: ReadingOptions, options: TrainOptions
) -> dict[str, Any]:
    """Every option as JSON data, each checked."""
    for part in (size, reading, options):
        part.check()
    return {
        "family": family,
        "model": dataclasses.asdict(size),
        "reading": dataclasses.asdict(reading),
        "training": dataclasses.asdict(options),
    }


def _check_options(folder: Path, wanted: dict[str, Any]) -> None:
    """A training that goes on has the options with which it began."""
    if not ((folder / LAST).is_file() and (folder / RUN).is_file()):
        return
    old = read_json_object(folder / RUN)
    check_same({"family": old.get("family")}, {"family": wanted["family"]}, folder / LAST)
    for part in ("model", "reading", "training"):
        check_same(old.get(part, {}), wanted[part], folder / LAST)


def load_neural_run(folder: Path) -> NeuralRun:
    """Read a run's folder.

    Raises:
        InputError: If something is missing, damaged, or does not fit together.
    """
    model = load_model(folder)
    tokenizer = load_tokenizer(folder / TOKENIZER)
    trained = (folder / RUN).is_file()  # imported ones may have spare rows
    if tokenizer.size > model.config.vocabulary or (
        trained and tokenizer.size < model.config.vocabulary
    ):
        raise InputError(
            f"expected a tokenizer of {model.config.vocabulary} tokens in {folder}, got "
            f"{tokenizer.size}; model and tokenizer are not of one run"
        )
    return NeuralRun(model, tokenizer)
