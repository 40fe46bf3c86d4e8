"""Loops close exactly, in pose and speed, and go on for ever."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.loop import LoopOptions, closure, loop, repeat
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.motions import DATA

RUN = DATA / "bvh/games105/run_forward.bvh"


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.floats(0.0, 1.0), st.floats(0.1, 0.6))
def test_any_motion_closes_in_pose_and_speed(seed: int, share: float, seconds: float) -> None:
    clip = smooth_clip(seed)
    closed = loop(clip, LoopOptions(share, seconds))
    assert max(closure(clip)) > 0.1
    assert max(closure(closed)) < 1e-9


def test_only_the_windows_change_and_each_end_bears_its_share() -> None:
    clip = smooth_clip(7, frames=100)
    closed = loop(clip, LoopOptions(share=0.0, seconds=0.5))
    away = geodesic_angle(closed.rotations, clip.rotations).amax(-1)
    assert float(away[:69].max()) < 1e-12
    assert float(away[-1]) > 0.01


def test_a_loop_is_left_alone() -> None:
    clip = walker(61, turn=0.5)  # exactly one stride
    closed = loop(clip)
    apart = (forward_clip(closed).positions - forward_clip(clip).positions).norm(dim=-1)
    assert float(apart.max()) < 2e-3


@pytest.mark.parametrize("turn", [0.0, 0.9])
def test_rounds_follow_each_other_without_a_jump(turn: float) -> None:
    closed = loop(walker(55, turn=turn))
    rounds = repeat(closed, 3)
    assert len(rounds) == 3 * 54 + 1
    speed = forward_clip(rounds).positions.diff(dim=0).norm(dim=-1).amax(-1)
    own = forward_clip(closed).positions.diff(dim=0).norm(dim=-1).amax(-1)
    assert float(speed.max()) < 1.01 * float(own.max())
    acceleration = forward_clip(rounds).positions.diff(n=2, dim=0).norm(dim=-1).amax(-1)
    seams = acceleration[[53, 107]]
    assert float(seams.max()) <= 1.05 * float(acceleration.max())


@pytest.mark.skipif(not RUN.is_file(), reason="the recordings of ../shared/data are absent")
def test_a_recorded_stride_closes() -> None:
    clip = read_bvh(RUN, "m").clip
    closed = loop(clip)
    assert max(closure(clip)) > 0.3
    assert max(closure(closed)) < 1e-9
    bent = geodesic_angle(closed.rotations, clip.rotations).max()
    assert float(bent) < 0.5


def test_what_cannot_loop_is_named() -> None:
    with pytest.raises(InputError, match="at least 4 frames"):
        loop(walker(3))
    with pytest.raises(InputError, match="window"):
        loop(walker(60), LoopOptions(seconds=2.0))
    with pytest.raises(InputError, match="share"):
        LoopOptions(share=1.5)
    with pytest.raises(InputError, match="one round"):
        repeat(walker(60), 0)
    with pytest.raises(InputError, match="1,000,000 frames"):
        repeat(walker(60), 100_000_000)


def test_gradients_flow() -> None:
    clip = smooth_clip(1)
    clip.rotations.requires_grad_()
    loop(clip).rotations[10].sum().backward()
    assert clip.rotations.grad is not None
    assert bool(torch.isfinite(clip.rotations.grad).all())
