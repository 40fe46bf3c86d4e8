"""`muybridge reconstruct`: keypoints and a calibration -> 3-D joints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from muybridge.motion.keypoints import Keypoints
    from muybridge.motion.markers import Markers


@dataclass(frozen=True)
class Reconstruct:
    """Triangulate the main person's joints: synchronise, associate, refine, reconstruct."""

    keypoints: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="KEYPOINTS")]
    """keypoints.npz of `muybridge detect`, or a folder with one folder of JSON files a camera."""
    calibration: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CALIBRATION")]
    """Calibration file of any format that `muybridge calibrate` reads."""
    out: Path = Path("points.trc")
    """File to write: .trc, .c3d or .npz."""
    refine: Literal["auto", "off"] = "auto"
    """Refine the cameras from the person's own motion where that helps."""
    mode: Literal["default", "independent", "pose2sim"] = "default"
    """independent: each frame alone; pose2sim repeats that tool's triangulation, to compare."""
    fps: float | None = None
    """Frame rate, where the keypoints do not say."""

    def run(self) -> None:
        """Run stages 4 to 6 and write the points."""
        from muybridge.capture.threads import one_thread
        from muybridge.cli.progress import say
        from muybridge.files.clip import save_markers
        from muybridge.files.convert import check_suffix, write_motion

        check_suffix(self.out, (".trc", ".c3d", ".npz"))
        with one_thread():
            markers = self._markers()
        packed = self.out.suffix.lower() == ".npz"
        (save_markers if packed else write_motion)(self.out, markers)
        say(f"wrote {self.out}")

    def _markers(self) -> Markers:
        from muybridge.capture.associate import AssociateOptions, associate
        from muybridge.capture.reconstruct import ReconstructOptions, reconstruct
        from muybridge.capture.refine import RefineOptions, refine_cameras
        from muybridge.capture.rig_check import check_rig
        from muybridge.capture.sync import SyncOptions, resample, synchronise
        from muybridge.cli.progress import show_findings
        from muybridge.files.calibration import match_cameras, read_calibration

        detected, known = self._read(), ReconstructOptions(mode=self.mode)
        cameras = match_cameras(read_calibration(self.calibration), detected.cameras)
        check_rig(cameras, str(self.calibration))
        sync = synchronise(detected, cameras, SyncOptions())
        found = associate(resample(detected, sync), cameras, AssociateOptions())
        show_findings((*sync.findings, *found.findings))
        person = found.main
        if self.refine == "auto" and self.mode == "default":
            refined = refine_cameras(person, cameras, RefineOptions())
            show_findings(refined.findings)
            cameras = refined.cameras
            known = replace(known, offset_px=refined.offset_px, bone_lengths=refined.bone_lengths)
        return reconstruct(person, cameras, known)

    def _read(self) -> Keypoints:
        from muybridge.files.keypoints import load_keypoints, read_keypoints_folder

        if self.keypoints.is_dir():
            return read_keypoints_folder(self.keypoints, self.fps)
        return load_keypoints(self.keypoints)
