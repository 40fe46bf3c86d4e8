"""Projection against OpenCV; undistortion as its inverse; derivatives of the lens."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.geometry.camera import Cameras, distort, distortion_basis, distortion_jacobian


def _cameras() -> Cameras:
    turn = Rotation.from_euler("XYZ", [[0.1, 0.4, 3.0], [0.2, -0.6, 3.1]]).as_matrix()
    return Cameras(
        names=("a", "b"),
        size_px=torch.tensor([[1280.0, 720.0], [640.0, 480.0]], dtype=torch.float64),
        matrix=torch.tensor(
            [
                [[900.0, 0, 640], [0, 910, 350], [0, 0, 1]],
                [[500.0, 0, 320], [0, 505, 240], [0, 0, 1]],
            ],
            dtype=torch.float64,
        ),
        distortion=torch.tensor(
            [[-0.26, 0.08, 0.002, -0.001, 0.01], [0.1, -0.2, 0.0, 0.001, 0.0]], dtype=torch.float64
        ),
        rotation=torch.tensor(turn),
        translation=torch.tensor([[0.1, 0.2, 4.0], [-0.3, 0.5, 5.0]], dtype=torch.float64),
    )


@pytest.fixture(scope="module")
def cameras() -> Cameras:
    return _cameras()


def test_projection_equals_opencv(cameras: Cameras) -> None:
    points = (
        torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 0.5
    )
    ours = cameras.project(points)
    for c in range(2):
        rvec = cv2.Rodrigues(cameras.rotation[c].numpy())[0]
        theirs, _ = cv2.projectPoints(
            points.numpy(),
            rvec,
            cameras.translation[c].numpy(),
            cameras.matrix[c].numpy(),
            cameras.distortion[c].numpy(),
        )
        np.testing.assert_allclose(ours[c].numpy(), theirs[:, 0], atol=1e-9)


@given(st.integers(0, 1000))
def test_normalize_inverts_projection(seed: int) -> None:
    rig = _cameras()
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(7, 3, 3, generator=generator, dtype=torch.float64) - 0.5
    inside = rig.camera_from_world.apply(points.reshape(-1, 3).expand(2, -1, 3)).reshape(2, 7, 3, 3)
    expected = inside[..., :2] / inside[..., 2:]
    torch.testing.assert_close(rig.normalize(rig.project(points)), expected, atol=1e-11, rtol=0)


def test_points_behind_a_camera_are_nan(cameras: Cameras) -> None:
    behind = cameras.centres_world - 2.0 * cameras.rotation[:, 2]
    assert bool(cameras.project(behind)[0, 0].isnan().all())


def test_derivatives_of_the_lens_equal_autograd() -> None:
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(1, 6, 2, generator=generator, dtype=torch.float64) - 0.5
    lens = torch.tensor([[-0.26, 0.08, 0.002, -0.001, 0.01]], dtype=torch.float64)
    by_point, by_lens = torch.autograd.functional.jacobian(distort, (points, lens))
    every = torch.arange(6)
    torch.testing.assert_close(distortion_basis(points)[0], by_lens[0, :, :, 0])
    torch.testing.assert_close(
        distortion_jacobian(points, lens)[0], by_point[0, every, :, 0, every, :]
    )
