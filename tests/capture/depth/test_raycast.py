"""Ray casting: every hit lies on a surface, nothing is hit before it, and misses miss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.depth.backproject import backproject, ray_grid, to_world
from muybridge.capture.depth.raycast import cast_capsules, cast_planes, raycast
from tests.depth_person import depth_camera


def axis_distance(points: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """From each point to a segment, slow and plain."""
    axis = end - start
    share = ((points - start) @ axis / (axis @ axis)).clamp(0.0, 1.0)
    return (points - start - share.unsqueeze(-1) * axis).norm(dim=-1)


def random_scene(seed: int, count: int = 5) -> tuple[torch.Tensor, ...]:
    """Rays forwards and capsules before the origin."""
    random = torch.Generator().manual_seed(seed)
    rays = torch.randn(200, 3, generator=random, dtype=torch.float64) * 0.3
    rays[:, 2] = 1.0
    starts = torch.randn(count, 3, generator=random, dtype=torch.float64) * 0.6
    starts[:, 2] += 3.0
    ends = starts + 0.5 * torch.randn(count, 3, generator=random, dtype=torch.float64)
    ends[:, 2] = ends[:, 2].clamp(min=1.0)
    radii = 0.05 + 0.3 * torch.rand(count, generator=random, dtype=torch.float64)
    return rays, starts, ends, radii


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000))
def test_hits_lie_on_the_nearest_surface(seed: int) -> None:
    rays, starts, ends, radii = random_scene(seed)
    depth = cast_capsules(rays, starts, ends, radii)
    hit = depth.isfinite()
    points = depth[hit].unsqueeze(-1) * rays[hit]
    gaps = torch.stack(
        [axis_distance(points, a, b) - r for a, b, r in zip(starts, ends, radii, strict=True)]
    )
    torch.testing.assert_close(
        gaps.amin(0), torch.zeros(len(points), dtype=torch.float64), rtol=0, atol=1e-9
    )
    steps = torch.linspace(0.0, 1.0, 400, dtype=torch.float64)[:-1]
    far = torch.where(hit, depth, 8.0)
    before = (far[:, None, None] * steps[:, None]) * rays[:, None]
    for a, b, r in zip(starts, ends, radii, strict=True):
        inside = axis_distance(before.reshape(-1, 3), a, b) < r - 1e-7
        assert not bool(inside.any())


def test_rays_along_the_axis_meet_the_near_end() -> None:
    ray = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    near, far = torch.tensor([[0.0, 0, 2.0]]).double(), torch.tensor([[0.0, 0, 3.0]]).double()
    radius = torch.tensor([0.25], dtype=torch.float64)
    for ends in ((near, far), (far, near), (near, near)):
        assert float(cast_capsules(ray, *ends, radius)) == pytest.approx(1.75, abs=1e-12)


def test_planes_are_met_before_the_camera_only() -> None:
    rays = torch.tensor([[0.0, 0.5, 1.0], [0.0, -0.5, 1.0]], dtype=torch.float64)
    depth = cast_planes(
        rays, torch.tensor([[0.0, 1.0, 0.0]]).double(), torch.tensor([1.0]).double()
    )
    assert depth.tolist() == [2.0, float("inf")]


def test_back_projected_pictures_lie_on_the_world() -> None:
    camera = depth_camera(40.0, size=(64, 48), distortion=(0.05, -0.1, 0.001, 0.0, 0.0))
    start, end = torch.tensor([[0.1, 0.4, 0.0]]).double(), torch.tensor([[0.0, 1.5, 0.2]]).double()
    floor = torch.tensor([[0.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    depth = raycast(camera, start, end, torch.tensor([0.25]).double(), floor)
    points = to_world(backproject(depth, ray_grid(camera)), camera)
    points = points[points.isfinite().all(-1)]
    gap = torch.minimum((axis_distance(points, start[0], end[0]) - 0.25).abs(), points[:, 1].abs())
    assert float(gap.max()) < 1e-9
    assert bool((points[:, 1] > 0.5).any())
    assert bool((points[:, 1].abs() < 1e-9).any())
