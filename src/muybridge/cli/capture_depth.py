"""`muybridge capture --depth`: depth pictures -> a skeletal animation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["capture_depth"]


def capture_depth(
    folder: Path,
    out: Path,
    fps: float | None = None,
    background: Path | None = None,
    stereo: tuple[str, str] | None = None,
    smoothness: float = 1.0,
) -> None:
    """Fit a person to the depth pictures of a folder and write the motion.

    Args:
        folder: As `files.depth` reads it: PNGs and camera.json, a sub-folder a camera for several.
        out: File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc.
        fps: Frames a second, where the files do not say it.
        background: The same cameras' pictures of the empty room, in the same form.
        stereo: Names of two calibrated cameras: `folder` then holds their videos and a calibration,
            and the depth pictures matched from them are written beside `out`, ending in _depth.
        smoothness: 0 follows the fitted joints, more is calmer.
    """
    from muybridge.capture.depth.take import DepthOptions, capture_take
    from muybridge.cli.progress import progress_bar, say, show_findings
    from muybridge.files.convert import check_suffix, write_motion
    from muybridge.files.depth import read_depth

    check_suffix(out)
    if stereo is not None:
        from muybridge.capture.depth.from_stereo import depth_from_stereo

        pictures = out.with_name(f"{out.stem}_depth")
        matched = depth_from_stereo(folder, stereo, pictures)
        say(f"matched {matched} pairs of pictures; their depth is in {pictures}")
        folder = pictures
    take = read_depth(folder, fps)
    empty = () if background is None else tuple(_empty_room(background))
    options = DepthOptions(smoothness=smoothness, background=empty)
    with progress_bar("depth") as progress:
        capture = capture_take(take, options, progress)
    write_motion(out, capture.clip)
    show_findings(capture.findings)
    residual = capture.residual_m * 1e3
    cameras = "one camera" if len(take.cameras) == 1 else f"{len(take.cameras)} cameras"
    say(
        f"{len(take)} frames of {cameras}; points to body: mean "
        f"{float(residual.mean()):.1f} mm, worst frame {float(residual.max()):.1f} mm"
    )
    say(f"wrote {out}")


def _empty_room(folder: Path) -> Iterator[Tensor]:
    """The median depth of each camera's pictures."""
    import torch

    from muybridge.files.depth import read_depth

    for stream in read_depth(folder).streams:
        some = [stream.frame(index) for index in range(min(9, len(stream)))]
        yield torch.stack(some).nanmedian(0).values
