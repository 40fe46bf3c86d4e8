"""`muybridge inspect`: what the videos are and where they disagree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Inspect:
    """Show size, rate, length, rotation and codec of every video, and name mismatches."""

    session: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SESSION")]
    """A session folder, or a folder of videos."""

    def run(self) -> None:
        """Print a table and the findings."""
        from rich.table import Table

        from muybridge.capture.inspect import inspect_videos
        from muybridge.capture.session import list_videos
        from muybridge.cli.progress import console, show_findings
        from muybridge.errors import InputError

        if not self.session.is_dir():
            raise InputError(
                f"expected a folder with videos, found none at {self.session}; check the path"
            )
        videos = list_videos(self.session / "videos") or list_videos(self.session)
        inspection = inspect_videos(videos)
        table = Table("camera", "size", "frames", "frames/s", "seconds", "turned", "codec")
        for v in inspection.videos:
            table.add_row(
                v.name,
                f"{v.width}x{v.height}",
                str(v.frame_count),
                f"{v.fps:.3f}",
                f"{v.duration:.2f}",
                f"{v.rotation_deg} deg",
                v.codec,
            )
        console.print(table)
        show_findings(inspection.findings)
