"""Mirroring: the world seen in a mirror, and twice is not at all."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.mirror import mirror, mirror_joints
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.clip import Caption
from muybridge.motion.facing import heading, moved
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.motions import BVH_FILES, DATA


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(-3.0, 3.0))
def test_twice_is_the_motion_itself_and_once_is_a_reflection(seed: int, angle: float) -> None:
    clip = smooth_clip(seed, like=walker(20))
    clip = moved(clip, torch.tensor(angle), torch.tensor([2.0, 1.0]))
    once = mirror(clip)
    twice = mirror(once)
    assert float(geodesic_angle(twice.rotations, clip.rotations).max()) < 1e-7
    assert torch.allclose(twice.root, clip.root, atol=1e-12)
    # all distances are kept, and left has become right
    pairs = list(mirror_joints(clip.skeleton))
    a, b = forward_clip(clip).positions, forward_clip(once).positions[:, pairs]
    apart = [(p.unsqueeze(1) - p.unsqueeze(2)).norm(dim=-1) for p in (a, b)]
    assert torch.allclose(*apart, atol=1e-9)
    # and it is no turn but a mirror image: the volume of four points changes sign
    ends = [clip.skeleton.index(n) for n in ("Hips", "LeftHand", "RightHand", "LeftFoot")]
    volume = [torch.linalg.det(p[:, ends[1:]] - p[:, ends[:1]]) for p in (a, b)]
    assert torch.allclose(volume[0], -volume[1], atol=1e-9)


def test_place_and_heading_of_the_first_frame_stay_and_turns_are_reversed() -> None:
    clip = walker(90, turn=0.7)
    once = mirror(clip)
    assert torch.allclose(once.root[0], clip.root[0], atol=1e-12)
    assert torch.allclose(heading(once), -heading(clip), atol=1e-9)


def test_flags_and_words_change_sides() -> None:
    clip = walker(10)
    flags = torch.zeros(10, len(clip.skeleton), dtype=torch.bool)
    left, right = (clip.skeleton.index(f"{s}Foot") for s in ("Left", "Right"))
    flags[:, left] = True
    words = (Caption("Left foot up, turns clockwise right away", 0.0, 0.1),)
    once = mirror(replace(clip, contacts=flags, captions=words))
    assert once.contacts is not None
    assert bool(once.contacts[:, right].all())
    assert not bool(once.contacts[:, left].any())
    assert once.captions[0].text == "Right foot up, turns counterclockwise left away"


@pytest.mark.skipif(not BVH_FILES, reason="the recordings of ../shared/data are absent")
@pytest.mark.parametrize("path", BVH_FILES, ids=lambda p: p.stem)
def test_every_recorded_skeleton_has_two_sides(path) -> None:
    clip = read_bvh(path).clip.frames(0, 20)
    pairs = mirror_joints(clip.skeleton)
    assert [pairs[j] for j in pairs] == list(range(len(pairs)))
    twice = mirror(mirror(clip))
    assert float(geodesic_angle(twice.rotations, clip.rotations).max()) < 1e-7


@pytest.mark.skipif(not BVH_FILES, reason="the recordings of ../shared/data are absent")
def test_a_left_turn_becomes_a_right_turn() -> None:
    clip = read_bvh(DATA / "bvh/games105/walk_and_turn_left.bvh", "m").clip
    turned = heading(clip)[-1] - heading(clip)[0]
    other = heading(mirror(clip))[-1] - heading(mirror(clip))[0]
    assert float(turned) > 1.0
    assert float(turned + other) == pytest.approx(0.0, abs=1e-9)


def test_what_has_no_two_sides_is_named() -> None:
    with pytest.raises(InputError, match="pairs of left and right"):
        mirror(smooth_clip(1))
    clip = walker(5)
    offsets = clip.skeleton.offsets.clone()
    offsets[clip.skeleton.index("LeftForeArm")] = torch.tensor([0.0, -0.3, 0.0])
    askew = replace(clip, skeleton=replace(clip.skeleton, offsets=offsets))
    with pytest.raises(InputError, match="askew at"):
        mirror(askew)
