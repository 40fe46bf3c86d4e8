"""From videos to 2-D joints: MoveNet in every frame of every camera.

Frames are streamed and seen one by one, so that no more than one is in memory and a frame's result
does not depend on where a run began. Each worker process owns one video at a time and one core.

C cameras, T frames, P person slots, J = 17 joints (COCO). Pixels of the upright picture.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import Any, Literal

import cv2
import numpy as np
import torch

from muybridge.capture.detections import Chunk, fingerprint, load_chunks, save_chunk
from muybridge.capture.finding import Finding
from muybridge.errors import InputError
from muybridge.files.video import VideoInfo, probe, read_frames
from muybridge.motion.keypoints import COCO_17, Keypoints
from muybridge.pose.multipose import PEOPLE
from muybridge.pose.runtime import Backend, backend_sentence
from muybridge.pose.topdown import PersonFinder, TopDown

__all__ = ["DetectOptions", "detect_videos", "detection_findings"]

RATE_TOLERANCE = 1e-3  # relative difference of frame rates that still counts as equal
POLL_S = 0.1
MOST_WORKERS = 60  # Windows waits for no more processes than that

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DetectOptions:
    """How to look for people.

    Attributes:
        finder_side: Longer side, in pixels, of the picture in which people are looked for: 256 for
            one person who fills much of it, 512 for several or for small ones.
        backend: What computes the networks; "onnx" needs ONNX Runtime and is twice as fast.
        least_score: People less certain than this are not believed.
        workers: Processes at a time.
        save_every: Frames between two savings of partial results.
        cache_folder: Where ONNX graphs are kept; the user's cache folder when absent.
    """

    finder_side: Literal[256, 512] = 256
    backend: Backend = "torch"
    least_score: float = 0.2
    workers: int = 2
    save_every: int = 50
    cache_folder: Path | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MOST_WORKERS:
            raise InputError(
                f"expected 1 to {MOST_WORKERS} workers, got {self.workers}; give as many as the "
                "computer has cores"
            )


def detect_videos(
    videos: Sequence[Path],
    *,
    options: DetectOptions | None = None,
    partial_folder: Path | None = None,
    on_progress: Progress | None = None,
) -> Keypoints:
    """Find the people and their joints in every frame of every video.

    People stand in slots by the size of their box, the largest first; slots that no frame needs are
    left out. A video shorter than the longest has NaN at its end.

    Args:
        videos: One file a camera; the file's stem names the camera.
        options: How to look.
        partial_folder: Where to keep what is done, so that a second call goes on from there.
        on_progress: Told the frames done and the frames in all.
    Returns:
        Joints of COCO in pixels, with MoveNet's confidence; joints that it doubts are kept.
    Raises:
        InputError: If a video cannot be read to its end, frame rates differ, two videos have the
            same name, ONNX Runtime is asked for and missing, or nobody is seen in any video.
    """
    options = options or DetectOptions()
    backend_sentence(options.backend)  # a missing back end is named before any work
    infos = _check(videos)
    jobs = [_Job(info.path, options, partial_folder) for info in infos]
    meter = _Meter(sum(info.frame_count for info in infos), on_progress)
    workers = min(options.workers, len(jobs))
    chunks = _run_here(jobs, meter) if workers < 2 else _run_in_processes(jobs, workers, meter)
    keypoints = _assemble(infos, chunks)
    if not bool(keypoints.seen.any()):
        raise InputError(
            f"expected a person in at least one of {len(infos)} videos, got none in "
            f"{keypoints.frame_count} frames; is somebody in the picture, and larger than a tenth "
            "of its height? --finder-side 512 finds smaller people"
        )
    return keypoints


def detection_findings(keypoints: Keypoints, options: DetectOptions) -> tuple[Finding, ...]:
    """What the user should know: the back end, empty cameras, and the limit of six people."""
    findings = [Finding("detect", "info", backend_sentence(options.backend))]
    people = keypoints.seen.any(-1).sum(-1)
    for name, count in zip(keypoints.cameras, people, strict=True):
        findings.extend(_camera_findings(name, count.numpy()))
    return tuple(findings)


def _camera_findings(camera: str, people: np.ndarray) -> Iterator[Finding]:
    empty, full = int((people == 0).sum()), int((people >= PEOPLE).sum())
    if empty:
        yield Finding(
            "detect",
            "warning" if empty > len(people) // 10 else "info",
            f"{camera} shows nobody in {empty} of {len(people)} frames",
            "if somebody is there, --finder-side 512 finds smaller people",
            camera,
        )
    if full:
        yield Finding(
            "detect",
            "warning",
            f"{camera} shows at least {PEOPLE} people in {full} of {len(people)} frames, which is "
            "as many as the detector can see: others may be missing",
            "crop the video to the people who matter, or film fewer at a time",
            camera,
        )


def _check(videos: Sequence[Path]) -> list[VideoInfo]:
    if not videos:
        raise InputError("expected at least one video, got none; name one file per camera")
    infos = [probe(Path(video)) for video in videos]
    names = [info.name for info in infos]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"expected a name of its own for every camera, got two videos called {twice[0]}; "
            "rename one"
        )
    first = infos[0]
    for info in infos[1:]:
        if abs(info.fps - first.fps) > RATE_TOLERANCE * first.fps:
            raise InputError(
                f"expected one frame rate, got {first.fps:g} in {first.name} and {info.fps:g} in "
                f"{info.name}; convert the videos to the same rate"
            )
    return infos


def _assemble(infos: Sequence[VideoInfo], chunks: Sequence[list[Chunk]]) -> Keypoints:
    frames = max(video[-1].stop for video in chunks)
    slots = max([int(chunk.counts.max(initial=1)) for video in chunks for chunk in video])
    poses = torch.full((len(infos), frames, slots, len(COCO_17), 3), torch.nan, dtype=torch.float64)
    for c, video in enumerate(chunks):
        for chunk in video:
            frame = np.repeat(np.arange(chunk.start, chunk.stop), chunk.counts)
            first = np.cumsum(chunk.counts) - chunk.counts
            slot = np.arange(len(frame)) - np.repeat(first, chunk.counts)
            poses[c, frame, slot] = torch.from_numpy(chunk.poses).double()
    return Keypoints(
        tuple(info.name for info in infos),
        COCO_17,
        poses[..., :2].clone(),
        poses[..., 2].nan_to_num(0.0),
        infos[0].fps,
    )


# -- one video ---------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Job:
    """What a worker needs to know; it crosses to another process."""

    video: Path
    options: DetectOptions
    folder: Path | None

    @property
    def key(self) -> str:
        """What the result depends on."""
        o = self.options
        return fingerprint(self.video, f"1 {o.finder_side} {o.backend} {o.least_score}")

    def run(self, step: Callable[[int], None], stopped: Callable[[], bool]) -> list[Chunk]:
        """Detect what is not done yet, saving as it goes; stop early if asked."""
        camera = self.video.stem
        key = self.key if self.folder else ""
        chunks = load_chunks(self.folder, camera, key) if self.folder else []
        step(chunks[-1].stop if chunks else 0)
        if not (chunks and chunks[-1].last):
            for chunk in self._detect(chunks[-1].stop if chunks else 0, step, stopped):
                chunks.append(chunk)
                if self.folder:
                    save_chunk(self.folder, camera, key, chunk)
        return chunks

    def _detect(
        self, start: int, step: Callable[[int], None], stopped: Callable[[], bool]
    ) -> Iterator[Chunk]:
        o = self.options
        finder = PersonFinder(o.finder_side, o.least_score, o.backend, o.cache_folder)
        detect = TopDown(finder, o.backend, o.cache_folder)
        frames: list[Any] = []
        for picture in read_frames(self.video, start):
            if stopped():
                if frames:
                    yield Chunk.of(start, frames, last=False)
                return
            frames.append(detect(picture))
            step(1)
            if len(frames) == o.save_every:
                yield Chunk.of(start, frames, last=False)
                start, frames = start + len(frames), []
        yield Chunk.of(start, frames, last=True)


class _Meter:
    """Counts frames for the caller's progress bar."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self.done = 0
        self.total = total
        self.on_progress = on_progress

    def step(self, count: int) -> None:
        self.done += count
        if self.on_progress:
            # a container may promise fewer frames than it holds
            self.on_progress(self.done, max(self.total, self.done))


def _run_here(jobs: Sequence[_Job], meter: _Meter) -> list[list[Chunk]]:
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    _use_one_thread()
    try:
        return [job.run(meter.step, lambda: False) for job in jobs]
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


def _use_one_thread() -> None:
    torch.set_num_threads(1)  # more threads fight over the cores that other videos use
    cv2.setNumThreads(1)


# -- several processes -------------------------------------------------------------------------
_channel: Any = None  # in a worker: its queue of finished frames and the event that stops it


def _start_worker(queue: Any, stop: Any) -> None:
    global _channel
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which sets `stop`
    threading.Thread(target=_die_with_parent, daemon=True).start()
    _use_one_thread()
    _channel = (queue, stop)


def _die_with_parent() -> None:
    """A parent that was killed can stop nobody: its workers see that it is gone and go too."""
    parent = parent_process()
    assert parent is not None, "only workers watch"
    parent.join()
    os._exit(1)  # chunks are written whole or not at all, so nothing is spoilt


def _work(job: _Job) -> list[Chunk]:
    queue, stop = _channel
    return job.run(queue.put, stop.is_set)


def _run_in_processes(jobs: Sequence[_Job], workers: int, meter: _Meter) -> list[list[Chunk]]:
    context = get_context("spawn")  # a forked process inherits torch's locked thread pool
    queue, stop = context.Queue(), context.Event()
    others = set(active_children())
    pool = ProcessPoolExecutor(workers, context, _start_worker, (queue, stop))
    try:
        with _born_deaf_to_interrupts():
            futures = [pool.submit(_work, job) for job in jobs]
        _watch(futures, queue, meter)
        return [future.result() for future in futures]
    except BrokenProcessPool as error:
        raise InputError(
            "expected the detection's worker processes to finish, got one that died; free some "
            "memory, guard the calling script by `if __name__ == '__main__':`, or use --workers 1"
        ) from error
    finally:
        _close(pool, stop, others)


def _close(pool: ProcessPoolExecutor, stop: Any, others: set[BaseProcess]) -> None:
    """Let the workers save what they have and end; a second Ctrl-C ends them at once."""
    try:
        stop.set()
        pool.shutdown(cancel_futures=True)
    except KeyboardInterrupt:
        for worker in set(active_children()) - others:
            worker.kill()
        raise


def _watch(futures: Sequence[Future[list[Chunk]]], queue: Any, meter: _Meter) -> None:
    """Report progress until all is done; the first failure ends the wait."""
    waiting: set[Future[list[Chunk]]] = set(futures)
    while waiting:
        done, waiting = wait(waiting, POLL_S, FIRST_COMPLETED)
        _drain(queue, meter)
        for future in done:
            future.result()


def _drain(queue: Any, meter: _Meter) -> None:
    try:
        while True:
            meter.step(queue.get_nowait())
    except Empty:
        return


@contextmanager
def _born_deaf_to_interrupts() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C from their first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
