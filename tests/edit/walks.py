"""Clips to make motion from: walks by formula, and the recorded ones where they are present."""

from functools import cache

import pytest
import torch

from muybridge.edit.library import Library, library_from_clips
from muybridge.edit.procedural import Gait, procedural_walk
from muybridge.files.convert import read_clip
from muybridge.motion.clip import Clip
from tests.motions import DATA

FOLDER = DATA / "bvh" / "games105"
NAMES = ("idle", "run_forward", "walk60", "walk_and_turn_left", "walk_forward")


def walk(speed: float, turn: float, seconds: float = 3.0, phase: float = 0.0) -> Clip:
    """A steady walk by formula at 30 frames/s."""
    frames = round(30 * seconds)
    rate = torch.full((frames,), speed, dtype=torch.float64)
    turning = torch.full((frames,), turn, dtype=torch.float64)
    return procedural_walk(rate, turning, 30.0, Gait(phase=phase), f"walk {speed} {turn}")


@cache
def walks() -> Library:
    """Straight, to the left, to the right, and standing still after a step."""
    slowing = torch.linspace(1.2, 0.0, 60, dtype=torch.float64).clamp(min=0.0)
    stop = procedural_walk(
        torch.cat((slowing, slowing.flip(0))), torch.zeros(120, dtype=torch.float64), 30.0,
        name="stop and go",
    )  # fmt: skip
    return library_from_clips([walk(1.2, 0.0), walk(1.1, 0.8), walk(1.1, -0.8, phase=0.3), stop])


def recorded() -> list[Clip]:
    """The five clips of one person; skips where the recordings are absent."""
    if not FOLDER.is_dir():
        pytest.skip("the recordings of ../shared/data are absent")
    return [read_clip(FOLDER / f"{name}.bvh") for name in NAMES]
