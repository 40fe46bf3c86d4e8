"""Bundle adjustment: Jacobians, the eliminated system, truth recovered, covariance, robustness."""

from dataclasses import replace

import pytest
import torch

from muybridge.geometry.bundle import (
    PARAMETERS,
    Baseline,
    BundleOptions,
    Observations,
    _jacobians,
    _moved,
    _normal_equations,
    _Problem,
    _residuals,
    _Scene,
    _solve,
    adjust,
    baseline_sigma,
    free_parameters,
)
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid, align
from muybridge.geometry.rotation import matrix_from_rotvec

LENS = ("fx", "fy", "cx", "cy", "k1", "k2")


def ring(count: int = 4, radius: float = 3.0) -> Cameras:
    """Cameras on a ring around the origin, all looking at it."""
    angle = torch.arange(count, dtype=torch.float64) * (0.5 * torch.pi / max(count - 1, 1))
    centres = torch.stack(
        (radius * angle.sin(), torch.linspace(0.4, 1.6, count).double(), -radius * angle.cos()), -1
    )
    forward = torch.nn.functional.normalize(-centres, dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    rotation = torch.stack((right, torch.linalg.cross(forward, right), forward), dim=1)
    matrix = torch.tensor([[900.0, 0.0, 645.0], [0.0, 905.0, 352.0], [0.0, 0.0, 1.0]])
    distortion = torch.tensor([-0.12, 0.03, 0.001, -0.0005, 0.0])
    return Cameras(
        tuple(f"cam{c}" for c in range(count)),
        torch.tensor([[1280.0, 720.0]], dtype=torch.float64).expand(count, 2).clone(),
        matrix.double().expand(count, 3, 3).clone(),
        distortion.double().expand(count, 5).clone(),
        rotation,
        -(rotation @ centres.unsqueeze(-1)).squeeze(-1),
    )


def boards(count: int, seed: int) -> tuple[Rigid, torch.Tensor]:
    """Poses of a board near the origin, and its 7 x 5 corners."""
    generator = torch.Generator().manual_seed(seed)
    turn = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 0.45
    shift = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 0.3
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    corners = torch.stack((x - 3, y - 2, torch.zeros_like(x)), -1).reshape(-1, 3).double() * 0.08
    return Rigid(matrix_from_rotvec(turn), shift), corners


def seen(cameras: Cameras, bodies: Rigid, points: torch.Tensor, noise: float, seed: int = 0):
    """All points of all bodies in all cameras."""
    count = len(bodies.translation)
    pixels = cameras.project(bodies.apply(points.expand(count, -1, 3)))  # c b n 2
    camera, body, point = (i.flatten() for i in _grid(*pixels.shape[:3]))
    generator = torch.Generator().manual_seed(seed)
    flat = pixels.reshape(-1, 2)
    flat = flat + noise * torch.randn(flat.shape, generator=generator, dtype=torch.float64)
    return Observations(flat, camera, body, points[point])


def _grid(*shape: int) -> tuple[torch.Tensor, ...]:
    return torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")


def perturbed(cameras: Cameras, degrees: float, metres: float, seed: int = 5) -> Cameras:
    generator = torch.Generator().manual_seed(seed)
    turn = torch.randn(len(cameras), 3, generator=generator, dtype=torch.float64)
    shift = torch.randn(len(cameras), 3, generator=generator, dtype=torch.float64)
    turn[0], shift[0] = 0.0, 0.0
    turn = torch.nn.functional.normalize(turn, dim=-1) * torch.deg2rad(torch.tensor(degrees))
    return cameras.with_extrinsics(
        Rigid(
            matrix_from_rotvec(turn.double()) @ cameras.rotation,
            cameras.translation + metres * torch.nn.functional.normalize(shift, dim=-1),
        )
    )


def free_points(count: int, seed: int = 1) -> Rigid:
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 0.5
    return Rigid(torch.eye(3, dtype=torch.float64).expand(count, 3, 3), points)


ORIGIN = torch.zeros(1, 3, dtype=torch.float64)


def test_jacobians_are_the_derivatives_of_the_pixels() -> None:
    cameras = ring(3)
    bodies, points = boards(2, 3)
    observations = seen(cameras, bodies, points[::5], 0.0)
    velocity = torch.randn(len(observations.camera), 2, dtype=torch.float64)
    observations = replace(observations, velocity_px=velocity)
    scene = _Scene(cameras, bodies, torch.zeros(3).double())
    by_camera, by_body = _jacobians(scene, observations)

    def pixels(camera: torch.Tensor, body: torch.Tensor) -> torch.Tensor:
        return _residuals(_moved(scene, camera, body), observations)

    zero = (torch.zeros(3, 16, dtype=torch.float64), torch.zeros(2, 6, dtype=torch.float64))
    camera_slow, body_slow = torch.autograd.functional.jacobian(pixels, zero)
    rows = torch.arange(len(observations.camera))
    camera_slow = camera_slow[rows, :, observations.camera]
    body_slow = body_slow[rows, :, observations.body]
    scale = camera_slow.abs().amax((0, 1))
    torch.testing.assert_close(by_camera / scale, camera_slow / scale, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(by_body, body_slow, rtol=1e-9, atol=1e-7)


def test_eliminating_bodies_solves_the_full_system() -> None:
    cameras, (bodies, points) = ring(3), boards(4, 3)
    observations = seen(cameras, bodies, points, 1.0)
    free = free_parameters(3, LENS)
    problem = _Problem(observations, BundleOptions(), free, cameras, None)
    normal = _normal_equations(problem, _Scene(cameras, bodies, torch.zeros(3).double()))
    camera, body = _solve(normal, free, 1e-3)
    cross = normal.cross.flatten(0, 1)
    full = torch.cat(
        (
            torch.cat((normal.camera, cross.mT), 1),
            torch.cat((cross, torch.block_diag(*normal.body)), 1),
        )
    )
    full = full + torch.diag(1e-3 * full.diagonal() + 1e-12)
    keep = torch.cat((free.flatten(), torch.ones(24, dtype=torch.bool)))
    gradient = torch.cat((normal.camera_gradient, normal.body_gradient.flatten()))
    naive = -torch.linalg.solve(full[keep][:, keep], gradient[keep])
    ours = torch.cat((camera.flatten(), body.flatten()))
    assert bool((ours[~keep] == 0.0).all())
    torch.testing.assert_close(ours[keep], naive, rtol=1e-6, atol=1e-10)


def test_boards_recover_lenses_and_poses() -> None:
    truth, (bodies, points) = ring(4), boards(20, 7)
    observations = seen(truth, bodies, points, 0.1)
    start = perturbed(truth, 3.0, 0.1)
    matrix = truth.matrix.clone()
    matrix[:, 0, 0] *= 1.03
    start = replace(start, matrix=matrix, distortion=torch.zeros_like(truth.distortion))
    moved = Rigid(bodies.rotation, bodies.translation + 0.05)
    free = free_parameters(4, PARAMETERS[:9])
    result = adjust(start, moved, observations, free)
    assert result.converged
    assert result.rms_px == pytest.approx(0.1 * 2**0.5, rel=0.05)
    focal = result.cameras.matrix[:, 0, 0] / truth.matrix[:, 0, 0] - 1.0
    assert float(focal.abs().max()) < 2e-3
    true, found = truth.centres_world, result.cameras.centres_world
    baseline = (found[3] - found[0]).norm() / (true[3] - true[0]).norm()
    assert float(baseline) == pytest.approx(1.0, abs=1e-3)
    sigma = result.sigma()
    assert bool((sigma[0, 9:] == 0.0).all())
    z = (result.cameras.matrix[:, 0, 0] - truth.matrix[:, 0, 0]).abs() / sigma[:, 0]
    assert float(z.max()) < 4.0


def test_a_perturbed_rig_converges_to_the_gauge_aligned_truth() -> None:
    """Free points, no board: the stated baseline holds the scale (issue 2, C8)."""
    truth, points = ring(4), free_points(80)
    observations = seen(truth, points, ORIGIN, 0.5)
    start = perturbed(truth, 2.0, 0.1)
    guess = Rigid(points.rotation, points.translation + 0.03)
    length = float((truth.centres_world[1] - truth.centres_world[0]).norm())
    options = BundleOptions(body="point", loss="soft_l1", baseline=Baseline(0, 1, length))
    result = adjust(start, guess, observations, free_parameters(4), options)
    found = result.cameras.centres_world
    assert float((found[1] - found[0]).norm()) == pytest.approx(length, rel=1e-6)
    fit = align(found, truth.centres_world, with_scale=True)
    assert float(fit.scale) == pytest.approx(1.0, abs=2e-3)
    assert float((fit.apply(found) - truth.centres_world).norm(dim=-1).max()) < 0.005
    turn = result.cameras.rotation @ truth.rotation.mT
    angle = torch.rad2deg(((turn.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1).acos())
    assert float(angle.max()) < 0.1
    assert baseline_sigma(result, 0, 1) < 1e-4 * length
    assert 1e-4 < baseline_sigma(result, 0, 3) < 1e-2


def test_noise_free_data_give_the_truth_exactly() -> None:
    truth, points = ring(3), free_points(40)
    observations = seen(truth, points, ORIGIN, 0.0)
    length = float((truth.centres_world[2] - truth.centres_world[0]).norm())
    options = BundleOptions(body="point", baseline=Baseline(0, 2, length), tolerance=1e-14)
    result = adjust(perturbed(truth, 1.0, 0.05), points, observations, free_parameters(3), options)
    assert result.rms_px < 1e-8
    torch.testing.assert_close(result.cameras.rotation, truth.rotation, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(result.cameras.translation, truth.translation, rtol=0.0, atol=1e-8)


def test_covariance_predicts_the_spread() -> None:
    truth, (bodies, points) = ring(2), boards(6, 2)
    free = free_parameters(2, ("fx", "fy"))
    runs = [
        adjust(truth, bodies, seen(truth, bodies, points, 0.5, seed), free) for seed in range(24)
    ]
    focal = torch.stack([run.cameras.matrix[:, 0, 0] for run in runs])
    predicted = torch.stack([run.sigma()[:, 0] for run in runs]).mean(0)
    ratio = focal.std(0) / predicted
    assert bool((ratio > 0.6).all())
    assert bool((ratio < 1.5).all())
    baselines = torch.stack([(r.cameras.centres_world[1] - truth.centres_world[0]) for r in runs])
    spread = float(baselines.norm(dim=-1).std())
    assert 0.6 < spread / baseline_sigma(runs[0], 0, 1) < 1.6


@pytest.mark.parametrize("loss", ["huber", "soft_l1", "cauchy"])
def test_robust_losses_survive_outliers_that_ruin_least_squares(loss) -> None:
    truth, (bodies, points) = ring(3), boards(8, 4)
    clean = seen(truth, bodies, points, 0.3)
    generator = torch.Generator().manual_seed(9)
    bad = torch.rand(len(clean.camera), generator=generator) < 0.05
    shift = 60.0 * torch.randn(len(bad), 2, generator=generator, dtype=torch.float64)
    pixels = clean.points_px + shift * bad[:, None]
    dirty = Observations(pixels, clean.camera, clean.body, clean.points_body)
    free = free_parameters(3)

    def error(options: BundleOptions, observations: Observations = dirty) -> float:
        result = adjust(perturbed(truth, 1.0, 0.05), bodies, observations, free, options)
        return float((result.cameras.centres_world - truth.centres_world).norm(dim=-1).max())

    robust = error(BundleOptions(loss=loss))
    assert robust < 2.0 * error(BundleOptions(), clean)
    assert error(BundleOptions()) > 3.0 * robust


def test_zero_weight_drops_an_observation() -> None:
    truth, (bodies, points) = ring(2), boards(4, 4)
    clean = seen(truth, bodies, points, 0.2)
    keep = torch.arange(len(clean.camera)) % 7 != 0
    wrong = torch.where(keep[:, None], clean.points_px, clean.points_px + 200.0)
    weighted = Observations(wrong, clean.camera, clean.body, clean.points_body, keep.double())
    free = free_parameters(2)
    a = adjust(truth, bodies, weighted, free)
    b = adjust(truth, bodies, clean.select(keep), free)
    torch.testing.assert_close(a.cameras.translation, b.cameras.translation, rtol=0.0, atol=1e-7)


def test_lens_information_holds_what_the_pictures_cannot_tell() -> None:
    truth, (bodies, points) = ring(2), boards(2, 4)
    observations = seen(truth, bodies, points[::5], 0.5)
    free = free_parameters(2, ("fx", "fy", "cx", "cy"))
    loose = adjust(truth, bodies, observations, free)
    information = torch.diag(torch.tensor([1.0, 1.0, 1.0, 1.0] + [0.0] * 5)).double()
    held = adjust(truth, bodies, observations, free, None, information.expand(2, 9, 9))
    focal = truth.matrix[:, 0, 0]
    assert float((held.cameras.matrix[:, 0, 0] - focal).abs().max()) < 2.0
    assert float(held.sigma()[:, 0].max()) < 2.0 < float(loose.sigma()[:, 0].max())


def test_fixed_parameters_do_not_move() -> None:
    truth, (bodies, points) = ring(3), boards(5, 4)
    observations = seen(truth, bodies, points, 0.5)
    result = adjust(truth, bodies, observations, free_parameters(3, ("fx",), (0, 2)))
    assert torch.equal(result.cameras.rotation[[0, 2]], truth.rotation[[0, 2]])
    assert torch.equal(result.cameras.distortion, truth.distortion)
    assert torch.equal(result.cameras.matrix[:, 1], truth.matrix[:, 1])
    assert not torch.equal(result.cameras.rotation[1], truth.rotation[1])
