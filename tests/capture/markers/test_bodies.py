"""Rigid bodies: parity with scipy and with our own alignment, hidden and displaced markers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.capture.markers.bodies import body_shape, fit_bodies, kabsch
from muybridge.errors import InputError
from muybridge.geometry.rigid import align
from muybridge.geometry.rotation import matrix_from_rotvec


def moving(seed: int, frames: int = 30, count: int = 5) -> tuple:
    """Shape, rotations, translations and world points of a tumbling body."""
    rng = np.random.default_rng(seed)
    shape = torch.from_numpy(rng.normal(size=(count, 3))) * 0.1
    shape = shape - shape.mean(0)
    turn = matrix_from_rotvec(torch.from_numpy(rng.normal(size=(frames, 3))))
    path = torch.from_numpy(rng.normal(size=(frames, 3)))
    return shape, turn, path, shape @ turn.mT + path.unsqueeze(1)


def test_kabsch_equals_scipy_frame_by_frame() -> None:
    shape, _, _, points = moving(0)
    rng = np.random.default_rng(1)
    points = points + 0.01 * torch.from_numpy(rng.normal(size=points.shape))
    weight = torch.from_numpy(rng.random(points.shape[:2]))
    rotation, _ = kabsch(shape.unsqueeze(0), points, weight)
    for frame in range(len(points)):
        w = weight[frame].numpy()
        a, b = shape.numpy(), points[frame].numpy()
        a, b = a - w @ a / w.sum(), b - w @ b / w.sum()
        theirs = Rotation.align_vectors(b, a, weights=w)[0].as_matrix()
        np.testing.assert_allclose(rotation[frame].numpy(), theirs, atol=1e-9)
        ours = align(shape, points[frame], weight[frame]).rotation
        torch.testing.assert_close(rotation[frame], ours, atol=1e-9, rtol=0.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 8))
def test_poses_are_recovered_with_markers_hidden(seed: int, count: int) -> None:
    shape, turn, path, points = moving(seed, count=count)
    hidden = points.clone()
    if count > 3:
        hidden[::2, 0] = torch.nan
    found = fit_bodies(shape, hidden)
    torch.testing.assert_close(found.rotation, turn, atol=1e-7, rtol=0.0)
    torch.testing.assert_close(found.translation, path, atol=1e-7, rtol=0.0)


def test_one_displaced_marker_does_not_turn_the_body() -> None:
    shape, turn, _, points = moving(3, count=6)
    points[:, 2] += 0.15
    found = fit_bodies(shape, points)
    plain = kabsch(shape.unsqueeze(0), points, torch.ones(points.shape[:2]).double())[0]
    assert float((found.rotation - turn).abs().max()) < 0.01
    assert float((plain - turn).abs().max()) > 0.1
    assert float(found.residual[:, 2].min()) > 0.2


def test_two_markers_and_markers_on_a_line_fix_no_pose() -> None:
    shape, _, _, points = moving(4)
    points[:, 2:] = torch.nan
    assert bool(fit_bodies(shape, points).rotation.isnan().all())
    line = torch.tensor([[0.0, 0, 0], [0.1, 0, 0], [0.2, 0, 0]], dtype=torch.float64)
    world = line.expand(4, 3, 3).clone()
    assert bool(fit_bodies(line, world).rotation.isnan().all())


def test_the_shape_is_found_although_never_all_are_seen() -> None:
    shape, _, _, points = moving(5, frames=60, count=5)
    frames = torch.arange(60)
    points[frames, frames % 5] = torch.nan
    found = body_shape(points)
    truth = (shape.unsqueeze(0) - shape.unsqueeze(1)).norm(dim=-1)
    torch.testing.assert_close(
        (found.unsqueeze(0) - found.unsqueeze(1)).norm(dim=-1), truth, atol=1e-6, rtol=0.0
    )
    assert float(fit_bodies(found, points).residual.nan_to_num(0.0).max()) < 1e-6


def test_markers_in_one_place_have_no_shape() -> None:
    with pytest.raises(InputError, match="markers that stand apart"):
        body_shape(torch.zeros(10, 4, 3, dtype=torch.float64))
