"""The camera file beside depth pictures: lens, units, rate and perhaps the camera's place.

camera.json holds `matrix` (K), or `fx`, `fy`, `cx`, `cy`, or Open3D's `intrinsic_matrix`; `size_px`
or `width` and `height`; and where they are not the usual ones `distortion` (k1 k2 p1 p2 k3),
`units_per_metre` (1000), `fps` (30), `rotation` and `translation` (camera_from_world, metres).
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes
from muybridge.geometry.camera import Cameras

__all__ = [
    "BROKEN",
    "DepthLens",
    "camera_of",
    "joined_cameras",
    "lens_from",
    "lens_of",
    "read_lens",
]

UNITS = 1000.0  # a metre: what nearly every depth camera writes
FPS = 30.0
BROKEN = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, RecursionError,
    AttributeError, NotImplementedError, MemoryError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip  # what damaged JSON, PNG, npy and npz files raise


@dataclass(frozen=True)
class DepthLens:
    """What camera.json says, checked."""

    size_px: tuple[int, int] | None
    matrix: np.ndarray
    distortion: np.ndarray
    rotation: np.ndarray | None
    translation: np.ndarray
    units_per_metre: float
    fps: float


def lens_of(camera: Cameras) -> DepthLens:
    """The lens of a calibrated camera, with the usual units and rate."""
    size = (int(camera.size_px[0, 0]), int(camera.size_px[0, 1]))
    return DepthLens(
        size, camera.matrix[0].numpy(), camera.distortion[0].numpy(), camera.rotation[0].numpy(),
        camera.translation[0].numpy(), UNITS, FPS,
    )  # fmt: skip


def camera_of(name: str, lens: DepthLens, size: tuple[int, int]) -> Cameras:
    """One camera of this lens, in the world's origin where its place is not known."""
    rotation = np.eye(3) if lens.rotation is None else lens.rotation
    return Cameras(
        (name,),
        torch.tensor([size], dtype=torch.float64),
        torch.from_numpy(lens.matrix)[None],
        torch.from_numpy(lens.distortion)[None],
        torch.from_numpy(rotation)[None],
        torch.from_numpy(lens.translation)[None],
    )


def joined_cameras(cameras: Sequence[Cameras]) -> Cameras:
    """Single cameras as one set."""
    return Cameras(
        tuple(camera.names[0] for camera in cameras),
        *(
            torch.cat([getattr(camera, field) for camera in cameras])
            for field in ("size_px", "matrix", "distortion", "rotation", "translation")
        ),
    )


def read_lens(path: Path) -> DepthLens:
    """Read camera.json.

    Raises:
        InputError: If it is absent, or says something impossible.
    """
    if not path.is_file():
        raise InputError(
            f"expected the depth camera's lens in {path}, found no such file; write it with "
            '{"matrix": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]}'
        )
    try:
        values = json.loads(read_bytes(path, "camera").decode("utf-8-sig"))
        return lens_from(values)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(
            f"expected a lens as JSON in {path}, got something else ({error}); correct it"
        ) from error


def lens_from(values: Any) -> DepthLens:
    """Check what a camera file says; a ValueError tells what is wrong."""
    if not isinstance(values, Mapping):
        raise ValueError("no table of values")
    rotation = values.get("rotation")
    if (rotation is None) != (values.get("translation") is None):
        raise ValueError("rotation and translation go together")
    lens = DepthLens(
        _size(values),
        _matrix(values),
        _numbers(values.get("distortion", [0.0] * 5), (5,), "distortion"),
        None if rotation is None else _numbers(rotation, (3, 3), "rotation"),
        _numbers(values.get("translation", [0.0] * 3), (3,), "translation"),
        float(values.get("units_per_metre", UNITS)),
        float(values.get("fps", FPS)),
    )
    if lens.rotation is not None and not np.allclose(
        lens.rotation @ lens.rotation.T, np.eye(3), atol=1e-3
    ):
        raise ValueError("rotation is no rotation matrix")
    if not all(math.isfinite(v) and v > 0.0 for v in (lens.units_per_metre, lens.fps)):
        raise ValueError("units_per_metre and fps must be above 0")
    return lens


def _numbers(values: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{name} must be {' x '.join(map(str, shape))} finite numbers")
    return array


def _size(values: Mapping[str, Any]) -> tuple[int, int] | None:
    size = values.get("size_px")
    if size is None and "width" in values and "height" in values:
        size = [values["width"], values["height"]]
    if size is None:
        return None
    width, height = (int(side) for side in np.asarray(size).reshape(2))
    if not (0 < width <= 1 << 16 and 0 < height <= 1 << 16):
        raise ValueError("size_px must be the width and height in pixels")
    return width, height


def _matrix(values: Mapping[str, Any]) -> np.ndarray:
    """K as a matrix, as fx, fy, cx, cy, or as Open3D writes it: nine numbers, columns first."""
    if "matrix" in values:
        matrix = _numbers(values["matrix"], (3, 3), "matrix")
    elif "intrinsic_matrix" in values:
        matrix = _numbers(values["intrinsic_matrix"], (9,), "intrinsic_matrix").reshape(3, 3).T
    else:
        fx, fy, cx, cy = (float(values[key]) for key in ("fx", "fy", "cx", "cy"))
        matrix = _numbers([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], (3, 3), "fx, fy, cx, cy")
    if not (matrix[0, 0] > 0.0 and matrix[1, 1] > 0.0 and (matrix[2] == [0, 0, 1]).all()):
        raise ValueError("the focal lengths must be above 0, the last row 0 0 1")
    return np.ascontiguousarray(matrix)
