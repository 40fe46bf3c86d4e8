"""`muybridge lm count`: what a decoder costs, told before anything is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from muybridge.language.counts import CostRow
    from muybridge.language.decoder import DecoderConfig

__all__ = ["Count"]

_STEPS = {
    "parameters": (1000.0, ("", "K", "M", "B", "T")),
    "FLOPs": (1000.0, ("", "K", "M", "G", "T", "P", "E", "Z", "Y")),
    "bytes": (1024.0, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")),
}


@dataclass(frozen=True)
class Count:
    """Parameters, FLOPs and memory of a decoder, from its configuration alone."""

    model: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """A published size, such as gpt3 or llama3.1-405b; a folder of ours or of Hugging Face; or
    its config.json."""
    tokens: int | None = None
    """Length of the training run; 20 tokens a parameter where not given."""
    text: int | None = None
    """Length of one text; the whole context where not given."""

    def run(self) -> None:
        """Print the table."""
        from muybridge.cli.progress import console
        from muybridge.errors import InputError
        from muybridge.language.counts import cost_rows

        for name, value in (("--tokens", self.tokens), ("--text", self.text)):
            if value is not None and not 1 <= value <= 10**18:
                raise InputError(f"expected {name} from 1 to 1e18, got {value}; give a length")
        for row in cost_rows(_find_config(self.model), self.tokens, self.text):
            console.print(
                f"{row.name:<26}{_exact(row):>20} {row.unit:<15}{_human(row):>10}  {row.note}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def _exact(row: CostRow) -> str:
    return f"{row.value:,}" if row.value < 1e15 else f"{row.value:.6e}"


def _human(row: CostRow) -> str:
    """The same number in a unit that fits a sentence; nothing where it is small as it is."""
    step, names = _STEPS.get(row.unit.split()[0], (1000.0, ("",)))
    if row.value < step or len(names) == 1:
        return ""
    value, place = float(row.value), 0
    while value >= step and place < len(names) - 1:
        value, place = value / step, place + 1
    return f"{value:.4g} {names[place]}"


def _find_config(model: str) -> DecoderConfig:
    """A published configuration, or the one that a path leads to."""
    from muybridge.errors import InputError
    from muybridge.language.decoder_folder import config_from_json, read_json_object
    from muybridge.language.families import PUBLISHED
    from muybridge.language.hf import config_from_hf

    if model in PUBLISHED:
        return PUBLISHED[model]
    path = Path(model)
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"expected a published size, a folder with config.json, or such a file, got {model!r}; "
            f"published are {', '.join(PUBLISHED)}"
        )
    data = read_json_object(file)
    return config_from_hf(data) if "model_type" in data else config_from_json(data)
