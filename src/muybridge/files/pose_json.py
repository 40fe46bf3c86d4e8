"""The JSON dialects of 2-D pose detectors, read into one form.

* OpenPose: a folder a camera, a file a frame, `{"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}`
  (Pose2Sim writes RTMPose's and Halpe's joints in the same way).
* COCO results: a file a camera, a list of `{"image_id", "keypoints": [x, y, v, ...]}`, or the same
  under "annotations" beside "images". AlphaPose writes Halpe's joints in the same way.
* RTMPose (mmpose): a file a camera, `{"instance_info": [{"frame_id", "instances": [{"keypoints":
  [[x, y], ...], "keypoint_scores": [...]}]}]}`, or that list alone.

Every reader returns a `View` or raises `InputError`; nothing else leaves this file.

N people, J joints. Pixels of the original image.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from muybridge.errors import InputError
from muybridge.files.disk import read_bytes

__all__ = ["View", "read_frame_folder", "read_frame_list", "read_json"]

LARGEST_PX = 1e6
ADVICE = "export the detections again"

Pose = Float[np.ndarray, "j 3"]  # x, y, confidence; all zero where the joint was not found


@dataclass(frozen=True)
class View:
    """What one camera's files hold.

    Attributes:
        people: Poses by frame number, the largest person first.
        complete: True if frames without people are listed too, so that the first and last frame
            numbers are those of the video.
    """

    people: dict[int, list[Pose]]
    complete: bool


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        InputError: If there is none, or it is not JSON.
    """
    content = read_bytes(path, "JSON")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = str(error).split(":")[0]
        raise InputError(
            f"expected JSON in {path}, got something else ({reason}); {ADVICE}"
        ) from None


def read_frame_folder(folder: Path) -> View:
    """Read one file a frame, as OpenPose writes them.

    The frame number is the last number in a file's name. Files whose names differ otherwise from
    the others' are not frames and are left out.

    Raises:
        InputError: If there are no such files, or one is not in OpenPose's form.
    """
    files = _frame_files(folder)
    people = {number: _openpose_people(read_json(path), path) for number, path in files.items()}
    return View({number: _largest_first(poses) for number, poses in people.items()}, complete=True)


def _frame_files(folder: Path) -> dict[int, Path]:
    named: list[tuple[str, int, Path]] = []
    for path in sorted(folder.glob("*.json")):
        numbers = list(re.finditer(r"\d+", path.stem.removesuffix("_keypoints")))
        if numbers and len(numbers[-1].group()) < 19:
            at = numbers[-1]
            rest = path.stem[: at.start()] + "#" + path.stem[at.end() :]
            named.append((rest, int(at.group()), path))
    if not named:
        raise InputError(
            f"expected one JSON file per frame in {folder}, with the frame's number in its name, "
            f"got none; {ADVICE}"
        )
    usual = Counter(rest for rest, _, _ in named).most_common(1)[0][0]
    files: dict[int, Path] = {}
    for rest, number, path in named:
        if rest == usual and files.setdefault(number, path) != path:
            raise InputError(
                f"expected one file for frame {number} in {folder}, got {files[number].name} and "
                f"{path.name}; remove one"
            )
    return files


def _openpose_people(content: Any, path: Path) -> list[Pose]:
    if not isinstance(content, dict) or not isinstance(content.get("people"), list):
        raise InputError(f'expected OpenPose\'s list of "people" in {path}, got none; {ADVICE}')
    poses = []
    for person in content["people"]:
        if not isinstance(person, dict) or "pose_keypoints_2d" not in person:
            raise InputError(
                f'expected "pose_keypoints_2d" of each person in {path}, got none; {ADVICE}'
            )
        poses.append(_flat_pose(person["pose_keypoints_2d"], path))
    return [pose for pose in poses if len(pose)]


def read_frame_list(path: Path) -> View:
    """Read one file a camera: COCO, AlphaPose or RTMPose.

    Raises:
        InputError: If the file is in none of these forms.
    """
    content = read_json(path)
    if isinstance(content, dict) and "instance_info" in content:
        content = content["instance_info"]
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _coco_view(content["annotations"], _image_numbers(content.get("images"), path), path)
    if isinstance(content, list) and content and all(isinstance(e, dict) for e in content):
        if all("instances" in entry for entry in content):
            return _mmpose_view(content, path)
        if all("image_id" in entry for entry in content):
            return _coco_view(content, None, path)
    raise InputError(
        f"expected detections as COCO, AlphaPose or RTMPose write them in {path}, got something "
        f"else; {ADVICE}, or give one folder of OpenPose files a camera"
    )


def _image_numbers(images: Any, path: Path) -> dict[Any, int] | None:
    """Frame number of each image id, from its file's name; None where that is not told."""
    if not isinstance(images, list):
        return None
    numbers = {}
    for image in images:
        if not isinstance(image, dict) or not isinstance(image.get("id"), int | str):
            raise InputError(f'expected an "id" of each image in {path}, got none; {ADVICE}')
        numbers[image["id"]] = _frame_number(image.get("file_name", image["id"]), path)
    return numbers


def _coco_view(entries: list[Any], numbers: dict[Any, int] | None, path: Path) -> View:
    people: dict[int, list[Pose]] = {number: [] for number in (numbers or {}).values()}
    for entry in entries:
        if not isinstance(entry, dict) or "keypoints" not in entry:
            raise InputError(f'expected "keypoints" in each entry of {path}, got none; {ADVICE}')
        image = entry.get("image_id")
        known = numbers is not None and isinstance(image, int | str) and image in numbers
        number = numbers[image] if numbers and known else _frame_number(image, path)
        pose = _flat_pose(entry["keypoints"], path)
        if len(pose):
            people.setdefault(number, []).append(pose)
    _scale_visibility([pose for poses in people.values() for pose in poses])
    ordered = {number: _largest_first(poses) for number, poses in people.items()}
    return View(ordered, complete=numbers is not None)


def _scale_visibility(poses: list[Pose]) -> None:
    """Turn COCO's flags (0 absent, 1 hidden, 2 visible) into confidences 0, 0.5 and 1."""
    flags = {float(v) for pose in poses for v in np.unique(pose[:, 2])}
    if flags <= {0.0, 1.0, 2.0} and 2.0 in flags:
        for pose in poses:
            pose[:, 2] /= 2.0


def _mmpose_view(entries: list[dict[str, Any]], path: Path) -> View:
    people: dict[int, list[Pose]] = {}
    for place, entry in enumerate(entries):
        number = _frame_number(entry.get("frame_id", place), path)
        if number in people:
            raise InputError(f"expected frame {number} once in {path}, got it twice; {ADVICE}")
        if not isinstance(entry["instances"], list):
            raise InputError(f'expected a list of "instances" in {path}, got none; {ADVICE}')
        people[number] = _largest_first([_paired_pose(i, path) for i in entry["instances"]])
    return View(people, complete=True)


def _paired_pose(instance: Any, path: Path) -> Pose:
    """A person as a list of points and a list of scores."""
    points = instance.get("keypoints") if isinstance(instance, dict) else None
    if not isinstance(points, list) or not all(isinstance(p, list) for p in points):
        raise InputError(f'expected "keypoints" as pairs of x and y in {path}, got none; {ADVICE}')
    rows = [_numbers(point, path) for point in points]
    scores = _numbers(instance.get("keypoint_scores"), path)
    if not rows or len(scores) != len(rows) or any(len(row) != 2 for row in rows):
        raise InputError(
            f"expected an x, a y and a score for each joint in {path}, got {len(rows)} points and "
            f"{len(scores)} scores; {ADVICE}"
        )
    return np.column_stack((np.stack(rows), scores))


def _flat_pose(values: Any, path: Path) -> Pose:
    """A person as one list x, y, confidence, x, y, ..."""
    numbers = _numbers(values, path)
    if len(numbers) % 3:
        raise InputError(
            f"expected an x, a y and a confidence for each joint in {path}, got {len(numbers)} "
            f"numbers; {ADVICE}"
        )
    return numbers.reshape(-1, 3)


def _numbers(values: Any, path: Path) -> Float[np.ndarray, "n"]:
    if not isinstance(values, list) or any(type(v) not in (int, float) for v in values):
        raise InputError(
            f"expected a list of numbers for each person in {path}, got other values; {ADVICE}"
        )
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        numbers = np.array([np.inf])
    if not (np.abs(numbers) < LARGEST_PX).all():  # NaN fails too
        raise InputError(
            f"expected finite pixels in {path}, got NaN, infinity or a number beyond "
            f"{LARGEST_PX:g}; {ADVICE}"
        )
    return numbers


def _frame_number(image: Any, path: Path) -> int:
    """A frame's number, given as such or in an image's name."""
    if type(image) is int and 0 <= image < 2**62:
        return image
    numbers = re.findall(r"\d+", image.rsplit("/", 1)[-1]) if isinstance(image, str) else []
    if numbers and len(numbers[-1]) < 19:
        return int(numbers[-1])
    shown = json.dumps(image)[:40]
    raise InputError(f"expected a frame number or an image name in {path}, got {shown}; {ADVICE}")


def _largest_first(poses: list[Pose]) -> list[Pose]:
    return sorted(poses, key=lambda pose: -_area(pose))


def _area(pose: Pose) -> float:
    found = pose[pose[:, 2] > 0.0, :2]
    return float(np.ptp(found, axis=0).prod()) if len(found) else 0.0


def all_poses(views: dict[str, View]) -> Iterator[Pose]:
    """Every person of every camera and frame."""
    for view in views.values():
        for poses in view.people.values():
            yield from poses
