"""`muybridge capture`: the whole job, from a session folder to animation files and a report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from muybridge.cli.capture_imu import ImuOptions
from muybridge.cli.sensors import capture_from, chosen_sensor

if TYPE_CHECKING:
    from muybridge.capture.take import Take


@dataclass(frozen=True)
class Capture:
    """Turn a session (videos and a calibration) into animation files and a report.

    Or turn what other sensors recorded into a motion file: --markers, --imu, --depth, --encoders.
    """

    session: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[SESSION]")] = None
    """Folder with videos/, calibration/ and, if there are detections already, keypoints/."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder where everything goes (SESSION/take when absent; finished stages found there are
    kept), or the motion file to write from another sensor (.bvh, .glb, .fbx, .npz, .c3d, .trc)."""
    markers: Path | None = None
    """Optical markers: a .c3d or .trc file."""
    imu: Path | None = None
    """Inertial sensors: a folder with a log a sensor."""
    depth: Path | None = None
    """Depth pictures: a folder of them with their camera."""
    encoders: Path | None = None
    """Joint encoders of a mechanical suit: a .csv file."""
    body: Literal["auto", "person", "segments"] = "auto"
    """With --markers: the skeleton to fit; auto fits a person where the labels allow it."""
    reference: Path | None = None
    """With --markers: a recording with names, such as a T-pose, that names points without."""
    background: Path | None = None
    """With --depth: the same cameras' pictures of the empty room."""
    stereo: tuple[str, str] | None = None
    """With --depth: two cameras of a session whose pictures are matched to get depth pictures."""
    imu_options: ImuOptions = field(default_factory=ImuOptions)
    """With --imu: how the take was made."""
    keypoints: tyro.conf.FlagCreatePairsOff[bool] = False
    """Start from SESSION/keypoints instead of from the videos."""
    fps: float | None = None
    """Frames a second of keypoints that come without videos, or of depth pictures."""
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
        sensor = chosen_sensor(self.given())
        if sensor is None:
            run_capture(self)
        else:
            capture_from(sensor, vars(self))

    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        usual = vars(Capture())
        return {name: value for name, value in vars(self).items() if value != usual[name]}


def run_capture(verb: Capture) -> Take:
    """The work behind `Capture.run`, also used by the demo."""
    from muybridge.capture.pipeline import CaptureOptions, capture
    from muybridge.capture.session import open_session
    from muybridge.cli.progress import StageDisplay, console, show_files
    from muybridge.studio.report import write_report

    assert verb.session is not None, "a session is captured"
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
