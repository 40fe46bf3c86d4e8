"""Zhang + Levenberg-Marquardt against truth, OpenCV, autograd and degenerate views."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.zhang import Lens, _jacobians, calibrate_plane, homographies, poses_of_plane

SIZE = (1280, 720)
GRID = np.mgrid[:9, :6].T.reshape(-1, 2) * 0.03


def _lens() -> tuple[torch.Tensor, torch.Tensor]:
    matrix = torch.tensor([[910.0, 0, 652], [0, 905, 348], [0, 0, 1]], dtype=torch.float64)
    distortion = torch.tensor([-0.25, 0.09, 0.001, -0.0008, -0.02], dtype=torch.float64)
    return matrix, distortion


def _poses(count: int, tilt_deg: float, seed: int) -> Rigid:
    random = np.random.default_rng(seed)
    angles = random.uniform(-tilt_deg, tilt_deg, (count, 3))
    rotation = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    shift = np.stack(
        (
            random.uniform(-0.25, 0.05, count),
            random.uniform(-0.15, 0.05, count),
            random.uniform(0.35, 0.7, count),
        ),
        axis=-1,
    )
    return Rigid(torch.tensor(rotation), torch.tensor(shift))


def _observe(poses: Rigid, noise: float = 0.0, seed: int = 0) -> torch.Tensor:
    matrix, distortion = _lens()
    count = len(poses.rotation)
    cameras = Cameras(
        tuple(map(str, range(count))),
        torch.tensor([SIZE] * count, dtype=torch.float64),
        matrix.expand(count, 3, 3),
        distortion.expand(count, 5),
        *poses,
    )
    points = torch.tensor(np.c_[GRID, np.zeros(len(GRID))])
    pixels = cameras.project(points)
    generator = torch.Generator().manual_seed(seed)
    return pixels + noise * torch.randn(pixels.shape, generator=generator, dtype=torch.float64)


def test_exact_corners_give_the_exact_lens() -> None:
    poses = _poses(8, 35.0, 1)
    fit = calibrate_plane(torch.tensor(GRID), _observe(poses), SIZE)
    matrix, distortion = _lens()
    torch.testing.assert_close(fit.matrix, matrix, rtol=1e-8, atol=0)
    torch.testing.assert_close(fit.distortion, distortion, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(fit.rotation, poses.rotation, rtol=0, atol=1e-8)
    torch.testing.assert_close(fit.translation, poses.translation, rtol=0, atol=1e-8)
    assert fit.rms_px < 1e-8


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_opencv_on_the_same_corners(seed: int) -> None:
    observed = _observe(_poses(7, 40.0, seed), noise=0.3, seed=seed)
    fit = calibrate_plane(torch.tensor(GRID), observed, SIZE)
    flat = np.c_[GRID, np.zeros(len(GRID))].astype(np.float32)
    views = [view.numpy().astype(np.float32).reshape(-1, 1, 2) for view in observed]
    rms, matrix, distortion, _, _, sigma, *_ = cv2.calibrateCameraExtended(
        [flat] * len(views), views, SIZE, None, None, criteria=(3, 500, 1e-12)
    )
    assert fit.rms_px == pytest.approx(rms, rel=1e-5)
    np.testing.assert_allclose(fit.matrix.numpy(), matrix, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(fit.distortion.numpy(), distortion.ravel(), rtol=1e-3, atol=1e-6)
    ours = fit.covariance.diagonal().sqrt().numpy()
    np.testing.assert_allclose(ours, sigma.ravel()[:9], rtol=1e-3)


def test_jacobians_equal_autograd() -> None:
    poses = _poses(2, 30.0, 3)
    matrix, distortion = _lens()
    pinhole = torch.stack((matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]))
    points = torch.tensor(np.c_[GRID, np.zeros(len(GRID))])[::11]

    def pixels(lens: torch.Tensor, turn: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
        # A small left turn; to first order I + [turn]x.
        axes = torch.eye(3, dtype=turn.dtype).expand(2, 3, 3)
        skew = torch.linalg.cross(turn.unsqueeze(1).expand(2, 3, 3), axes).mT
        pose = Rigid(poses.rotation + skew @ poses.rotation, poses.translation + shift)
        return _jacobians(Lens(lens[:4], lens[4:]), pose, points)[0]

    zero = torch.zeros(2, 3, dtype=torch.float64)
    lens = torch.cat((pinhole, distortion))
    by_lens, by_turn, by_shift = torch.autograd.functional.jacobian(pixels, (lens, zero, zero))
    _, ours_lens, ours_pose = _jacobians(Lens(pinhole, distortion), poses, points)
    torch.testing.assert_close(ours_lens, by_lens)
    for v in range(2):
        torch.testing.assert_close(ours_pose[v, ..., :3], by_turn[v, :, :, v])
        torch.testing.assert_close(ours_pose[v, ..., 3:], by_shift[v, :, :, v])


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_unseen_corners_are_as_if_never_there(seed: int) -> None:
    observed = _observe(_poses(6, 35.0, 5), noise=0.2)
    random = np.random.default_rng(seed)
    keep = np.sort(random.choice(len(GRID), 30, replace=False))
    hidden = torch.full_like(observed, torch.nan)
    hidden[:, keep] = observed[:, keep]
    with_nan = calibrate_plane(torch.tensor(GRID), hidden, SIZE)
    without = calibrate_plane(torch.tensor(GRID[keep]), observed[:, keep], SIZE)
    torch.testing.assert_close(with_nan.matrix, without.matrix, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(with_nan.covariance, without.covariance, rtol=1e-3, atol=1e-8)


def test_covariance_predicts_the_spread_over_noise() -> None:
    poses = _poses(6, 35.0, 7)
    fits = [
        calibrate_plane(torch.tensor(GRID), _observe(poses, noise=0.3, seed=seed), SIZE)
        for seed in range(40)
    ]
    spread = torch.stack([fit.matrix[0, 0] for fit in fits]).std()
    predicted = torch.stack([fit.covariance[0, 0].sqrt() for fit in fits]).mean()
    assert 0.7 < float(spread / predicted) < 1.4


def test_frontal_views_say_how_little_they_know() -> None:
    frontal = calibrate_plane(torch.tensor(GRID), _observe(_poses(3, 2.0, 0), noise=0.3), SIZE)
    tilted = calibrate_plane(torch.tensor(GRID), _observe(_poses(3, 40.0, 0), noise=0.3), SIZE)
    assert float(frontal.covariance[0, 0]) > 100.0 * float(tilted.covariance[0, 0])
    assert bool(frontal.covariance.isfinite().all())


def test_fixed_parameters_stay() -> None:
    observed = _observe(_poses(5, 35.0, 2))
    fixed = ("cx", "cy", "k3")
    fit = calibrate_plane(torch.tensor(GRID), observed, SIZE, fixed=fixed)
    assert fit.matrix[:2, 2].tolist() == [639.5, 359.5]
    assert float(fit.distortion[4]) == 0.0
    assert not bool(fit.covariance[[2, 3, 8]].any())


def test_homographies_and_poses_of_an_ideal_lens() -> None:
    matrix, _ = _lens()
    poses = _poses(5, 35.0, 4)
    camera = poses.apply(torch.tensor(np.c_[GRID, np.zeros(len(GRID))]).expand(5, -1, 3))
    pixels = (camera / camera[..., 2:]) @ matrix.mT
    found = poses_of_plane(matrix, homographies(torch.tensor(GRID), pixels[..., :2]))
    torch.testing.assert_close(found.rotation, poses.rotation, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.translation, poses.translation, rtol=0, atol=1e-9)


def test_too_few_points_are_refused() -> None:
    observed = _observe(_poses(3, 35.0, 4))
    observed[1, 3:] = torch.nan
    with pytest.raises(ValueError, match="at least four points"):
        calibrate_plane(torch.tensor(GRID), observed, SIZE)
