"""The figure made by formula: where it goes, and how its feet stand."""

import math

import pytest
import torch

from muybridge.edit.procedural import FIGURE, Gait, procedural_walk
from muybridge.motion.facing import heading
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import forward_clip


def _steady(speed: float, turn: float, seconds: float = 6.0):
    frames = torch.ones(round(60 * seconds), dtype=torch.float64)
    return procedural_walk(speed * frames, turn * frames)


def test_it_goes_where_speed_and_turning_say() -> None:
    clip = _steady(1.2, math.pi / 6.0)
    seconds = (len(clip) - 1) / clip.fps
    radius = 1.2 / (math.pi / 6.0)
    angle = seconds * math.pi / 6.0
    assert float(heading(clip)[-1]) == pytest.approx(angle)
    expected = torch.tensor([radius * (1 - math.cos(angle)), radius * math.sin(angle)])
    torch.testing.assert_close(clip.root[-1, [0, 2]].float(), expected.float(), atol=2e-3, rtol=0.0)


@pytest.mark.parametrize("turn", [0.0, 0.7])
def test_a_foot_stands_still_three_fifths_of_the_time(turn: float) -> None:
    positions = forward_clip(_steady(1.1, turn)).positions
    for foot in ("LeftFoot", "RightFoot"):
        ankle = positions[:, FIGURE.index(foot)]
        speed = ankle.diff(dim=0).norm(dim=-1) * 60.0
        assert float((speed < 1e-6).double().mean()) == pytest.approx(0.6, abs=0.05)
        assert float(ankle[:, 1].min()) == pytest.approx(0.08, abs=1e-6)
        assert float(ankle[:, 1].max()) == pytest.approx(0.15, abs=5e-3)


def test_without_speed_it_stands() -> None:
    positions = forward_clip(_steady(0.0, 0.0)).positions
    assert float((positions - positions[0]).abs().max()) < 1e-12


def test_bones_bend_the_right_way() -> None:
    """Knees lie ahead of the line from hip to ankle."""
    positions = forward_clip(_steady(1.2, 0.0)).positions
    for side in ("Left", "Right"):
        hip, knee, ankle = (
            positions[:, FIGURE.index(f"{side}{name}")] for name in ("UpLeg", "Leg", "Foot")
        )
        assert bool((knee[:, 2] > (0.5 * (hip + ankle))[:, 2] - 1e-9).all())


def test_parts_are_found_by_name_and_phases_differ() -> None:
    known = humanoid(FIGURE)
    assert {"left_foot", "right_toes", "hips", "left_hand"} <= set(known)
    ones = torch.ones(60, dtype=torch.float64)
    first, second = (procedural_walk(ones, 0.0 * ones, gait=Gait(phase=p)) for p in (0.0, 0.5))
    left, right = FIGURE.index("LeftFoot"), FIGURE.index("RightFoot")
    a, b = forward_clip(first).positions[:, left], forward_clip(second).positions[:, right]
    torch.testing.assert_close(a[:, 1:], b[:, 1:], atol=1e-9, rtol=0.0)
