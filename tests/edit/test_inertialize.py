"""Inertialisation: pose and velocity go on through the switch, and the target is reached."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.inertialize import (
    extrapolated,
    inertialize,
    join_inertialized,
    offset_at_switch,
    state_at,
    with_offset,
)
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import (
    conjugate,
    geodesic_angle,
    multiply,
    rotvec_from_quaternion,
)
from muybridge.motion.clip import Caption
from muybridge.motion.facing import yaw
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.motions import DATA

WALK, RUN = (DATA / "bvh/games105" / f"{n}.bvh" for n in ("walk_forward", "run_forward"))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_the_first_frame_has_the_pose_and_velocity_of_the_source(seed: int) -> None:
    first, second = smooth_clip(seed), smooth_clip(seed + 1)
    source, target = state_at(first, 7), state_at(second, 0)
    offset = offset_at_switch(source, target)
    tiny = torch.tensor([0.0, 1e-6], dtype=torch.float64)
    later = extrapolated(target, 1e-6)
    rotations, places = with_offset(
        torch.stack((target.rotations, later.rotations)),
        torch.stack((target.places, later.places)),
        offset,
        0.1,
        tiny,
    )
    assert float(geodesic_angle(rotations[0], source.rotations).max()) < 1e-9
    assert torch.allclose(places[0], source.places)
    spin = rotvec_from_quaternion(multiply(rotations[1], conjugate(rotations[0]))) / 1e-6
    assert torch.allclose(spin, source.spins, atol=1e-3 * (1.0 + float(source.spins.abs().max())))
    assert torch.allclose((places[1] - places[0]) / 1e-6, source.speeds, atol=1e-3)


def test_the_target_is_reached() -> None:
    first, second = smooth_clip(3, frames=200), smooth_clip(4, frames=200)
    clip = inertialize(second, state_at(first, -1), 0.05)
    assert float(geodesic_angle(clip.rotations[-1], second.rotations[-1]).max()) < 1e-9
    assert torch.allclose(clip.root[-1], second.root[-1])


def test_a_clip_that_goes_on_as_it_was_is_not_changed() -> None:
    clip = walker(120)
    joined = join_inertialized(clip.frames(0, 60), clip.frames(60, 120))
    away = (forward_clip(joined).positions - forward_clip(clip).positions).norm(dim=-1)
    assert float(away[:60].max()) == 0.0
    assert float(away.max()) < 6e-3  # what legs accelerate within the one frame between


def test_the_second_clip_continues_the_first_on_the_floor() -> None:
    first, second = walker(80), replace(smooth_clip(5, like=walker(80)), name="second")
    joined = join_inertialized(first, second, 0.1)
    assert len(joined) == len(first) + len(second)
    step = (joined.root[81:] - joined.root[80:-1]).norm(dim=-1)
    before = (first.root[1:] - first.root[:-1]).norm(dim=-1)
    across = (joined.root[80] - joined.root[79]).norm()
    assert float(across) <= 1.05 * float(max(step.max(), before.max()))


def test_captions_contacts_and_flags_are_kept() -> None:
    first = replace(walker(60), captions=(Caption("walks", 0.0, 1.0),))
    flags = torch.zeros(60, len(first.skeleton), dtype=torch.bool)
    words = (Caption("runs", 0.0, 0.5), Caption("walks", 0.0, 1.0))
    second = replace(first, filled=flags | True, contacts=flags, captions=words)
    joined = join_inertialized(first, second)
    assert joined.captions == (Caption("walks", 0.0, 2.0), Caption("runs", 1.0, 1.5))
    assert joined.filled is not None
    assert joined.filled[:60].any().item() is False
    assert bool(joined.filled[60:].all())
    assert joined.contacts is None
    both = join_inertialized(second, second)
    assert both.contacts is not None
    assert len(both.contacts) == 120


def test_what_does_not_fit_is_named() -> None:
    clip = walker(30)
    for other, words in (
        (replace(clip, fps=30.0), "resample"),
        (smooth_clip(1), "retarget"),
        (replace(clip, root=torch.full_like(clip.root, torch.nan)), "known pose"),
    ):
        with pytest.raises(InputError, match=words):
            join_inertialized(clip, other)
    bones = replace(clip.skeleton, offsets=1.1 * clip.skeleton.offsets)
    with pytest.raises(InputError, match="same bones"):
        join_inertialized(clip, replace(clip, skeleton=bones))


@pytest.mark.skipif(not WALK.is_file(), reason="the recordings of ../shared/data are absent")
def test_recorded_run_into_recorded_walk_has_no_spike() -> None:
    run, walk = read_bvh(RUN, "m").clip, read_bvh(WALK, "m").clip
    walk = replace(walk, fps=run.fps)
    joined = join_inertialized(run, walk, 0.15)
    speed = (forward_clip(joined).positions.diff(dim=0) * run.fps).norm(dim=-1)
    own = max(
        float((forward_clip(c).positions.diff(dim=0) * run.fps).norm(dim=-1).max())
        for c in (run, walk)
    )
    assert float(speed.max()) < 1.5 * own
    turn = yaw(joined.rotations[:, 0]).diff().abs()
    assert float(turn[len(run) - 1]) < 0.05
