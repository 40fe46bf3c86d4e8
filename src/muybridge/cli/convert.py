"""`muybridge convert`: one motion file into another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Convert:
    """Convert between BVH, glTF (.glb), C3D and TRC."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """File to read."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """File to write; its ending says the format."""

    def run(self) -> None:
        """Convert and say so."""
        from muybridge.cli.progress import say
        from muybridge.files.convert import convert

        convert(self.source, self.target)
        say(f"wrote {self.target}")
