"""Mechanical capture: streams of joint encoders to a clip.

A suit of encoders measures joint angles directly, so the pose is forward kinematics and nothing is
estimated but the zero of each encoder. What can go wrong is in the stream: counts that wrap at a
whole turn, lines that are lost or doubled, single readings that are nonsense, clocks that are not
even. All of it is mended or refused here, and said.

What no encoder sees remains: the suit does not follow the skeleton exactly (misfit), joints have
play, and the suit itself changes how its wearer moves. See `encoder_error` for what can be bounded.

T samples or frames, N encoders, J joints. Angles in radians.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from numpy.typing import NDArray
from torch import Tensor

from muybridge.capture.encoder_error import position_std
from muybridge.capture.finding import Finding
from muybridge.errors import InputError
from muybridge.files.encoders import Encoder, EncoderLog, EncoderRig
from muybridge.geometry.rotation import identity_quaternion, multiply, quaternion_from_rotvec
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import forward
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "EncoderTake", "clip_from_encoders", "offsets_from_pose", "plant_feet",
    "rotations_from_angles", "unwrapped_angles",
]  # fmt: skip

SPIKE = math.radians(15.0)  # a single reading off both neighbours by this and
FASTEST = 50.0  # radians/s, faster than joints turn and turn back, is a bit error
STILL = math.radians(5.0)  # a wearer who moves more (and 8 counts) does not hold the pose
FEWEST = 0.5  # share of samples that an encoder must have
STATIC = math.radians(0.05)  # an encoder that never moves more is stuck, or its cable is off
ROUNDED = 0.2  # of a frame by which the last stamp may have been rounded down
TURN = 2.0 * math.pi


@dataclass(frozen=True)
class EncoderTake:
    """A clip and what became of the streams.

    Attributes:
        clip: With `filled` where a joint was interpolated and `position_std` from the counts' step.
        offsets: What each encoder read at angle zero, radians of the encoder.
        findings: What was mended and what the user should look at.
    """

    clip: Clip
    offsets: Float[Tensor, "n"]
    findings: tuple[Finding, ...]


def clip_from_encoders(log: EncoderLog, rig: EncoderRig, name: str = "clip") -> EncoderTake:
    """The motion of a suit.

    Args:
        log: Its streams.
        rig: What it is and who wears it.
        name: Of the clip.
    Raises:
        InputError: If an encoder is silent for too long, or the calibration pose was not held.
    """
    seconds = log.seconds.double().numpy()
    interval = float(np.median(np.diff(seconds)))
    readings, spoilt = unwrapped_angles(log.values, rig.encoders, interval)
    _check_gaps(seconds, readings, rig)
    offsets = _offsets(seconds, readings, rig)
    rate = rig.fps or _rate(seconds)
    last = math.floor((seconds[-1] - seconds[0]) * rate + ROUNDED)
    grid = seconds[0] + np.arange(last + 1) / rate
    even, bridged = _resampled(seconds, readings, grid)
    gears = torch.tensor([encoder.gear for encoder in rig.encoders], dtype=torch.float64)
    angles = (torch.from_numpy(even) - offsets) * gears + _poses(rig)
    rotations = rotations_from_angles(angles, rig.encoders, len(rig.skeleton))
    root = _root(rig, rotations)
    filled = torch.zeros(len(grid), len(rig.skeleton), dtype=torch.bool)
    for column, encoder in enumerate(rig.encoders):
        filled[:, encoder.joint] |= torch.from_numpy(bridged[:, column])
    clip = Clip(rig.skeleton, rotations, root, rate, name, filled=filled)
    spread = torch.tensor([encoder.step / math.sqrt(12.0) for encoder in rig.encoders]).double()
    std = position_std(clip, [encoder.joint for encoder in rig.encoders], spread)
    clip = Clip(rig.skeleton, rotations, root, rate, name, None, std, filled=filled)
    return EncoderTake(clip, offsets, tuple(_findings(log, rig, readings, spoilt, filled)))


def unwrapped_angles(
    values: Float[Tensor, "t n"], encoders: tuple[Encoder, ...], interval: float
) -> tuple[Float64[np.ndarray, "t n"], NDArray[np.int_]]:
    """Readings as angles of the encoders that run on past a whole turn; NaN where there is none.

    Between one reading and the next the shorter way round is taken. Counts outside their range and
    single readings far from both neighbours are no readings.

    Args:
        values: As logged.
        encoders: One for each column.
        interval: Seconds from sample to sample.
    Returns:
        Radians of each encoder, the first reading in (-pi, pi], and how many were thrown away.
    """
    logged = values.double().numpy()
    angles = np.full(logged.shape, np.nan)
    thrown = np.zeros(len(encoders), int)
    for column, encoder in enumerate(encoders):
        stream = logged[:, column].copy()
        if encoder.counts:
            stream[(stream < 0.0) | (stream >= encoder.per_turn)] = np.nan
        known = np.flatnonzero(np.isfinite(stream))
        turned = _continuous(TURN / encoder.per_turn * stream[known])
        good = ~_spikes(turned, max(SPIKE, FASTEST * interval))
        angles[known[good], column] = _continuous(turned[good])
        thrown[column] = np.isfinite(logged[:, column]).sum() - good.sum()
    return angles, thrown


def _continuous(angles: Float64[np.ndarray, "k"]) -> Float64[np.ndarray, "k"]:
    """Whole turns added so that neighbours differ by half a turn at most."""
    first = angles[:1] - TURN * np.ceil(angles[:1] / TURN - 0.5)
    return np.unwrap(np.concatenate((first, angles[1:]))) if len(angles) else angles


def _spikes(angles: Float64[np.ndarray, "k"], least: float) -> NDArray[np.bool_]:
    """Single readings that leap off and come back; a fast turn goes on instead."""
    found = np.zeros(len(angles), bool)
    if len(angles) > 2:
        before, here, after = angles[:-2], angles[1:-1], angles[2:]
        step = after - before
        step -= TURN * np.rint(step / TURN)
        away = here - before - 0.5 * step
        away -= TURN * np.rint(away / TURN)
        found[1:-1] = (np.abs(away) > least) & (np.abs(away) > 2.0 * np.abs(step))
        found[2:-1] &= ~found[1:-2]  # the neighbour of a spike looks like one
    return found


def offsets_from_pose(
    readings: Float64[np.ndarray, "t n"], rig: EncoderRig
) -> Float64[np.ndarray, "n"]:
    """What each encoder reads at angle zero, from readings while a known pose was held.

    The mean over the pose: of an encoder whose noise is a count or more it is finer than a count.

    Args:
        readings: Angles of the encoders in the pose, radians.
        rig: Which angles the pose has.
    Raises:
        InputError: If an encoder has no reading there or moved.
    """
    known = np.isfinite(readings)
    for column, encoder in enumerate(rig.encoders):
        stream = readings[known[:, column], column]
        if not len(stream):
            raise InputError(
                f"expected readings of {encoder.column} in the calibration pose, got none; choose "
                "another calibration_s"
            )
        spread = float(np.ptp(stream))
        if spread * abs(encoder.gear) > max(STILL, 8.0 * encoder.step):
            raise InputError(
                f"expected a calibration pose held still, got {encoder.column} turning by "
                f"{math.degrees(spread * abs(encoder.gear)):.0f} deg; choose another calibration_s"
            )
    mean: Float64[np.ndarray, "n"] = np.nanmean(readings, axis=0)
    return mean


def _offsets(
    seconds: Float64[np.ndarray, "t"], readings: Float64[np.ndarray, "t n"], rig: EncoderRig
) -> Float[Tensor, "n"]:
    """From the calibration pose, or as they are known."""
    if rig.calibration is None:
        known = torch.tensor([TURN / e.per_turn * e.offset for e in rig.encoders]).double()
        first = torch.tensor([column[np.isfinite(column)][0] for column in readings.T]).double()
        return known + TURN * ((first - known) / TURN).round()  # the turn in which it starts
    start, stop = (seconds[0] + moment for moment in rig.calibration)
    held = readings[(seconds >= start) & (seconds <= stop)]
    if not len(held):
        raise InputError(
            f"expected the calibration pose within the log's {seconds[-1] - seconds[0]:.1f} s, got "
            f"{rig.calibration[0]} to {rig.calibration[1]} s; correct calibration_s"
        )
    return torch.from_numpy(offsets_from_pose(held, rig))


def _poses(rig: EncoderRig) -> Float[Tensor, "n"]:
    """Angles of the joints where the offsets were taken: 0 where those are known beforehand."""
    held = rig.calibration is not None
    return torch.tensor([e.pose if held else 0.0 for e in rig.encoders], dtype=torch.float64)


def _rate(seconds: Float64[np.ndarray, "t"]) -> float:
    """Samples a second, whole where it is within a hundredth of that.

    The mean of the usual steps: stamps in whole milliseconds have a median of 8 at 120 Hz.
    """
    steps = np.diff(seconds)
    rate = 1.0 / float(steps[np.abs(steps / np.median(steps) - 1.0) < 0.5].mean())
    return float(round(rate)) if abs(rate - round(rate)) < 0.01 * rate else rate


def _check_gaps(
    seconds: Float64[np.ndarray, "t"], readings: Float64[np.ndarray, "t n"], rig: EncoderRig
) -> None:
    """Refuse encoders that are silent for too long."""
    for column, encoder in enumerate(rig.encoders):
        moments = seconds[np.isfinite(readings[:, column])]
        if len(moments) < max(2, FEWEST * len(seconds)):
            raise InputError(
                f"expected readings of {encoder.column} in most lines, got {len(moments)} of "
                f"{len(seconds)}; check its cable and record again"
            )
        edges = np.concatenate((seconds[:1], moments, seconds[-1:]))
        gaps = np.diff(edges)
        widest = int(gaps.argmax())
        if gaps[widest] > rig.longest_gap:
            raise InputError(
                f"expected no silence longer than {rig.longest_gap} s, got {gaps[widest]:.2f} s "
                f"without {encoder.column} from {edges[widest] - seconds[0]:.2f} s on; record "
                "again, or raise longest_gap_s in the suit's .json"
            )


def _resampled(
    seconds: Float64[np.ndarray, "t"],
    readings: Float64[np.ndarray, "t n"],
    grid: Float64[np.ndarray, "k"],
) -> tuple[Float64[np.ndarray, "k n"], NDArray[np.bool_]]:
    """Readings at even times, straight between neighbours, and where those lie far apart."""
    usual = float(np.median(np.diff(seconds)))
    even = np.empty((len(grid), readings.shape[1]))
    bridged = np.empty(even.shape, bool)
    for column in range(readings.shape[1]):
        known = np.isfinite(readings[:, column])
        moments = seconds[known]
        even[:, column] = np.interp(grid, moments, readings[known, column])
        after = np.clip(np.searchsorted(moments, grid), 1, len(moments) - 1)
        far = moments[after] - moments[after - 1] > 1.75 * usual
        near = np.minimum(np.abs(grid - moments[after]), np.abs(grid - moments[after - 1]))
        bridged[:, column] = (far & (near > 0.25 * usual)) | (near > usual)
    return even, bridged


def rotations_from_angles(
    angles: Float[Tensor, "t n"], encoders: tuple[Encoder, ...], joints: int
) -> Float[Tensor, "t j 4"]:
    """Local rotations: for each joint the product of its encoders' turns in their order.

    Args:
        angles: Joint angles, radians.
        encoders: One for each column.
        joints: How many the skeleton has; those without encoders stay at rest.
    """
    rotations = identity_quaternion(len(angles), joints)
    for column, encoder in enumerate(encoders):
        axis = torch.tensor(encoder.axis, dtype=torch.float64)
        turn = quaternion_from_rotvec(angles[:, column, None].double() * axis)
        rotations[:, encoder.joint] = multiply(rotations[:, encoder.joint], turn)
    return rotations


def _root(rig: EncoderRig, rotations: Float[Tensor, "t j 4"]) -> Float[Tensor, "t 3"]:
    """Path of the hips, metres: no encoder measures it."""
    rest = rig.skeleton.rest_positions().double()
    height = float(rest[0, 1] - rest[:, 1].min())
    still = torch.tensor([0.0, height, 0.0], dtype=torch.float64).expand(len(rotations), 3)
    return still.clone() if rig.root == "fixed" else plant_feet(rig.skeleton, rotations)


def plant_feet(skeleton: Skeleton, rotations: Float[Tensor, "t j 4"]) -> Float[Tensor, "t 3"]:
    """Path of the root on which the standing foot stays where it is.

    The standing foot is the one whose ankle and toes are lower on average: a swinging toe may be
    the lowest point of all. From one frame to the next the body moves so that the lowest joint of
    that foot keeps its place, and it stands on the floor as it does at rest. Running and jumping
    have no standing foot: their path is wrong.

    Args:
        skeleton: With feet that are known by name (`motion.humanoid`).
        rotations: Local rotations of every frame.
    Returns:
        World positions of the root, metres; above the origin in the first frame.
    Raises:
        InputError: If the feet are not known by name.
    """
    feet, rest = _feet(skeleton), skeleton.rest_positions().double()
    local = skeleton.offsets.double().expand(len(rotations), -1, -1).clone()
    local[:, 0] = 0.0
    places = forward(skeleton, rotations.double(), local).positions
    heights = places[..., 1] - (rest[:, 1] - rest[:, 1].min())
    means = torch.stack([heights[:, foot].mean(-1) for foot in feet], dim=-1)
    right = (means[:, 1] < means[:, 0]).unsqueeze(-1)
    lowest = [heights[:, foot].min(-1, keepdim=True) for foot in feet]
    picked = [torch.tensor(foot)[low.indices] for foot, low in zip(feet, lowest, strict=True)]
    anchor = torch.where(right, picked[1], picked[0])
    floor = torch.where(right, lowest[1].values, lowest[0].values).squeeze(-1)
    here = places[:-1].take_along_dim(anchor[:-1].unsqueeze(-1), 1).squeeze(1)
    there = places[1:].take_along_dim(anchor[:-1].unsqueeze(-1), 1).squeeze(1)
    path = torch.cat((torch.zeros(1, 3, dtype=torch.float64), (here - there).cumsum(0)))
    path[:, 1] = -floor
    return path


def _feet(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Ankle, toes and what hangs from them, left and right."""
    known, feet = humanoid(skeleton), []
    for side in ("left", "right"):
        foot = [known[name] for name in (f"{side}_foot", f"{side}_toes") if name in known]
        foot += [j for j, p in enumerate(skeleton.parents) if p in foot[-1:] and j not in foot]
        feet.append(foot)
    if not all(feet):
        raise InputError(
            "expected joints named as feet, such as LeftFoot, for root feet, got "
            f"{', '.join(skeleton.names[:20])}; rename them, or leave root fixed"
        )
    return feet[0], feet[1]


def _findings(
    log: EncoderLog,
    rig: EncoderRig,
    readings: Float64[np.ndarray, "t n"],
    spoilt: NDArray[np.int_],
    filled: Bool[Tensor, "frames j"],
) -> list[Finding]:
    """What was mended, and what looks wrong."""
    found = []
    if log.dropped:
        sentence = f"{log.dropped} lines had no stamp, or one that was not later than the last"
        found.append(Finding("encoders", "warning", sentence, "they were left out"))
    gaps = torch.from_numpy(np.diff(log.seconds.numpy()))
    jitter = float((gaps - gaps.median()).abs().quantile(0.95) / gaps.median())
    if jitter > 0.2:
        sentence = f"samples come unevenly: one in twenty is {100 * jitter:.0f} % early or late"
        found.append(Finding("encoders", "info", sentence, "they were laid on even frames"))
    missing = np.isnan(readings).mean(0)
    for column, encoder in enumerate(rig.encoders):
        if missing[column] > 0.0:
            sentence = (
                f"{encoder.column} has no usable reading in {100 * missing[column]:.1f} % of the "
                f"lines ({spoilt[column]} readings were nonsense)"
            )
            much: Literal["warning", "info"] = "warning" if missing[column] > 0.02 else "info"
            found.append(Finding("encoders", much, sentence, "they were interpolated"))
        if np.nanmax(readings[:, column]) - np.nanmin(readings[:, column]) < STATIC:
            sentence = f"{encoder.column} never moves"
            advice = "check its cable if the joint did move"
            found.append(Finding("encoders", "warning", sentence, advice))
    if rig.calibration is None and not any(encoder.offset for encoder in rig.encoders):
        sentence = "no calibration pose and no offsets are given, so encoders read zero at rest"
        advice = "hold the rest pose at the start and give calibration_s in the suit's .json"
        found.append(Finding("encoders", "warning", sentence, advice))
    if bool(filled.any()):
        share = 100.0 * float(filled.any(-1).double().mean())
        sentence = f"{share:.1f} % of the frames hold an interpolated joint"
        found.append(Finding("encoders", "info", sentence, "Clip.filled marks them"))
    return found
