"""2-D detections on disk: other detectors' files in, our own `.npz` out and in, hand edits.

The confidence of every detector is kept, clipped to [0, 1]. A joint that was not found, which most
write as (0, 0) with confidence 0, becomes NaN.

C cameras, T frames, P person slots (the largest person first), J joints. Pixels of the original
image.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes, write_parts, writing
from muybridge.files.pose_json import (
    View,
    all_poses,
    read_frame_folder,
    read_frame_list,
    read_json,
)
from muybridge.motion.keypoints import BODY_25, BODY_25B, COCO_17, HALPE_26, Keypoints

__all__ = [
    "CORRECTIONS_FILE", "Correction", "apply_corrections", "load_keypoints", "read_coco",
    "read_corrections", "read_halpe", "read_keypoints_folder", "read_openpose", "save_corrections",
    "save_keypoints",
]  # fmt: skip

Order = Literal["auto", "body_25", "body_25b"]
Places = Mapping[str, Path] | Path

WHOLE_BODY = (*COCO_17, *BODY_25B[19:])  # the body part of COCO-WholeBody's 133 points
LAYOUTS = {17: COCO_17, 25: BODY_25, 26: HALPE_26, 133: WHOLE_BODY, 136: HALPE_26}
FOLDER_SUFFIXES = ("_json", "_keypoints", "_openpose", "_pose")
CORRECTIONS_FILE = "corrections.json"
MID_HIP_TOLERANCE = 0.05  # of the person's size: BODY_25's mid hip lies between its hips
SPARSEST = 20  # frames in all for each that has a file
LONGEST = 2_000_000  # frames; nine hours at 60 a second
LARGEST = 100_000_000  # joints of all cameras and frames that we are willing to hold


# -- other detectors' files --------------------------------------------------------------------
def read_keypoints_folder(folder: Path, fps: float | None) -> Keypoints:
    """Read detections of one take, whatever wrote them.

    Either a folder a camera with a JSON file a frame (OpenPose, Pose2Sim), or a JSON file a camera
    (COCO, AlphaPose, RTMPose). A camera is called as its folder or file, without a suffix such as
    `_json`. `corrections.json` is not a camera.

    Args:
        folder: Holds the cameras.
        fps: Frames a second; the files do not tell it.
    Raises:
        InputError: If there are no such files, they cannot be understood, hold nobody, or differ in
            their frames.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of detections, found none at {folder}; check the path")
    if any(next(_visible(path), None) for path in folder.iterdir() if path.is_dir()):
        return read_openpose(folder, fps)
    return _keypoints(_views(_camera_files(folder), read_frame_list), fps)


def read_openpose(folder_per_camera: Places, fps: float | None, order: Order = "auto") -> Keypoints:
    """Read OpenPose's files, a folder a camera and a file a frame.

    With 25 joints the files do not say whether they are BODY_25 or the later BODY_25B. "auto" tells
    them apart by BODY_25's mid hip. Files of 17 or 26 joints, as Pose2Sim writes them, are COCO's
    and Halpe's.

    Args:
        folder_per_camera: Folders by camera name, or the folder that holds them.
        fps: Frames a second.
        order: Meaning of 25 joints.
    Raises:
        InputError: As `read_keypoints_folder`.
    """
    places = folder_per_camera
    if isinstance(places, Path):
        places = _camera_folders(places)
    return _keypoints(_views(places, read_frame_folder), fps, order=order)


def read_coco(file_per_camera: Places, fps: float | None) -> Keypoints:
    """Read COCO's 17 joints, or the body and feet of its 133, a file a camera.

    Args:
        file_per_camera: Files by camera name, or the folder that holds them.
        fps: Frames a second.
    Raises:
        InputError: As `read_keypoints_folder`, or if the file has other joints.
    """
    return _read_lists(file_per_camera, fps, (17, 133))


def read_halpe(file_per_camera: Places, fps: float | None) -> Keypoints:
    """Read Halpe's 26 joints, or the body of its 136, a file a camera (AlphaPose, RTMPose).

    Args:
        file_per_camera: Files by camera name, or the folder that holds them.
        fps: Frames a second.
    Raises:
        InputError: As `read_keypoints_folder`, or if the file has other joints.
    """
    return _read_lists(file_per_camera, fps, (26, 136))


def _read_lists(places: Places, fps: float | None, counts: tuple[int, ...]) -> Keypoints:
    files = _camera_files(places) if isinstance(places, Path) else places
    return _keypoints(_views(files, read_frame_list), fps, counts=counts)


def _camera_folders(folder: Path) -> dict[str, Path]:
    inside = sorted(folder.iterdir()) if folder.is_dir() else ()
    found = [path for path in inside if path.is_dir() and next(_visible(path), None)]
    if not found:
        raise InputError(
            f"expected a folder of JSON files for each camera in {folder}, got none; "
            "put them into one folder per camera"
        )
    return _by_camera({path: path.name for path in found})


def _visible(folder: Path) -> Iterator[Path]:
    """The JSON files of a folder; hidden ones are what programs that were killed have left."""
    return (path for path in folder.glob("*.json") if not path.name.startswith("."))


def _camera_files(folder: Path) -> dict[str, Path]:
    files = sorted(path for path in _visible(folder) if path.name != CORRECTIONS_FILE)
    if not files:
        raise InputError(
            f"expected JSON files of detections in {folder}, got none; put in one folder per "
            "camera (OpenPose) or one file per camera (COCO, AlphaPose, RTMPose)"
        )
    return _by_camera({path: path.stem for path in files})


def _by_camera(names: Mapping[Path, str]) -> dict[str, Path]:
    """Places by camera name, each camera once."""
    found: dict[str, Path] = {}
    for path, name in names.items():
        other = found.setdefault(_camera_name(name), path)
        if other != path:
            raise InputError(
                f"expected one place for the detections of {_camera_name(name)}, got {other} and "
                f"{path}; remove or rename one"
            )
    return found


def _camera_name(name: str) -> str:
    for suffix in FOLDER_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def _views(places: Mapping[str, Path], read: Callable[[Path], View]) -> dict[str, View]:
    if not places:
        raise InputError("expected detections of at least one camera, got none; name a folder")
    return {name: read(path) for name, path in places.items()}


def _keypoints(
    views: dict[str, View],
    fps: float | None,
    *,
    counts: tuple[int, ...] = tuple(LAYOUTS),
    order: Order = "auto",
) -> Keypoints:
    """Put all cameras on one frame count and one list of joints."""
    if fps is None or not 0.0 < fps < 1e5:
        raise InputError(
            f"expected the frame rate of the detections, got {'none' if fps is None else fps}; "
            "their files do not tell it: give --fps"
        )
    joints = _layout(views, counts, order)
    start, stop = _frame_range(views)
    slots = max(len(poses) for view in views.values() for poses in view.people.values())
    shape = (len(views), stop - start, slots, len(joints))
    if int(np.prod(shape, dtype=np.float64)) > LARGEST:
        raise InputError(
            f"expected detections that fit into memory, got {shape[1]} frames of up to {slots} "
            f"people in {shape[0]} cameras; cut them into shorter takes"
        )
    values = np.zeros((*shape, 3))
    for c, view in enumerate(views.values()):
        for number, poses in view.people.items():
            for p, pose in enumerate(poses):
                values[c, number - start, p] = pose[: len(joints)]
    confidence = values[..., 2].clip(0.0, 1.0)
    points = np.where(confidence[..., None] > 0.0, values[..., :2], np.nan)
    cameras = tuple(views)
    return Keypoints(
        cameras, joints, torch.from_numpy(points), torch.from_numpy(confidence), float(fps)
    )


def _layout(views: dict[str, View], counts: tuple[int, ...], order: Order) -> tuple[str, ...]:
    """Names of the joints, from their number."""
    numbers = sorted({len(pose) for pose in all_poses(views)})
    if not numbers:
        raise InputError(
            f"expected at least one person in the detections of {', '.join(views)}, got nobody in "
            "any frame; was the detector run on the right videos?"
        )
    if len(numbers) > 1 or numbers[0] not in counts:
        known = ", ".join(str(count) for count in counts)
        raise InputError(
            f"expected one number of joints, of {known}, got {', '.join(map(str, numbers))}; "
            "export with COCO (17), BODY_25, Halpe (26) or a whole-body layout"
        )
    if numbers[0] == 25 and (order == "body_25b" or (order == "auto" and _is_body_25b(views))):
        return BODY_25B
    return LAYOUTS[numbers[0]]


def _is_body_25b(views: dict[str, View]) -> bool:
    """True if point 8 is not the middle of points 9 and 12, as BODY_25's mid hip would be."""
    poses = np.stack(list(all_poses(views)))
    poses = poses[(poses[:, [8, 9, 12], 2] > 0.0).all(1)]
    if not len(poses):
        return False
    away = poses[:, 8, :2] - poses[:, [9, 12], :2].mean(1)
    found = np.where(poses[..., 2:] > 0.0, poses[..., :2], np.nan)
    size = np.linalg.norm(np.nanmax(found, axis=1) - np.nanmin(found, axis=1), axis=1)
    return bool(np.median(np.linalg.norm(away, axis=1) / size.clip(1.0)) > MID_HIP_TOLERANCE)


def _frame_range(views: dict[str, View]) -> tuple[int, int]:
    """First frame number and one past the last, common to all cameras."""
    ends = {name: (min(v.people), max(v.people)) for name, v in views.items() if v.people}
    exact = {ends[name] for name, view in views.items() if view.complete and view.people}
    if len(exact) > 1:
        told = ", ".join(f"{name}: {first} to {last}" for name, (first, last) in ends.items())
        raise InputError(
            f"expected the same frames from every camera, got {told}; export all cameras of the "
            "same take, or cut them to the same length"
        )
    first, stop = min(e[0] for e in ends.values()), max(e[1] for e in ends.values()) + 1
    listed = sum(len(view.people) for view in views.values())
    most = max(len(view.people) for view in views.values())
    if not exact and first < 10 * listed:
        first = min(first, 1)  # counted from 0 or 1; nobody was seen until then
    if stop - first > LONGEST or (exact and stop - first > SPARSEST * most):
        raise InputError(
            f"expected frame numbers that follow one another, got {most} from {first} to "
            f"{stop - 1}; rename the files or images by their frame"
        )
    return first, stop


# -- our own file ------------------------------------------------------------------------------
def save_keypoints(path: Path, keypoints: Keypoints) -> None:
    """Write detections as `.npz`; points as float32, which holds a pixel to 1e-3.

    Raises:
        InputError: If the place cannot be written; an older file then stays as it was.
    """
    head = {"version": 1, "cameras": keypoints.cameras, "joints": keypoints.joints}
    arrays: dict[str, Any] = {
        "head": np.array(json.dumps({**head, "fps": keypoints.fps})),
        "points_px": keypoints.points_px.numpy().astype(np.float32),
        "confidence": keypoints.confidence.numpy().astype(np.float32),
    }
    if keypoints.corrected is not None:
        arrays["corrected"] = keypoints.corrected.numpy()
    with writing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_keypoints(path: Path) -> Keypoints:
    """Read what `save_keypoints` wrote.

    Raises:
        InputError: If the file is missing, damaged or of another kind.
    """
    read_bytes(path, "keypoints (.npz)")
    try:
        with path.open("rb") as stream, np.load(stream) as file:
            arrays = {name: file[name] for name in file.files}
        return _from_arrays(arrays)
    except _DAMAGE as error:
        raise InputError(
            f"expected keypoints in {path}, got something else ({type(error).__name__}); the file "
            "is damaged or was not written by `muybridge detect`: make it again"
        ) from error


def _from_arrays(arrays: dict[str, np.ndarray]) -> Keypoints:
    head = json.loads(str(arrays["head"]))
    points = arrays["points_px"].astype(np.float64, casting="same_kind")
    confidence = arrays["confidence"].astype(np.float64, casting="same_kind")
    corrected = arrays.get("corrected", np.zeros(confidence.shape, dtype=bool))
    fps = float(head["fps"])
    if np.isinf(points).any() or not np.isfinite(confidence).all() or 0 in confidence.shape[:2]:
        raise ValueError("infinite, or nothing")
    if points.ndim != 5 or points.shape != (*confidence.shape, 2) or not 0.0 < fps < 1e5:
        raise ValueError("shapes or frame rate")
    if corrected.shape != confidence.shape or corrected.dtype != np.bool_:
        raise ValueError("corrections")
    return Keypoints(
        tuple(map(str, head["cameras"])),
        tuple(map(str, head["joints"])),
        torch.from_numpy(points),
        torch.from_numpy(confidence),
        fps,
        torch.from_numpy(corrected) if "corrected" in arrays else None,
    )


_DAMAGE = (
    ValueError, KeyError, TypeError, IndexError, AttributeError, EOFError, OSError, MemoryError,
    NotImplementedError, RuntimeError, OverflowError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip  # what numpy and zipfile raise on broken files


# -- hand edits --------------------------------------------------------------------------------
@dataclass(frozen=True)
class Correction:
    """One joint that a person placed by hand.

    Attributes:
        camera: Camera name.
        frame: Frame number from 0.
        person: Slot.
        joint: Joint name.
        x: Pixels; None if the joint is hidden and the detection should go.
        y: The same.
    """

    camera: str
    frame: int
    person: int
    joint: str
    x: float | None
    y: float | None

    @property
    def place(self) -> tuple[str, int, int, str]:
        """What is corrected: a file holds one entry for each."""
        return self.camera, self.frame, self.person, self.joint


def save_corrections(path: Path, corrections: Sequence[Correction]) -> None:
    """Write hand edits as a JSON list, one edit a line.

    Raises:
        InputError: If the place cannot be written.
    """
    lines = ",\n".join(json.dumps(asdict(correction)) for correction in corrections)
    write_parts(path, [f"[\n{lines}\n]\n".encode()])


def read_corrections(path: Path) -> tuple[Correction, ...]:
    """Read hand edits.

    Raises:
        InputError: If the file is not a list of objects with the fields of `Correction`.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise InputError(f"expected a list of corrections in {path}, got something else; fix it")
    return tuple(_correction(entry, number, path) for number, entry in enumerate(content))


def _correction(entry: Any, number: int, path: Path) -> Correction:
    kinds = {"camera": str, "frame": int, "person": int, "joint": str}
    right = isinstance(entry, dict) and set(entry) == {*kinds, "x", "y"}
    right = right and all(type(entry[name]) is kind for name, kind in kinds.items())
    place = (entry["x"], entry["y"]) if right else ()
    if not right or not (place == (None, None) or all(_is_pixel(value) for value in place)):
        raise InputError(
            f"expected camera, frame, person, joint, x and y (numbers, or null for both) in "
            f"correction {number} of {path}, got {json.dumps(entry)[:80]}; fix it"
        )
    pixels = {axis: None if entry[axis] is None else float(entry[axis]) for axis in ("x", "y")}
    return Correction(**{**entry, **pixels})


def _is_pixel(value: Any) -> bool:
    return type(value) in (int, float) and -1e6 < value < 1e6


def apply_corrections(keypoints: Keypoints, path: Path) -> Keypoints:
    """Replace detections by the hand edits in a file; all others stay as they are.

    An edited joint gets confidence 1 and counts as corrected; one that is marked as hidden loses
    its detection.

    Raises:
        InputError: If the file cannot be read, or an edit names something that is not there.
    """
    points, confidence = keypoints.points_px.clone(), keypoints.confidence.clone()
    old = keypoints.corrected
    corrected = torch.zeros(confidence.shape, dtype=torch.bool) if old is None else old.clone()
    for number, edit in enumerate(read_corrections(path)):
        at = _place(keypoints, edit, f"correction {number} of {path}")
        hidden = edit.x is None or edit.y is None
        points[at] = torch.tensor([edit.x, edit.y] if not hidden else [torch.nan, torch.nan])
        confidence[at] = 0.0 if hidden else 1.0
        corrected[at] = not hidden
    return replace(keypoints, points_px=points, confidence=confidence, corrected=corrected)


def _place(keypoints: Keypoints, edit: Correction, where: str) -> tuple[int, int, int, int]:
    _, frames, people, _ = keypoints.confidence.shape
    if edit.camera not in keypoints.cameras or edit.joint not in keypoints.joints:
        raise InputError(
            f"expected a camera of {', '.join(keypoints.cameras)} and a known joint, got "
            f"{edit.camera} and {edit.joint} in {where}; fix the names"
        )
    if not (0 <= edit.frame < frames and 0 <= edit.person < people):
        raise InputError(
            f"expected a frame below {frames} and a person below {people}, got {edit.frame} and "
            f"{edit.person} in {where}; count both from 0"
        )
    camera, joint = keypoints.cameras.index(edit.camera), keypoints.joints.index(edit.joint)
    return camera, edit.frame, edit.person, joint
