"""Small sessions on disk, made from a walking figure whose truth is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from muybridge.files.calibration import write_calibration
from muybridge.files.video import write_frames
from muybridge.motion.keypoints import BODY_25, COCO_17, Keypoints
from tests.studio.synthetic_take import circle_cameras, synthetic_take


def openpose_person(points: np.ndarray, confidence: np.ndarray) -> list[float]:
    """BODY_25 list of 75 numbers from COCO-17 joints; absent joints are zeros."""
    values = np.zeros((25, 3))
    for name, (x, y), score in zip(COCO_17, points, confidence, strict=True):
        if np.isfinite(x):
            values[BODY_25.index(name)] = x, y, score
    hips = [values[BODY_25.index(f"{side}_hip")] for side in ("left", "right")]
    shoulders = [values[BODY_25.index(f"{side}_shoulder")] for side in ("left", "right")]
    values[BODY_25.index("mid_hip")] = np.mean(hips, axis=0)
    values[BODY_25.index("neck")] = np.mean(shoulders, axis=0)
    return [round(float(v), 3) for v in values.ravel()]


def write_openpose(folder: Path, keypoints: Keypoints) -> None:
    """`folder/<camera>/<frame>.json`, as OpenPose writes them."""
    for c, camera in enumerate(keypoints.cameras):
        (folder / camera).mkdir(parents=True, exist_ok=True)
        for t in range(keypoints.frame_count):
            people = [
                {
                    "pose_keypoints_2d": openpose_person(
                        keypoints.points_px[c, t, p].numpy(), keypoints.confidence[c, t, p].numpy()
                    )
                }
                for p in range(keypoints.points_px.shape[2])
            ]
            file = folder / camera / f"{camera}_{t:012d}_keypoints.json"
            file.write_text(json.dumps({"version": 1.3, "people": people}))


def make_session(folder: Path, frames: int = 30, people: int = 1, videos: bool = False) -> Path:
    """keypoints/ and calibration/ of a walk before four cameras, and plain videos if asked."""
    take = synthetic_take(frame_count=frames, people=people)
    every = [person.keypoints for person in take.people]
    joined = Keypoints(
        every[0].cameras,
        every[0].joints,
        torch.cat([k.points_px for k in every], dim=2),
        torch.cat([k.confidence for k in every], dim=2),
        every[0].fps,
    )
    write_openpose(folder / "keypoints", joined)
    write_calibration(folder / "calibration" / "calibration.yaml", take.cameras)
    if videos:
        for name in take.cameras.names:
            make_video(folder / "videos" / f"{name}.mp4", frames)
    return folder


def make_video(
    path: Path, frames: int = 12, size: tuple[int, int] = (640, 480), fps: float = 30.0
) -> Path:
    """A grey film in which nobody is to be seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    write_frames(path, (np.full((height, width, 3), 90 + t, np.uint8) for t in range(frames)), fps)
    return path


def cameras_named(names: tuple[str, ...]):
    """The circle of cameras under other names."""
    return replace(circle_cameras(len(names)), names=names)
