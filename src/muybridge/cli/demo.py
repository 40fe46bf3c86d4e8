"""`muybridge demo`: four real cameras, from an installed package, to animation files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import tyro

from muybridge.errors import InputError

TRIAL = "S00_P00_Participant/S00_P00_T01_BalancingTrial"


@dataclass(frozen=True)
class Demo:
    """Capture Pose2Sim's demo trial: 4 cameras, 100 frames, a man balancing on a beam."""

    out: Path = Path("out/demo")
    """Where the session and its results go."""
    keypoints: tyro.conf.FlagCreatePairsOff[bool] = False
    """Start from the trial's OpenPose detections instead of from the videos."""

    def run(self) -> None:
        """Lay out the session, then capture it."""
        from muybridge.cli.capture import Capture, run_capture

        session = self.out / "balancing_trial"
        lay_out_session(demo_folder(), session)
        run_capture(Capture(session, self.out, keypoints=self.keypoints))


def demo_folder() -> Path:
    """The demo session inside the installed package pose2sim.

    Raises:
        InputError: If the package is not installed or is a version without the trial.
    """
    found = find_spec("Pose2Sim")
    places = list(found.submodule_search_locations or ()) if found else []
    for place in places:
        folder = Path(place) / "Demo" / "S00_Demo_Session"
        if (folder / TRIAL / "videos").is_dir():
            return folder
    raise InputError(
        "expected the demo footage of the package pose2sim 0.6.1, found none; install it with "
        "`pip install --no-deps pose2sim==0.6.1`"
    )


def lay_out_session(source: Path, session: Path) -> None:
    """Copy videos, detections and calibration into a session folder; what is there is kept."""
    trial = source / TRIAL
    calibration = source / "S00_Calibration"
    copies = [(video, session / "videos" / video.name) for video in trial.glob("videos/*.mp4")]
    copies.append((calibration / "Calib.qca.txt", session / "calibration" / "Calib.qca.txt"))
    for file in trial.glob("pose/*/*.json"):
        camera = file.parent.name.removesuffix("_json")
        copies.append((file, session / "keypoints" / camera / file.name))
    for here, there in copies:
        if not there.exists() or there.stat().st_size != here.stat().st_size:
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, there)
