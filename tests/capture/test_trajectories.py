"""The path solver: exact derivatives, a dense twin, and priors that do what they say."""

import pytest
import torch

from muybridge.capture.trajectories import (
    Motion,
    bone_pairs,
    fit_trajectories,
    project_rays,
    rays,
)
from muybridge.geometry.camera import Cameras
from muybridge.geometry.robust import robust_cost
from muybridge.motion.keypoints import COCO_17
from tests.rigs import noisy, ring, scattered

JOINTS = ("left_hip", "left_knee", "left_ankle")
INFINITE = float("inf")


def _leg(frames: int) -> torch.Tensor:
    """A leg that swings about a moving hip, thigh 0.42 m and shank 0.40 m."""
    time = torch.arange(frames, dtype=torch.float64) / 60.0
    swing, bend = 0.6 * torch.sin(5.0 * time), 0.4 + 0.4 * torch.cos(5.0 * time)
    hip = torch.stack((0.2 * time, 0.95 + 0.0 * time, 0.0 * time), -1)
    knee = hip + 0.42 * torch.stack((swing.sin(), -swing.cos(), 0.0 * time), -1)
    low = swing - bend
    ankle = knee + 0.40 * torch.stack((low.sin(), -low.cos(), 0.0 * time), -1)
    return torch.stack((hip, knee, ankle), 1)


def _motion(**changed: float) -> Motion:
    values = {"sigma_px": 2.0, "loss_px": 6.0, "acceleration_std": 30.0, "bone_std": 0.01} | changed
    lengths = torch.tensor([0.42, 0.40], dtype=torch.float64)
    return Motion(fps=60.0, bones=bone_pairs(JOINTS), lengths=lengths, **values)


def _energy(points: torch.Tensor, seen, cameras: Cameras, motion: Motion) -> torch.Tensor:
    """The posterior as written in the module, term by term."""
    error = (project_rays(points, cameras)[0] - seen.focal_px).norm(dim=-1)
    data = (seen.weight * robust_cost(error, motion.loss_px, "cauchy")).sum() / motion.sigma_px**2
    bend = (points[2:] - 2.0 * points[1:-1] + points[:-2]) * motion.fps**2
    length = (points[:, motion.bones[:, 0]] - points[:, motion.bones[:, 1]]).norm(dim=-1)
    inertia = (bend / motion.acceleration_std).square().sum()
    return data + inertia + ((length - motion.lengths) / motion.bone_std).square().sum()


def test_projection_slope_is_the_derivative() -> None:
    cameras = ring(3)
    points = scattered(4, torch.Generator().manual_seed(0)).reshape(2, 2, 3)
    full = torch.autograd.functional.jacobian(lambda p: project_rays(p, cameras)[0], points)
    slope = project_rays(points, cameras)[1]
    for t in range(2):
        for j in range(2):
            torch.testing.assert_close(slope[:, t, j], full[:, t, j, :, t, j])


def test_the_result_is_a_minimum_of_the_written_posterior() -> None:
    cameras, truth = ring(3), _leg(12)
    generator = torch.Generator().manual_seed(1)
    seen_px = noisy(cameras.project(truth), 3.0, generator)
    seen_px[1, 4] += 80.0
    seen = rays(seen_px, torch.ones(3, 12, 3, dtype=torch.float64), cameras)
    found, _ = fit_trajectories(truth, seen, cameras, _motion(), steps=60)
    least = _energy(found, seen, cameras, _motion())
    slope = torch.autograd.functional.jacobian(
        lambda p: _energy(p, seen, cameras, _motion()), found
    )
    at_start = torch.autograd.functional.jacobian(
        lambda p: _energy(p, seen, cameras, _motion()), truth
    )
    assert float(slope.abs().max()) < 2e-3 * float(at_start.abs().max())
    for _ in range(20):
        step = 2e-3 * torch.randn(found.shape, generator=generator, dtype=torch.float64)
        assert float(_energy(found + step, seen, cameras, _motion())) > float(least)


def test_inertia_and_bones_lower_the_error_and_bones_hold_their_length() -> None:
    cameras, truth = ring(3), _leg(90)
    seen_px = noisy(cameras.project(truth), 4.0, torch.Generator().manual_seed(2))
    seen = rays(seen_px, torch.ones(3, 90, 3, dtype=torch.float64), cameras)

    def error(**changed: float) -> tuple[float, float]:
        motion = _motion(**{"sigma_px": 4.0, "loss_px": 12.0} | changed)
        found, _ = fit_trajectories(truth, seen, cameras, motion)
        shank = (found[:, 1] - found[:, 2]).norm(dim=-1)
        return float((found - truth).norm(dim=-1).mean()), float(shank.std())

    alone, loose = error(acceleration_std=INFINITE, bone_std=INFINITE)
    smooth, _ = error(bone_std=INFINITE)
    both, tight = error(bone_std=0.002)
    assert both < smooth < 0.75 * alone
    assert tight < 0.001 < loose


def test_a_joint_lost_for_a_moment_is_carried_on() -> None:
    cameras, truth = ring(3), _leg(60)
    seen = rays(cameras.project(truth), torch.ones(3, 60, 3, dtype=torch.float64), cameras)
    seen.weight[:, 30:34, 2] = 0.0
    start = truth.clone()
    start[30:34, 2] += 0.1
    found, information = fit_trajectories(start, seen, cameras, _motion())
    assert float((found - truth).norm(dim=-1).max()) < 0.01
    assert float(information[31, 2].abs().max()) == 0.0, "its own views say nothing there"


def test_bone_pairs_follow_the_joints_present() -> None:
    assert bone_pairs(JOINTS).tolist() == [[0, 1], [1, 2]]
    assert bone_pairs(("nose",)).shape == (0, 2)
    assert len(bone_pairs(COCO_17)) == 14


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_the_shortest_takes_work(frames: int) -> None:
    cameras, truth = ring(3), _leg(frames)
    seen = rays(cameras.project(truth), torch.ones(3, frames, 3, dtype=torch.float64), cameras)
    found, _ = fit_trajectories(truth + 0.02, seen, cameras, _motion())
    torch.testing.assert_close(found, truth, rtol=0.0, atol=2e-3)
