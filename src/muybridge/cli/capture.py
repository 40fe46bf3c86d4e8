"""`muybridge capture`: the whole job, from a session folder to animation files and a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from muybridge.capture.take import Take


@dataclass(frozen=True)
class Capture:
    """Turn a session (videos and a calibration) into animation files and a report."""

    session: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SESSION")]
    """Folder with videos/, calibration/ and, if there are detections already, keypoints/."""
    out: Path | None = None
    """Where everything goes; SESSION/take when absent. Finished stages found there are kept."""
    keypoints: tyro.conf.FlagCreatePairsOff[bool] = False
    """Start from SESSION/keypoints instead of from the videos."""
    fps: float | None = None
    """Frames a second of keypoints that come without videos."""
    backend: Literal["torch", "onnx"] = "torch"
    """What runs the detector; onnx is faster and needs `pip install muybridge[onnx]`."""
    finder_side: Literal[256, 512] = 256
    """Longer side of the picture in which people are looked for; 512 finds smaller people."""
    workers: int = 2
    """Videos looked at at a time, each in a process of its own."""
    grid: str | None = None
    """ROWSxCOLUMNS of a four-up video; found from the pictures when absent."""
    refine: Literal["auto", "off"] = "auto"
    """Refine the cameras from the person's own motion where that helps."""
    people: int | None = None
    """Keep at most this many people."""
    min_views: int = 2
    """Cameras that must see a person for them to be captured."""
    smoothness: float = 1.0
    """Of the solved motion: 0 follows the measured joints, more is calmer."""

    def run(self) -> None:
        """Capture, report, and say where the results are."""
        run_capture(self)


def run_capture(verb: Capture) -> Take:
    """The work behind `Capture.run`, also used by the demo."""
    from muybridge.capture.pipeline import CaptureOptions, capture
    from muybridge.capture.session import open_session
    from muybridge.cli.progress import StageDisplay, console, show_files
    from muybridge.studio.report import write_report

    session = open_session(verb.session)
    folder = verb.out or verb.session / "take"
    options = CaptureOptions(
        keypoints=verb.keypoints,
        fps=verb.fps,
        backend=verb.backend,
        finder_side=verb.finder_side,
        workers=verb.workers,
        grid=verb.grid,
        refine=verb.refine,
        people=verb.people,
        min_views=verb.min_views,
        smoothness=verb.smoothness,
    )
    with StageDisplay() as display:
        take = capture(session, folder, options, display.listener())
        display.started("report")
        write_report(take, folder)
    console.print()
    show_files(folder)
    return take
