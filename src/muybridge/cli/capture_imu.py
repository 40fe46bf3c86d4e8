"""`muybridge capture --imu FOLDER`: logs of inertial sensors -> a skeletal animation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from muybridge.capture.imu.take import ImuTake

__all__ = ["ImuOptions", "capture_imu", "summary"]

_PLAIN = tyro.conf.arg(prefix_name=False)  # --pose-at, not --imu-options.pose-at


@dataclass(frozen=True)
class ImuOptions:
    """How a take of inertial sensors was made."""

    pose: Annotated[Literal["N", "T"], _PLAIN] = "N"
    """Held while standing still: arms hanging (N) or stretched to the sides (T)."""
    pose_at: Annotated[float | None, _PLAIN] = None
    """Middle of that pose, seconds from the start; the stillest early second when absent."""
    stature: Annotated[float, _PLAIN] = 1.75
    """Body height, metres: sensors do not measure lengths."""
    fps: Annotated[float | None, tyro.conf.arg(name="imu-fps", prefix_name=False)] = None
    """Frames a second; the sensors' rate when absent."""
    facing: Annotated[float | None, _PLAIN] = None
    """Direction faced in the pose, degrees clockwise from north; from the legs when absent."""
    heading: Annotated[Literal["auto", "off"], _PLAIN] = "auto"
    """off: do not use magnetometers after the pose."""
    earth: Annotated[Literal["ENU", "NED", "NWU", "clip"], _PLAIN] = "ENU"
    """Frame of the sensors' own quaternions: ENU (Z up), NED, NWU, or clip (Y up, as clips are)."""
    flip_force: Annotated[tyro.conf.FlagCreatePairsOff[bool], _PLAIN] = False
    """Accelerometers read -g at rest instead of +g."""


def capture_imu(folder: Path, out: Path, options: ImuOptions | None = None) -> None:
    """Read the logs, make a clip, write it and say how it went.

    Args:
        folder: With a folder for each sensor, named for its part of the body.
        out: File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc.
        options: How the take was made.
    Raises:
        InputError: If the logs cannot be used or the file cannot be written.
    """
    from muybridge.capture.imu.take import TakeOptions, capture_logs
    from muybridge.cli.progress import say, show_findings
    from muybridge.files.convert import check_suffix, write_motion
    from muybridge.files.imu import read_imu_folder

    check_suffix(out)
    given = options or ImuOptions()
    made = TakeOptions(
        pose=given.pose,
        pose_at=given.pose_at,
        stature=given.stature,
        fps=given.fps,
        heading=given.heading,
        facing_deg=given.facing,
        earth=given.earth,
        flip_force=given.flip_force,
    )
    take = capture_logs(read_imu_folder(folder), made)
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
