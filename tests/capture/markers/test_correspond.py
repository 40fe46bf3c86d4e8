"""Spots without names become points: complete, without ghosts, as exact as the noise allows."""

import cv2
import numpy as np
import pytest
import torch

from muybridge.capture.markers.correspond import CorrespondOptions, correspond
from muybridge.capture.markers.label import label
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from tests.capture.markers.marked_walker import walker
from tests.capture.markers.studio import Faults, eight, film, owners


def bound(points: torch.Tensor, cameras: Cameras, sigma_px: float) -> float:
    """Cramer-Rao bound of the RMS distance, metres, from the Jacobian by automatic derivatives."""
    total = []
    for point in points.reshape(-1, 3):
        jacobian = torch.autograd.functional.jacobian(cameras.project, point).flatten(0, 1)
        total.append(torch.linalg.inv(jacobian.mT @ jacobian).trace() * sigma_px**2)
    return float(torch.stack(total).mean().sqrt())


def test_eight_cameras_below_a_millimetre_and_at_the_cramer_rao_bound() -> None:
    markers = walker(100.0, 0.4)
    cameras = eight(markers.points_world)
    spots, who = film(markers, cameras, Faults(hidden=0.0, false=0))
    cloud = correspond(spots, cameras, 100.0)
    owner = owners(cloud.spots, who)
    assert owner.shape == (40, 41)
    assert bool((owner.sort(1).values == torch.arange(41)).all())
    truth = markers.points_world.gather(1, owner.unsqueeze(-1).expand(-1, -1, 3))
    error = float((cloud.points_world - truth).square().sum(-1).mean().sqrt())
    assert error < 0.001
    assert error / bound(markers.points_world[::10], cameras, 0.5) < 1.08


def test_hidden_and_false_spots() -> None:
    markers = walker(100.0, 0.3)
    cameras = eight(markers.points_world)
    spots, who = film(markers, cameras, Faults(hidden=0.2, false=5, seed=1))
    cloud = correspond(spots, cameras, 100.0)
    owner = owners(cloud.spots, who)
    there = cloud.points_world.isfinite().all(-1)
    assert int((there & (owner < 0)).sum()) <= 1, "ghosts"
    assert int((owner >= 0).sum()) > 0.99 * markers.points_world[..., 0].numel()
    for frame in owner:
        assert len(frame[frame >= 0].unique()) == int((frame >= 0).sum()), "nobody twice"


def test_two_cameras_agree_with_opencv_without_noise() -> None:
    markers = walker(100.0, 0.02)
    cameras = eight(markers.points_world).select([0, 2])
    spots, who = film(markers, cameras, Faults(0.0, 0.0, 0))
    cloud = correspond(spots, cameras, 100.0, CorrespondOptions(gate_px=0.01, min_views=2))
    projections = cameras.projection().numpy()
    flat = cameras.undistort_px(spots)
    frame, slot = cloud.points_world.isfinite().all(-1).nonzero(as_tuple=True)
    a, b = (flat[c, frame, cloud.spots[frame, slot, c]].numpy().T for c in range(2))
    theirs = cv2.triangulatePoints(projections[0], projections[1], a, b)
    theirs = (theirs[:3] / theirs[3]).T
    np.testing.assert_allclose(cloud.points_world[frame, slot].numpy(), theirs, atol=1e-7)
    assert int((owners(cloud.spots, who) >= 0).sum()) > 0.9 * 2 * 41


def test_from_spots_to_names_without_a_swap() -> None:
    markers = walker(100.0, 0.5)
    cameras = eight(markers.points_world)
    spots, _ = film(markers, cameras, Faults(occluded=6, seconds=0.1))
    cloud = correspond(spots, cameras, 100.0)
    found = label(cloud.points_world, 100.0, markers.names, markers.points_world[0])
    error = (found.markers.points_world - markers.points_world).norm(dim=-1)
    assert float(error.nan_to_num(0.0).max()) < 0.012, "a swap would be centimetres"
    assert float(error.isfinite().double().mean()) > 0.97


def test_bad_arguments_are_refused() -> None:
    markers = walker(100.0, 0.02)
    cameras = eight(markers.points_world)
    spots, _ = film(markers, cameras, Faults())
    with pytest.raises(InputError, match="one list per camera"):
        correspond(spots[:3], cameras, 100.0)
    with pytest.raises(InputError, match="confirming views"):
        correspond(spots, cameras, 100.0, CorrespondOptions(min_views=9))


def test_darkness_gives_no_points() -> None:
    markers = walker(100.0, 0.02)
    cameras = eight(markers.points_world)
    dark = torch.full((8, 2, 4, 2), torch.nan, dtype=torch.float64)
    assert correspond(dark, cameras, 100.0).points_world.shape == (2, 0, 3)
