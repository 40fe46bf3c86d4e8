"""Every language model on the same text, one after the other: what a better idea is worth.

All rungs learn the same stream of tokens and are judged on the same end of it. Counting models read
the whole history that their order allows; the others see it through windows that slide by half
their length (`text_task.stream_loss`). A rung that is finished is not trained again, and one that
was broken off goes on.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from muybridge.atomic import write_text
from muybridge.errors import InputError
from muybridge.language.counts import count_decoder
from muybridge.language.decoder import DecoderConfig
from muybridge.language.decoder_folder import read_json_object
from muybridge.language.maxent_hashed import MaxentConfig
from muybridge.language.model_options import Family, ModelOptions, ReadingOptions
from muybridge.language.neural_run import split_stream, train_neural
from muybridge.language.ngram_run import save_run, train_ngram
from muybridge.language.smoothing import Method, Smoothing
from muybridge.train.loop import Listener
from muybridge.train.options import TrainOptions

__all__ = ["Result", "Rung", "climb", "read_results"]

RESULT = "result.json"


@dataclass(frozen=True)
class Rung:
    """One model of the ladder as plain data.

    Attributes:
        name: What tables call it; also its folder.
        family: "ngram", or a neural family.
        order: Of n-grams.
        method: Their smoothing.
        model: Size of a neural model.
        reading: Its windows and batches.
        training: Its steps and rates.
    """

    name: str
    family: Literal["ngram"] | Family
    order: int = 5
    method: Method = "modified-kneser-ney"
    model: ModelOptions = field(default_factory=ModelOptions)
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    training: TrainOptions = field(default_factory=TrainOptions)


@dataclass(frozen=True)
class Result:
    """What a rung reached on the held-out end of the text.

    Attributes:
        name: The rung.
        family: Its kind.
        parameters: Numbers that it learned.
        active: Of these, used for any one token.
        nats: Mean nats a token.
        bits_per_character: The same, a character.
        cpu_seconds: Processor time of the training, its validations included.
        tokens: Read in training, repetitions included.
    """

    name: str
    family: str
    parameters: int
    active: int
    nats: float
    bits_per_character: float
    cpu_seconds: float
    tokens: int


def climb(
    text: str,
    folder: Path,
    rungs: Sequence[Rung],
    *,
    tokenizer: str = "characters",
    started: Callable[[Rung], Listener | None] = lambda _: None,
    ended: Callable[[Rung, Result], None] = lambda *_: None,
) -> list[Result]:
    """Train and judge each rung in a folder of its own.

    Args:
        text: All of it; the last tenth (or the rungs' `held_out`) is never learned.
        folder: Takes a folder for each rung.
        rungs: What to train.
        tokenizer: Of the neural rungs; counting ones need "characters".
        started: Told of each rung; may give a listener for its steps.
        ended: Told of each result.
    Raises:
        InputError: If the text is too short, a folder is of another training, or rungs would count
            tokens of different kinds.
    """
    counted = [rung.name for rung in rungs if rung.family == "ngram"]
    if counted and tokenizer != "characters":
        raise InputError(
            f"expected the tokenizer 'characters' beside {counted[0]}, got {tokenizer!r}; nats a "
            "token of different tokens do not compare, so leave counting out"
        )
    results = []
    for rung in (replace(r, reading=replace(r.reading, tokenizer=tokenizer)) for r in rungs):
        place = folder / rung.name
        result = _kept(place, rung, text)
        if result is None:
            listener = started(rung)
            if rung.family == "ngram":
                result = _count(text, place, rung)
            else:
                result = _learn(text, place, rung, [listener] if listener else [])
            write_text(
                place / RESULT,
                json.dumps({"rung": asdict(rung), "text": _mark(text), **asdict(result)}) + "\n",
            )
        ended(rung, result)
        results.append(result)
    return results


def _mark(text: str) -> str:
    """What tells one text from another: its length and a hash."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{len(text)} {digest[:16]}"


def _kept(folder: Path, rung: Rung, text: str) -> Result | None:
    """The result of a finished rung; None where there is none."""
    if not (folder / RESULT).is_file():
        return None
    data = read_json_object(folder / RESULT)
    if data.get("rung") != json.loads(json.dumps(asdict(rung))) or data.get("text") != _mark(text):
        raise InputError(
            f"expected {folder} to be of this rung and text, got another training there; name "
            "another --out"
        )
    return _result(data)


def _result(data: dict[str, Any]) -> Result:
    return Result(**{name: data[name] for name in Result.__dataclass_fields__})


def read_results(folder: Path) -> list[Result]:
    """The results in a folder of `climb`, best first."""
    found = [_result(read_json_object(path)) for path in sorted(folder.glob(f"*/{RESULT}"))]
    return sorted(found, key=lambda result: result.nats)


def _count(text: str, folder: Path, rung: Rung) -> Result:
    learn, held = split_stream(text, rung.reading.held_out)
    started = time.process_time()
    run = train_ngram(learn, rung.order, Smoothing(rung.method), unit="characters", span="text")
    seconds = time.process_time() - started
    save_run(folder, run)
    measured = run.evaluate(held)
    size = sum(len(table) for table in run.model.tables)
    return Result(
        rung.name, rung.family, size, rung.order, measured.nats_per_token,
        measured.bits_per_character, seconds, len(learn),
    )  # fmt: skip


def _learn(text: str, folder: Path, rung: Rung, listeners: Sequence[Listener]) -> Result:
    assert rung.family != "ngram", "counting is no learning"
    run, _ = train_neural(
        text, folder, rung.family, rung.model, rung.reading, rung.training, listeners=listeners
    )
    held = split_stream(text, rung.reading.held_out)[1]
    measured = run.evaluate(held)
    steps = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    config = run.model.config
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    return Result(
        rung.name,
        rung.family,
        parameters,
        _active(config, parameters),
        measured.nats_per_token,
        measured.bits_per_character,
        sum(step["cpu_seconds"] for step in steps),
        sum(step["tokens"] for step in steps),
    )


def _active(config: object, parameters: int) -> int:
    """Parameters that one token uses."""
    if isinstance(config, DecoderConfig):
        return count_decoder(config).active
    if isinstance(config, MaxentConfig):
        return (config.order + 1) * config.vocabulary
    return parameters
