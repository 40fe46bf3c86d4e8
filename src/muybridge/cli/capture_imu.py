"""`muybridge capture --imu FOLDER`: logs of inertial sensors -> a skeletal animation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from muybridge.capture.imu.take import ImuTake

__all__ = ["capture_imu"]


def capture_imu(
    folder: Path,
    out: Path,
    *,
    pose: Literal["N", "T"] = "N",
    pose_at: float | None = None,
    stature: float = 1.75,
    fps: float | None = None,
    facing: float | None = None,
    heading: Literal["auto", "off"] = "auto",
) -> None:
    """Read the logs, make a clip, write it and say how it went.

    Args:
        folder: With a folder for each sensor, named for its part of the body.
        out: File to write: .bvh, .glb or .npz.
        pose: Held while standing still: arms hanging (N) or stretched to the sides (T).
        pose_at: Middle of that pose, seconds from the start; found when None.
        stature: Body height, metres.
        fps: Frames a second; the sensors' rate when None.
        facing: Direction faced in the pose, degrees clockwise from magnetic north; found when None.
        heading: "off" does not use magnetometers after the pose.
    Raises:
        InputError: If the logs cannot be used or the file cannot be written.
    """
    from muybridge.capture.imu.take import TakeOptions, capture_logs
    from muybridge.cli.progress import say, show_findings
    from muybridge.files.convert import check_suffix, write_motion
    from muybridge.files.imu import read_imu_folder

    check_suffix(out, (".bvh", ".glb", ".npz"))
    options = TakeOptions(
        pose=pose,
        pose_at=pose_at,
        stature=stature,
        fps=fps,
        heading=heading,
        facing_deg=facing,
    )
    take = capture_logs(read_imu_folder(folder), options)
    write_motion(out, take.clip)
    for line in summary(take):
        say(line)
    show_findings(take.findings)
    say(f"wrote {out}")


def summary(take: ImuTake) -> list[str]:
    """Lines on the sensors, the pose and the agreement with the sensors' own quaternions."""
    tracked, names = take.tracked, take.tracked.names
    width = max(len(name) for name in names)
    lines = [f"{'sensor':{width}}  bone        samples/s  lost   north by         off own"]
    bone_of = {sensor: bone for bone, sensor in take.bones.items()}
    for i, name in enumerate(names):
        own = math.degrees(take.own_difference[i])
        agreement = "" if math.isnan(own) else f"{own:4.1f} deg"
        lines.append(
            f"{name:{width}}  {bone_of[i]:10}  {take.rates[i]:9.2f}  {100 * take.lost[i]:3.1f} %  "
            f"{tracked.sources[i]:15}  {agreement}".rstrip()
        )
    first = float(tracked.seconds[0])
    lines.append(
        f"calibrated in the pose held from {take.window.start - first:.1f} to "
        f"{take.window.stop - first:.1f} s ({math.degrees(take.window.speed):.1f} deg/s)"
    )
    clip = take.clip
    lines.append(f"{len(clip)} frames at {clip.fps:.2f}/s, {len(clip.skeleton)} joints")
    return lines
