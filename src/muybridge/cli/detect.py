"""`muybridge detect`: videos -> 2-D keypoints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Detect:
    """Find people and their 17 joints in every frame of every video."""

    session: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SESSION")]
    """A session folder, or a folder of videos."""
    out: Path = Path("keypoints.npz")
    """File to write; an interrupted detection goes on from OUT's folder."""
    backend: Literal["torch", "onnx"] = "torch"
    """What runs the networks."""
    finder_side: Literal[256, 512] = 256
    """Longer side of the picture in which people are looked for; 512 finds smaller people."""
    workers: int = 2
    """Videos looked at at a time, each in a process of its own."""

    def run(self) -> None:
        """Detect and write."""
        from muybridge.capture.detect import DetectOptions, detect_videos
        from muybridge.capture.inspect import inspect_videos
        from muybridge.capture.session import list_videos
        from muybridge.cli.progress import progress_bar, say, show_findings
        from muybridge.errors import InputError
        from muybridge.files.keypoints import save_keypoints

        if not self.session.is_dir():
            raise InputError(
                f"expected a folder with videos, found none at {self.session}; check the path"
            )
        options = DetectOptions(self.finder_side, self.backend, workers=self.workers)
        inspection = inspect_videos(
            list_videos(self.session / "videos") or list_videos(self.session)
        )
        show_findings(inspection.findings)
        with progress_bar("detect") as update:
            keypoints = detect_videos(
                [video.path for video in inspection.videos],
                options=options,
                partial_folder=self.out.parent / f".{self.out.stem}_partial",
                on_progress=update,
            )
        save_keypoints(self.out, keypoints)
        say(f"wrote {self.out}")
