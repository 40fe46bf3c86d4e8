"""Rotoscoping: joints traced by hand over the pictures of several cameras.

Over detections, what is traced becomes corrections of a take or a session. Where there are none,
the traced frames are keys: the frames between them follow by interpolation, and the whole is
written as detections that `muybridge capture SESSION --keypoints` takes up.

C cameras, T frames, P people, J joints. Pixels of the original picture; a camera's own frames.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from scipy.interpolate import PchipInterpolator

from muybridge.capture.session import Session, open_session
from muybridge.errors import InputError
from muybridge.files.disk import write_parts
from muybridge.files.keypoints import (
    CORRECTIONS_FILE,
    Correction,
    load_keypoints,
    read_corrections,
    read_keypoints_folder,
    save_corrections,
)
from muybridge.files.video import VideoInfo, probe
from muybridge.motion.keypoints import COCO_17, HALPE_26, Keypoints

__all__ = ["LONGEST_BETWEEN_S", "TRACING_FILE", "Layout", "Point", "Tracing", "open_tracing"]

Layout = Literal["coco", "halpe"]
LAYOUTS = {"coco": COCO_17, "halpe": HALPE_26}
State = Literal["traced", "between", "detected", "hidden", "none"]
Place = tuple[str, int, int, str]
TRACING_FILE = "tracing.json"
LONGEST_BETWEEN_S = 1.0  # from one traced frame to the next; longer, and the way is anybody's guess


class Point(NamedTuple):
    """A joint as the tracer sees it; pixels, None where it is nowhere."""

    x: float | None
    y: float | None
    state: State


@dataclass(frozen=True)
class _Source:
    """What is traced over, and where the tracing goes."""

    name: str
    videos: tuple[VideoInfo, ...]
    cameras: tuple[str, ...]
    joints: tuple[str, ...]
    people: int
    file: Path
    detections: Keypoints | None = None
    keypoints: Path | None = None  # folder that is written from scratch


class Tracing:
    """An open tracing: every change is saved at once, and can be undone.

    Attributes:
        source: Pictures, joints and files.
    """

    def __init__(self, source: _Source) -> None:
        self.source = source
        known = read_corrections(source.file) if source.file.is_file() else ()
        self._edits: dict[Place, Correction] = {edit.place: edit for edit in known}
        for edit in known:
            try:
                self._check(edit)
            except InputError as error:
                raise InputError(f"{source.file}: {error}") from None
        self._done: list[tuple[Place, Correction | None]] = []  # what stood there before
        self._undone: list[tuple[Place, Correction | None]] = []

    @property
    def edits(self) -> tuple[Correction, ...]:
        """All traced joints, by camera, frame, person and joint."""
        return tuple(self._edits[place] for place in sorted(self._edits))

    @property
    def can_undo(self) -> bool:
        """True if there is a change to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """True if there is a change to make again."""
        return bool(self._undone)

    def put(self, edit: Correction) -> None:
        """Trace one joint and save; x and y None hide it.

        Raises:
            InputError: If the camera, frame, person or joint does not exist, or nothing can be
                written; then nothing has changed.
        """
        self._check(edit)
        before = self._edits.get(edit.place)
        self._swap(edit.place, edit)
        self._done.append((edit.place, before))
        self._undone.clear()

    def forget(self, place: Place) -> None:
        """Take back what was traced of one joint, as if it had never been touched."""
        if place in self._edits:
            before = self._edits[place]
            self._swap(place, None)
            self._done.append((place, before))
            self._undone.clear()

    def undo(self) -> Place | None:
        """Take back the last change; its place, or None if there is none."""
        return self._step_back(self._done, self._undone)

    def redo(self) -> Place | None:
        """Make the change again that was last taken back."""
        return self._step_back(self._undone, self._done)

    def points(self, camera: str, frame: int, person: int) -> tuple[Point, ...]:
        """All joints of one person in one picture, in the order of `source.joints`."""
        self._check(Correction(camera, frame, person, self.source.joints[0], None, None))
        return tuple(self._point((camera, frame, person, joint)) for joint in self.source.joints)

    def traced_frames(self, camera: str, person: int) -> list[int]:
        """Frames of one camera in which something of this person was traced."""
        return sorted(
            {e.frame for e in self._edits.values() if (e.camera, e.person) == (camera, person)}
        )

    # -- one joint --------------------------------------------------------------------------

    def _point(self, place: Place) -> Point:
        edit = self._edits.get(place)
        if edit is not None:
            return Point(edit.x, edit.y, "hidden" if edit.x is None else "traced")
        camera, frame, person, joint = place
        detections = self.source.detections
        if detections is None:
            between = self._between(camera, person, joint).get(frame)
            return Point(*between, "between") if between else Point(None, None, "none")
        if camera not in detections.cameras or frame >= detections.frame_count:
            return Point(None, None, "none")
        at = detections.cameras.index(camera), frame, person, detections.joints.index(joint)
        x, y = detections.points_px[at].tolist()
        seen = np.isfinite(x) and np.isfinite(y)
        return Point(x, y, "detected") if seen else Point(None, None, "none")

    def _between(self, camera: str, person: int, joint: str) -> dict[int, tuple[float, float]]:
        """Places on the frames between traced ones: a curve that does not overshoot."""
        keys = [e for e in self.edits if (e.camera, e.person, e.joint) == (camera, person, joint)]
        fps = self.source.videos[self.source.cameras.index(camera)].fps
        return {
            frame: place
            for run in _runs(keys, max(1, round(LONGEST_BETWEEN_S * fps)))
            for frame, place in _curve(run)
        }

    def _check(self, edit: Correction) -> None:
        source = self.source
        frames = self._frames(edit.camera)
        right = edit.joint in source.joints and 0 <= edit.person < source.people
        if not right or not 0 <= edit.frame < frames:
            raise InputError(
                f"expected a camera of {', '.join(source.cameras)}, a frame below {frames}, a "
                f"person below {source.people} and a known joint, got {edit.place}; choose again"
            )

    def _frames(self, camera: str) -> int:
        if camera not in self.source.cameras:
            return 0
        return self.source.videos[self.source.cameras.index(camera)].frame_count

    # -- saving -----------------------------------------------------------------------------

    def _step_back(
        self,
        taken: list[tuple[Place, Correction | None]],
        given: list[tuple[Place, Correction | None]],
    ) -> Place | None:
        if not taken:
            return None
        place, value = taken[-1]
        now = self._edits.get(place)
        self._swap(place, value)
        taken.pop()
        given.append((place, now))
        return place

    def _swap(self, place: Place, value: Correction | None) -> None:
        """Change one entry on disk first, then in memory: a failure leaves both as they were."""
        edits = {**self._edits, place: value}
        kept = {p: e for p, e in edits.items() if e is not None}
        old, self._edits = self._edits, kept
        try:
            self._write(place[0])
            save_corrections(self.source.file, self.edits)
        except (InputError, OSError):
            self._edits = old
            with suppress(InputError, OSError):
                self._write(place[0])
            raise

    def _write(self, camera: str) -> None:
        """What follows from the tracing; the tracing itself is written after it."""
        folder = self.source.keypoints
        if folder is None:
            return
        for name in self.source.cameras:  # a capture wants a file of every camera
            path = folder / f"{name}.json"
            if name == camera or not path.is_file():
                write_parts(path, [json.dumps(self._detections(name)).encode()])

    def _detections(self, camera: str) -> dict[str, object]:
        """One camera's tracing in RTMPose's form, every frame listed; unseen joints score 0."""
        source = self.source
        frames = max(video.frame_count for video in source.videos)
        shape = (frames, source.people, len(source.joints))
        points, scores = np.zeros((*shape, 2)), np.zeros(shape)
        for person in range(source.people):
            for j, joint in enumerate(source.joints):
                for frame, place in self._between(camera, person, joint).items():
                    points[frame, person, j], scores[frame, person, j] = place, 0.5
        for edit in self._edits.values():
            if edit.camera == camera and edit.x is not None and edit.y is not None:
                at = edit.frame, edit.person, source.joints.index(edit.joint)
                points[at], scores[at] = (edit.x, edit.y), 1.0
        return {
            "instance_info": [
                {"frame_id": t, "instances": _instances(points[t], scores[t])}
                for t in range(frames)
            ]
        }


def open_tracing(folder: Path, layout: Layout = "coco", people: int = 1) -> Tracing:
    """Open a take or a session for tracing.

    Args:
        folder: A take's folder, or a session's; a session that has been captured into its own
            take/ is traced over what was detected there.
        layout: Joints to trace where nothing was detected.
        people: How many people to trace there.
    Raises:
        InputError: If there are no videos, or a file of the tracing is damaged.
    """
    if (folder / "work" / "keypoints.npz").is_file():
        return Tracing(_from_take(folder))
    if (folder / "take" / "work" / "keypoints.npz").is_file():
        return Tracing(_from_take(folder / "take"))
    session = open_session(folder)
    if not session.videos:
        raise InputError(
            f"expected videos in {folder / 'videos'} to trace over, found none; put one file a "
            "camera there"
        )
    return Tracing(_from_session(session, layout, people))


def _from_take(folder: Path) -> _Source:
    from muybridge.capture.pipeline import load_take

    take = load_take(folder)
    detections = load_keypoints(folder / "work" / "keypoints.npz")
    videos = [video for video in take.videos if video is not None and video.path.is_file()]
    if len(videos) != len(take.cameras):
        raise InputError(
            f"expected the videos of all {len(take.cameras)} cameras of {folder}, found "
            f"{len(videos)}; put them back, or capture the session again"
        )
    return _Source(
        take.name,
        tuple(videos),
        take.cameras.names,
        detections.joints,
        detections.points_px.shape[2],
        folder / CORRECTIONS_FILE,
        detections,
    )


def _from_session(session: Session, layout: Layout, people: int) -> _Source:
    videos = tuple(probe(path) for path in session.videos)
    cameras = tuple(path.stem for path in session.videos)
    tracing = session.folder / TRACING_FILE
    if session.keypoints is not None and not tracing.is_file():
        detections = read_keypoints_folder(session.keypoints, videos[0].fps)
        missing = [name for name in detections.cameras if name not in cameras]
        if missing:
            raise InputError(
                f"expected a video for each camera of {session.keypoints}, got none for "
                f"{', '.join(missing)}; name videos and detections alike"
            )
        joints, count = detections.joints, detections.points_px.shape[2]
        file = session.folder / CORRECTIONS_FILE
        return _Source(session.name, videos, cameras, joints, count, file, detections)
    known = read_corrections(tracing) if tracing.is_file() else ()
    if any(edit.joint not in COCO_17 for edit in known):
        layout = "halpe"  # as it was begun
    people = max([people, *(edit.person + 1 for edit in known)])
    folder = session.folder / "keypoints"
    return _Source(
        session.name, videos, cameras, LAYOUTS[layout], people, tracing, keypoints=folder
    )


def _runs(keys: Iterable[Correction], longest: int) -> list[list[tuple[int, float, float]]]:
    """Traced places in spans without a hidden one and without a step that is too long."""
    runs: list[list[tuple[int, float, float]]] = [[]]
    for key in keys:
        if key.x is None or key.y is None:
            runs.append([])
            continue
        if runs[-1] and key.frame - runs[-1][-1][0] > longest:
            runs.append([])
        runs[-1].append((key.frame, float(key.x), float(key.y)))
    return [run for run in runs if len(run) > 1]


def _curve(run: list[tuple[int, float, float]]) -> Iterable[tuple[int, tuple[float, float]]]:
    """The frames strictly between the keys of a run, and where the joint is in them."""
    known, xy = np.array([key[0] for key in run]), np.array([key[1:] for key in run])
    inner = [t for a, b in pairwise(known.tolist()) for t in range(a + 1, b)]
    places = PchipInterpolator(known, xy)(inner) if inner else np.empty((0, 2))
    return zip(inner, (tuple(place) for place in places.tolist()), strict=True)


def _instances(points: np.ndarray, scores: np.ndarray) -> list[dict[str, object]]:
    """The people of one frame who have a joint, P x J x 2 pixels and P x J scores."""
    return [
        {"keypoints": np.round(xy, 3).tolist(), "keypoint_scores": score.tolist()}
        for xy, score in zip(points, scores, strict=True)
        if score.any()
    ]
