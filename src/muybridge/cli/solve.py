"""`muybridge solve`: 3-D joints -> a skeletal animation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Solve:
    """Fit a skeleton with constant bone lengths to triangulated joints."""

    points: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="POINTS")]
    """.trc, .c3d or .npz with joints named as by COCO, BODY_25 or Halpe."""
    out: Path = Path("take.bvh")
    """File to write: .bvh or .glb."""
    smoothness: float = 1.0
    """0 follows the measured joints, more is calmer."""

    def run(self) -> None:
        """Solve and write."""
        from muybridge.capture.solve import SolveOptions, solve_take
        from muybridge.cli.progress import say, show_findings
        from muybridge.files.clip import load_markers
        from muybridge.files.convert import (
            check_suffix,
            markers_from_clip,
            read_motion,
            write_motion,
        )
        from muybridge.motion.clip import Clip

        check_suffix(self.out)
        packed = self.points.suffix.lower() == ".npz"
        points = load_markers(self.points) if packed else read_motion(self.points)
        markers = markers_from_clip(points) if isinstance(points, Clip) else points
        solution = solve_take(markers, SolveOptions(smoothness=self.smoothness))
        write_motion(self.out, solution.clip)
        show_findings(solution.findings)
        say(f"wrote {self.out}")
