"""Facing frames: R = R_y R_xz, and rigid moves on the floor."""

import math
from dataclasses import replace

import torch
from hypothesis import given
from hypothesis import strategies as st

from muybridge.geometry.rotation import geodesic_angle, multiply, quaternion_from_rotvec
from muybridge.motion.facing import (
    heading,
    moved,
    placed,
    rest_heading,
    unwrap,
    wrap,
    yaw,
    yaw_quaternion,
)
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from tests.motions import random_clip

angles = st.floats(-3.1, 3.1)


@given(angles, st.floats(-3.0, 3.0), st.floats(-math.pi, math.pi))
def test_yaw_is_what_is_left_of_a_turn_after_a_tilt(turn: float, tilt: float, axis: float) -> None:
    level = torch.tensor([math.cos(axis), 0.0, math.sin(axis)], dtype=torch.float64)
    tilted = quaternion_from_rotvec(tilt * level)
    vertical = yaw_quaternion(torch.tensor(turn, dtype=torch.float64))
    found = yaw(multiply(vertical, tilted))
    assert abs(float(wrap(found - turn))) < 1e-9


@given(st.integers(0, 1000), angles, st.floats(-5.0, 5.0))
def test_moving_is_rigid(seed: int, turn: float, shift: float) -> None:
    clip = random_clip(seed, moving=seed % 2 == 0)
    angle = torch.tensor(turn, dtype=torch.float64)
    there = moved(clip, angle, torch.tensor([shift, -shift]))
    back = moved(there, -angle, torch.zeros(2))
    back = replace(back, root=back.root - back.root[0] + clip.root[0])
    before, after = forward_clip(clip), forward_clip(back)
    assert float((before.positions - after.positions).abs().max()) < 1e-9
    assert float(geodesic_angle(before.orientations, after.orientations).max()) < 1e-6
    heights = forward_clip(there).positions[..., 1] - before.positions[..., 1]
    assert float(heights.abs().max()) < 1e-9


@given(st.integers(0, 1000), angles)
def test_placing_puts_a_frame_where_it_was_asked(seed: int, turn: float) -> None:
    clip, place = random_clip(seed), torch.tensor([1.0, -2.0], dtype=torch.float64)
    angle = torch.tensor(turn, dtype=torch.float64)
    there = placed(clip, 2, angle, place)
    assert float((there.root[2, [0, 2]] - place).abs().max()) < 1e-9
    assert abs(float(wrap(yaw(there.rotations[2, 0]) - angle))) < 1e-9


def test_heading_counts_whole_turns_and_where_the_rest_pose_faces() -> None:
    turns = torch.linspace(0.0, 15.0, 60, dtype=torch.float64)
    assert torch.allclose(unwrap(wrap(turns)), turns)
    clip = random_clip(0, frames=60)
    rotations = clip.rotations.clone()
    rotations[:, 0] = yaw_quaternion(turns)
    assert torch.allclose(heading(replace(clip, rotations=rotations)), turns)
    names = ("Hips", "LeftUpLeg", "RightUpLeg")
    offsets = torch.tensor([[0.0, 0, 0], [0, 0, -0.1], [0, 0, 0.1]], dtype=torch.float64)
    assert math.isclose(rest_heading(Skeleton(names, (-1, 0, 0), offsets)), math.pi / 2.0)
