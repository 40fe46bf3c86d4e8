"""`muybridge capture --encoders`: streams of a mechanical suit -> a skeletal animation."""

from __future__ import annotations

from pathlib import Path

__all__ = ["capture_encoders"]


def capture_encoders(path: Path, out: Path) -> None:
    """Read a log of joint encoders and write the motion.

    Args:
        path: The .csv file, with its suit in a .json file or a skeleton.bvh beside it, see
            `files.encoders`.
        out: File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc.
    Raises:
        InputError: If the log cannot be used or the file cannot be written.
    """
    import math

    from muybridge.capture.encoders import clip_from_encoders
    from muybridge.cli.progress import say, show_findings
    from muybridge.errors import InputError
    from muybridge.files.convert import check_suffix, write_motion
    from muybridge.files.encoders import SKELETON, read_encoders

    check_suffix(out)
    if out.resolve() == path.with_name(SKELETON).resolve():
        raise InputError(
            f"expected another file than the wearer's skeleton to write, got {out}; give --out"
        )
    log, rig = read_encoders(path)
    take = clip_from_encoders(log, rig, path.stem)
    write_motion(out, take.clip)
    clip, joints = take.clip, len({encoder.joint for encoder in rig.encoders})
    say(
        f"{len(rig.encoders)} encoders on {joints} joints, {len(log.seconds)} samples -> "
        f"{len(clip)} frames at {clip.fps:.2f}/s"
    )
    steps = [math.degrees(encoder.step) for encoder in rig.encoders if encoder.counts]
    if steps and clip.position_std is not None:
        say(
            f"a count is {max(steps):.3f} deg; rounding alone moves the furthest joint by "
            f"{1e3 * float(clip.position_std.max()):.1f} mm (one sigma)"
        )
    show_findings(take.findings)
    say(f"wrote {out}")
