"""`muybridge lm train`: any rung, from counting to DeepSeek-V3."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from muybridge.language.model_options import Family, ModelOptions, ReadingOptions
from muybridge.train.options import CheckpointPolicy, TrainOptions

if TYPE_CHECKING:
    from muybridge.language.ngram_run import NgramRun
    from muybridge.train.log import StepReport

__all__ = ["Train"]

Smooth = Literal[
    "mle", "add-k", "good-turing", "katz", "jelinek-mercer", "absolute", "kneser-ney",
    "modified-kneser-ney",
]  # fmt: skip


@dataclass(frozen=True)
class Counting:
    """Options of --family ngram."""

    order: int = 3
    """Longest history plus one."""
    method: Smooth = "modified-kneser-ney"
    """How unseen n-grams get their probability."""
    unit: Literal["words", "characters"] = "words"
    """What a token is."""
    span: Literal["line", "text"] = "line"
    """What a sentence is: a line, or the whole text with line breaks as tokens."""
    k: float = 1.0
    """What add-k adds to each count."""
    discount: float | None = None
    """A fixed discount for absolute discounting and Kneser-Ney, instead of an estimated one."""
    cutoff: int = 5
    """Katz trusts counts above this one."""
    min_count: int = 1
    """Rarer words become <unk>."""
    closed: bool = False
    """Give <unk> no probability."""


@dataclass(frozen=True)
class Train:
    """Train a model on a text; run the same again to go on after a break."""

    data: Path
    """Text file, UTF-8, packed by gzip or not."""
    out: Path
    """Folder to write; for ngram also an ARPA file where the name ends in .arpa or .arpa.gz."""
    family: Literal["ngram"] | Family = "ngram"
    """What kind of model."""
    checkpoint: CheckpointPolicy = "none"
    """What a decoder's blocks compute again in the backward pass, to save memory."""
    tensorboard: bool = False
    """Write TensorBoard events beside log.jsonl."""
    ngram: Annotated[Counting, tyro.conf.arg(name="")] = field(default_factory=Counting)
    model: Annotated[ModelOptions, tyro.conf.arg(name="")] = field(default_factory=ModelOptions)
    reading: Annotated[ReadingOptions, tyro.conf.arg(name="")] = field(
        default_factory=ReadingOptions
    )
    training: Annotated[TrainOptions, tyro.conf.arg(name="")] = field(default_factory=TrainOptions)

    def run(self) -> None:
        """Train, show progress, say what was found, write."""
        self._refuse_strangers()
        if self.family == "ngram":
            _count(self.data, self.out, self.ngram)
        else:
            _learn(self)

    def _refuse_strangers(self) -> None:
        """Options of another kind of model would do nothing without a word."""
        from muybridge.errors import InputError

        learned = (self.model, self.reading, self.training, self.checkpoint, self.tensorboard)
        usual = (ModelOptions(), ReadingOptions(), TrainOptions(), "none", False)
        if self.family == "ngram" and learned != usual:
            raise InputError(
                "expected options of n-gram models with --family ngram, got some of neural models; "
                "leave them out, or name a neural --family"
            )
        if self.family != "ngram" and self.out.name.endswith((".arpa", ".arpa.gz")):
            raise InputError(
                f"expected a folder to write a {self.family} into, got {self.out}; only n-gram "
                "models are ARPA files"
            )
        if self.family != "ngram" and self.ngram != Counting():
            raise InputError(
                f"expected options of neural models with --family {self.family}, got some of "
                "n-gram models; leave them out, or take --family ngram"
            )


def _count(data: Path, out: Path, options: Counting) -> None:
    from muybridge.cli.progress import console
    from muybridge.language.arpa import write_arpa
    from muybridge.language.corpus import read_text
    from muybridge.language.ngram_run import check_folder, save_run, train_ngram
    from muybridge.language.smoothing import Smoothing

    if not out.name.endswith((".arpa", ".arpa.gz")):
        check_folder(out, neural=False)
    started = time.perf_counter()
    run = train_ngram(
        read_text(data),
        options.order,
        Smoothing(options.method, options.k, options.discount, options.cutoff),
        unit=options.unit,
        span=options.span,
        min_count=options.min_count,
        closed=options.closed,
    )
    _describe(run, time.perf_counter() - started)
    if out.name.endswith((".arpa", ".arpa.gz")):
        write_arpa(out, run.model)
    else:
        save_run(out, run)
    console.print(f"wrote {out}")


def _describe(run: NgramRun, seconds: float) -> None:
    from muybridge.cli.progress import console

    model = run.model
    sizes = " / ".join(f"{len(table):,}" for table in model.tables)
    console.print(
        f"{model.method}, order {model.order}: {sizes} n-grams, {model.bytes / 1e6:.1f} MB, "
        f"{seconds:.2f} s"
    )
    for note in model.notes:
        console.print(f"  [yellow]![/yellow] {note}")


def _learn(command: Train) -> None:
    from muybridge.cli.progress import console, training_bar
    from muybridge.language.corpus import read_text
    from muybridge.language.neural_run import train_neural
    from muybridge.train.log import tensorboard_listener

    assert command.family != "ngram", "counting is no learning"
    text = read_text(command.data)
    listeners = [tensorboard_listener(command.out)] if command.tensorboard else []
    with training_bar(command.family, command.training.steps) as show:

        def tell(report: StepReport) -> None:
            show(report.step, report.loss, report.tokens / report.seconds, report.validation)

        run, result = train_neural(
            text,
            command.out,
            command.family,
            command.model,
            command.reading,
            command.training,
            checkpoint=command.checkpoint,
            listeners=[tell, *listeners],
        )
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    best = "" if result.best is None else f", validation {result.best:.4f} nats a token"
    console.print(
        f"{command.family}: {parameters:,} parameters, {result.steps:,} steps, "
        f"{result.seconds:.1f} s{best}"
    )
    console.print(f"wrote {command.out}")
