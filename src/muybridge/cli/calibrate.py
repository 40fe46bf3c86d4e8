"""`muybridge calibrate`: a folder of board pictures, videos or a ready calibration -> YAML."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, None: None}


@dataclass(frozen=True)
class Calibrate:
    """Calibrate cameras from boards or measured points, or convert a ready calibration."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder with board pictures or videos of every camera, scene.toml, or a calibration file."""
    out: Path = Path("calibration.yaml")
    """File to write."""

    grid: str | None = None
    """Every video shows all cameras in this grid, such as 2x2 (rows x columns)."""
    crop: Path | None = None
    """The same, with the rectangles of a crop.yaml made by `muybridge crop`."""
    unit: Literal["m", "cm", "mm"] | None = None
    """Unit of a ready calibration file, where it is not the usual one of its format."""

    def run(self) -> None:
        """Calibrate, print figures and findings, write the file."""
        from muybridge.capture.calibrate import CalibrateOptions, calibrate_folder
        from muybridge.capture.crop import parse_grid
        from muybridge.cli.progress import progress_bar, say, show_findings
        from muybridge.files.calibration import write_calibration

        if self.grid is not None:
            parse_grid(self.grid)
        options = CalibrateOptions(metres_per_unit=METRES[self.unit])
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.out.parent, prefix=".views") as place:
            with progress_bar("crop") as update:
                folder = self._one_video_a_camera(Path(place), update)
            with progress_bar("calibrate") as update:
                result = calibrate_folder(folder, None, options, update)
        write_calibration(self.out, result.cameras)
        if result.rms_px is not None:
            say(f"{len(result.cameras)} cameras, RMS {result.rms_px:.3f} px")
        show_findings(result.findings)
        say(f"wrote {self.out}")

    def _one_video_a_camera(self, place: Path, update: Callable[[int, int], None]) -> Path:
        """The folder as it is, or its four-up videos cut into `place`."""
        from muybridge.capture.crop import read_crop, resolve_grid, unfold
        from muybridge.capture.session import list_videos

        videos = list_videos(self.folder)
        if not videos or (self.crop is None and self.grid is None and len(videos) > 1):
            return self.folder
        crop = read_crop(self.crop) if self.crop else resolve_grid(videos[0], self.grid)
        return unfold(self.folder, crop, place, update)
