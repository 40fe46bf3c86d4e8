"""Whatever the studio can show, brought into one form: figures, loose markers, cameras, pictures.

T frames, K joints of a figure. World frame: metres, Y up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.take import PersonTake, Take
from muybridge.errors import InputError
from muybridge.files.convert import SUFFIXES
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import Keypoints
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from muybridge.studio.measures import residuals
from muybridge.studio.playback import floor_m, nearest_markers

__all__ = ["Exhibit", "Figure", "exhibit_clip", "exhibit_markers", "exhibit_take",
           "open_exhibit"]  # fmt: skip

FLOOR_QUANTILE = 0.02


@dataclass(frozen=True)
class Figure:
    """A body, its markers, or both; what a joint's colour may mean is NaN where not known.

    Attributes:
        name: Of the person or the file.
        clip: The solved motion.
        positions: World positions of the clip's joints, metres.
        markers: Loose points.
        error_m: Disagreement of the cameras at each joint.
        std_m: One-sigma uncertainty of each joint.
        views: How many cameras agreed on each joint.
    """

    name: str
    clip: Clip | None = None
    positions: Float[Tensor, "t k 3"] | None = None
    markers: Markers | None = None
    error_m: Float[Tensor, "t k"] | None = None
    std_m: Float[Tensor, "t k"] | None = None
    views: Float[Tensor, "t k"] | None = None


@dataclass(frozen=True)
class Exhibit:
    """What is shown.

    Attributes:
        name: Title.
        fps: Frames a second.
        frame_count: Of the longest figure.
        figures: At least one, unless a take reconstructed nobody.
        floor_m: Height of the ground.
        centre: A point near the action, metres.
        take: Cameras, videos and detections, where there are any.
        folder: Of the take; corrections are written here.
        detections: As detected, every camera on its own clock; corrections speak of these.
        file: Of a motion that can be edited.
    """

    name: str
    fps: float
    frame_count: int
    figures: tuple[Figure, ...]
    floor_m: float
    centre: tuple[float, float, float]
    take: Take | None = None
    folder: Path | None = None
    detections: Keypoints | None = None
    file: Path | None = None


def open_exhibit(path: Path) -> Exhibit:
    """Read a take's folder or a motion file.

    Raises:
        InputError: If there is nothing at the path that the studio can show.
    """
    if path.is_dir():
        return _open_take(path)
    if not path.is_file():
        raise InputError(
            f"expected a take's folder or a {', '.join(SUFFIXES)} file, found nothing at {path}; "
            "check the path"
        )
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"expected a take's folder or a {', '.join(SUFFIXES)} file, got {path.name}; "
            "convert it with `muybridge convert`"
        )
    return _open_markers(path) if suffix in (".c3d", ".trc") else _open_clip(path)


def _open_take(folder: Path) -> Exhibit:
    from muybridge.capture.pipeline import load_take
    from muybridge.files.keypoints import load_keypoints

    take = load_take(folder)
    raw = folder / "work" / "keypoints.npz"
    return exhibit_take(take, folder, load_keypoints(raw) if raw.is_file() else None)


def _open_clip(path: Path) -> Exhibit:
    from muybridge.files.convert import read_clip

    return replace(exhibit_clip(read_clip(path), path.stem), file=path)


def _open_markers(path: Path) -> Exhibit:
    if path.suffix.lower() == ".c3d":
        from muybridge.files.c3d import read_c3d

        return exhibit_markers(read_c3d(path), path.stem)
    from muybridge.files.trc import read_trc

    return exhibit_markers(read_trc(path), path.stem)


def exhibit_clip(clip: Clip, name: str) -> Exhibit:
    """A clip on its own."""
    positions = forward_clip(clip).positions
    figure = Figure(name, clip, positions, std_m=clip.position_std)
    return Exhibit(name, clip.fps, len(clip), (figure,), _lowest(positions), _middle(positions))


def exhibit_markers(markers: Markers, name: str) -> Exhibit:
    """Loose points on their own."""
    points = markers.points_world
    figure = Figure(name, markers=markers)
    return Exhibit(name, markers.fps, len(markers), (figure,), _lowest(points), _middle(points))


def exhibit_take(
    take: Take, folder: Path | None = None, detections: Keypoints | None = None
) -> Exhibit:
    """A take with its cameras and errors."""
    figures = tuple(_figure(person, take) for person in take.people)
    shown = [f.positions for f in figures if f.positions is not None]
    return Exhibit(
        name=take.name,
        fps=take.fps,
        frame_count=max((len(p.clip) for p in take.people), default=_video_frames(take)),
        figures=figures,
        floor_m=floor_m(take),
        centre=_middle(torch.cat(shown)) if shown else (0.0, 1.0, 0.0),
        take=take,
        folder=folder,
        detections=detections,
    )


def _video_frames(take: Take) -> int:
    return max((v.frame_count for v in take.videos if v is not None), default=1)


def _figure(person: PersonTake, take: Take) -> Figure:
    positions = forward_clip(person.clip).positions
    nearest = nearest_markers(positions, person)
    found = residuals(person, take, samples=max(len(person.markers), 1))
    std = person.clip.position_std
    if std is None and person.markers.position_std is not None:
        std = person.markers.position_std[:, nearest]
    views = person.markers.views
    return Figure(
        name=person.name,
        clip=person.clip,
        positions=positions,
        markers=person.markers,
        error_m=found.lengths_m.nanmean(0)[:, nearest],
        std_m=std,
        views=None if views is None else views[:, nearest],
    )


def _lowest(points: Float[Tensor, "t k 3"]) -> float:
    """Where the lowest points usually are; 0 when that is near the ground anyway."""
    heights = points[..., 1].nan_to_num(nan=torch.inf).amin(-1)
    known = heights[heights.isfinite()]
    if not len(known):
        return 0.0
    low = float(known.kthvalue(max(1, int(FLOOR_QUANTILE * len(known)))).values)
    return 0.0 if abs(low) < 0.25 else low


def _middle(points: Float[Tensor, "t k 3"]) -> tuple[float, float, float]:
    known = points[points.isfinite().all(-1)]
    if not len(known):
        return (0.0, 1.0, 0.0)
    x, y, z = known.median(0).values.tolist()
    return (x, y, z)
