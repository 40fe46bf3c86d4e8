"""`muybridge capture --markers x.c3d`: optical markers -> a skeletal animation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from muybridge.capture.markers.take import MarkerTake

__all__ = ["capture_markers"]


def capture_markers(
    path: Path,
    out: Path,
    body: Literal["auto", "person", "segments"] = "auto",
    reference: Path | None = None,
) -> None:
    """Fill the gaps of recorded markers, fit a skeleton, write it, and say how it went.

    Args:
        path: A .c3d or .trc file of markers.
        out: File to write: .bvh, .glb, .fbx or .npz; .c3d or .trc for the filled markers alone.
        body: Skeleton to fit; "auto" fits a person where the labels allow it.
        reference: For points without labels: a labelled recording (.c3d or .trc) of the same
            markers in a pose that `path` begins with; a T-pose is looked for when None.
    Raises:
        InputError: If the file holds no markers, or no skeleton can be fitted.
    """
    from muybridge.capture.markers.take import MarkerOptions, solve_markers
    from muybridge.cli.progress import say, show_findings
    from muybridge.errors import InputError
    from muybridge.files.convert import check_suffix, read_motion, write_motion
    from muybridge.motion.markers import Markers

    check_suffix(out)
    for file in (path, reference or path):
        if file.suffix.lower() not in (".c3d", ".trc"):
            raise InputError(
                f"expected recorded markers ending in .c3d or .trc, got {file.name!r}; "
                "export them as .c3d"
            )
    markers, known = read_motion(path), None if reference is None else read_motion(reference)
    assert isinstance(markers, Markers), "these formats hold points only"
    assert known is None or isinstance(known, Markers), "these formats hold points only"
    take = solve_markers(markers, MarkerOptions(body=body, reference=known))
    write_motion(out, take.markers if out.suffix.lower() in (".c3d", ".trc") else take.clip)
    for line in table(take):
        say(line)
    show_findings(take.findings)
    say(f"wrote {out}")


def table(take: MarkerTake) -> list[str]:
    """What was found, filled and fitted, a line each."""
    frames, count = take.markers.points_world.shape[:2]
    gaps = take.filled.fillings
    hidden = sum(len(filling.gap) for filling in gaps)
    ways = ", ".join(f"{number} {method}" for method, number in take.filled_by().items())
    known = take.residual[take.residual.isfinite()]
    fit = "none measured"
    if len(known):
        middle, most = 1e3 * float(known.median()), 1e3 * float(known.square().mean().sqrt())
        fit = f"{middle:.1f} mm median, {most:.1f} mm RMS"
    joints = sum(not tip for tip in take.clip.skeleton.end_sites)
    rows = {
        "markers": f"{count} in {frames} frames at {take.markers.fps:g} fps",
        "gaps": f"{len(gaps)}, {hidden / max(1, frames * count):.1%} of all samples"
        + (f": {ways}" if ways else ""),
        "skeleton": f"{take.body}, {joints} joints",
        "residual": fit,
    }
    return [f"{name:<9} {value}" for name, value in rows.items()]
