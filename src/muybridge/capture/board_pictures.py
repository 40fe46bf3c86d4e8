"""Corners of a board in the pictures and films of several cameras, with a count for progress."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from muybridge.capture.board import Board, BoardViews
from muybridge.capture.board_search import find_board
from muybridge.capture.calibration_folder import Source
from muybridge.capture.corners import Picture, find_corners, find_views, read_picture
from muybridge.capture.finding import Finding
from muybridge.files.video import probe, read_frames

__all__ = ["PictureCount", "Progress", "gather_views", "picture_instants"]

Progress = Callable[[int, int], None]
SEARCH_PICTURES = 24  # of a source are searched for an unknown board


class PictureCount:
    """Counts pictures for the progress bar and remembers the step between frames."""

    def __init__(self, on_progress: Progress | None, board: Board | None, most_frames: int) -> None:
        self.on_progress, self.board, self.most_frames = on_progress, board, most_frames
        self.done, self.total = 0, 0
        self.film: dict[Path, tuple[int, float]] = {}  # frames and frames a second

    def expect(self, sources: Sequence[Source]) -> int:
        """Open the videos; returns the common step between frames looked at."""
        for source in sources:
            if isinstance(source, Path) and source not in self.film:
                info = probe(source)
                self.film[source] = (info.frame_count, info.fps)
        frames = [self.film[s][0] for s in sources if isinstance(s, Path)]
        step = max(1, round(max(frames, default=1) / self.most_frames))
        self.total += sum(
            -(-self.film[s][0] // step) if isinstance(s, Path) else len(s) for s in sources
        )
        return step

    def one(self, _: int) -> None:
        """A picture is done."""
        self.done += 1
        if self.on_progress:
            self.on_progress(self.done, max(self.total, self.done))


def _pictures(source: Source, step: int) -> Iterator[tuple[str, Picture]]:
    """Instants and grey pictures; every `step`-th frame of a video, named by its number."""
    if not isinstance(source, Path):
        yield from ((name, read_picture(path)) for name, path in picture_instants(source))
        return
    for index, frame in enumerate(read_frames(source)):
        if index % step == 0:
            yield str(index), np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def picture_instants(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Pictures by instant: the last number in their names that differs in all of them.

    A single picture is instant 0, whatever its name; pictures without such a number go by name.
    """
    if len(paths) == 1:
        return [("0", paths[0])]
    numbers = [re.findall(r"\d+", path.stem) for path in paths]
    for column in reversed(list(zip(*numbers, strict=False))):
        names = [str(int(number)) for number in column]
        if len(set(names)) == len(names):
            return list(zip(names, paths, strict=True))
    return [(path.stem, path) for path in paths]


def gather_views(
    sources: dict[str, Source], count: PictureCount
) -> tuple[tuple[BoardViews, ...], list[Finding], int]:
    """Corners in all pictures of all cameras, what is to say of the board, and the frame step.

    The described board is believed where it is seen; else the pictures say which one it is.
    """
    step = count.expect(tuple(sources.values()))
    board = count.board
    views: list[BoardViews] = []
    findings: list[Finding] = []
    for name, source in sources.items():
        mirrored = False
        if board is None or not _shows(board, source, step):
            found = find_board(list(_sample(source, step)), board, name)
            board, mirrored = found.board, found.mirrored
            findings += found.findings
        pictures = _pictures(source, step)
        views.append(find_views(name, pictures, board, mirrored=mirrored, on_progress=count.one))
    return tuple(views), findings, step


def _sample(source: Source, step: int, most: int = SEARCH_PICTURES) -> Iterator[Picture]:
    """Some pictures spread over a source."""
    length = probe(source).frame_count if isinstance(source, Path) else len(source)
    every = max(1, -(-length // step) // most)
    for index, (_, picture) in enumerate(_pictures(source, step)):
        if index % every == 0:
            yield picture


def _shows(board: Board, source: Source, step: int) -> bool:
    """Whether the board is seen in any of some pictures."""
    return any(find_corners(picture, board) is not None for picture in _sample(source, step))
