"""Small pictures of every camera for the report: few, evenly spread, within a budget of bytes."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil

import av
import cv2
import numpy as np

from muybridge.capture.take import Take
from muybridge.errors import InputError
from muybridge.files.video import VideoInfo

__all__ = ["Pictures", "take_pictures"]

HEIGHT_PX = 360
QUALITY = 62  # of 100: no visible blocks at this size
BUDGET_BYTES = 4_500_000  # of JPEG; base64 adds a third
PROBE_BYTES = 9_000  # first guess of one picture
SEEK_GAP = 300  # frames; nearer pictures are reached faster by decoding on


@dataclass(frozen=True)
class Pictures:
    """Pictures of all cameras at common frames of the take.

    Attributes:
        frames: Frames of the take (the reference clock).
        jpegs: Per camera, one base64 JPEG per frame; "" where the video has none.
    """

    frames: tuple[int, ...]
    jpegs: tuple[tuple[str, ...], ...]


def take_pictures(take: Take, frame_count: int, budget_bytes: int = BUDGET_BYTES) -> Pictures:
    """Read pictures of all videos, as many as the budget allows; unreadable videos give none."""
    cameras = sum(video is not None for video in take.videos)
    if not cameras or not frame_count:
        return Pictures((), ())
    wanted = max(1, min(frame_count, budget_bytes // (cameras * PROBE_BYTES)))
    frames = _spread(frame_count, wanted)
    jpegs = [_camera(take, c, frames) for c in range(len(take.videos))]
    while len(frames) > 1 and sum(len(j) for js in jpegs for j in js) > budget_bytes:
        frames, jpegs = frames[::2], [js[::2] for js in jpegs]
    coded = tuple(tuple(b64encode(j).decode() for j in js) for js in jpegs)
    return Pictures(frames, coded)


def _spread(frame_count: int, wanted: int) -> tuple[int, ...]:
    step = ceil(frame_count / wanted)
    return tuple(range(0, frame_count, step))


def _camera(take: Take, c: int, frames: Sequence[int]) -> list[bytes]:
    """JPEGs of one camera at these frames of the take; frame t shows the instant t + offset."""
    video = take.videos[c]
    if video is None:
        return [b""] * len(frames)
    offset, rate = float(take.offsets_frames[c]), video.fps / take.fps
    own = [round((frame - offset) * rate) for frame in frames]
    found: dict[int, bytes] = {}
    try:
        for index, image in _frames_at(video, sorted({i for i in own if i >= 0})):
            found[index] = _jpeg(image)
    except InputError:
        pass  # a video that is gone or broken costs its pictures, never the report
    return [found.get(index, b"") for index in own]


def _jpeg(image: np.ndarray) -> bytes:
    ok, coded = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    )
    assert ok, f"OpenCV could not code a JPEG of {image.shape}"
    return coded.tobytes()


def _frames_at(video: VideoInfo, wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """The wanted frames of a video, small and upright, in order; jumps where they lie far apart.

    Only wanted frames are converted to RGB, and at their small size, which is most of the cost.
    """
    if not wanted:
        return
    gap = (wanted[-1] - wanted[0]) / max(len(wanted) - 1, 1)
    try:
        with av.open(str(video.path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            found = _jump if gap > SEEK_GAP else _walk
            for index, frame in found(container, video, wanted):
                yield index, _small(frame, video.rotation_deg)
    except (av.error.FFmpegError, OSError) as error:
        raise InputError(f"expected to read {video.path}, got {error}; convert it") from error


def _small(frame: av.VideoFrame, rotation_deg: int) -> np.ndarray:
    upright_height = frame.width if rotation_deg in (90, 270) else frame.height
    scale = min(1.0, HEIGHT_PX / upright_height)
    width, height = (max(2, round(side * scale)) for side in (frame.width, frame.height))
    image = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA")
    return np.ascontiguousarray(np.rot90(image, -rotation_deg // 90))


def _walk(
    container: av.container.InputContainer, video: VideoInfo, wanted: Sequence[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    chosen = set(wanted)
    for index, frame in enumerate(islice(container.decode(video=0), wanted[-1] + 1)):
        if index in chosen:
            yield index, frame


def _jump(
    container: av.container.InputContainer, video: VideoInfo, wanted: Sequence[int]
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Seek to the key frame before each wanted frame and decode up to it."""
    stream = container.streams.video[0]
    base, start = float(stream.time_base or 1), stream.start_time or 0
    for index in wanted:
        target = start + round(index / video.fps / base)
        container.seek(target, stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= target - 0.5 / video.fps / base:
                yield index, frame
                break
