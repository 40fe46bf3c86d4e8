"""Look at every video before anything runs: rate, size, length, rotation, codec, and mismatches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from muybridge.capture.finding import Finding
from muybridge.errors import InputError
from muybridge.files.video import VideoInfo, count_frames, frame_times, probe

__all__ = ["Inspection", "inspect_videos"]

UNEVEN_FRAMES = 0.75  # time stamps are rounded, and half a frame is within what sync corrects
SAME_RATE = 2e-3  # relative; 59.94 and 60 are the same to within this, 50 and 60 are not


@dataclass(frozen=True)
class Inspection:
    """What the videos are and where they disagree."""

    videos: tuple[VideoInfo, ...]
    findings: tuple[Finding, ...]

    @property
    def fps(self) -> float:
        """The common frame rate."""
        return median(video.fps for video in self.videos)


def inspect_videos(paths: Sequence[Path]) -> Inspection:
    """Probe all videos of a take and compare them.

    Raises:
        InputError: If there are fewer than two, one cannot be read, or their rates differ.
    """
    if len(paths) < 2:
        got = f"only {paths[0].name}" if paths else "none"
        raise InputError(
            f"expected the videos of at least two cameras, got {got}; add the others, or cut a "
            "four-up video with `muybridge crop`"
        )
    videos = tuple(probe(path) for path in paths)
    _check_rates(videos)
    findings = [
        *(f for video in videos for f in _truncation(video)),
        *(f for video in videos for f in _uneven(video)),
        *_lengths(videos),
        *_sizes(videos),
        *_rotations(videos),
    ]
    return Inspection(videos, tuple(findings))


def _check_rates(videos: Sequence[VideoInfo]) -> None:
    rate = median(video.fps for video in videos)
    odd = [v for v in videos if abs(v.fps / rate - 1.0) > SAME_RATE]
    if odd:
        rates = ", ".join(f"{v.path.name} {v.fps:.3f}" for v in videos)
        raise InputError(
            f"expected one frame rate for all cameras, got {rates} frames a second; convert the "
            f"odd ones, for instance with `ffmpeg -i {odd[0].path.name} -r {rate:g} out.mp4`"
        )


def _uneven(video: VideoInfo) -> list[Finding]:
    """Phones film at a rate that varies; all that follows counts frames as if they were even."""
    times = frame_times(video.path)
    times = times[np.isfinite(times)]
    if len(times) < 3:
        return []
    even = np.linspace(times[0], times[-1], len(times))
    away = float(np.abs(times - even).max()) * video.fps
    if away < UNEVEN_FRAMES:
        return []
    return [
        Finding(
            "inspect",
            "warning",
            f"{video.path.name} has a varying frame rate: a frame lies {away:.1f} frames from "
            "where it would be if all were even.",
            f"Convert it, for instance with `ffmpeg -i {video.path.name} -fps_mode cfr -r "
            f"{video.fps:g} out.mp4`, and film at a fixed rate.",
            video.name,
        )
    ]


def _truncation(video: VideoInfo) -> list[Finding]:
    count = count_frames(video.path)
    if abs(count - video.frame_count) <= 1:
        return []
    return [
        Finding(
            "inspect",
            "warning",
            f"{video.path.name} promises {video.frame_count} frames and holds {count}: the file "
            "is damaged or was cut off.",
            "Copy it from the camera again; only the frames that are there are used.",
            video.name,
        )
    ]


def _lengths(videos: Sequence[VideoInfo]) -> list[Finding]:
    counts = [video.frame_count for video in videos]
    longest, shortest = max(counts), min(counts)
    if longest - shortest <= 1:
        return []
    listed = ", ".join(f"{v.name} {v.frame_count}" for v in videos)
    return [
        Finding(
            "inspect",
            "warning" if longest - shortest > 0.1 * longest else "info",
            f"The videos differ in length ({listed} frames): the cameras were not started "
            "or stopped together.",
            "Nothing need be done if they overlap; the time offsets are found from the motion.",
        )
    ]


def _sizes(videos: Sequence[VideoInfo]) -> list[Finding]:
    sizes = Counter((video.width, video.height) for video in videos)
    if len(sizes) == 1:
        return []
    listed = ", ".join(f"{v.name} {v.width}x{v.height}" for v in videos)
    return [
        Finding(
            "inspect",
            "info",
            f"The pictures differ in size ({listed}); this is fine as long as each camera was "
            "calibrated at its own size, which is checked next.",
        )
    ]


def _rotations(videos: Sequence[VideoInfo]) -> list[Finding]:
    return [
        Finding(
            "inspect",
            "info",
            f"{v.path.name} carries a rotation flag of {v.rotation_deg} degrees; its pictures are "
            "turned upright before use.",
            "Calibration pictures must be turned the same way.",
            v.name,
        )
        for v in videos
        if v.rotation_deg
    ]
