"""`muybridge lm`: train language models, measure them, and have them write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from muybridge.cli.lm_chinchilla import Chinchilla
from muybridge.cli.lm_count import Count
from muybridge.cli.lm_folder import Export, Import
from muybridge.cli.lm_ladder import Ladder
from muybridge.cli.lm_train import Train
from muybridge.errors import InputError

__all__ = ["Lm"]


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

        held = _load(self.model).evaluate(read_text(self.data))
        rows = {
            "tokens predicted": f"{held.predicted:,}",
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
    """Let a model go on from a prompt; an n-gram model stops at the end of the sentence."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A run's folder, or an ARPA file."""
    prompt: str = ""
    """How the text begins."""
    count: int = 1
    """How many texts."""
    longest: int = 200
    """Most tokens to add."""
    temperature: float = 1.0
    """1 draws as the model says, less prefers likely tokens, 0 takes the likeliest."""
    top_k: int | None = None
    """Draw from so many of the likeliest tokens only (neural models)."""
    top_p: float = 1.0
    """Draw from the likeliest tokens that hold this much probability (neural models)."""
    min_p: float = 0.0
    """Draw from tokens at least this likely, relative to the best (neural models)."""
    repetition_penalty: float = 1.0
    """Above 1, tokens that occurred become less likely (neural models)."""
    int8: bool = False
    """Round a decoder's weights to 8 bits, which writes faster."""
    seed: int = 0
    """The same seed gives the same texts."""

    def run(self) -> None:
        """Print the texts, one a line."""
        for name, value in (("--count", self.count), ("--longest", self.longest)):
            if not 1 <= value <= 1_000_000:
                raise InputError(f"expected {name} from 1 to 1,000,000, got {value}; 200 is usual")
        run = _load(self.model)
        _prepare(run, self)
        for number in range(self.count):
            print(_write_on(run, self, self.seed + number))


def _load(path: Path) -> Any:
    """A counted or a learned run; the folder's configuration says which."""
    from muybridge.language.ngram_run import is_ngram_run, load_run

    if is_ngram_run(path):
        return load_run(path)
    from muybridge.language.neural_run import load_neural_run

    return load_neural_run(path)


def _prepare(run: Any, wish: Generate) -> None:
    """Arrange the weights, or refuse what only neural models can do."""
    from muybridge.language.ngram_run import NgramRun

    if not isinstance(run, NgramRun):
        run.prepare(wish.int8)
    elif wish.int8 or (wish.top_k, wish.top_p, wish.min_p, wish.repetition_penalty) != (
        None,
        1,
        0,
        1,
    ):
        raise InputError(
            "expected a neural model for --int8, --top-k, --top-p, --min-p and "
            "--repetition-penalty, got an n-gram model; leave them out"
        )


def _write_on(run: Any, wish: Generate, seed: int) -> str:
    from muybridge.language.ngram_run import NgramRun

    if isinstance(run, NgramRun):
        return run.generate(
            wish.prompt, seed=seed, longest=wish.longest, temperature=wish.temperature
        )
    from muybridge.language.generate import SamplingOptions

    options = SamplingOptions(
        wish.temperature, wish.top_k, wish.top_p, wish.min_p, wish.repetition_penalty, seed
    )
    return run.generate(wish.prompt, longest=wish.longest, options=options)


@dataclass(frozen=True)
class Lm:
    """Language models: train one on a text, measure it, have it write."""

    verb: Annotated[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[Train, tyro.conf.subcommand("train")]
            | Annotated[Evaluate, tyro.conf.subcommand("eval")]
            | Annotated[Generate, tyro.conf.subcommand("generate")]
            | Annotated[Ladder, tyro.conf.subcommand("ladder")]
            | Annotated[Count, tyro.conf.subcommand("count")]
            | Annotated[Chinchilla, tyro.conf.subcommand("chinchilla")]
            | Annotated[Import, tyro.conf.subcommand("import")]
            | Annotated[Export, tyro.conf.subcommand("export")]
        ],
        tyro.conf.arg(name=""),  # its options stand with the others in --help
    ]

    def run(self) -> None:
        """Run the verb."""
        self.verb.run()
