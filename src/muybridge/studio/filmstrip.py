"""Single frames of a video, quickly, while somebody plays, scrubs and jumps about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from threading import Lock

import av
import cv2
import numpy as np

from muybridge.files.video import VideoInfo

__all__ = ["Filmstrip"]

HEIGHT_PX = 360
KEPT = 500  # small pictures in memory: about 100 MB at most
FULL_KEPT = 3
NEAR = 60  # frames: so far ahead, decoding on is faster than seeking


class Filmstrip:
    """Frames of one video: small ones for the cameras in the scene, full ones for corrections.

    Decodes forward and remembers; jumps to the key frame before a frame that lies elsewhere. A
    frame that cannot be read is None.
    """

    def __init__(self, video: VideoInfo) -> None:
        self.video = video
        self._small: OrderedDict[int, np.ndarray] = OrderedDict()
        self._full: OrderedDict[int, np.ndarray] = OrderedDict()
        self._next = 0  # no frame before this one can still come
        self._frames: Generator[tuple[int, av.VideoFrame]] | None = None
        self._lock = Lock()

    def small(self, index: int) -> np.ndarray | None:
        """The frame at no more than 360 px height, RGB."""
        with self._lock:
            if index not in self._small:
                self._reach(index)
            return self._small.get(index)

    def full(self, index: int) -> np.ndarray | None:
        """The frame at full size, RGB."""
        with self._lock:
            if index not in self._full:
                self._reach(index)
            return self._full.get(index)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._frames is not None:
            self._frames.close()
        self._frames = None

    def _reach(self, index: int) -> None:
        """Decode up to the frame; frames on the way are remembered too."""
        if not 0 <= index < self.video.frame_count:
            return
        if self._frames is None or not self._next <= index <= self._next + NEAR:
            self._stop()
            self._frames = _frames_from(self.video, index)
        try:
            for found, frame in self._frames:
                self._next = found + 1
                self._keep(found, frame)
                if found >= index:
                    return
        except (av.error.FFmpegError, OSError):
            pass
        self._frames = None

    def _keep(self, index: int, frame: av.VideoFrame) -> None:
        turns = -self.video.rotation_deg // 90
        upright = np.rot90(frame.to_ndarray(format="rgb24"), turns)
        image = np.ascontiguousarray(upright, dtype=np.uint8)
        scale = min(1.0, HEIGHT_PX / image.shape[0])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        self._small[index] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        self._full[index] = image
        while len(self._small) > KEPT:
            self._small.popitem(last=False)
        while len(self._full) > FULL_KEPT:
            self._full.popitem(last=False)


def _frames_from(video: VideoInfo, start: int) -> Generator[tuple[int, av.VideoFrame]]:
    """Numbered frames from at most `start` on: counted from the front, or told by their time."""
    with av.open(str(video.path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if start <= NEAR:
            yield from enumerate(container.decode(stream))
            return
        base, first = float(stream.time_base or 1), stream.start_time or 0
        container.seek(first + round(start / video.fps / base), stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is not None:
                yield round((frame.pts - first) * base * video.fps), frame
