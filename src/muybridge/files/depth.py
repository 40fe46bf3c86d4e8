"""Depth pictures: a folder of 16-bit PNGs a camera, as TUM, Kinect and RealSense users have it.

    DIR/camera.json     lens, units per metre, frames a second, and perhaps where the camera stands
    DIR/depth.txt       perhaps: lines "seconds file", as in the TUM RGB-D data set
    DIR/*.png           or DIR/depth/*.png: 16 bits, 0 where the depth is unknown, in order of name
    DIR/depth.npy       instead of the PNGs: T x H x W, 16 bits or metres as floating point

Several cameras are sub-folders of this form. `camera.yaml`, `camera.toml` or any other calibration
that `files.calibration` reads may stand in DIR instead of the camera.json files; its cameras are
matched to the sub-folders by name. A single .npz holds the same as arrays: depth, matrix and what
else camera.json has. Lengths in the files: depth in units (1000 a metre unless stated; TUM has
5000), all else metres. Depth is measured along the optical axis, not along the ray.

T frames, H rows, W columns.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.calibration import match_cameras, read_calibration
from muybridge.files.depth_camera import (
    BROKEN,
    UNITS,
    DepthLens,
    camera_of,
    joined_cameras,
    lens_from,
    lens_of,
    read_lens,
)
from muybridge.files.disk import read_bytes, writing
from muybridge.geometry.camera import Cameras

__all__ = ["DepthStream", "DepthTake", "is_depth", "read_depth", "write_depth"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY = 0  # colour type in a PNG's header
CAMERA = "camera.json"
CALIBRATIONS = ("camera.yaml", "calibration.yaml", "camera.toml", "calibration.toml", "Calib.toml")
MOST_M = 1000.0  # farther than any depth camera sees


@dataclass(frozen=True)
class DepthStream:
    """The depth pictures of one camera, read one at a time.

    Attributes:
        pictures: PNG files, or one array T x H x W.
        units_per_metre: Of whole numbers; floating point is metres.
        size_px: Width and height.
    """

    pictures: tuple[Path, ...] | np.ndarray
    units_per_metre: float
    size_px: tuple[int, int]

    def __len__(self) -> int:
        return len(self.pictures)

    def frame(self, index: int) -> Float[Tensor, "h w"]:
        """One picture, metres; NaN where the depth is unknown.

        Raises:
            InputError: If the file is damaged.
        """
        picture = self.pictures[index]
        values = _decoded(picture) if isinstance(picture, Path) else np.asarray(picture)
        if values.shape != self.size_px[::-1]:
            raise InputError(
                f"expected a picture of {self.size_px[0]}x{self.size_px[1]} pixels, got "
                f"{values.shape[::-1]} in {picture}; record with one size"
            )
        metres = values.astype(np.float64)
        if values.dtype.kind in "ui":
            metres /= self.units_per_metre
        known = np.isfinite(metres) & (metres > 0.0) & (metres < MOST_M)
        return torch.from_numpy(np.where(known, metres, np.nan))


@dataclass(frozen=True)
class DepthTake:
    """What C depth cameras saw at the same T instants.

    Attributes:
        cameras: Their lenses and, if `placed`, where they stand.
        streams: The pictures.
        fps: Frames a second.
        placed: Whether the files say where the cameras stand; if not, the world is the frame of
            the one camera.
    """

    cameras: Cameras
    streams: tuple[DepthStream, ...]
    fps: float
    placed: bool

    def __len__(self) -> int:
        return len(self.streams[0])

    def frame(self, index: int) -> tuple[Float[Tensor, "h w"], ...]:
        """The pictures of all cameras at one instant, metres."""
        return tuple(stream.frame(index) for stream in self.streams)


def is_depth(folder: Path) -> bool:
    """Whether a folder (or a sub-folder of it) holds pictures that `read_depth` would look at."""
    if not folder.is_dir():
        return folder.suffix.lower() == ".npz"
    return any(_has_pictures(place) for place in (folder, *_below(folder)))


def read_depth(path: Path, fps: float | None = None) -> DepthTake:
    """Open depth recordings; headers are checked now, pictures are read when asked for.

    Args:
        path: Folder, or a .npz file.
        fps: Frames a second, where the files do not say it or are wrong.
    Raises:
        InputError: If there are no pictures or no camera file, sizes differ, pictures are not
            16-bit grey, or cameras have different numbers of pictures.
    """
    path = Path(path)
    if fps is not None and not (math.isfinite(fps) and fps > 0.0):
        raise InputError(f"expected a positive frame rate, got {fps}; give frames/second")
    if path.suffix.lower() == ".npz":
        return _read_archive(path, fps)
    if not path.is_dir():
        raise InputError(f"expected a folder of depth pictures, found none at {path}; check it")
    folders = [path] if _has_pictures(path) else [p for p in _below(path) if _has_pictures(p)]
    if not folders:
        raise InputError(
            f"expected 16-bit PNG files or a depth.npy in {path}, found none; export the depth "
            "pictures there"
        )
    lenses, cameras = _cameras(path, folders)
    streams = tuple(
        _stream(folder, lens, camera)
        for folder, lens, camera in zip(folders, lenses, cameras, strict=True)
    )
    _check_lengths(streams, folders)
    rate = fps or _rate(folders[0]) or lenses[0].fps
    placed = all(lens.rotation is not None for lens in lenses)
    return DepthTake(joined_cameras(cameras), streams, rate, placed)


def write_depth(
    folder: Path,
    camera: Cameras,
    frames: Iterable[Float[Tensor, "h w"]],
    fps: float,
    units_per_metre: float = UNITS,
    placed: bool = True,
) -> None:
    """Write one camera's depth pictures as `read_depth` reads them.

    `camera.json` comes last, and without it nothing is read: so a broken run leaves no take. An
    older take in the folder is replaced.

    Args:
        folder: Where to; a sub-folder a camera for several.
        camera: One camera.
        frames: Pictures, metres, NaN where unknown; rounded to the unit, and to 0 where they do
            not fit into 16 bits.
        fps: Frames a second.
        units_per_metre: 1000 for millimetres.
        placed: Whether the camera's place in the world is known and to be written.
    """
    assert len(camera) == 1, f"one camera expected, got {len(camera)}"
    (folder / CAMERA).unlink(missing_ok=True)
    for old in (folder / "depth").glob("[0-9][0-9][0-9][0-9][0-9][0-9].png"):
        old.unlink()
    for index, frame in enumerate(frames):
        units = np.rint(np.nan_to_num(frame.numpy(), nan=0.0) * units_per_metre)
        units[(units < 0) | (units > np.iinfo(np.uint16).max)] = 0
        done, content = cv2.imencode(".png", units.astype(np.uint16))
        assert done, "OpenCV writes every 16-bit picture as PNG"
        with writing(folder / "depth" / f"{index:06d}.png") as temporary:
            temporary.write_bytes(content.tobytes())
    values: dict[str, Any] = {
        "name": camera.names[0],
        "size_px": [int(side) for side in camera.size_px[0].tolist()],
        "matrix": camera.matrix[0].tolist(),
        "distortion": camera.distortion[0].tolist(),
        "units_per_metre": units_per_metre,
        "fps": fps,
    }
    if placed:
        values["rotation"] = camera.rotation[0].tolist()
        values["translation"] = camera.translation[0].tolist()
    with writing(folder / CAMERA) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


# -- folders --------------------------------------------------------------------------------------


def _below(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name != "depth")


def _has_pictures(folder: Path) -> bool:
    return (folder / "depth.npy").is_file() or bool(_pictures(folder))


def _pictures(folder: Path) -> list[Path]:
    """PNG files in order: as depth.txt lists them, else by the numbers in their names."""
    if (folder / "depth.txt").is_file():
        return [folder / name for _, name in _listed(folder)]
    inner = folder / "depth" if (folder / "depth").is_dir() else folder
    return sorted((p for p in inner.glob("*.png") if p.is_file()), key=_natural)


def _natural(path: Path) -> tuple[list[float], str]:
    return [float(number) for number in re.findall(r"\d+", path.stem)], path.name


def _listed(folder: Path) -> list[tuple[float, str]]:
    """Time in seconds and file of each line of depth.txt."""
    path = folder / "depth.txt"
    rows = []
    for number, line in enumerate(read_bytes(path, "list of pictures").splitlines(), start=1):
        words = line.decode("utf-8", errors="replace").split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        try:
            second, name = float(words[0]), words[1].strip()
        except (ValueError, IndexError):
            second, name = math.nan, ""
        if not math.isfinite(second) or not (folder / name).is_file():
            raise InputError(
                f"expected seconds and an existing file in line {number} of {path}, got "
                f"{line[:60]!r}; correct it"
            )
        rows.append((second, name))
    return sorted(rows)


def _rate(folder: Path) -> float | None:
    """Frames a second by depth.txt; None without it."""
    if not (folder / "depth.txt").is_file():
        return None
    seconds = np.array([second for second, _ in _listed(folder)])
    steps = np.diff(seconds)
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1.0 / step if step > 0.0 else None


def _check_lengths(streams: Sequence[DepthStream], folders: Sequence[Path]) -> None:
    counts = [len(stream) for stream in streams]
    if len(set(counts)) > 1:
        found = ", ".join(f"{n} in {p.name}" for n, p in zip(counts, folders, strict=True))
        raise InputError(
            f"expected as many depth pictures of every camera, got {found}; cut them to the same "
            "instants"
        )


def _stream(folder: Path, lens: DepthLens, camera: Cameras) -> DepthStream:
    width, height = (int(side) for side in camera.size_px[0].tolist())
    if (folder / "depth.npy").is_file():
        values = _memory(folder / "depth.npy")
        return DepthStream(_checked_array(values, (width, height), folder), lens.units_per_metre,
                           (width, height))  # fmt: skip
    pictures = _pictures(folder)
    for picture in pictures:
        _check_header(picture, (width, height))
    return DepthStream(tuple(pictures), lens.units_per_metre, (width, height))


def _memory(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except BROKEN as error:
        raise InputError(
            f"expected an array in {path}, got a damaged file ({error}); write it again"
        ) from error


def _checked_array(values: Any, size: tuple[int, int], path: Path) -> np.ndarray:
    fits = isinstance(values, np.ndarray) and values.ndim == 3 and len(values) > 0
    if not fits or values.shape[1:] != size[::-1] or values.dtype.kind not in "uif":
        got = f"{getattr(values, 'dtype', '?')} of shape {getattr(values, 'shape', '?')}"
        raise InputError(
            f"expected depth as T x {size[1]} x {size[0]} numbers in {path}, got {got}; write "
            "frames first, then rows, then columns"
        )
    if values.dtype.itemsize == 1:
        raise InputError(_eight_bits(path))
    return values


# -- pictures -------------------------------------------------------------------------------------


def _eight_bits(path: Path) -> str:
    return (
        f"expected 16-bit depth in {path}, got 8 bits a pixel; export raw depth, not a picture to "
        "look at"
    )


def _check_header(path: Path, size: tuple[int, int]) -> None:
    """Refuse a PNG that cannot be depth before any work is done."""
    with path.open("rb") as file:
        head = file.read(26)
    if len(head) < 26 or not head.startswith(SIGNATURE) or head[12:16] != b"IHDR":
        raise InputError(f"expected a PNG picture, got a damaged file {path}; export it again")
    width, height, bits, colour = struct.unpack(">IIBB", head[16:26])
    if bits != 16:
        raise InputError(_eight_bits(path))
    if colour != GREY:
        raise InputError(
            f"expected one grey channel in {path}, got a colour picture; export the depth itself"
        )
    if (width, height) != size:
        raise InputError(
            f"expected depth pictures of {size[0]}x{size[1]} pixels, got {width}x{height} in "
            f"{path}; record with one size, or correct the camera file"
        )


def _decoded(path: Path) -> np.ndarray:
    content = np.frombuffer(read_bytes(path, "depth picture"), np.uint8)
    try:
        values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error:
        values = None
    if values is None or values.ndim != 2 or values.dtype != np.uint16:
        raise InputError(f"expected a 16-bit grey PNG, got a damaged file {path}; export it again")
    return values


# -- cameras --------------------------------------------------------------------------------------


def _cameras(path: Path, folders: Sequence[Path]) -> tuple[list[DepthLens], list[Cameras]]:
    """Lens and placed camera of each folder, by its camera.json or by a calibration."""
    for name in CALIBRATIONS:
        if (path / name).is_file():
            known = read_calibration(path / name)
            lone = len(known) == len(folders) == 1
            names = [known.names[0]] if lone else [folder.name for folder in folders]
            matched = match_cameras(known, names)
            cameras = [matched.select([index]) for index in range(len(matched))]
            return [lens_of(camera) for camera in cameras], cameras
    lenses, cameras = [], []
    for folder in folders:
        lens = read_lens(folder / CAMERA)
        if lens.rotation is None and len(folders) > 1:
            raise InputError(
                f"expected rotation and translation in {folder / CAMERA}, since there are "
                f"{len(folders)} cameras, got none; calibrate them together"
            )
        lenses.append(lens)
        cameras.append(camera_of(folder.name, lens, lens.size_px or _first_size(folder)))
    return lenses, cameras


def _first_size(folder: Path) -> tuple[int, int]:
    """Width and height of the first picture, for a camera file that does not say."""
    if (folder / "depth.npy").is_file():
        shape = _memory(folder / "depth.npy").shape
        return (int(shape[-1]), int(shape[-2])) if len(shape) == 3 else (0, 0)
    with _pictures(folder)[0].open("rb") as file:
        head = file.read(24)
    return struct.unpack(">II", head[16:24]) if len(head) == 24 else (0, 0)


# -- one file -------------------------------------------------------------------------------------


def _read_archive(path: Path, fps: float | None) -> DepthTake:
    """depth (T x H x W, or C x T x H x W), matrix and the rest of camera.json as arrays."""
    content = io.BytesIO(read_bytes(path, "depth"))
    try:
        with np.load(content, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        depth = arrays.pop("depth")
        several = depth.ndim == 4
        stack = list(depth) if several else [depth]
        rows = [
            {k: v[index] if several and v.ndim else v for k, v in arrays.items()}
            for index in range(len(stack))
        ]
        lenses = [lens_from(row) for row in rows]
        sizes = [(int(d.shape[-1]), int(d.shape[-2])) for d in stack]
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(
            f"expected depth and matrix in {path}, got something else ({error}); write it with "
            "numpy.savez"
        ) from error
    placed = all(lens.rotation is not None for lens in lenses)
    if len(stack) > 1 and not placed:
        raise InputError(
            f"expected rotation and translation of {len(stack)} cameras in {path}, got none; "
            "calibrate them together"
        )
    cameras = [
        camera_of(f"cam{index}", lens, size)
        for index, (lens, size) in enumerate(zip(lenses, sizes, strict=True))
    ]
    streams = tuple(
        DepthStream(_checked_array(d, size, path), lens.units_per_metre, size)
        for d, lens, size in zip(stack, lenses, sizes, strict=True)
    )
    if not streams:
        raise InputError(f"expected depth of a camera in {path}, got none; write it again")
    return DepthTake(joined_cameras(cameras), streams, fps or lenses[0].fps, placed)
