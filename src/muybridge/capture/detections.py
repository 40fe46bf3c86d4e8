"""Detections of one video as they are made: kept in short files, so that work is never lost.

A chunk file holds a fixed number of frames and is whole or absent. A run that was interrupted goes
on at its first missing chunk and ends with the same numbers, since each frame is seen alone.

N people over all frames of a chunk, J = 17 joints. Pixels of the upright picture.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from muybridge.atomic import write_bytes
from muybridge.pose.head import JOINTS
from muybridge.pose.topdown import Person

__all__ = ["Chunk", "fingerprint", "load_chunks", "save_chunk"]

EDGE_BYTES = 1 << 20  # read from both ends of a video to tell it from another


@dataclass(frozen=True)
class Chunk:
    """People in some frames that follow one another.

    Attributes:
        start: Number of the first frame.
        counts: People in each frame.
        poses: x, y and confidence of their joints, frame after frame, the largest person first.
        last: True if the video ends here.
    """

    start: int
    counts: Int64[np.ndarray, "t"]
    poses: Float32[np.ndarray, "n 17 3"]
    last: bool

    @staticmethod
    def of(start: int, frames: list[list[Person]], last: bool) -> Chunk:
        """Pack what was found."""
        poses = [
            np.concatenate((p.points_px.numpy(), p.confidence.numpy()[:, None]), axis=1)
            for people in frames
            for p in people
        ]
        stacked = np.stack(poses) if poses else np.zeros((0, JOINTS, 3))
        counts = np.array([len(people) for people in frames], dtype=np.int64)
        return Chunk(start, counts, stacked.astype(np.float32), last)

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return self.start + len(self.counts)


def fingerprint(video: Path, options: str) -> str:
    """What must be the same for old detections to hold: the video's content, the options.

    Args:
        video: The file.
        options: Everything else that changes the result, as text.
    """
    size = video.stat().st_size
    with video.open("rb") as file:
        head = file.read(EDGE_BYTES)
        file.seek(max(size - EDGE_BYTES, 0))
        tail = file.read(EDGE_BYTES)
    return hashlib.sha256(json.dumps([size, options]).encode() + head + tail).hexdigest()


def save_chunk(folder: Path, camera: str, key: str, chunk: Chunk) -> None:
    """Write a chunk; it appears whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, key=key, start=chunk.start, counts=chunk.counts, poses=chunk.poses, last=chunk.last
    )
    write_bytes(_path(folder, camera, chunk.start), buffer.getvalue())


def load_chunks(folder: Path, camera: str, key: str) -> list[Chunk]:
    """The chunks of this video under this key, from frame 0 to the first that is missing."""
    chunks: list[Chunk] = []
    while not (chunks and chunks[-1].last):
        chunk = _load(_path(folder, camera, chunks[-1].stop if chunks else 0), key)
        if chunk is None or (not len(chunk.counts) and not chunk.last):
            break
        chunks.append(chunk)
    return chunks


def _path(folder: Path, camera: str, start: int) -> Path:
    return folder / f"{camera}.{start:08d}.npz"


def _load(path: Path, key: str) -> Chunk | None:
    """A chunk, or None if there is none, it is damaged, or it belongs to something else."""
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            if str(file["key"]) != key:
                return None
            return Chunk(int(file["start"]), file["counts"], file["poses"], bool(file["last"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
