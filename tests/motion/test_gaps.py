"""Gap filling: parity with each method's reference, invariants, known truth, real recordings."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.files.c3d import read_c3d
from muybridge.geometry.rotation import matrix_from_rotvec
from muybridge.motion import gaps_space, gaps_time
from muybridge.motion.gaps import FillOptions, Gap, Method, fill_gaps, find_gaps
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.kinematics import forward_clip
from tests.model_person import model_person

DATA = Path(__file__).parents[2] / "../shared/data"
BVH = {"motion": "games105/motion.bvh", "walk": "pybvh/cmu_12_01_walk.bvh"}
C3D = sorted((DATA / "c3d").glob("*.c3d"))
needs_bvh = pytest.mark.skipif(not (DATA / "bvh").is_dir(), reason="../shared/data/bvh is absent")


@dataclass(frozen=True)
class Take:
    """Points over time with known truth."""

    points: Tensor
    fps: float

    def cut(self, seconds: float, count: int, seed: int) -> list[Gap]:
        """Places for single-marker gaps with something seen on both sides."""
        rng, gaps = np.random.default_rng(seed), []
        seen = self.points.isfinite().all(-1)
        length = round(seconds * self.fps)
        while len(gaps) < count:
            marker, start = rng.integers(seen.shape[1]), rng.integers(5, len(seen) - length - 5)
            if bool(seen[start - 5 : start + length + 5, marker].all()):
                gaps.append(Gap(int(marker), int(start), int(start) + length))
        return gaps

    def rmse(self, gaps: list[Gap], method: Method | str) -> float:
        """Error over gaps that are filled one at a time, millimetres."""
        squares = []
        for gap in gaps:
            points, cut = self.points.clone(), slice(gap.start, gap.stop)
            points[cut, gap.marker] = torch.nan
            filled = fill_gaps(points, self.fps, FillOptions(method, most_std=1e9), [gap])
            squares.append((filled.points[cut, gap.marker] - self.points[cut, gap.marker]).square())
        return 1e3 * float(torch.cat(squares).sum(-1).mean().sqrt())


def body(name: str) -> Take:
    """Joints of a recorded clip as markers, end sites and coincident joints left out, 1.75 m."""
    clip = read_bvh(DATA / "bvh" / BVH[name], "cm").clip
    points = forward_clip(clip).positions
    height = points[0, :, 1].max() - points[0, :, 1].min()
    kept: list[int] = []
    for joint in range(points.shape[1]):
        apart = (points[:, kept] - points[:, [joint]]).norm(dim=-1).amax(0)
        if not clip.skeleton.end_sites[joint] and bool((apart > 1e-3 * height).all()):
            kept.append(joint)
    return Take(points[:, kept] * 1.75 / height, clip.fps)


def person(frames: int = 240) -> Take:
    return Take(model_person(HALPE_26, frames)[1].points_world, 60.0)


def cluster(count: int = 5, frames: int = 80, seed: int = 0) -> Tensor:
    """A rigid body that tumbles through the room (T, M, 3)."""
    rng = np.random.default_rng(seed)
    shape = torch.from_numpy(rng.normal(size=(count, 3))) * 0.1
    phase = torch.arange(frames, dtype=torch.float64)[:, None] / 20.0
    turn = matrix_from_rotvec(torch.cat((phase, 0.6 * phase.sin(), 0.8 * phase.cos()), dim=1))
    path = torch.cat((phase, phase.sin(), (2 * phase).cos()), dim=1)
    return shape @ turn.mT + path.unsqueeze(1)


def hidden(points: Tensor, marker: int, start: int, stop: int) -> Tensor:
    points = points.clone()
    points[start:stop, marker] = torch.nan
    return points


def test_gaps_are_found() -> None:
    seen = torch.ones(6, 3, dtype=torch.bool)
    seen[0, 0] = seen[4:, 0] = seen[2:4, 2] = False
    seen[:, 1] = False
    assert find_gaps(seen) == (Gap(0, 0, 1), Gap(0, 4, 6), Gap(2, 2, 4))


def test_cubic_equals_scipy() -> None:
    track = hidden(person(60).points, 9, 20, 28)[:, 9]
    knots = np.r_[10:20, 28:38]
    theirs = CubicSpline(knots, track[knots].numpy())(np.arange(20, 28))
    np.testing.assert_allclose(gaps_time.cubic(track, 20, 28).numpy(), theirs, atol=1e-12)


def test_linear_is_a_straight_line_and_holds_the_ends() -> None:
    track = torch.arange(12.0, dtype=torch.float64).reshape(-1, 1).repeat(1, 3)
    np.testing.assert_allclose(gaps_time.linear(track, 3, 9), track[3:9], atol=1e-12)
    assert (gaps_time.linear(track, 0, 4) == 4.0).all()
    assert (gaps_time.cubic(track, 8, 12) == 7.0).all()


def test_bridge_equals_sklearns_gaussian_process() -> None:
    gp = pytest.importorskip("sklearn.gaussian_process")
    track = hidden(person(60).points, 9, 20, 30)[:, 9]
    track = track - track.nanmean(0)
    knots = gaps_time.neighbours(track, 20, 30, gaps_time.BRIDGE_KNOTS).numpy()
    kernel = gp.kernels.Matern(gaps_time.BRIDGE_SECONDS, nu=2.5)
    model = gp.GaussianProcessRegressor(kernel, alpha=gaps_time.BRIDGE_NOISE**2, optimizer=None)
    model.fit(knots[:, None] / 60.0, track[knots].numpy())
    theirs = model.predict(np.arange(20, 30)[:, None] / 60.0)
    np.testing.assert_allclose(gaps_time.bridge(track, 20, 30, 60.0).numpy(), theirs, atol=1e-9)


def test_low_rank_equals_a_masked_reconstruction_by_sklearns_pca() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    points = hidden(person(120).points, 9, 40, 70)
    donors = points[:, [m for m in range(26) if m != 9]]
    ours = gaps_space.low_rank(points[:, 9], donors, 0.99, weighted=False).points[40:70].numpy()
    centre = donors.mean(1, keepdim=True)
    rows = torch.cat((donors - centre, points[:, [9]] - centre), dim=1).flatten(1).numpy()
    known = np.r_[0:40, 70:120]
    pca = decomposition.PCA(0.99, svd_solver="full").fit(rows[known])
    base, mean = pca.components_, pca.mean_
    scores = np.linalg.lstsq(base[:, :-3].T, (rows[40:70, :-3] - mean[:-3]).T, rcond=None)[0].T
    theirs = pca.inverse_transform(scores)[:, -3:] + centre[40:70, 0].numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("method", ["rigid", "local"])
def test_a_rigid_body_is_completed_exactly(method: Method) -> None:
    points = cluster()
    filled = fill_gaps(hidden(points, 2, 20, 60), 60.0, FillOptions(method))
    gap = (filled.points - points).norm(dim=-1).max()
    assert float(gap) < (1e-9 if method == "rigid" else 1e-4)


def test_rigid_needs_three_mates() -> None:
    points = cluster(3)
    assert gaps_space.rigid(points[:, 0], points[:, 1:]) is None


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 25), st.integers(1, 50))
def test_filling_commutes_with_moving_the_room(seed: int, marker: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    turn = matrix_from_rotvec(torch.from_numpy(rng.normal(size=3)))
    shift = torch.from_numpy(rng.normal(size=3))
    points = hidden(person(90).points, marker, 20, 20 + length)
    plain, moved = fill_gaps(points, 60.0), fill_gaps(points @ turn.mT + shift, 60.0)
    gap = moved.points - (plain.points @ turn.mT + shift)
    assert float(gap.abs().max()) < 1e-6


def test_what_was_seen_stays_and_what_never_was_stays_unknown() -> None:
    points = person(90).points.clone()
    points[:, 3] = torch.nan
    points[30:40, 5:9] = torch.nan
    filled = fill_gaps(points, 60.0)
    seen = points.isfinite()
    assert bool((filled.points[seen] == points[seen]).all())
    assert bool(filled.points[:, 3].isnan().all())
    assert bool(filled.points[:, 5:9].isfinite().all())
    assert bool((filled.std[seen.all(-1)] == 0.0).all())
    assert [len(f.gap) for f in filled.fillings] == [10] * 4


def test_chosen_gaps_are_filled_alone() -> None:
    points = hidden(hidden(person(90).points, 3, 20, 30), 8, 50, 60)
    filled = fill_gaps(points, 60.0, only=[Gap(8, 50, 60)])
    assert [f.gap for f in filled.fillings] == [Gap(8, 50, 60)]
    assert bool(filled.points[:, 8].isfinite().all())
    assert bool(filled.points[20:30, 3].isnan().all())


def test_a_gap_that_cannot_be_filled_well_stays_open() -> None:
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.normal(size=(100, 4, 3)))  # pure noise: no method can know
    (filling,) = fill_gaps(hidden(points, 1, 40, 60), 60.0).fillings
    assert filling.method is None
    assert filling.std > 0.5


def test_a_lonely_marker_gets_a_spline_if_the_gap_is_short() -> None:
    track = person(60).points[:, [9]]
    (short,) = fill_gaps(hidden(track, 0, 20, 24), 60.0).fillings
    assert short.method == "cubic"
    assert 0.0 < short.std < 0.01


def test_several_markers_hidden_at_once() -> None:
    take = person()
    points = take.points.clone()
    lost = [m for m, name in enumerate(HALPE_26) if "left" in name and "ankle" not in name]
    points[100:130, lost] = torch.nan
    error = (fill_gaps(points, 60.0).points - take.points)[100:130, lost].norm(dim=-1)
    assert float(error.square().mean().sqrt()) < 0.02


@pytest.mark.parametrize(("seconds", "most"), [(0.1, 2.0), (0.25, 3.0), (0.5, 5.0), (1.0, 10.0)])
def test_synthetic_person_in_millimetres(seconds: float, most: float) -> None:
    take = person()
    gaps = take.cut(seconds, 12, seed=1)
    ours = take.rmse(gaps, "auto")
    assert ours < most
    if seconds >= 0.5:
        assert ours < 0.2 * take.rmse(gaps, "cubic")


@needs_bvh
@pytest.mark.parametrize(
    ("name", "seconds", "most"),
    [("motion", 0.25, 5.0), ("motion", 1.0, 25.0), ("walk", 0.25, 12.0), ("walk", 0.5, 20.0)],
)
def test_recorded_clips_in_millimetres(name: str, seconds: float, most: float) -> None:
    """The whole protocol, 60 gaps, four lengths and all methods: bench/gaps.py."""
    take = body(name)
    gaps = take.cut(seconds, 12, seed=2)
    ours = take.rmse(gaps, "auto")
    assert ours < most
    assert ours < 0.85 * take.rmse(gaps, "cubic")
    assert ours < 0.9 * take.rmse(gaps, "low_rank")


@pytest.mark.skipif(not C3D, reason="../shared/data/c3d is absent")
def test_recorded_markers_fill_better_than_by_splines_and_expect_their_error() -> None:
    markers = read_c3d(next(path for path in C3D if path.stem == "markers_analogs"))
    take = Take(markers.points_world[:, markers.seen.all(0)], markers.fps)
    gaps = take.cut(0.5, 10, seed=3)
    ours = take.rmse(gaps, "auto")
    assert ours < 0.25 * take.rmse(gaps, "cubic")
    assert ours < 2.0


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_rates_that_make_no_sense_are_refused(fps: float) -> None:
    with pytest.raises(InputError, match="positive frame rate"):
        fill_gaps(person(10).points, fps)


def test_infinity_and_bad_bounds_are_refused() -> None:
    points = person(10).points.clone()
    points[0, 0, 0] = torch.inf
    with pytest.raises(InputError, match="infinity"):
        fill_gaps(points, 60.0)
    with pytest.raises(InputError, match="above 0 m"):
        FillOptions(most_std=0.0)


@pytest.mark.parametrize("shape", [(0, 3), (5, 0), (1, 2), (2, 4)])
def test_the_smallest_takes(shape: tuple[int, int]) -> None:
    points = torch.full((*shape, 3), torch.nan, dtype=torch.float64)
    points[:1] = 0.0
    assert fill_gaps(points, 60.0).points.shape == points.shape
