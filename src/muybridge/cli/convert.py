"""`muybridge convert`: one motion file into another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from muybridge.files.gltf import Interpolation

MODES: dict[str, Interpolation] = {
    "step": "STEP", "linear": "LINEAR", "cubicspline": "CUBICSPLINE"
}  # fmt: skip  # as glTF spells them


@dataclass(frozen=True)
class Convert:
    """Convert between BVH, glTF (.glb), FBX (through Blender), C3D and TRC."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """File to read."""
    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")]
    """File to write; its ending says the format."""
    unit: Literal["auto", "cm", "m", "inch", "cmu"] = "auto"
    """Unit of a BVH file, which states none; auto guesses by the size of the body and writes cm."""
    up: Literal["y", "z"] = "y"
    """Axis that is up in a BVH file that is read, which states none: z where bodies lie. Files are
    written with y up."""
    interpolation: Literal["step", "linear", "cubicspline"] | None = None
    """Between the frames of a .glb file; linear when absent."""

    def run(self) -> None:
        """Convert and say so."""
        from muybridge.cli.progress import say
        from muybridge.files.convert import convert

        interpolation = MODES[self.interpolation] if self.interpolation else None
        convert(self.source, self.target, self.unit, interpolation, self.up)
        say(f"wrote {self.target}")
