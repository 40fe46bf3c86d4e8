"""Few keys within an error: that it holds, that they are few, and that nothing else changes."""

from math import radians

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit import key_reduction
from muybridge.edit.key_motion import evaluate
from muybridge.edit.key_reduction import key_clip, reduction, uniform_keys
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle, quaternion_from_rotvec
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from tests.edit.swing import swing
from tests.motions import DATA, random_clip


@pytest.mark.parametrize("error", [0.001, 0.004, 0.02])
@pytest.mark.parametrize("way", ["smooth", "linear"])
def test_the_error_holds_and_falls_with_more_keys(error: float, way: str) -> None:
    clip = swing()
    keyed = key_clip(clip, error, radians(3.0), way)  # type: ignore[arg-type]
    measured = reduction(clip, keyed)
    apart = (forward_clip(evaluate(keyed)).positions - forward_clip(clip).positions).norm(dim=-1)
    assert float(apart.max()) <= error
    assert measured.error == pytest.approx(float(apart.max()))
    assert measured.angle <= radians(3.0)
    assert measured.keys < (0.15 if way == "smooth" else 0.6) * measured.poses
    for step in (24, 12, 8, 6, 4, 3, 2, 1):
        even = reduction(clip, uniform_keys(clip, step, way))  # type: ignore[arg-type]
        if even.error <= error:
            break
    assert measured.keys <= even.keys


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 7), st.booleans())
@settings(max_examples=12, deadline=None)
def test_any_clip_however_wild(seed: int, joints: int, frames: int, moving: bool) -> None:
    clip = random_clip(seed, joints, frames, moving=moving)
    keyed = key_clip(clip, 0.01)
    measured = reduction(clip, keyed)
    assert measured.error <= 0.01 + 1e-12
    assert measured.angle <= radians(1.0) + 1e-9
    again = evaluate(keyed)
    assert len(again) == frames
    assert again.fps == clip.fps


def test_a_known_cubic_takes_two_keys() -> None:
    """A path that is one cubic from end to end."""
    t = torch.arange(61, dtype=torch.float64) / 60.0
    path = torch.stack((t, t**2, 2.0 * t**3 - t), dim=-1)
    turn = quaternion_from_rotvec(torch.stack((0.0 * t, 1.1 * t, 0.0 * t), dim=-1))
    clip = Clip(Skeleton(("root",), (-1,), torch.zeros(1, 3).double()), turn[:, None], path, 60.0)
    keyed = key_clip(clip, 0.002)
    assert len(keyed.root) <= 3
    assert len(keyed.rotations[0]) == 2
    two = key_clip(clip.frames(0, 2), 0.002)
    assert two.count() <= 4


def test_the_path_is_shortest() -> None:
    """Against a search of all subsets, on a track short enough for it."""
    from itertools import combinations

    values = torch.randn(9, 1, 3, dtype=torch.float64).cumsum(0)
    lengths = tuple(range(1, 9))
    costs = key_reduction._costs(values, 30.0, "smooth", lengths)
    table = key_reduction._Table(values, lengths, costs, torch.full((1,), 99.0).double())
    for limit in (0.2, 0.6, 1.2, 3.0):
        found = key_reduction._shortest(table, limit)[:, 0]
        fewest = next(
            count
            for count in range(8)
            for inner in combinations(range(1, 8), count)
            if all(
                float(costs[lengths.index(b - a), a, 0]) <= limit or b - a == 1
                for a, b in zip((0, *inner), (*inner, 8), strict=True)
            )
        )
        assert int(found.sum()) == fewest + 2


def test_poses_that_are_missing_are_named() -> None:
    clip = swing()
    clip.rotations[3:5] = float("nan")
    with pytest.raises(InputError, match="2 of 121"):
        key_clip(clip)


@pytest.mark.skipif(not (DATA / "bvh").is_dir(), reason="the recordings are not here")
@pytest.mark.parametrize(
    ("name", "unit", "less"), [("games105/walk60", "m", 0.24), ("pybvh/bvh_test2", "cm", 0.3)]
)
def test_recordings_need_far_fewer_keys_than_even_ones(name: str, unit: str, less: float) -> None:
    clip = read_bvh(DATA / f"bvh/{name}.bvh", unit).clip.frames(0, 90)  # type: ignore[arg-type]
    keyed = key_clip(clip, 0.002)
    measured = reduction(clip, keyed)
    assert measured.error <= 0.002
    assert measured.keys < less * measured.poses
    for step in (3, 2, 1):
        even = reduction(clip, uniform_keys(clip, step))
        if even.error <= 0.002 and even.angle <= radians(1.0):
            break
    assert measured.keys < 0.6 * even.keys


def test_frames_between_keys_are_smooth() -> None:
    clip = swing()
    keyed = key_clip(clip, 0.004)
    fine = evaluate(keyed, torch.arange(1201, dtype=torch.float64) / 600.0)
    speed = geodesic_angle(fine.rotations[1:], fine.rotations[:-1]) * 600.0
    assert float(speed.diff(dim=0).abs().max()) < 0.2  # radians a second from one to the next
