"""What a training says of itself: one JSON object a line, and TensorBoard where wanted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from muybridge.atomic import write_text
from muybridge.errors import InputError

__all__ = ["LogFile", "StepReport", "tensorboard_listener"]


@dataclass(frozen=True)
class StepReport:
    """One step.

    Attributes:
        step: How many are done, this one included.
        loss: Mean of the step's tokens (or whatever a task counts), before the update.
        rate: Learning rate of this step.
        gradient: Length of the gradient before clipping.
        tokens: Counted in this step.
        seconds: That this step took.
        cpu_seconds: Processor time since the step before, validation included.
        validation: Mean validation loss, where it was measured.
    """

    step: int
    loss: float
    rate: float
    gradient: float
    tokens: int
    seconds: float
    cpu_seconds: float = 0.0
    validation: float | None = None


class LogFile:
    """Appends reports to a file; a run that goes on first drops what lies after its checkpoint.

    Args:
        path: The file, one JSON object a line.
        step: Reports after this step are dropped, and so is a line cut by a kill.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in _lines(path) if _step_of(line) <= step]
        write_text(path, "".join(line + "\n" for line in kept))

    def __call__(self, report: StepReport) -> None:
        """Append one report."""
        values = {name: value for name, value in asdict(report).items() if value is not None}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _step_of(line: str) -> float:
    """A line's step; infinity for a line that is not whole."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def tensorboard_listener(folder: Path) -> Callable[[StepReport], None]:
    """Writes loss, rate and validation as TensorBoard events.

    Raises:
        InputError: If the package tensorboard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError(
            f"expected the package tensorboard for its events, got none ({error}); pip install "
            "tensorboard, or leave it to log.jsonl"
        ) from error
    writer = SummaryWriter(str(folder))

    def write(report: StepReport) -> None:
        for name in ("loss", "rate", "gradient", "validation"):
            value = getattr(report, name)
            if value is not None:
                writer.add_scalar(name, value, report.step)
        writer.flush()

    return write
