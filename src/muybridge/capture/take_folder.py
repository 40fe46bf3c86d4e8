"""A take read back from its out folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from muybridge.capture.finding import Finding
from muybridge.capture.take import PersonTake, Take
from muybridge.errors import InputError
from muybridge.files.calibration import read_calibration
from muybridge.files.clip import load_clip, load_learned, load_markers
from muybridge.files.keypoints import load_keypoints
from muybridge.files.video import VideoInfo
from muybridge.motion.keypoints import Keypoints

__all__ = ["load_take", "person_of"]


def person_of(keypoints: Keypoints, index: int) -> Keypoints:
    """The keypoints of one slot, P = 1."""
    one = slice(index, index + 1)
    return replace(
        keypoints,
        points_px=keypoints.points_px[:, :, one],
        confidence=keypoints.confidence[:, :, one],
        corrected=None if keypoints.corrected is None else keypoints.corrected[:, :, one],
    )


def load_take(folder: Path) -> Take:
    """Read a take back from its out folder.

    Raises:
        InputError: If the folder holds no finished take.
    """
    work = folder / "work"
    try:
        record = json.loads((work / "take.json").read_text())
        clock = json.loads((work / "clock.json").read_text())
        return _take(folder, record, clock)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"expected a finished take in {folder}, found none ({error}); run `muybridge capture`"
        ) from error


def _take(folder: Path, record: dict[str, Any], clock: dict[str, Any]) -> Take:
    work = folder / "work"
    keypoints, learned = load_keypoints(work / "people.npz"), work / "refine.npz"
    people = tuple(
        PersonTake(
            name,
            person_of(keypoints, int(name.removeprefix("person")) - 1),
            load_markers(work / f"{name}_markers.npz"),
            load_clip(work / f"{name}_clip.npz"),
        )
        for name in record["people"]
    )
    return Take(
        name=record["name"],
        fps=record["fps"],
        videos=tuple(
            None if v is None else VideoInfo(**(v | {"path": Path(v["path"])}))
            for v in record["videos"]
        ),
        cameras=read_calibration(folder / "calibration.yaml"),
        people=people,
        offsets_frames=torch.tensor(clock["offsets_frames"], dtype=torch.float64),
        findings=tuple(Finding(**fields) for fields in record["findings"]),
        seconds=record["seconds"],
        detector_offset_px=load_learned(learned)[0] if learned.is_file() else None,
    )
