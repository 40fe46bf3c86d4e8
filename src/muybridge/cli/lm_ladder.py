"""`muybridge lm ladder`: every rung on one text, as a table and a picture."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muybridge.language.ladder import Result, Rung
    from muybridge.train.log import StepReport
    from muybridge.train.loop import Listener

__all__ = ["Ladder"]


@dataclass(frozen=True)
class Ladder:
    """Train every kind of language model on a text, and compare them; goes on after a break."""

    data: Path
    """Text file, UTF-8, packed by gzip or not; its last tenth is held out."""
    out: Path = Path("runs/ladder")
    """Folder to write: a run for each rung, ladder.json and ladder.png."""
    rungs: tuple[str, ...] = ()
    """Only these, by name, such as 5-gram lstm llama3."""
    effort: float = 1.0
    """Training steps, relative to the usual ones (each rung takes up to five CPU minutes)."""
    tokenizer: str = "characters"
    """characters, bytes, bpe (trained on the text), or a tokenizer file; counting joins in only for
    characters."""

    def run(self) -> None:
        """Climb, then print the table and draw."""
        from muybridge.cli.progress import console
        from muybridge.language.corpus import read_text
        from muybridge.language.ladder import climb

        rungs, text = self._chosen(), read_text(self.data)
        with _Bars() as bars:
            results = climb(
                text,
                self.out,
                rungs,
                tokenizer=self.tokenizer,
                started=bars.started,
                ended=bars.ended,
            )
        console.print(f"\n{_HEAD}")
        for result in sorted(results, key=lambda one: one.nats):
            console.print(_row(result))
        _write(self.out, results)

    def _chosen(self) -> tuple[Rung, ...]:
        from muybridge.errors import InputError
        from muybridge.recipes.ladder import ladder

        if not 0 < self.effort < 1000:
            raise InputError(
                f"expected --effort above 0 and below 1000, got {self.effort}; 1 is usual"
            )
        every = ladder(self.effort)
        unknown = [name for name in self.rungs if name not in {rung.name for rung in every}]
        if unknown:
            raise InputError(
                f"expected rungs among {', '.join(rung.name for rung in every)}, got "
                f"{unknown[0]!r}; correct --rungs"
            )
        counted = self.tokenizer == "characters"
        chosen = [r for r in every if not self.rungs or r.name in self.rungs]
        chosen = [r for r in chosen if counted or r.family != "ngram"]
        if not chosen:
            raise InputError(
                f"expected a neural rung with --tokenizer {self.tokenizer}, got counting alone; "
                "leave out --tokenizer"
            )
        return tuple(chosen)


class _Bars:
    """One bar at a time, for the rung that learns."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def started(self, rung: Rung) -> Listener | None:
        """Open a bar; counting needs none."""
        from muybridge.cli.progress import training_bar

        if rung.family == "ngram":
            return None
        show = self._open.enter_context(training_bar(rung.name, rung.training.steps))

        def tell(report: StepReport) -> None:
            show(report.step, report.loss, report.tokens / report.seconds, None)

        return tell

    def ended(self, rung: Rung, result: Result) -> None:
        """Close it and say what came of it."""
        from muybridge.cli.progress import console

        self._open.close()
        console.print(f"{rung.name:<16} {result.nats:.4f} nats a token")


_HEAD = (
    f"{'rung':<16}{'nats/token':>11}{'bits/char':>11}{'parameters':>13}{'active':>12}"
    f"{'tokens read':>13}{'CPU s':>8}"
)


def _row(result: Result) -> str:
    return (
        f"{result.name:<16}{result.nats:>11.4f}{result.bits_per_character:>11.4f}"
        f"{result.parameters:>13,}{result.active:>12,}{result.tokens:>13,}"
        f"{result.cpu_seconds:>8.1f}"
    )


def _write(folder: Path, results: list[Result]) -> None:
    """The table for programs, and the picture where matplotlib is installed."""
    import json
    from dataclasses import asdict

    from muybridge.atomic import write_text
    from muybridge.cli.progress import console

    write_text(folder / "ladder.json", json.dumps([asdict(r) for r in results], indent=2) + "\n")
    console.print(f"\nwrote {folder / 'ladder.json'}")
    try:
        from muybridge.studio.ladder_plot import plot_ladder
    except ImportError:
        console.print("no picture: pip install 'muybridge\\[plots]' for it")
        return
    plot_ladder(folder / "ladder.png", results)
    console.print(f"wrote {folder / 'ladder.png'}")
