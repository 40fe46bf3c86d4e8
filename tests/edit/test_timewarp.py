"""Time warping: against dtaidistance and the plain recursion; blends along registration curves."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.feet import foot_contacts, foot_slide
from muybridge.edit.timewarp import (
    WarpOptions,
    accumulated,
    dtw,
    registration,
    squared_costs,
    timewarp_blend,
    warped_to,
)
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.motion.clip import Caption
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.motions import DATA

GAMES = DATA / "bvh/games105"


def _walks(seed: int, n: int, m: int, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    return tuple(torch.from_numpy(rng.normal(size=(c, k)).cumsum(0)) for c in (n, m))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), st.sampled_from([None, 0, 2])
)
def test_diagonals_are_the_plain_recursion(seed: int, n: int, m: int, window: int | None) -> None:
    costs = np.random.default_rng(seed).random((n, m))
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            low, high = min(0, n - m), max(0, n - m)
            if window is None or low - window <= i - j <= high + window:
                before = min(total[i - 1, j - 1], total[i - 1, j], total[i, j - 1])
                total[i, j] = costs[i - 1, j - 1] + before
    ours = accumulated(costs, window)
    assert np.allclose(ours, total[1:, 1:], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(("n", "m"), [(40, 40), (30, 71), (90, 20)])
@pytest.mark.parametrize("k", [1, 7])
def test_distance_and_path_of_dtaidistance(n: int, m: int, k: int) -> None:
    theirs = pytest.importorskip("dtaidistance.dtw_ndim" if k > 1 else "dtaidistance.dtw")
    a, b = _walks(n + k, n, m, k)
    pair = (a.numpy(), b.numpy()) if k > 1 else (a[:, 0].numpy(), b[:, 0].numpy())
    ours = dtw(a, b)
    assert ours.distance == pytest.approx(theirs.distance(*pair), rel=1e-12, abs=1e-9)
    assert list(zip(ours.first.tolist(), ours.second.tolist(), strict=True)) == (
        theirs.warping_path(*pair)
    )


def test_costs_of_many_features_by_one_product() -> None:
    a, b = _walks(1, 20, 30, 5)
    a, b = a + 1e4, b + 1e4
    plain = (a[:, None] - b).square().sum(-1)
    assert torch.allclose(squared_costs(a, b), plain, rtol=1e-9, atol=1e-9)


def test_a_path_is_monotone_from_corner_to_corner() -> None:
    warp = dtw(*_walks(5, 33, 50, 3))
    for frames, last in ((warp.first, 32), (warp.second, 49)):
        assert (int(frames[0]), int(frames[-1])) == (0, last)
        assert set(frames.diff().tolist()) <= {0, 1}


def test_a_known_warp_is_found_again() -> None:
    """The same walk at uneven speed: registration finds which frame is which."""
    clip = walker(181, fps=60.0)
    time = torch.linspace(0.0, 1.0, 151, dtype=torch.float64)
    truth = 180.0 * (time + 0.08 * (2.0 * torch.pi * time).sin() / 2.0)
    from muybridge.edit.resample import at_frames

    other = at_frames(clip, truth)
    i, j = registration(clip, other, WarpOptions(smooth=0.05))
    assert bool((i.diff() > 0.0).all())
    assert bool((j.diff() > 0.0).all())
    found = np.interp(j.numpy(), np.arange(151), truth.numpy())
    assert float(np.abs(found - i.numpy()).max()) < 4.0  # frames of 1/60 s
    assert float(np.abs(found - i.numpy()).mean()) < 1.2


def test_two_walks_of_different_speed_blend_step_by_step() -> None:
    slow, fast = walker(121, steps=0.8, speed=0.9), walker(81, steps=1.2, speed=1.5)
    half = timewarp_blend(slow, fast, 0.5)
    assert len(half) == pytest.approx(101, abs=1)
    ends = [timewarp_blend(slow, fast, w) for w in (0.0, 1.0)]
    assert [len(e) for e in ends] == [121, 81]
    assert float((ends[0].root - slow.root).abs().max()) < 0.02
    knees = [c.rotations[:, c.skeleton.index("LeftLeg"), 0].numpy() for c in (slow, half, fast)]
    swings = [int(((k[1:-1] > k[:-2]) & (k[1:-1] >= k[2:])).sum()) for k in knees]
    assert swings[1] == swings[0] == swings[2]
    # without time warping the swings would fall between each other and the knee hardly bend
    assert float(knees[1].max()) > 0.95 * min(float(knees[0].max()), float(knees[2].max()))


def test_the_timing_of_another() -> None:
    slow, fast = walker(121, steps=0.8), walker(81, steps=1.2)
    timed = warped_to(replace(fast, captions=(Caption("all", 0.0, 80 / 60),)), slow)
    assert len(timed) == 121
    assert timed.captions[0].end == pytest.approx(2.0, abs=0.02)
    leg = slow.skeleton.index("LeftUpLeg")
    apart = timed.rotations[:, leg, 0] - slow.rotations[:, leg, 0]
    assert float(apart.abs().max()) < 0.12


@pytest.mark.skipif(not GAMES.is_dir(), reason="the recordings of ../shared/data are absent")
def test_recorded_walk_and_run_between() -> None:
    walk = read_bvh(GAMES / "walk_forward.bvh", "m").clip
    run = read_bvh(GAMES / "run_forward.bvh", "m").clip
    from muybridge.edit.resample import resample

    walk = resample(walk, run.fps)
    jog = timewarp_blend(walk, run, 0.5)
    assert min(len(walk), len(run)) < len(jog) < max(len(walk), len(run))
    speeds = [
        float((forward_clip(c).positions.diff(dim=0) * c.fps).norm(dim=-1).max())
        for c in (walk, run, jog)
    ]
    assert speeds[2] < 1.5 * max(speeds[:2])
    assert foot_slide(jog, foot_contacts(jog)) < 0.5


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="two sequences"):
        dtw(torch.zeros(0, 2), torch.zeros(3, 2))
    with pytest.raises(InputError, match="weight from 0 to 1"):
        timewarp_blend(walker(10), walker(10), 2.0)
    with pytest.raises(InputError, match="same joints"):
        registration(walker(10), smooth_clip(1))
