"""Triangulation: a naive twin, invariances, the Cramer-Rao bound, and wrong views thrown out."""

import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec
from muybridge.geometry.triangulation import (
    TriangulationOptions,
    refine_points,
    reprojection_px,
    triangulate,
    triangulate_linear,
    triangulate_soft,
)
from tests.demo import demo_cameras
from tests.rigs import noisy, perturbed, ring, scattered, spoilt


def _scene(cameras: Cameras, count: int, sigma_px: float, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    points = scattered(count, generator)
    return points, noisy(cameras.project(points), sigma_px, generator), generator


def _linear_naive(points_px, cameras: Cameras, weight) -> np.ndarray:
    """One point at a time, with numpy's SVD."""
    ray = cameras.normalize(points_px).numpy()
    out = np.full((points_px.shape[1], 3), np.nan)
    for n in range(len(out)):
        rows = []
        for c in range(len(cameras)):
            if not np.isfinite(ray[c, n]).all() or weight[c, n] <= 0.0:
                continue
            pose = np.c_[cameras.rotation[c].numpy(), cameras.translation[c].numpy()]
            for k in range(2):
                scale = float(cameras.matrix[c, k, k]) * float(weight[c, n]) ** 0.5
                rows.append(scale * (ray[c, n, k] * pose[2] - pose[k]))
        if len(rows) >= 4:
            x = np.linalg.svd(np.array(rows))[2][-1]
            out[n] = x[:3] / x[3]
    return out


def test_linear_equals_the_naive_twin() -> None:
    cameras = ring(4)
    _, seen, generator = _scene(cameras, 60, 3.0)
    seen, _ = spoilt(seen, generator, 0.1, 80.0, 0.4)
    weight = torch.rand(4, 60, generator=generator, dtype=torch.float64)
    expected = torch.from_numpy(_linear_naive(seen, cameras, weight))
    found = triangulate_linear(seen, cameras, weight)
    assert bool(expected.isnan().any()), "some points must have fewer than two views"
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_refinement_equals_a_slow_general_solver() -> None:
    cameras = ring(4)
    points, seen, generator = _scene(cameras, 8, 4.0)
    weight = 0.2 + torch.rand(4, 8, generator=generator, dtype=torch.float64)
    found = refine_points(points, seen, cameras, weight, steps=8)
    ideal = cameras.undistort_px(seen)
    plain = Cameras(
        cameras.names, cameras.size_px, cameras.matrix, 0.0 * cameras.distortion,
        cameras.rotation, cameras.translation,
    )  # fmt: skip

    def residual(x: np.ndarray, n: int) -> np.ndarray:
        error = plain.project(torch.from_numpy(x)[None])[:, 0] - ideal[:, n]
        return (weight[:, n, None].sqrt() * error).numpy().ravel()

    for n in range(8):
        best = least_squares(residual, points[n].numpy(), args=(n,), xtol=1e-14, ftol=1e-14)
        torch.testing.assert_close(found[n], torch.from_numpy(best.x), rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("method", ["linear", "consensus", "soft"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31 - 1))
def test_order_of_cameras_and_place_of_the_world_do_not_matter(method: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cameras = perturbed(ring(4), 5.0, 0.3, seed)
    points = scattered(20, generator)
    seen = noisy(cameras.project(points), 2.0, generator)
    weight = 0.3 + torch.rand(4, 20, generator=generator, dtype=torch.float64)

    def solve(rig: Cameras, px, w):
        if method == "linear":
            return triangulate_linear(px, rig, w)
        if method == "soft":
            return triangulate_soft(px, rig, w)
        return triangulate(px, rig, w, TriangulationOptions(steps=6)).points_world

    base = solve(cameras, seen, weight)
    order = torch.randperm(4, generator=generator).tolist()
    shuffled = solve(cameras.select(order), seen[order], weight[order])
    torch.testing.assert_close(shuffled, base, rtol=0.0, atol=1e-6)
    turn = matrix_from_rotvec(torch.randn(3, generator=generator, dtype=torch.float64))
    shift = torch.randn(3, generator=generator, dtype=torch.float64)
    new_from_old = Rigid(turn, shift)
    moved = cameras.with_extrinsics(
        Rigid(cameras.rotation @ turn.mT, cameras.translation - cameras.rotation @ turn.mT @ shift)
    )
    tolerance = 2e-3 if method == "linear" else 1e-6  # |X| = 1 depends on where the origin is
    expected = new_from_old.apply(base)
    torch.testing.assert_close(solve(moved, seen, weight), expected, rtol=0.0, atol=tolerance)


def test_exact_views_give_the_point_back() -> None:
    for count in (2, 3, 5, 9):
        cameras = ring(count)
        points, seen, _ = _scene(cameras, 30, 0.0)
        found = triangulate(seen, cameras)
        torch.testing.assert_close(found.points_world, points, rtol=0.0, atol=1e-9)
        assert bool((found.views == count).all())
        assert float(found.error_px.max()) < 1e-6


def test_forty_one_markers_and_eight_cameras_reach_the_cramer_rao_bound() -> None:
    cameras = ring(8)
    sigma = 0.5
    points, seen, _ = _scene(cameras, 41 * 100, sigma)
    found = triangulate(seen, cameras, options=TriangulationOptions(gate_px=6.0, sigma_px=sigma))
    rmse = float((found.points_world - points).square().sum(-1).mean().sqrt())
    bound = float(found.covariance.diagonal(dim1=-2, dim2=-1).sum(-1).mean().sqrt())
    assert rmse < 0.001
    assert rmse == pytest.approx(bound, rel=0.10)
    error = (found.points_world - points).unsqueeze(-1)
    mahalanobis = (error.mT @ torch.linalg.solve(found.covariance, error)).flatten()
    assert float(mahalanobis.mean()) == pytest.approx(3.0, rel=0.05)  # chi squared of 3 dofs


def test_wrong_views_are_found_and_counted() -> None:
    cameras = ring(4)
    points, seen, _ = _scene(cameras, 400, 1.0)
    wrong = torch.arange(400) % 4
    seen[wrong, torch.arange(400)] += 60.0
    found = triangulate(seen, cameras)
    agree = found.error_px < 12.0
    assert float((~agree[wrong, torch.arange(400)]).float().mean()) > 0.99
    good = found.views == 3
    assert float(good.float().mean()) > 0.97
    assert float((found.points_world - points).norm(dim=-1)[good].mean()) < 0.006


def test_too_few_views_and_parallel_rays_are_nan() -> None:
    cameras = ring(3)
    points, seen, _ = _scene(cameras, 4, 0.0)
    seen[1:, 0] = torch.nan
    seen[:, 1] = torch.nan
    confidence = torch.ones(3, 4, dtype=torch.float64)
    confidence[:2, 2] = 0.0
    found = triangulate(seen, cameras, confidence)
    assert found.points_world.isnan().all(-1).tolist() == [True, True, True, False]
    assert found.views.tolist() == [0.0, 0.0, 0.0, 3.0]
    assert bool(found.covariance[:3].isnan().all())
    twice = cameras.select([0, 0])
    same = triangulate(twice.project(points), twice)
    assert bool(same.points_world.isnan().all()), "two cameras in one place see no depth"


def test_a_point_on_the_line_between_two_facing_cameras_has_no_depth() -> None:
    facing = ring(2, height=1.0)
    between = torch.tensor([[0.0, 1.0, 0.0], [0.3, 1.2, 0.5]], dtype=torch.float64)
    found = triangulate(facing.project(between), facing)
    assert found.points_world.isnan().all(-1).tolist() == [True, False]


def test_soft_triangulation_uses_every_view_and_forgives_one() -> None:
    cameras = ring(4)
    points, seen, _ = _scene(cameras, 300, 2.0)
    seen[0, ::5] += 70.0
    ones = torch.ones(4, 300, dtype=torch.float64)
    error = (triangulate_soft(seen, cameras, ones) - points).norm(dim=-1)
    assert float(error.mean()) < 0.008
    plain = (triangulate_linear(seen, cameras) - points).norm(dim=-1)
    assert float(error[::5].mean()) < 0.25 * float(plain[::5].mean())


def test_reprojection_error_is_zero_at_the_truth_and_nan_where_unseen() -> None:
    cameras = ring(3)
    points, seen, _ = _scene(cameras, 10, 0.0)
    seen[1, 3] = torch.nan
    error = reprojection_px(points, seen, cameras)
    assert bool(error[1, 3].isnan())
    assert float(error.nan_to_num(0.0).max()) < 1e-6


def test_dirty_set_is_fast_and_accurate() -> None:
    """A tenth of the benchmark's seeded set, on the same rig; see bench/triangulation.py."""
    cameras = demo_cameras()
    points, seen, generator = _scene(cameras, 26_000, 2.0)
    seen, _ = spoilt(seen, generator, 0.10, 80.0, 0.10)
    triangulate(seen[:, :100], cameras)
    started = time.process_time()
    found = triangulate(seen, cameras).points_world
    seconds = time.process_time() - started
    error = 1000.0 * (found - points).norm(dim=-1)
    valid = error.isfinite()
    assert float(valid.float().mean()) >= 0.98
    assert float(error[valid].mean()) <= 8.0
    assert float(error[valid].quantile(0.95)) <= 11.0
    assert len(points) / seconds >= 30_000


def test_wrong_input_says_what_to_do() -> None:
    cameras = ring(3)
    with pytest.raises(InputError, match="expected points of 3 cameras, got 2"):
        triangulate(torch.zeros(2, 5, 2, dtype=torch.float64), cameras)
    with pytest.raises(InputError, match="at least two cameras"):
        triangulate(torch.zeros(1, 5, 2, dtype=torch.float64), cameras.select([0]))
