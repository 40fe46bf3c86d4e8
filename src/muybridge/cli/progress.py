"""Progress bars with an estimated time, and findings as people read them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from muybridge.capture.finding import Finding
    from muybridge.capture.pipeline import Listener
    from muybridge.capture.stages import Outcome

__all__ = [
    "StageDisplay",
    "console",
    "progress_bar",
    "say",
    "show_files",
    "show_findings",
    "training_bar",
]


class _Console(Console):
    """Rich's, which leaves the end of a pipe's reader to `main` instead of exiting itself."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError


TrainingUpdate = Callable[[int, float, float, float | None], None]

console = _Console(highlight=False, soft_wrap=True)
MARKS = {"info": "[dim]·[/dim]", "warning": "[yellow]![/yellow]", "error": "[red]x[/red]"}
PURPOSE = {
    "calibration.yaml": "the cameras",
    "take.bvh": "animation for Blender, MotionBuilder, three.js",
    "take.glb": "skinned animation for game engines and the web",
    "take.c3d": "measured joints for biomechanics tools",
    "take.trc": "the same for OpenSim",
    "report.json": "every figure, for programs",
    "report.html": "open this first",
}


def say(text: str) -> None:
    """One line as it is: brackets in it, such as those of a path, are no markup."""
    console.print(escape(text))


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("[dim]left[/dim]"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that is driven by calls (done, total) and goes away when the work is done."""
    with _bar() as progress:
        task = progress.add_task(title, total=None)

        def update(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield update


@contextmanager
def training_bar(title: str, steps: int) -> Iterator[TrainingUpdate]:
    """A bar for a training, with loss, tokens a second and what is left of the time.

    Driven by calls (step, loss, tokens a second, validation or None); validations leave a line.
    """
    with _bar() as progress:
        task = progress.add_task(title, total=steps)

        def update(step: int, loss: float, speed: float, validation: float | None) -> None:
            note = f"{title}  loss {loss:.3f}  {speed:,.0f} tokens/s"
            progress.update(task, completed=step, description=note)
            if validation is not None:
                progress.console.print(
                    f"step {step:>6,}  loss {loss:.4f}  validation {validation:.4f}  "
                    f"{speed:,.0f} tokens/s"
                )

        yield update


class StageDisplay:
    """Shows the stages of a capture: a bar for the one that runs, a line for each that ended."""

    def __init__(self) -> None:
        self._progress = _bar()
        self._task: TaskID | None = None

    def __enter__(self) -> StageDisplay:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def listener(self) -> Listener:
        """What `capture` should tell its news to."""
        from muybridge.capture.pipeline import Listener

        return Listener(self.started, self.update, self.ended)

    def started(self, stage: str) -> None:
        """A stage begins: a fresh bar without a length."""
        self._clear()
        self._task = self._progress.add_task(_title(stage), total=None)

    def update(self, done: int, total: int) -> None:
        """The running stage has done so much of its work."""
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=total)

    def ended(self, outcome: Outcome, findings: Sequence[Finding]) -> None:
        """A stage ended: a line with its time, then what it found."""
        self._clear()
        if outcome.state == "kept":
            note = "[dim]kept, nothing changed[/dim]"
        else:
            note = f"{outcome.seconds:.1f} s" if outcome.seconds >= 0.05 else "done"
        console.print(f"{_title(outcome.stage):<22} {note}")
        show_findings(findings)

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def _title(stage: str) -> str:
    return stage.replace("_", " ")


def show_findings(findings: Iterable[Finding]) -> None:
    """One line a finding: mark, sentence, advice."""
    for finding in findings:
        sentence = finding.sentence.rstrip(";")
        join = " " if sentence.endswith(".") else "; "
        advice = f"{join}[italic]{escape(finding.advice)}[/italic]" if finding.advice else ""
        console.print(f"  {MARKS[finding.severity]} {escape(sentence)}{advice}")


def show_files(folder: Path) -> None:
    """The results in an out folder and what each is for."""
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        purpose = PURPOSE.get(path.name, "another person" if path.stem.startswith("take_") else "")
        console.print(f"  {escape(str(path))}  [dim]{purpose}[/dim]")
