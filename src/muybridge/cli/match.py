"""`muybridge match`: new motion from old that follows a path, by motion matching."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Match"]


@dataclass(frozen=True)
class Match:
    """Follow a path on the floor with recorded clips: no network, no training."""

    clips: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of motion files (.bvh, .glb, .npz) of one skeleton."""
    path: Path
    """JSON: [[x, z], ...] in metres, or {"points": [[x, z], ...], "times": [seconds, ...]}."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("match.bvh")
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    speed: float | None = None
    """Metres a second on a path without times; the median of the clips if not given."""
    mirror: bool = True
    """Use each clip with left and right exchanged, too."""
    pull: bool = True
    """Draw the body a little towards the path; without, it goes where its clips lead."""
    pin: bool = False
    """Pin standing feet to the ground afterwards."""

    def run(self) -> None:
        """Match, write, and say how far from the path."""
        from muybridge.cli.progress import say
        from muybridge.edit.floor_path import read_floor_path
        from muybridge.edit.library import read_library
        from muybridge.edit.matching import MatchOptions, database, match_path, typical_speed
        from muybridge.edit.planting import pinned
        from muybridge.files.convert import check_suffix, write_motion

        check_suffix(self.out)
        path = read_floor_path(self.path)
        base = database(read_library(self.clips, mirrored=self.mirror))
        speed = typical_speed(base) if self.speed is None else self.speed
        options = MatchOptions() if self.pull else MatchOptions(pull=None)
        matched = match_path(base, path.timed(speed), options, self.out.stem)
        write_motion(self.out, pinned(matched.clip) if self.pin else matched.clip)
        error = matched.error
        say(
            f"wrote {self.out}: {matched.clip.duration:.1f} s from {len(base.library)} frames, "
            f"{matched.jumps} jumps"
        )
        say(f"off the path by {error.mean():.2f} m on average, {error.max():.2f} m at most")
