"""`muybridge calibrate`: a folder of board pictures, videos or a ready calibration -> YAML."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Calibrate:
    """Calibrate cameras from boards or measured points, or convert a ready calibration."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder with board pictures or videos of every camera, scene.toml, or a calibration file."""
    out: Path = Path("calibration.yaml")
    """File to write."""

    def run(self) -> None:
        """Calibrate, print figures and findings, write the file."""
        from muybridge.capture.calibrate import CalibrateOptions, calibrate_folder
        from muybridge.cli.progress import console, progress_bar, show_findings
        from muybridge.files.calibration import write_calibration

        with progress_bar("calibrate") as update:
            result = calibrate_folder(self.folder, None, CalibrateOptions(), update)
        write_calibration(self.out, result.cameras)
        if result.rms_px is not None:
            console.print(f"{len(result.cameras)} cameras, RMS {result.rms_px:.3f} px")
        show_findings(result.findings)
        console.print(f"wrote {self.out}")
