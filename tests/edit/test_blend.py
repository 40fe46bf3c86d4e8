"""Blends and transitions: their ends, their speeds, and GAMES-105's and fairmotion's formulas."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.blend import blend, blend_many, ease, faced, transition, walked
from muybridge.edit.join import JoinOptions, join
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.facing import heading, moved, placed
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.motions import DATA

GAMES = DATA / "bvh/games105"
needs_data = pytest.mark.skipif(not GAMES.is_dir(), reason="the recordings are absent")


def _speed(clip: Clip) -> float:
    return float((forward_clip(clip).positions.diff(dim=0) * clip.fps).norm(dim=-1).max())


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_taken_apart_and_put_together(seed: int) -> None:
    clip = smooth_clip(seed)
    again = walked(clip, faced(clip))
    assert torch.allclose(again.root, clip.root, atol=1e-12)
    assert float(geodesic_angle(again.rotations, clip.rotations).max()) < 1e-7


def test_weights_of_zero_and_one_are_the_motions_themselves() -> None:
    a, b = walker(90), walker(90, steps=0.8, turn=0.4)
    b = moved(b, torch.tensor(1.0), torch.tensor([3.0, -2.0]))
    first, last = blend(a, b, 0.0), blend(a, b, 1.0)
    assert torch.allclose(first.root, a.root, atol=1e-12)
    there = placed(b, 0, torch.zeros(()).double(), a.root[0, [0, 2]])
    assert torch.allclose(last.root, there.root, atol=1e-9)
    assert float(geodesic_angle(last.rotations, there.rotations).max()) < 1e-7


def test_a_curve_between_straight_on_and_left() -> None:
    straight, left = walker(120), walker(120, turn=0.8)
    half = blend(straight, left, 0.5)
    assert float(heading(half)[-1]) == pytest.approx(float(heading(left)[-1]) / 2, abs=1e-9)
    walked_length = half.root.diff(dim=0)[:, [0, 2]].norm(dim=-1).sum()
    assert float(walked_length) == pytest.approx(1.2 * 119 / 60, rel=1e-4)


def test_where_it_was_recorded_does_not_matter() -> None:
    a, b = walker(60), smooth_clip(2, 60, like=walker(60))
    elsewhere = moved(b, torch.tensor(2.2), torch.tensor([5.0, 1.0]))
    one, two = blend(a, b, 0.4), blend(a, elsewhere, 0.4)
    assert torch.allclose(one.root, two.root, atol=1e-9)
    assert float(geodesic_angle(one.rotations, two.rotations).max()) < 1e-7


def test_many_of_one_are_that_one_and_two_are_a_blend() -> None:
    a, b = walker(60), walker(60, turn=0.3)
    same = blend_many([a, a, a], torch.tensor([0.2, 0.5, 0.3]))
    assert torch.allclose(same.root, a.root, atol=1e-12)
    two = blend_many([a, b], torch.tensor([3.0, 1.0]))
    assert torch.allclose(two.root, blend(a, b, 0.25).root, atol=1e-9)
    with pytest.raises(InputError, match="weight for each"):
        blend_many([a, b], torch.tensor([1.0]))


@pytest.mark.parametrize("method", ["inertialize", "blend", "dead-blend"])
def test_no_joint_is_faster_than_in_either_clip(method: str) -> None:
    a, b = walker(90), walker(120, steps=1.2, speed=1.6, turn=0.5)
    b = moved(b.frames(20, 120), torch.tensor(2.0), torch.tensor([4.0, 4.0]))
    joined = join([a, b], JoinOptions(method, 0.3))  # type: ignore[arg-type]
    assert _speed(joined) < 1.5 * max(_speed(a), _speed(b))
    length = {"blend": 190 - 18}.get(method, 190)
    assert len(joined) == length


@needs_data
@pytest.mark.parametrize("method", ["inertialize", "blend", "dead-blend"])
@pytest.mark.parametrize("names", [("idle", "run_forward"), ("run_forward", "walk60")])
def test_recorded_clips_join_without_a_spike(method: str, names: tuple[str, str]) -> None:
    a, b = (read_bvh(GAMES / f"{name}.bvh", "m").clip for name in names)
    joined = join([a, b], JoinOptions(method, 0.4))  # type: ignore[arg-type]
    assert _speed(joined) < 1.5 * max(_speed(a), _speed(b))


def test_a_clip_cut_and_blended_with_its_own_rest_walks_on() -> None:
    clip = replace(walker(120), captions=(Caption("walks", 0.0, 2.0),))
    joined = transition(clip.frames(0, 70), clip.frames(60, 120), 10 / 60)
    assert torch.allclose(joined.root, clip.root, atol=0.03)
    assert len(joined) == 120


def test_ease_starts_and_ends_at_rest() -> None:
    x = torch.tensor([-1.0, 0.0, 0.001, 0.5, 0.999, 1.0, 2.0], dtype=torch.float64)
    y = ease(x)
    assert y.tolist()[:2] == [0.0, 0.0]
    assert float(y[2]) < 1e-7
    assert float(y[3]) == pytest.approx(0.5)
    assert y.tolist()[-2:] == [1.0, 1.0]


def test_contacts_and_flags_go_with_the_weight() -> None:
    clip = walker(10)
    shape = clip.rotations.shape[:2]
    touching = replace(clip, contacts=torch.ones(shape, dtype=torch.bool))
    free = replace(clip, contacts=torch.zeros(shape, dtype=torch.bool))
    weights = torch.linspace(0.0, 1.0, 10, dtype=torch.float64)
    contacts = blend(touching, free, weights).contacts
    assert contacts is not None
    assert contacts[:, 0].tolist() == [True] * 5 + [False] * 5
    flagged = replace(clip, filled=torch.ones(shape, dtype=torch.bool))
    filled = blend(clip, flagged, weights).filled
    assert filled is not None
    assert filled[:, 0].tolist() == [False] + [True] * 9


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match="one length"):
        blend(walker(10), walker(11), 0.5)
    with pytest.raises(InputError, match="weights from 0 to 1"):
        blend(walker(10), walker(10), 1.5)
    with pytest.raises(InputError, match="shorter than both"):
        transition(walker(10), walker(100), 1.0)
    with pytest.raises(InputError, match="at least two"):
        join([walker(10)])
    with pytest.raises(InputError, match="of some length"):
        join([walker(10), walker(10)], JoinOptions(seconds=0.0))


def test_the_pose_formula_of_games105() -> None:
    """(1 - a) p0 + a p1 for heights and local slerps, as lab 2's `blend_two_motions` has it."""
    from scipy.spatial.transform import Rotation, Slerp

    a, b = smooth_clip(3, 30), smooth_clip(4, 30)
    b = replace(b, skeleton=a.skeleton)
    mixed = blend(a, b, 0.3)
    assert torch.allclose(mixed.root[:, 1], 0.7 * a.root[:, 1] + 0.3 * b.root[:, 1])
    for joint in range(1, 6):
        for frame in (0, 15, 29):
            ends = torch.stack((a.rotations[frame, joint], b.rotations[frame, joint])).numpy()
            truth = Slerp([0, 1], Rotation.from_quat(ends))(0.3)
            ours = Rotation.from_quat(mixed.rotations[frame, joint].numpy())
            assert float((truth.inv() * ours).magnitude()) < 1e-9
