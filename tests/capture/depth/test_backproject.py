"""Back-projection: parity with OpenCV, a plain loop, and its own inverse."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.depth.backproject import backproject, jumps, ray_grid, to_world
from tests.depth_person import depth_camera

BENT = (0.09, -0.21, 0.001, -0.0008, 0.08)  # a Kinect-like lens


def some_depth(height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    depth = random.uniform(0.5, 6.0, (height, width))
    depth[random.random((height, width)) < 0.15] = np.nan
    return torch.from_numpy(depth)


def test_same_as_opencv_without_distortion() -> None:
    """1e-12 m: the same products in another order."""
    camera, depth = depth_camera(size=(32, 24)), some_depth()
    theirs = cv2.depthTo3d(depth.numpy(), camera.matrix[0].numpy())[..., :3]
    ours = backproject(depth, ray_grid(camera)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12, equal_nan=True)


def test_same_as_opencv_with_distortion() -> None:
    """1e-12 m: OpenCV's iteration is run until it stands still."""
    camera, depth = depth_camera(size=(32, 24), distortion=BENT), some_depth(seed=1)
    v, u = np.mgrid[:24, :32].astype(np.float64)
    flat = cv2.undistortPoints(
        np.stack((u, v), -1).reshape(-1, 1, 2), camera.matrix[0].numpy(),
        camera.distortion[0].numpy(), None, None, None,
        (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-15),
    ).reshape(24, 32, 2)  # fmt: skip
    theirs = depth.numpy()[..., None] * np.concatenate((flat, np.ones((24, 32, 1))), -1)
    ours = backproject(depth, ray_grid(camera)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12, equal_nan=True)


def test_same_as_a_loop_over_pixels() -> None:
    camera, depth = depth_camera(size=(32, 24)), some_depth(seed=2)
    inverse = torch.linalg.inv(camera.matrix[0])
    ours = backproject(depth, ray_grid(camera))
    for v in range(24):
        for u in range(32):
            slow = depth[v, u] * (inverse @ torch.tensor([u, v, 1.0], dtype=torch.float64))
            torch.testing.assert_close(ours[v, u], slow, rtol=0, atol=1e-12, equal_nan=True)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-180, 180), st.floats(-0.1, 0.1), st.floats(-0.02, 0.02))
def test_projecting_points_gives_back_their_pixels(
    seed: int, bearing: float, k1: float, p1: float
) -> None:
    camera = depth_camera(bearing, size=(32, 24), distortion=(k1, 0.01, p1, -p1, 0.0))
    points = to_world(backproject(some_depth(seed=seed), ray_grid(camera)), camera)
    v, u = torch.meshgrid(torch.arange(24), torch.arange(32), indexing="ij")
    again = camera.project(points)[0]
    known = points.isfinite().all(-1)
    pixels = torch.stack((u, v), -1).double()
    torch.testing.assert_close(again[known], pixels[known], rtol=0, atol=1e-8)


def test_a_stack_of_pictures_is_the_pictures_one_by_one() -> None:
    grid = ray_grid(depth_camera(size=(32, 24)))
    stack = torch.stack([some_depth(seed=s) for s in range(3)])
    one_by_one = torch.stack([backproject(d, grid) for d in stack])
    torch.testing.assert_close(backproject(stack, grid), one_by_one, equal_nan=True)


@pytest.mark.parametrize("turned", [False, True], ids=["in rows", "in columns"])
def test_flying_pixels_hang_between_surfaces(turned: bool) -> None:
    depth = torch.full((9, 9), 2.0, dtype=torch.float64)
    depth[:, 5:] = 3.0
    depth[:, 5] = 2.5  # half way: a mixture of both sides
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[:, 5] = True
    found = jumps(depth.T).T if turned else jumps(depth)
    assert torch.equal(found, expected)
