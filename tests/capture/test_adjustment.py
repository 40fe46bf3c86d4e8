"""Bundle adjustment: exact data come back, offsets are told from poses, lenses when freed."""

from dataclasses import replace

import torch

from muybridge.capture.adjustment import AdjustmentPrior, adjust
from muybridge.geometry.rigid import align
from muybridge.geometry.rotation import rotvec_from_matrix
from muybridge.geometry.triangulation import TriangulationOptions, triangulate
from tests.capture.walk_views import path_world
from tests.rigs import noisy, perturbed, ring


def _start(seen, cameras):
    weight = torch.ones(seen.shape[:-1], dtype=torch.float64)
    gate = TriangulationOptions(gate_px=200.0)
    return weight, triangulate(seen, cameras, weight, gate).points_world


def _apart(found, truth) -> tuple[float, float]:
    """Largest distance (metres) and angle (degrees) of a camera, scale and place aligned."""
    fit = align(found.centres_world, truth.centres_world, with_scale=True)
    distance = (fit.apply(found.centres_world) - truth.centres_world).norm(dim=-1)
    turn = rotvec_from_matrix(found.rotation @ fit.rotation.mT @ truth.rotation.mT)
    return float(distance.max()), float(turn.norm(dim=-1).rad2deg().max())


def test_exact_views_bring_the_rig_back() -> None:
    truth = ring(4, radius=5.0)
    given = perturbed(truth, 2.0, 0.1, seed=0)
    seen = truth.project(path_world()[::3])
    loose = AdjustmentPrior(rotation_deg=20.0, position_m=5.0, offset_px=None)
    found = adjust(seen, *_swap(_start(seen, given), given), loose)
    distance, angle = _apart(found.cameras, truth)
    assert distance < 1e-3
    assert angle < 0.02


def _swap(start, cameras):
    weight, points = start
    return weight, cameras, points


def test_offsets_of_the_detector_are_told_from_the_pose_of_the_camera() -> None:
    truth = ring(4, radius=5.0)
    points = path_world()
    generator = torch.Generator().manual_seed(4)
    offset = 8.0 * torch.randn(4, points.shape[1], 2, generator=generator, dtype=torch.float64)
    seen = noisy(truth.project(points) + offset[:, None], 1.0, generator)
    found = adjust(seen, *_swap(_start(seen, truth), truth), AdjustmentPrior(offset_px=8.0))
    ignored = adjust(seen, *_swap(_start(seen, truth), truth), AdjustmentPrior(offset_px=None))
    left = (found.offset_px - offset).square().mean().sqrt()
    assert float(left) < 0.75 * float(offset.square().mean().sqrt())
    error = [(f.points_world - points).norm(dim=-1).mean() for f in (found, ignored)]
    assert float(error[0]) < float(error[1])
    assert not bool(ignored.offset_px.abs().max() > 1e-6)


def test_what_all_joints_have_in_common_is_the_cameras() -> None:
    truth = ring(3, radius=5.0)
    seen = truth.project(path_world()[::4]) + torch.tensor([9.0, -6.0], dtype=torch.float64)
    weight, points = _start(seen, truth)
    weight[:, :, 0] = 0.2  # a joint that counts less
    found = adjust(seen, weight, truth, points, AdjustmentPrior(rotation_deg=0.3))
    total = weight.sum(1)
    mean = (found.offset_px * total.unsqueeze(-1)).sum(1) / total.sum(1, keepdim=True)
    assert float(mean.abs().max()) < 0.05
    assert float(found.moved[:, :3].norm(dim=-1).min()) > 1e-4


def test_the_posterior_is_as_wide_as_the_error_of_many_takes() -> None:
    truth = ring(3, radius=5.0)
    points = path_world()[::8]
    generator = torch.Generator().manual_seed(3)
    prior = AdjustmentPrior(alike=1.0, loss_px=1e3)
    ratios = []
    for _ in range(6):
        bias = 8.0 * torch.randn(3, 1, points.shape[1], 2, generator=generator, dtype=torch.float64)
        seen = noisy(truth.project(points) + bias, 4.0, generator)
        found = adjust(seen, *_swap(_start(seen, truth), truth), prior)
        std = found.covariance.flatten(2, 3).flatten(0, 1).diagonal().sqrt().reshape(3, 6)
        ratios.append(found.moved[:, :3] / std[:, :3])
    spread = torch.stack(ratios).square().mean().sqrt()
    assert 0.2 < float(spread) < 1.2, "the truth lies at the prior's mean, so less than one"


def test_a_wrong_focal_length_is_found_when_freed() -> None:
    truth = ring(4, radius=5.0)
    matrix = truth.matrix.clone()
    matrix[1, 0, 0] *= 1.03
    matrix[1, 1, 1] *= 1.03
    given = replace(truth, matrix=matrix)
    seen = noisy(truth.project(path_world()), 0.5, torch.Generator().manual_seed(5))
    prior = AdjustmentPrior(focal_relative=0.03, centre_px=2.0, offset_px=None)
    found = adjust(seen, *_swap(_start(seen, given), given), prior)
    wrong = (found.cameras.matrix[:, 0, 0] / truth.matrix[:, 0, 0] - 1.0).abs()
    assert float(wrong[1]) < 0.015
    held = adjust(seen, *_swap(_start(seen, given), given), replace(prior, focal_relative=None))
    torch.testing.assert_close(held.cameras.matrix, given.matrix)
