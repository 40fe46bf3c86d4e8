"""Single frames of a video, quickly, while somebody plays, scrubs and jumps about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator
from threading import Lock

import cv2
import numpy as np

from muybridge.errors import InputError
from muybridge.files.video import VideoInfo, read_frames

__all__ = ["Filmstrip"]

HEIGHT_PX = 360
KEPT = 500  # small pictures in memory: about 100 MB at most
FULL_KEPT = 3
AHEAD = 120  # frames decoded on the way forward before starting again from the front


class Filmstrip:
    """Frames of one video: small ones for the cameras in the scene, full ones for corrections.

    Decodes forward and remembers; going back beyond what is remembered starts again. A frame that
    cannot be read is None.
    """

    def __init__(self, video: VideoInfo) -> None:
        self.video = video
        self._small: OrderedDict[int, np.ndarray] = OrderedDict()
        self._full: OrderedDict[int, np.ndarray] = OrderedDict()
        self._next = 0
        self._frames: Iterator[np.ndarray] | None = None
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
                self._next = index + 1 if index < self._next else self._next
                self._restart_before(index)
                self._reach(index)
            return self._full.get(index)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if isinstance(self._frames, Generator):
            self._frames.close()
        self._frames = None

    def _restart_before(self, index: int) -> None:
        if index < self._next:
            self._stop()

    def _reach(self, index: int) -> None:
        """Decode up to the frame; frames on the way are remembered too."""
        if not 0 <= index < self.video.frame_count:
            return
        if self._frames is None or index < self._next:
            self._stop()
            start = max(0, index - AHEAD) if index > AHEAD else 0
            self._frames, self._next = read_frames(self.video.path, start), start
        try:
            while self._next <= index:
                image = next(self._frames)
                self._keep(self._next, image)
                self._next += 1
        except (StopIteration, InputError):
            self._frames = None

    def _keep(self, index: int, image: np.ndarray) -> None:
        scale = min(1.0, HEIGHT_PX / image.shape[0])
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        self._small[index] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        self._full[index] = image
        while len(self._small) > KEPT:
            self._small.popitem(last=False)
        while len(self._full) > FULL_KEPT:
            self._full.popitem(last=False)
