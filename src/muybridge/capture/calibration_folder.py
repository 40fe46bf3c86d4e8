"""What a calibration folder holds, before anything in it is looked at.

FOLDER/
  calibration.yaml, *.qca.txt, *.toml, *.xml   a ready calibration
  board.toml (or charuco.toml)                 which board was filmed
  scene.toml                                   measured points of the scene and their pixels
  <camera>.mp4, <camera>/, left01.jpg ...      the board, seen by all cameras at once
  intrinsics/, extrinsics/                     the same, for lenses and for places apart
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.calibration import OURS, read_calibration
from muybridge.files.video import VIDEO_SUFFIXES
from muybridge.geometry.camera import Cameras

__all__ = [
    "CalibrationFolder",
    "ScenePoints",
    "Source",
    "choose_ready",
    "open_calibration_folder",
    "plain_name",
    "read_scene",
]

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
READY_SUFFIXES = (".toml", ".txt", ".yaml", ".yml", ".xml")
BOARD_NAMES = ("board.toml", "charuco.toml")
NOT_READY = (*BOARD_NAMES, "scene.toml", "config.toml")
AFFIX = re.compile(r"^(int|ext|calib|board)[ _-]+|[ _-]+(img|imgs|images|int|ext|videos?)$", re.I)

Source = Path | tuple[Path, ...]  # a video, or pictures
LAYOUT = (
    "put a calibration file there, or a video or a folder of board pictures for each camera, or "
    "scene.toml with measured points"
)


@dataclass(frozen=True)
class CalibrationFolder:
    """The parts of a calibration folder, by camera name."""

    path: Path
    ready: tuple[Path, ...]
    board: Path | None
    scene: Path | None
    lens_sources: dict[str, Source]
    rig_sources: dict[str, Source]

    @property
    def shared(self) -> bool:
        """Whether lenses and places come from the same pictures."""
        return self.lens_sources == self.rig_sources


@dataclass(frozen=True)
class ScenePoints:
    """Measured points (world Y up, metres) and where each camera shows them."""

    points_world: Float[Tensor, "p 3"]
    points_px: dict[str, Float[Tensor, "p 2"]]


def plain_name(name: str) -> str:
    """A camera name without case, separators and leading zeros: cam_01 is Cam1."""
    return re.sub(r"0+(?=\d)", "", re.sub(r"[ _.-]", "", name.lower()))


def open_calibration_folder(
    path: Path, camera_names: Sequence[str] | None = None
) -> CalibrationFolder:
    """Find the parts by their names.

    Args:
        path: The folder, or a calibration file.
        camera_names: The cameras wanted; their spelling is taken over, others are left out.

    Raises:
        InputError: If there is nothing of use.
    """
    if path.is_file():
        return CalibrationFolder(path.parent, (path,), None, None, {}, {})
    if not path.is_dir():
        raise InputError(f"expected a calibration folder, found none at {path}; {LAYOUT}")
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    ready = tuple(
        p for p in files if p.suffix.lower() in READY_SUFFIXES and p.name.lower() not in NOT_READY
    )
    board = next((p for p in files if p.name.lower() in BOARD_NAMES), None)
    scene = next((p for p in files if p.name.lower() == "scene.toml"), None)
    together = _renamed(dict(_sources(path)), camera_names)
    lens = _renamed(dict(_sources(path / "intrinsics")), camera_names) or together
    rig = _renamed(dict(_sources(path / "extrinsics")), camera_names) or together
    if not (ready or scene or lens or rig):
        raise InputError(f"expected a calibration in {path}, found nothing of use; {LAYOUT}")
    return CalibrationFolder(path, ready, board, scene, lens, rig)


def _sources(folder: Path) -> Iterator[tuple[str, Source]]:
    """Videos, folders of pictures, and loose pictures that are numbered per camera."""
    if not folder.is_dir():
        return
    inside = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    loose: dict[str, list[Path]] = {}
    for path in inside:
        if path.is_dir() and path.name.lower() not in ("intrinsics", "extrinsics"):
            source = _folder_source(path)
            if source is not None:
                yield _camera_name(path.name), source
        elif path.suffix.lower() in VIDEO_SUFFIXES:
            yield _camera_name(path.stem), path
        elif path.suffix.lower() in PICTURES:
            prefix = re.sub(r"[ _-]*\d+$", "", _camera_name(path.stem))
            loose.setdefault(prefix or path.stem, []).append(path)
    for prefix, pictures in loose.items():
        yield prefix, tuple(pictures)


def _folder_source(folder: Path) -> Source | None:
    inside = sorted(p for p in folder.iterdir() if p.is_file())
    pictures = tuple(p for p in inside if p.suffix.lower() in PICTURES)
    videos = [p for p in inside if p.suffix.lower() in VIDEO_SUFFIXES]
    if pictures:
        return pictures
    return videos[0] if len(videos) == 1 else None


def _camera_name(stem: str) -> str:
    before = ""
    while before != stem:  # int_cam01_img loses both its ends
        before, stem = stem, AFFIX.sub("", stem)
    return stem


def _renamed(sources: dict[str, Source], names: Sequence[str] | None) -> dict[str, Source]:
    """The sources of the cameras wanted, under the names wanted and in that order."""
    if names is None:
        return sources
    found = {plain_name(name): source for name, source in sources.items()}
    return {name: found[plain_name(name)] for name in names if plain_name(name) in found}


def choose_ready(
    folder: CalibrationFolder, metres_per_unit: float | None = None
) -> tuple[Path, Cameras] | None:
    """The calibration file to use, and its cameras; None where no file is one.

    Args:
        folder: What there is.
        metres_per_unit: Length of the file's unit where it differs from the format's.
    Raises:
        InputError: If several could be meant, or the only thing there is a file that is broken.
    """
    readable: list[tuple[Path, Cameras]] = []
    complaint: InputError | None = None
    for path in folder.ready:
        try:
            readable.append((path, read_calibration(path, metres_per_unit=metres_per_unit)))
        except InputError as error:
            complaint = error
    if not readable:
        if complaint and not (folder.rig_sources or folder.scene):
            raise complaint
        return None
    if len(readable) == 1:
        return readable[0]
    ours = [item for item in readable if f"format: {OURS}" in item[0].read_text()[:2000]]
    if not ours:
        raise InputError(
            f"expected one calibration file in {folder.path}, got "
            f"{', '.join(path.name for path, _ in readable)}; keep the one to use"
        )
    return max(ours, key=lambda item: item[0].stat().st_mtime)


def read_scene(path: Path) -> ScenePoints:
    """Read scene.toml: `points_world` (metres), a table `points_px` by camera, and `up`.

    A point that a camera does not see is [] or [nan, nan]. `up` is "y" (ours) or "z"; Z-up points
    become Y-up by (x, y, z) -> (y, z, x).

    Raises:
        InputError: If the file is no TOML or its numbers do not fit together.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"expected a TOML file, got {path} ({error}); correct it") from error
    world = _points(table.get("points_world"), 3, f"points_world in {path}")
    up = table.get("up", "y")
    if up not in ("y", "z"):
        raise InputError(f'expected up = "y" or "z" in {path}, got {up!r}; say which axis is up')
    if not bool(world.isfinite().all()):
        raise InputError(
            f"expected finite points_world in {path}, got NaN or infinity; measure every point or "
            "drop it"
        )
    clicks = table.get("points_px")
    if not isinstance(clicks, dict) or not clicks:
        raise InputError(
            f"expected a table points_px in {path} with a list of pixels for each camera, got "
            f"{clicks!r}; mark the points in every camera's picture"
        )
    pixels = {
        name: _points(rows, 2, f"points_px of {name} in {path}") for name, rows in clicks.items()
    }
    for name, points in pixels.items():
        if len(points) != len(world):
            raise InputError(
                f"expected {len(world)} pixels of {name} in {path}, one for each of points_world, "
                f"got {len(points)}; write [] for a point it does not see"
            )
    return ScenePoints(world[:, [1, 2, 0]] if up == "z" else world, pixels)


def _points(rows: Any, width: int, what: str) -> Float[Tensor, "p w"]:
    """A list of points; an empty one is unseen."""
    try:
        filled = [row if len(row) else [float("nan")] * width for row in rows]
        points = torch.tensor(filled, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"expected lists of {width} numbers as {what}, got {str(rows)[:60]!r}; correct them"
        ) from error
    if points.ndim != 2 or points.shape[1] != width:
        raise InputError(
            f"expected lists of {width} numbers as {what}, got {str(rows)[:60]!r}; correct them"
        )
    return points
