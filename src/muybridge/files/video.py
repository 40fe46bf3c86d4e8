"""Video files through PyAV: what they are, and their frames one by one.

Frames are streamed, never held whole. A rotation flag in the file is applied, so that every frame
is upright and its size is the size on the screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float64, UInt8

from muybridge.atomic import replacing
from muybridge.errors import InputError

__all__ = [
    "VIDEO_SUFFIXES",
    "VideoInfo",
    "VideoWriter",
    "count_frames",
    "frame_times",
    "probe",
    "read_frames",
    "write_frames",
]

VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".m4v", ".webm", ".mpg", ".mpeg", ".mts")

LARGEST_PX = 16384  # of an H.264 encoder

Frame = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class VideoInfo:
    """What a video file says of itself; width and height are those of the upright picture."""

    path: Path
    width: int
    height: int
    fps: float
    frame_count: int
    rotation_deg: int  # clockwise turn that was applied: 0, 90, 180 or 270
    codec: str

    @property
    def name(self) -> str:
        """Camera name: the file's stem."""
        return self.path.stem

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frame_count / self.fps


def _open(path: Path) -> av.container.InputContainer:
    if not path.is_file():
        raise InputError(f"expected a video file, found none at {path}; check the path")
    if path.stat().st_size == 0:
        raise InputError(
            f"expected a video, got an empty file {path}; copy it from the camera again"
        )
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"expected a video that FFmpeg can read, got {path} ({error}); it may be truncated or "
            "not a video: copy it again or convert it to mp4"
        ) from error
    if not container.streams.video:
        container.close()
        raise InputError(f"expected a picture stream, got none in {path}; is it an audio file?")
    return container


def probe(path: Path) -> VideoInfo:
    """Read size, rate, length, rotation and codec; decodes only the first frame."""
    with _open(path) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        first = next(_decode(container, path), None)
        if first is None or not rate:
            raise InputError(
                f"expected at least one frame in {path}, got none that can be decoded; "
                "the file is truncated: copy it again"
            )
        turn = _clockwise_turn(first)
        width, height = (
            (first.height, first.width) if turn in (90, 270) else (first.width, first.height)
        )
        count = stream.frames or count_frames(path)
        return VideoInfo(path, width, height, float(rate), count, turn, stream.codec_context.name)


def count_frames(path: Path) -> int:
    """Frames that are really in the file, by its packets; nothing is decoded."""
    return len(frame_times(path))


def frame_times(path: Path) -> Float64[np.ndarray, "t"]:
    """Seconds at which the frames are shown, in that order, by the packets; nothing is decoded.

    NaN, all at the end, where the file does not tell.
    """
    with _open(path) as container:
        base = float(container.streams.video[0].time_base or 0.0)
        try:
            stamps = [packet.pts for packet in container.demux(video=0) if packet.size]
        except av.error.FFmpegError as error:
            raise _broken(path, error) from error
    return np.sort(np.array([np.nan if s is None else s * base for s in stamps], np.float64))


def _clockwise_turn(frame: av.VideoFrame) -> int:
    return round(-frame.rotation / 90) * 90 % 360


def _decode(container: av.container.InputContainer, path: Path) -> Iterator[av.VideoFrame]:
    container.streams.video[0].thread_type = "AUTO"
    try:
        yield from container.decode(video=0)
    except av.error.FFmpegError as error:
        raise _broken(path, error) from error


def _broken(path: Path, error: Exception) -> InputError:
    return InputError(
        f"expected {path} to be readable to its end, got a broken frame ({error}); the file is "
        "truncated: copy it again or cut it before the damage"
    )


def read_frames(path: Path, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
    """Upright RGB frames [start, stop), decoded in order, one in memory at a time.

    Args:
        path: The video.
        start: First frame wanted; earlier ones are decoded and dropped, so that counts are exact.
        stop: One past the last; the end of the video when absent.
    """
    with _open(path) as container:
        for index, frame in enumerate(_decode(container, path)):
            if stop is not None and index >= stop:
                return
            if index < start:
                continue
            image = frame.to_ndarray(format="rgb24")
            turn = _clockwise_turn(frame)
            yield np.ascontiguousarray(np.rot90(image, -turn // 90)) if turn else image


class VideoWriter:
    """An H.264 file that grows frame by frame; sizes are cut to even numbers, as H.264 asks.

    Raises InputError for sizes that H.264 cannot hold. Use as a context manager; on an exception
    the unfinished file stays for the caller to remove (`files.atomic.replacing` does).
    """

    def __init__(self, path: Path, fps: float, size_px: tuple[int, int], quality: int = 16) -> None:
        self.width, self.height = (side // 2 * 2 for side in size_px)
        if not 2 <= min(self.width, self.height) <= max(self.width, self.height) <= LARGEST_PX:
            raise InputError(
                f"expected pictures of 2 to {LARGEST_PX} pixels a side for {path.name}, got "
                f"{size_px[0]}x{size_px[1]}; give another grid or film in another size"
            )
        self._container = av.open(str(path), "w")
        rate = Fraction(fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = self.width, self.height
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(quality), "preset": "veryfast"}

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, image: Frame) -> None:
        """Append one RGB frame of at least the stated size; the rest is cut off."""
        cut = np.ascontiguousarray(image[: self.height, : self.width])
        frame = av.VideoFrame.from_ndarray(cut, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Flush the encoder and finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def write_frames(path: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write RGB frames of one size as H.264; at least one is needed."""
    iterator = iter(frames)
    first = next(iterator, None)
    assert first is not None, "no frame to write"
    size = (first.shape[1], first.shape[0])
    with replacing(path) as temporary, VideoWriter(temporary, fps, size) as writer:
        writer.write(first)
        for image in iterator:
            writer.write(image)
