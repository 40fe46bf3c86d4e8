"""Epipolar geometry against projection with known truth and a slow, obvious twin."""

import math

import pytest
import torch
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.geometry.epipolar import (
    EpipolarPair,
    epipolar_pair,
    intersect_rays,
    signed_distance_px,
    world_rays,
)


def rig(count: int = 4) -> Cameras:
    """Cameras on a circle of 4 m at 1.5 m height that look at the middle; mild distortion."""
    rotations, translations = [], []
    for k in range(count):
        angle = 2.0 * math.pi * k / count + 0.3
        centre = torch.tensor([4.0 * math.sin(angle), 1.5, 4.0 * math.cos(angle)]).double()
        forward = torch.nn.functional.normalize(torch.tensor([0.0, 1.0, 0.0]) - centre, dim=0)
        right = torch.linalg.cross(forward, torch.tensor([0.0, 1.0, 0.0]).double())
        right = torch.nn.functional.normalize(right, dim=0)
        rotation = torch.stack((right, torch.linalg.cross(forward, right), forward))
        rotations.append(rotation)
        translations.append(-rotation @ centre)
    matrix = torch.tensor([[900.0, 0.0, 640.0], [0.0, 910.0, 360.0], [0.0, 0.0, 1.0]]).double()
    return Cameras(
        tuple(f"cam{k}" for k in range(count)),
        torch.tensor([[1280.0, 720.0]]).double().expand(count, 2),
        matrix.expand(count, 3, 3),
        torch.tensor([[-0.05, 0.1, 1e-3, -5e-4, 0.0]]).double().expand(count, 5),
        torch.stack(rotations),
        torch.stack(translations),
    )


@pytest.fixture
def points_world() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (torch.rand(50, 3, generator=generator, dtype=torch.float64) - 0.5) * 2.0


def test_true_rays_meet(points_world: Tensor) -> None:
    cameras = rig()
    rays = world_rays(cameras, cameras.project(points_world))
    for a, b in ((0, 1), (2, 3), (3, 1)):
        distance = signed_distance_px(rays[a], rays[b], epipolar_pair(cameras, a, b))
        assert float(distance.abs().max()) < 1e-7


def test_distance_is_the_smallest_pixel_correction(points_world: Tensor) -> None:
    """Slow twin: numerical gradient of the triple product by the undistorted pixels."""
    cameras = rig()
    pair = epipolar_pair(cameras, 0, 1)
    pixels = cameras.undistort_px(cameras.project(points_world))[:2, 7]
    pixels = pixels + torch.tensor([[3.0, -4.0], [2.0, 5.0]])

    def triple(px: Tensor) -> Tensor:
        homogeneous = torch.cat((px, torch.ones(2, 1, dtype=px.dtype)), dim=1)
        rays = [
            cameras.rotation[k].T @ torch.linalg.inv(cameras.matrix[k]) @ homogeneous[k]
            for k in range(2)
        ]
        return torch.dot(pair.baseline_world, torch.linalg.cross(rays[0], rays[1]))

    variable = pixels.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(triple(variable), variable)
    expected = triple(pixels) / gradient.norm()
    homogeneous = torch.cat((pixels, torch.ones(2, 1, dtype=pixels.dtype)), dim=1)
    rays = (
        cameras.rotation[:2].mT @ torch.linalg.inv(cameras.matrix[:2]) @ homogeneous.unsqueeze(-1)
    ).squeeze(-1)
    got = signed_distance_px(rays[0], rays[1], pair)
    assert abs(float(got - expected)) < 1e-9 * abs(float(expected))


def test_swapping_the_cameras_only_changes_sign_conventions(points_world: Tensor) -> None:
    cameras = rig()
    generator = torch.Generator().manual_seed(1)
    pixels = cameras.project(points_world)
    pixels = pixels + torch.randn(pixels.shape, generator=generator, dtype=pixels.dtype) * 5.0
    rays = world_rays(cameras, pixels)
    forth = signed_distance_px(rays[0], rays[2], epipolar_pair(cameras, 0, 2))
    back = signed_distance_px(rays[2], rays[0], epipolar_pair(cameras, 2, 0))
    torch.testing.assert_close(forth.abs(), back.abs())


def test_rays_intersect_where_the_point_is_and_ignore_unweighted_views(
    points_world: Tensor,
) -> None:
    cameras = rig()
    rays = world_rays(cameras, cameras.project(points_world)).movedim(0, 1)
    rays[:, 3] = torch.randn(50, 3, dtype=torch.float64)  # a broken view, weighted zero
    weight = torch.tensor([1.0, 0.5, 0.8, 0.0]).double().expand(50, 4).clone()
    weight[0] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    rays[1, :3] = torch.nan
    points = intersect_rays(cameras.centres_world, rays, weight)
    torch.testing.assert_close(points[2:], points_world[2:], atol=1e-6, rtol=0.0)
    assert bool(points[:2].isnan().all())


def test_missing_points_stay_missing(points_world: Tensor) -> None:
    cameras = rig()
    pixels = cameras.project(points_world)
    pixels[0, 4] = torch.nan
    rays = world_rays(cameras, pixels)
    distance = signed_distance_px(rays[0], rays[1], epipolar_pair(cameras, 0, 1))
    assert bool(distance[4].isnan())
    assert int(distance.isnan().sum()) == 1
    assert isinstance(epipolar_pair(cameras, 0, 1), EpipolarPair)
