"""Bundle adjustment: exact data come back, offsets are told from poses, lenses when freed."""

from dataclasses import replace

import torch
from tests.capture.walk_views import path_world
from tests.rigs import noisy, perturbed, ring

from muybridge.capture.adjustment import AdjustmentPrior, adjust
from muybridge.geometry.rigid import align
from muybridge.geometry.rotation import rotvec_from_matrix
from muybridge.geometry.triangulation import TriangulationOptions, triangulate


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
    loose = AdjustmentPrior(rotation_deg=20.0, translation_m=5.0, offset_px=None)
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
