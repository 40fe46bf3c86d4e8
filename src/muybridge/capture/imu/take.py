"""From the logs of sensors on a body to a clip.

    logs -> regular samples -> orientations -> heading -> seats on the bones -> rotations -> root

The clip shows the parts whose sensors are there, faces +Z in the calibration pose and starts at the
origin of a level floor. What was assumed or went wrong is said in findings.

F frames, S sensors. World of the clip: Y up, metres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.capture.imu import conventions
from muybridge.capture.imu.bodies import body_clip, bone_orientations, with_root
from muybridge.capture.imu.calibration import CalibrationPose, PoseWindow, facing, pose_window
from muybridge.capture.imu.clock import Span, common_span, regular
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.skeleton import bones_of
from muybridge.capture.imu.tracking import Tracked, own_difference, pose_mean, speeds, track
from muybridge.capture.imu.vqf import VqfOptions
from muybridge.errors import InputError
from muybridge.files.imu import ImuLog
from muybridge.geometry.rotation import multiply, quaternion_from_rotvec
from muybridge.motion.clip import Clip

__all__ = ["ImuTake", "TakeOptions", "capture_logs"]

LEGS = ("LeftUpLeg", "LeftLeg", "RightUpLeg", "RightLeg")
SIDEWAYS = math.radians(30.0)  # the legs' axes disagree beyond this: not a walk, or iron nearby
EARLY = 0.5  # seconds by which one sensor may stop before another without a word
MUCH_LOST = 0.1  # share of samples
FASTEST = 200.0  # frames a second of the clip unless asked for


@dataclass(frozen=True)
class TakeOptions:
    """How a take was made.

    Attributes:
        pose: Held while standing still: arms hanging (N) or stretched to the sides (T).
        pose_at: Middle of the pose, seconds from the start; the stillest early second when None.
        stature: Body height, metres: sensors do not measure lengths.
        fps: Frames a second of the clip; the sensors' rate when None.
        heading: "auto" uses magnetometers where their field is undisturbed; "off" only in the pose.
        facing_deg: Direction that the person faces in the pose, degrees clockwise from magnetic
            north; from the legs' motion when None.
        earth: Frame of the sensors' own quaternions.
        flip_force: Whether accelerometers read -g at rest.
        filter: Of the orientation.
    """

    pose: CalibrationPose = "N"
    pose_at: float | None = None
    stature: float = 1.75
    fps: float | None = None
    heading: Literal["auto", "off"] = "auto"
    facing_deg: float | None = None
    earth: conventions.Earth = "ENU"
    flip_force: bool = False
    filter: VqfOptions = field(default_factory=VqfOptions)

    def __post_init__(self) -> None:
        if not 0.4 <= self.stature <= 3.0:
            raise InputError(
                f"expected a stature of 0.4 to 3 m, got {self.stature:g}; give it in metres"
            )
        if self.fps is not None and not 1.0 <= self.fps <= 10_000.0:
            raise InputError(f"expected 1 to 10000 frames/s, got {self.fps:g}; 60 is usual")


@dataclass(frozen=True)
class ImuTake:
    """A clip and how it came about.

    Attributes:
        clip: The motion.
        tracked: What the sensors turned.
        window: The calibration pose.
        bones: Bone -> its sensor's index.
        rates: Samples a second of each sensor.
        lost: Share of the samples of each sensor that were lost.
        own_difference: Root mean square angle between each sensor's orientations and its own,
            heading aligned, radians; NaN without quaternions.
        findings: Sentences.
    """

    clip: Clip
    tracked: Tracked
    window: PoseWindow
    bones: Mapping[str, int]
    rates: tuple[float, ...]
    lost: tuple[float, ...]
    own_difference: tuple[float, ...]
    findings: tuple[Finding, ...]


def capture_logs(logs: Sequence[ImuLog], options: TakeOptions | None = None) -> ImuTake:
    """Make a clip of what the sensors recorded.

    Args:
        logs: One a sensor, named for its part of the body.
        options: How the take was made.
    Raises:
        InputError: If a name is unknown or doubled, or the sensors share no time.
    """
    options = options or TakeOptions()
    bones = bones_of([log.name for log in logs])
    logs = [conventions.converted(log, options.earth, options.flip_force) for log in logs]
    span = common_span(logs)
    groups = regular(logs, span)
    fps = options.fps or min(FASTEST, max(group.rate for group in groups))
    seconds = span.start + torch.arange(int((span.stop - span.start) * fps) + 1).double() / fps
    speed = speeds(groups, [log.name for log in logs], seconds)
    window = pose_window(seconds, speed, when=options.pose_at)
    tracked = track(groups, logs, seconds, window, options.filter, options.heading)
    angle, said = _facing(groups, tracked, bones, window, options)
    clip = with_root(_clip(tracked, bones, window, angle, options, fps), options.stature)
    lost = tuple(_share_lost(groups, log.name) for log in logs)
    return ImuTake(
        clip=clip,
        tracked=tracked,
        window=window,
        bones=bones,
        rates=tuple(next(g.rate for g in groups if log.name in g.names) for log in logs),
        lost=lost,
        own_difference=tuple(own_difference(log, tracked) for log in logs),
        findings=(
            *(finding for log in logs for finding in conventions.findings(log)),
            *_log_findings(logs, span),
            *_track_findings(tracked, window, lost),
            *said,
            *_body_findings(bones),
        ),
    )


def _in_pose(tracked: Tracked, window: PoseWindow) -> Float[Tensor, "s 4"]:
    inside = (tracked.seconds >= window.start) & (tracked.seconds <= window.stop)
    return pose_mean(tracked.orientations[inside])


def _facing(
    groups: Sequence[ImuSamples],
    tracked: Tracked,
    bones: Mapping[str, int],
    window: PoseWindow,
    options: TakeOptions,
) -> tuple[float, list[Finding]]:
    """Direction that the person faces in the pose, radians from east towards north."""
    if options.facing_deg is not None:
        return math.radians(90.0 - options.facing_deg), []
    north = [Finding("imu", "warning", f"{_UNKNOWN} the person faces north in the pose", _FACE)]
    names = [tracked.names[bones[bone]] for bone in LEGS if bone in bones]
    group = max(groups, key=lambda g: len(set(names) & set(g.names)))
    chosen = [name for name in names if name in group.names]
    if not chosen:
        return math.pi / 2.0, north
    in_pose = _in_pose(tracked, window)[[tracked.names.index(name) for name in chosen]]
    found = facing(group.select([group.names.index(name) for name in chosen]), in_pose)
    if found is None:
        return math.pi / 2.0, north
    if found.agreement < SIDEWAYS:
        return found.angle, []
    text = (
        f"the legs turn about axes that differ by up to {math.degrees(found.agreement):.0f} deg, "
    )
    text += "so the direction that the person faces is uncertain"
    return found.angle, [Finding("imu", "warning", text, _FACE)]


_UNKNOWN = "the legs do not show which way the person faces, so it is assumed that"
_FACE = "give --facing DEGREES clockwise from north"


def _clip(
    tracked: Tracked,
    bones: Mapping[str, int],
    window: PoseWindow,
    angle: float,
    options: TakeOptions,
    fps: float,
) -> Clip:
    """Turn the earth so that the person faces +Z in the pose, and seat the sensors."""
    # conventions' own turn puts east at +Z; the facing direction shall be there instead
    about_up = quaternion_from_rotvec(torch.tensor([0.0, 0.0, -angle], dtype=torch.float64))
    world = multiply(conventions.clip_from_enu(), about_up)
    sensors, in_pose = (
        multiply(world, q) for q in (tracked.orientations, _in_pose(tracked, window))
    )
    turned = bone_orientations(sensors, in_pose, bones, options.pose)
    bridged = {bone: tracked.bridged[:, sensor] for bone, sensor in bones.items()}
    return body_clip(turned, bridged, options.stature, fps)


def _share_lost(groups: Sequence[ImuSamples], name: str) -> float:
    group = next(g for g in groups if name in g.names)
    assert group.filled is not None, "samples of logs say what was lost"
    return float(group.filled[:, group.names.index(name)].double().mean())


def _log_findings(logs: Sequence[ImuLog], span: Span) -> list[Finding]:
    """On what the logs left out."""
    said = []
    for log in logs:
        early = float(log.inertial.seconds[0]), float(log.inertial.seconds[-1])
        for seconds, what in ((span.start - early[0], "begins"), (early[1] - span.stop, "goes on")):
            if seconds > EARLY:
                text = f"{log.name} {what} {seconds:.1f} s "
                text += (
                    "before the last sensor" if what == "begins" else "after the first has ended"
                )
                said.append(Finding("imu", "info", f"{text}; that part is left out"))
        if log.inertial.dropped:
            text = f"{log.inertial.dropped} lines of {log.name} repeat a stamp or step backward "
            said.append(Finding("imu", "info", text + "and are left out"))
    return said


def _track_findings(tracked: Tracked, window: PoseWindow, lost: Sequence[float]) -> list[Finding]:
    """On gaps, heading and the pose."""
    said = []
    if not window.still:
        text = (
            f"nobody stands still in the calibration pose: {math.degrees(window.speed):.0f} deg/s "
        )
        text += f"between {window.start - float(tracked.seconds[0]):.1f} and "
        text += f"{window.stop - float(tracked.seconds[0]):.1f} s, so bones are turned wrongly"
        said.append(Finding("imu", "warning", text, "give --pose-at SECONDS of a still moment"))
    for i, name in enumerate(tracked.names):
        longest = int(tracked.bridged[:, i].sum())
        if longest:
            seconds = longest * float(tracked.seconds[1] - tracked.seconds[0])
            text = f"{name} is silent for {seconds:.1f} s in gaps longer than 0.1 s; its turning "
            said.append(Finding("imu", "warning", text + "there is guessed, its heading after too"))
        if lost[i] > MUCH_LOST:
            text = f"{name} lost {100.0 * lost[i]:.0f} % of its samples"
            said.append(Finding("imu", "warning", text, "bring the receiver nearer"))
        if tracked.sources[i] == "nothing":
            text = f"nothing says where north is for {name}, so its leaning may go a wrong way"
            said.append(Finding("imu", "error", text, "record its magnetometer"))
    return said


def _body_findings(bones: Mapping[str, int]) -> list[Finding]:
    """On parts that no sensor shows."""
    said = []
    if "Hips" not in bones:
        carrier = "the chest" if "Spine1" in bones else "the thighs, upright"
        if "Spine1" not in bones and not {"LeftUpLeg", "RightUpLeg"} & set(bones):
            carrier = "nothing: it stays as in the pose"
        text = f"no sensor on the pelvis; it turns with {carrier}"
        said.append(Finding("imu", "warning", text, "put one on the pelvis"))
    feet = {"LeftFoot", "RightFoot"} & set(bones)
    if len(feet) < 2:
        legs = {"LeftLeg", "RightLeg", "LeftUpLeg", "RightUpLeg"} & set(bones)
        where = "its path follows the shanks and slides" if legs else "the body stays in its place"
        text = f"{2 - len(feet)} of 2 feet have no sensor; {where}"
        said.append(Finding("imu", "info" if not legs else "warning", text))
    return said
