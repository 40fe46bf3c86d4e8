"""Calibration files: Qualisys, Pose2Sim / aniposelib / caliscope TOML, OpenCV YAML or XML, ours.

| format | world it comes in | how that is known |
|---|---|---|
| ours, YAML | metres, Y up | it says so |
| Qualisys .qca.txt | millimetres, Z up | Qualisys always writes so |
| Pose2Sim, aniposelib TOML | metres, Z up | Pose2Sim's convention; aniposelib has none |
| caliscope TOML | metres, Z up | caliscope's origin board lies on the floor |
| OpenCV YAML or XML | metres, -Y up: the first camera's frame | OpenCV's convention |

Where the file cannot know, `up` and `metres_per_unit` overrule. Everything leaves this module in
metres with Y up: (x, y, z) -> (y, z, x) from Z up, (x, y, z) -> (x, -y, -z) from -Y up.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.atomic import write_text
from muybridge.errors import InputError
from muybridge.files.opencv_storage import Values, read_storage, shown
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import matrix_from_rotvec

__all__ = ["Up", "match_cameras", "read_calibration", "write_calibration"]

Up = Literal["y", "z", "-y"]

OURS = "muybridge-calibration"
ORTHONORMAL = 1e-3  # how far R^T R may be from 1; files with three decimals pass
TO_Y_UP = {
    "y": [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]],
    "z": [[0.0, 1, 0], [0, 0, 1], [1, 0, 0]],
    "-y": [[1.0, 0, 0], [0, -1, 0], [0, 0, -1]],
}


@dataclass(frozen=True)
class _Camera:
    """One camera as the file has it, checked."""

    name: str
    size_px: Float[Tensor, "2"]
    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, "5"]
    rotation: Float[Tensor, "3 3"]  # camera_from_world
    translation: Float[Tensor, "3"]  # the file's unit


def read_calibration(
    path: Path, *, up: Up | None = None, metres_per_unit: float | None = None
) -> Cameras:
    """Read the cameras of any file this module knows; the format is found from the content.

    Args:
        path: The file.
        up: The axis of the file's world that points up, where it differs from the table above.
        metres_per_unit: Length of the file's unit, likewise; 0.001 for millimetres.
    Returns:
        Cameras in file order; world in metres, Y up.
    Raises:
        InputError: If the file is absent, of no known format, or a value is missing, not a finite
            number or impossible.
    """
    path = Path(path)
    text = _text(path)
    cameras, file_up, file_unit = _reader(text, path)(text, path)
    if not cameras:
        raise InputError(f"expected cameras in {path}, found none; is it the right file?")
    names = [camera.name for camera in cameras]
    if len(set(names)) < len(names):
        raise InputError(
            f"expected different camera names in {path}, got {', '.join(names)}; rename one"
        )
    unit = file_unit if metres_per_unit is None else metres_per_unit
    if not (math.isfinite(unit) and unit > 0.0):
        raise InputError(
            f"expected metres_per_unit above 0, got {unit}; give 0.001 for millimetres"
        )
    return _cameras(cameras, up or file_up, unit)


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"expected a calibration, found no file at {path}; check the path")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"expected text in {path}, got {error}; export it again") from error
    if not text.strip():
        raise InputError(f"expected a calibration, got the empty file {path}; export it again")
    return text


def _cameras(cameras: Sequence[_Camera], up: Up, metres: float) -> Cameras:
    ours_from_file = torch.tensor(TO_Y_UP[up], dtype=torch.float64)
    return Cameras(
        tuple(camera.name for camera in cameras),
        torch.stack([camera.size_px for camera in cameras]),
        torch.stack([camera.matrix for camera in cameras]),
        torch.stack([camera.distortion for camera in cameras]),
        torch.stack([camera.rotation @ ours_from_file.mT for camera in cameras]),
        torch.stack([camera.translation * metres for camera in cameras]),
    )


_Read = tuple[list[_Camera], Up, float]


def _reader(text: str, path: Path) -> Any:
    head = text.lstrip()[:2000]
    if head.startswith("<"):
        return _read_opencv if "<opencv_storage" in head else _read_qualisys
    if f"format: {OURS}" in head:
        return _read_ours
    if head.startswith("%YAML"):
        return _read_opencv
    if path.suffix.lower() == ".toml" or re.match(r"(#.*\s*)*(\[|\w+\s*=)", head):
        return _read_toml
    raise InputError(
        f"expected a calibration in {path}, got a file that is neither Qualisys, TOML, OpenCV nor "
        "ours; convert it to one of these"
    )


# -- values ---------------------------------------------------------------------------------------


def _numbers(value: Any, shape: tuple[int, ...], what: str, path: Path) -> Float[Tensor, "..."]:
    """Finite numbers of this shape, or an error that names them."""
    try:
        array = np.asarray(value)
        numeric = array.dtype.kind in "iuf"
    except ValueError:
        numeric = False
    if not numeric or array.shape != shape or not np.isfinite(array.astype(float)).all():
        size = " x ".join(map(str, shape)) or "1"
        raise InputError(
            f"expected {size} finite numbers as {what} in {path}, got {shown(value)}; "
            "export the calibration again"
        )
    return torch.tensor(array.astype(float))


def _checked(
    name: str,
    values: Mapping[str, Any],
    path: Path,
) -> _Camera:
    """A camera from raw values: name, size, matrix, distortion, rotation, translation."""
    size = _numbers(values["size"], (2,), f"size of camera {name}", path)
    matrix = _numbers(values["matrix"], (3, 3), f"matrix of camera {name}", path)
    focal = matrix.diagonal()[:2]
    if not bool((size >= 1.0).all() and (focal > 0.0).all() and (matrix[2] == _LAST_ROW).all()):
        raise InputError(
            f"expected a positive size and focal length of camera {name} in {path}, got "
            f"{size.tolist()} and {focal.tolist()}; calibrate it again"
        )
    rotation = _rotation(values["rotation"], name, path)
    return _Camera(
        " ".join(name.split()),
        size,
        matrix,
        _distortion(values["distortion"], name, path),
        rotation,
        _numbers(values["translation"], (3,), f"translation of camera {name}", path),
    )


_LAST_ROW = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def _rotation(value: Any, name: str, path: Path) -> Float[Tensor, "3 3"]:
    """A rotation matrix, or a rotation vector (radians), as a matrix; camera_from_world."""
    if np.shape(value) == (3,):
        return matrix_from_rotvec(_numbers(value, (3,), f"rotation of camera {name}", path))
    rotation = _numbers(value, (3, 3), f"rotation of camera {name}", path)
    error = float((rotation @ rotation.mT - torch.eye(3).double()).abs().max())
    if error > ORTHONORMAL or float(torch.linalg.det(rotation)) < 0.0:
        raise InputError(
            f"expected a rotation of camera {name} in {path}, got a matrix that bends or mirrors "
            f"space (off by {error:.2g}); export the calibration again"
        )
    return rotation


def _distortion(value: Any, name: str, path: Path) -> Float[Tensor, "5"]:
    """k1 k2 p1 p2 k3; shorter lists end in zeros, longer ones must."""
    count = len(value) if isinstance(value, Sequence | np.ndarray) else 0
    given = _numbers(value, (count,), f"distortion of camera {name}", path)
    if count == 0 or bool(given[5:].any()):
        raise InputError(
            f"expected up to five distortion coefficients of camera {name} in {path}, got {count}; "
            "calibrate without the rational, fisheye or thin-prism model"
        )
    padded = torch.zeros(5, dtype=torch.float64)
    padded[: min(count, 5)] = given[:5]
    return padded


def _text_number(value: str | None, what: str, path: Path) -> float:
    try:
        number = float(value or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"expected a number as {what} in {path}, got {value!r}; export it again")
    return number


# -- Qualisys -------------------------------------------------------------------------------------

QUALISYS_SUBPIXELS = 64.0


def _read_qualisys(text: str, path: Path) -> _Read:
    """Qualisys Track Manager's XML: lens in 1/64 px, rotation world to camera by rows, mm."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(
            f"expected Qualisys XML in {path}, got {error}; export it again"
        ) from error
    cameras = []
    for index, node in enumerate(root.iter("camera")):
        if node.get("active", "1") != "0":
            cameras.append(_qualisys_camera(node, node.get("serial") or f"cam{index + 1}", path))
    return cameras, "z", 0.001


def _qualisys_camera(node: ElementTree.Element, name: str, path: Path) -> _Camera:
    def number(tag: str, key: str) -> float:
        element = node.find(tag)
        value = None if element is None else element.get(key)
        return _text_number(value, f"{tag} {key} of camera {name}", path)

    def lens(key: str) -> float:
        return number("intrinsic", key) / QUALISYS_SUBPIXELS

    left, top = number("fov_video", "left"), number("fov_video", "top")
    flip = np.diag([1.0, -1.0, -1.0])  # Qualisys cameras look along -z with y up
    turn = np.array([[number("transform", f"r{i}{j}") for j in (1, 2, 3)] for i in (1, 2, 3)])
    rotation = flip @ turn
    centre = np.array([number("transform", axis) for axis in "xyz"])
    distortion = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1",
                  "tangentalDistortion2", "radialDistortion3")  # fmt: skip
    values = {
        "size": (
            number("fov_video", "right") - left + 1.0,
            number("fov_video", "bottom") - top + 1.0,
        ),
        "matrix": (
            (lens("focalLengthU"), 0.0, lens("centerPointU") - left),
            (0.0, lens("focalLengthV"), lens("centerPointV") - top),
            (0.0, 0.0, 1.0),
        ),
        "distortion": [number("intrinsic", key) for key in distortion],
        "rotation": rotation,
        "translation": -rotation @ centre,
    }
    return _checked(name, values, path)


# -- TOML -----------------------------------------------------------------------------------------


def _read_toml(text: str, path: Path) -> _Read:
    """Pose2Sim and aniposelib: one table a camera. caliscope: the tables of `cameras`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"expected TOML in {path}, got {error}; correct it") from error
    nested = table.get("cameras", table)
    tables = nested if isinstance(nested, dict) else {}
    cameras = [
        _toml_camera(key, camera, path)
        for key, camera in tables.items()
        if isinstance(camera, dict) and key != "metadata" and not camera.get("ignore", False)
    ]
    return cameras, "z", 1.0


def _toml_camera(key: str, camera: Mapping[str, Any], path: Path) -> _Camera:
    name = camera.get("name", f"cam_{camera['cam_id']}" if "cam_id" in camera else key)
    names = {"size": "size", "matrix": "matrix", "distortion": "distortions",
             "rotation": "rotation", "translation": "translation"}  # fmt: skip
    missing = [theirs for theirs in names.values() if camera.get(theirs) is None]
    if missing:
        raise InputError(
            f"expected {', '.join(missing)} of camera {name} in {path}, found none; calibrate the "
            "camera's lens and place first"
        )
    if camera.get("fisheye", False):
        raise InputError(
            f"expected a pinhole lens of camera {name} in {path}, got a fisheye; calibrate it with "
            "the standard model, or undistort its video"
        )
    return _checked(str(name), {ours: camera[theirs] for ours, theirs in names.items()}, path)


# -- OpenCV FileStorage ---------------------------------------------------------------------------

OPENCV_MATRIX = ("camera_matrix", "cameraMatrix", "K", "mtx", "M")
OPENCV_DISTORTION = ("distortion_coefficients", "dist_coeffs", "distCoeffs", "dist", "D")


def _read_opencv(text: str, path: Path) -> _Read:
    """One camera (calibrateCamera's sample), or a stereo pair (stereoCalibrate's: M1 D1 M2 D2 R T).

    The world is the first camera's frame; R and T take its points to the second camera. They may
    stand in a file extrinsics.yml beside, as OpenCV's sample program leaves them.
    """
    values = read_storage(text, path)
    if "M1" not in values:
        lens = [_first(values, keys, path) for keys in (OPENCV_MATRIX, OPENCV_DISTORTION)]
        return [_opencv_camera(path.stem, values, lens, _HERE, path)], "-y", 1.0
    cameras = []
    for index, pose in ((1, _HERE), (2, _opencv_pair_pose(values, path))):
        lens = [_first(values, (f"{key}{index}",), path) for key in "MD"]
        cameras.append(_opencv_camera(f"cam{index}", values, lens, pose, path))
    return cameras, "-y", 1.0


_HERE = (np.eye(3), np.zeros(3))


def _opencv_pair_pose(values: Values, path: Path) -> tuple[np.ndarray, np.ndarray]:
    beside = path.with_name(f"extrinsics{path.suffix}")
    if "R" not in values and beside != path and beside.is_file():
        values = read_storage(_text(beside), beside)
    return _first(values, ("R",), path), _first(values, ("T",), path).ravel()


def _opencv_camera(
    name: str,
    values: Values,
    lens: Sequence[np.ndarray],
    pose: tuple[np.ndarray, np.ndarray],
    path: Path,
) -> _Camera:
    raw = {
        "size": _opencv_size(values, path),
        "matrix": lens[0],
        "distortion": lens[1].ravel(),
        "rotation": pose[0],
        "translation": pose[1],
    }
    return _checked(name, raw, path)


def _opencv_size(values: Values, path: Path) -> np.ndarray:
    """Picture size; OpenCV's stereo sample leaves it out, so it may be added by hand."""
    for keys in (("image_width", "image_height"), ("imageWidth", "imageHeight"), ("image_size",)):
        if all(key in values for key in keys):
            return np.concatenate([values[key].ravel() for key in keys])
    raise InputError(
        f"expected image_width and image_height in {path}, found none; add the size of the "
        "calibration pictures by hand"
    )


def _first(values: Values, keys: Sequence[str], path: Path) -> np.ndarray:
    """The first matrix there is among these keys."""
    for key in keys:
        if key in values:
            return values[key]
    raise InputError(f"expected {' or '.join(keys)} in {path}, found none; is it a calibration?")


# -- ours -----------------------------------------------------------------------------------------

HEADER = """%YAML 1.0
---
# Cameras calibrated by muybridge.
# World: metres, right-handed, y up. Camera: x right, y down, z forward, as in OpenCV.
# matrix: intrinsics K in pixels; the centre of the top-left pixel is (0, 0).
# distortion: k1, k2, p1, p2, k3 in OpenCV's order.
# rotation, translation: a point p of the world is at  rotation p + translation  in the camera.
"""
OUR_KEYS = ("size_px", "matrix", "distortion", "rotation", "translation")


def write_calibration(path: Path, cameras: Cameras) -> None:
    """Write cameras as plain YAML, one line a value, to be read back to the last bit.

    Args:
        path: The file; written whole or not at all.
        cameras: World in metres, Y up.
    Raises:
        InputError: If the file cannot be written.
    """
    lines = [f"format: {OURS}", "version: 1", "cameras:"]
    for index, name in enumerate(cameras.names):
        lines.append(f"  - name: {json.dumps(name)}")
        lines += [f"    {key}: {_flow(getattr(cameras, key)[index].tolist())}" for key in OUR_KEYS]
    try:
        write_text(Path(path), HEADER + "\n".join(lines) + "\n")
    except OSError as error:
        raise InputError(
            f"expected to write {path}, got {error.strerror}; free some space or write elsewhere"
        ) from error


def _flow(value: Any) -> str:
    """Numbers as YAML and JSON both read them: always with a point, also before an exponent."""
    if isinstance(value, list):
        return f"[{', '.join(_flow(part) for part in value)}]"
    mantissa, e, exponent = repr(float(value)).partition("e")
    return (mantissa if "." in mantissa else f"{mantissa}.0") + e + exponent


def _read_ours(text: str, path: Path) -> _Read:
    cameras: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.fullmatch(r" *(- )?(\w+): *(.*?) *", line)
        if line.strip() in ("", "---") or line.lstrip().startswith(("#", "%")):
            continue
        if match is None:
            raise InputError(
                f"expected 'key: value' in line {number} of {path}, got {shown(line)}; mend it"
            )
        dash, key, value = match.groups()
        if dash:
            cameras.append({})
        if cameras:
            cameras[-1][key] = _json(value, key, path)
    return [_our_camera(camera, path) for camera in cameras], "y", 1.0


def _json(value: str, key: str, path: Path) -> Any:
    for candidate in (value, re.sub(r"\s#[^\"]*$", "", value)):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    raise InputError(
        f"expected numbers in brackets, or a name in quotes, as {key} in {path}, got "
        f"{shown(value)}; correct it"
    )


def _our_camera(camera: Mapping[str, Any], path: Path) -> _Camera:
    missing = [key for key in ("name", *OUR_KEYS) if key not in camera]
    if missing:
        raise InputError(
            f"expected {', '.join(missing)} of each camera in {path}, found none; write it again"
        )
    return _checked(str(camera["name"]), {**camera, "size": camera["size_px"]}, path)


# -- names ----------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    """Lower case, without separators and leading zeros: "Cam_01" -> "cam1"."""
    joined = re.sub(r"[\s_.-]+", "", name.lower())
    return re.sub(r"(?<!\d)0+(?=\d)", "", joined)


def match_cameras(cameras: Cameras, names: Sequence[str]) -> Cameras:
    """The cameras with these names, in this order and under these names.

    Case, separators (_ - . space) and leading zeros do not count: cam_01 is Cam1.

    Raises:
        InputError: If a name fits no camera, or two names or cameras cannot be told apart.
    """
    places: dict[str, list[int]] = {}
    for index, name in enumerate(cameras.names):
        places.setdefault(_plain(name), []).append(index)
    indices = []
    for name in names:
        exact = [i for i, other in enumerate(cameras.names) if other == name]
        found = exact or places.get(_plain(name), [])
        if len(found) != 1:
            what = "none" if not found else ", ".join(cameras.names[i] for i in found)
            raise InputError(
                f"expected one calibrated camera for {name!r}, got {what} among "
                f"{', '.join(cameras.names)}; rename the video or the camera in the calibration"
            )
        indices.append(found[0])
    if len(set(indices)) < len(indices):
        raise InputError(
            f"expected one camera for each of {', '.join(names)}, got one for two of them; rename "
            "the videos so that they differ in more than zeros, case or separators"
        )
    return replace(cameras.select(indices), names=tuple(names))
