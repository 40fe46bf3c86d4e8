"""`muybridge crop`: one four-up video into one video a camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Crop:
    """Cut a video that shows several cameras in a grid into one video a camera."""

    video: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")]
    """The common video."""
    out: Path
    """Session folder to make: videos go to OUT/videos, the rectangles to OUT/crop.yaml."""
    grid: str | None = None
    """ROWSxCOLUMNS, such as 2x2; found from the pictures when absent."""
    crop: Path | None = None
    """A crop.yaml made before: cut this video in the same way."""

    def run(self) -> None:
        """Find or read the rectangles, write them, then cut."""
        from muybridge.capture.crop import crop_video, read_crop, resolve_grid, write_crop
        from muybridge.cli.progress import progress_bar, say

        views = read_crop(self.crop) if self.crop else resolve_grid(self.video, self.grid)
        with progress_bar("crop") as update:
            files = crop_video(self.video, views, self.out / "videos", update)
        write_crop(self.out / "crop.yaml", views)
        for file in files:
            say(f"wrote {file}")
