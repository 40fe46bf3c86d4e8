"""`muybridge lm`: train language models, measure them, and have them write."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from muybridge.language.ngram_run import NgramRun

__all__ = ["Lm"]

Smooth = Literal[
    "mle", "add-k", "good-turing", "katz", "jelinek-mercer", "absolute", "kneser-ney",
    "modified-kneser-ney",
]  # fmt: skip


@dataclass(frozen=True)
class Train:
    """Train a model on a text."""

    data: Path
    """Text file, UTF-8, packed by gzip or not; a line is a sentence."""
    out: Path
    """Folder to write, or an ARPA file where the name ends in .arpa or .arpa.gz."""
    family: Literal["ngram"] = "ngram"
    """What kind of model."""
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

    def run(self) -> None:
        """Train, say what was found, write."""
        from muybridge.cli.progress import console
        from muybridge.language.arpa import write_arpa
        from muybridge.language.corpus import read_text
        from muybridge.language.ngram_run import save_run, train_ngram
        from muybridge.language.smoothing import Smoothing

        started = time.perf_counter()
        smoothing = Smoothing(self.method, self.k, self.discount, self.cutoff)
        run = train_ngram(
            read_text(self.data),
            self.order,
            smoothing,
            unit=self.unit,
            span=self.span,
            min_count=self.min_count,
            closed=self.closed,
        )
        _describe(run, time.perf_counter() - started)
        if self.out.name.endswith((".arpa", ".arpa.gz")):
            write_arpa(self.out, run.model)
        else:
            save_run(self.out, run)
        console.print(f"wrote {self.out}")


@dataclass(frozen=True)
class Evaluate:
    """Measure how well a model predicts a text: perplexity, bits per token and per character."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A run's folder, or an ARPA file."""
    data: Path
    """Text that the model was not trained on."""

    def run(self) -> None:
        """Score and print."""
        from muybridge.cli.progress import console
        from muybridge.language.corpus import read_text
        from muybridge.language.ngram_run import load_run

        run = load_run(self.model)
        held = run.evaluate(read_text(self.data))
        rows = {
            "tokens, </s> included": f"{held.predicted:,}",
            "unknown tokens": f"{held.unknown:,}",
            "perplexity": f"{held.perplexity:.4f}",
            "perplexity without unknown": f"{held.perplexity_known:.4f}",
            "bits per token": f"{held.bits_per_token:.4f}",
            "nats per token": f"{held.nats_per_token:.4f}",
            "bits per character": f"{held.bits_per_character:.4f}",
        }
        for name, value in rows.items():
            console.print(f"{name:<28}{value:>14}")


@dataclass(frozen=True)
class Generate:
    """Let a model go on from a prompt, to the end of the sentence."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A run's folder, or an ARPA file."""
    prompt: str = ""
    """How the text begins."""
    count: int = 1
    """How many texts."""
    longest: int = 200
    """Most tokens to add."""
    temperature: float = 1.0
    """1 samples the model, less is bolder about what is likely, 0 takes the likeliest token."""
    seed: int = 0
    """The same seed gives the same texts."""

    def run(self) -> None:
        """Print the texts, one a line."""
        from muybridge.language.ngram_run import load_run

        run = load_run(self.model)
        for number in range(self.count):
            text = run.generate(
                self.prompt,
                seed=self.seed + number,
                longest=self.longest,
                temperature=self.temperature,
            )
            print(text)


@dataclass(frozen=True)
class Lm:
    """Language models: train one on a text, measure it, have it write."""

    verb: tyro.conf.OmitSubcommandPrefixes[
        Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Evaluate, tyro.conf.subcommand("eval")]
        | Annotated[Generate, tyro.conf.subcommand("generate")]
    ]

    def run(self) -> None:
        """Run the verb."""
        self.verb.run()


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
