"""Gaps of a clip: filled near the truth, flagged, and nothing else touched."""

from dataclasses import replace

import pytest
import torch

from muybridge.edit.fill import Method, fill, longest_gap, unknown
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import walker
from tests.motions import DATA, random_clip

WALK = DATA / "bvh/games105/walk60.bvh"


def _holed(clip: Clip, start: int, stop: int, joints: list[int] | None = None) -> Clip:
    rotations, root = clip.rotations.clone(), clip.root.clone()
    wanted = list(range(len(clip.skeleton))) if joints is None else joints
    rotations[start:stop, wanted] = torch.nan
    if 0 in wanted:
        root[start:stop] = torch.nan
    return replace(clip, rotations=rotations, root=root)


def _error(a: Clip, b: Clip) -> float:
    return float((forward_clip(a).positions - forward_clip(b).positions).norm(dim=-1).max())


@pytest.mark.parametrize("method", ["slerp", "cubic"])
def test_a_gap_is_filled_flagged_and_the_rest_is_left_alone(method: Method) -> None:
    clip = walker(100)
    whole = fill(_holed(clip, 40, 50), method)
    assert whole.filled is not None
    assert bool(whole.filled[40:50].all())
    assert int(whole.filled.sum()) == 10 * len(clip.skeleton)
    known = [*range(40), *range(50, 100)]
    assert float((whole.rotations[known] - clip.rotations[known]).abs().max()) == 0.0
    assert float((whole.root[known] - clip.root[known]).abs().max()) == 0.0
    assert _error(whole, clip) < {"slerp": 0.2, "cubic": 0.08}[method]


@pytest.mark.skipif(not WALK.is_file(), reason="the recordings of ../shared/data are absent")
def test_velocities_at_the_ends_of_the_gap_help() -> None:
    clip = read_bvh(WALK, "m").clip
    errors = {
        method: sum(
            _error(fill(_holed(clip, s, s + 12), method), clip) for s in range(20, 160, 40)
        )  # gaps of 0.2 s
        for method in ("slerp", "cubic")
    }
    assert errors["cubic"] < 0.9 * errors["slerp"]


def test_one_joint_may_be_missing_alone_and_ends_stand_still() -> None:
    clip = walker(60)
    hand = clip.skeleton.index("LeftForeArm")
    whole = fill(_holed(_holed(clip, 0, 5, [hand]), 50, 60, [hand]))
    assert whole.filled is not None
    assert int(whole.filled.sum()) == 15
    assert torch.allclose(whole.rotations[:5, hand], clip.rotations[5, hand].expand(5, 4))
    assert torch.allclose(whole.rotations[50:, hand], clip.rotations[49, hand].expand(10, 4))
    assert bool((whole.root == clip.root).all())


def test_what_was_filled_may_be_filled_again() -> None:
    clip = walker(60)
    bad = replace(clip, rotations=clip.rotations.clone())
    bad.rotations[20:30] = clip.rotations[:10]
    flags = torch.zeros(60, len(clip.skeleton), dtype=torch.bool)
    flags[20:30] = True
    bad = replace(bad, filled=flags)
    assert fill(bad) is bad
    assert _error(fill(bad, again=True), clip) < 0.3 * _error(bad, clip)


def test_moving_joints_are_filled_too() -> None:
    clip = random_clip(1, frames=6, moving=True)
    assert clip.translations is not None
    places = clip.translations.clone()
    places[2, 3] = torch.nan
    whole = fill(replace(clip, translations=places, filled=None))
    assert whole.translations is not None
    truth = (clip.translations[1, 3] + clip.translations[3, 3]) / 2.0
    assert float((whole.translations[2, 3] - truth).abs().max()) < 1e-12


def test_the_longest_gap_is_counted() -> None:
    mask = torch.tensor([[1, 0], [1, 0], [0, 1], [1, 0], [1, 0], [1, 0]], dtype=torch.bool)
    assert longest_gap(mask) == 3
    assert longest_gap(mask[:0]) == 0
    clip = _holed(walker(20), 3, 7)
    assert longest_gap(unknown(clip)) == 4


def test_a_joint_that_was_never_seen_is_named() -> None:
    clip = walker(10)
    holed = _holed(clip, 0, 10, [clip.skeleton.index("LeftHand")])
    with pytest.raises(InputError, match=r"known pose of every joint.*LeftHand"):
        fill(holed)
