"""Distances of point clouds: against a search over turn and shift, and what must not change."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from muybridge.edit.graph_distance import align, clouds, distances, joint_weights, squared
from muybridge.edit.procedural import FIGURE, procedural_walk
from muybridge.motion.facing import moved
from muybridge.motion.kinematics import forward_clip

LENGTH = 5


def _motion(frames: int = 40, seed: int = 0) -> torch.Tensor:
    """Joints that wander: walks are too much like one another to test a formula on."""
    rng = np.random.default_rng(seed)
    steps = torch.from_numpy(rng.normal(size=(frames, 4, 3)))
    return 0.1 * steps.cumsum(0) + torch.from_numpy(rng.normal(size=(4, 3)))


def _naive(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Least weighted square distance and its angle, searched for from eight angles."""

    def cost(v: np.ndarray) -> float:
        c, s = math.cos(v[0]), math.sin(v[0])
        total = 0.0
        for frame in range(len(first)):
            for joint in range(first.shape[1]):
                x, y, z = second[frame, joint]
                turned = np.array([c * x + s * z + v[1], y, c * z - s * x + v[2]])
                total += weights[joint] * np.sum((first[frame, joint] - turned) ** 2)
        return total / len(first)

    best = min(
        (minimize(cost, [a, 0.0, 0.0], tol=1e-14) for a in np.arange(8) * math.pi / 4),
        key=lambda found: found.fun,
    )
    return float(best.fun), float(best.x[0])


def test_every_pair_is_what_a_search_over_turn_and_shift_finds() -> None:
    positions, weights = _motion(), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    starts = torch.tensor([0, 11, 30])
    windows = clouds(positions, starts, LENGTH, weights)
    found = squared(windows, windows)
    for a in range(3):
        for b in range(3):
            cut = [positions[int(starts[i]) : int(starts[i]) + LENGTH].numpy() for i in (a, b)]
            fun, angle = _naive(cut[0], cut[1], weights.numpy())
            assert abs(float(found[a, b]) - fun) < 1e-9
            placed = align(windows[torch.tensor([a])], windows[torch.tensor([b])])
            assert abs(math.remainder(float(placed.angle) - angle, 2 * math.pi)) < 1e-5
            assert abs(float(placed.squared) - fun) < 1e-9


def test_the_formula_with_sums_about_the_origin_gives_the_same() -> None:
    """Kovar's closed form as printed, capitals and all."""
    positions, weights = _motion(seed=3), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    windows = clouds(positions, torch.tensor([2, 20]), LENGTH, weights)
    placed = align(windows[:1], windows[1:])
    w = (weights.expand(LENGTH, 4) / LENGTH).flatten()
    x, y, z = positions[2 : 2 + LENGTH].flatten(0, 1).unbind(-1)
    u, v, t = positions[20 : 20 + LENGTH].flatten(0, 1).unbind(-1)
    big = [(w * values).sum() for values in (x, z, u, t)]
    above = (w * (x * t - u * z)).sum() - (big[0] * big[3] - big[2] * big[1])
    below = (w * (x * u + z * t)).sum() - (big[0] * big[2] + big[1] * big[3])
    angle = torch.atan2(above, below)
    c, s = angle.cos(), angle.sin()
    shift = torch.stack((big[0] - big[2] * c - big[3] * s, big[1] + big[2] * s - big[3] * c))
    torch.testing.assert_close(placed.angle[0], angle, atol=1e-12, rtol=0.0)
    torch.testing.assert_close(placed.offset_xz[0], shift, atol=1e-12, rtol=0.0)
    turned = torch.stack((c * u + s * t + shift[0], v, c * t - s * u + shift[1]), dim=-1)
    left = (w * (torch.stack((x, y, z), -1) - turned).square().sum(-1)).sum()
    torch.testing.assert_close(placed.squared[0], left, atol=1e-12, rtol=0.0)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-7.0, 7.0), st.floats(-50.0, 50.0), st.floats(-50.0, 50.0))
def test_turning_and_moving_a_motion_changes_no_distance(
    seed: int, angle: float, x: float, z: float
) -> None:
    positions = _motion(30, seed)
    c, s = math.cos(angle), math.sin(angle)
    px, py, pz = positions.unbind(-1)
    other = torch.stack((c * px + s * pz + x, py, c * pz - s * px + z), dim=-1)
    weights = torch.full((4,), 0.25, dtype=torch.float64)
    starts = torch.arange(30 - LENGTH + 1)
    first, second = (clouds(p, starts, LENGTH, weights) for p in (positions, other))
    here = squared(first, first)
    torch.testing.assert_close(squared(first, second), here, atol=1e-11, rtol=0.0)
    torch.testing.assert_close(here, here.T, atol=1e-12, rtol=0.0)
    assert float(here.diagonal().abs().max()) < 1e-12
    placed = align(first, second)  # window for window: brings the moved one back
    back = torch.remainder(placed.angle + angle + math.pi, 2 * math.pi) - math.pi
    assert float(back.abs().max()) < 1e-6


def test_a_clip_moved_on_the_floor_is_at_no_distance() -> None:
    speed = torch.full((60,), 1.0, dtype=torch.float64)
    clip = procedural_walk(speed, 0.5 * speed)
    far = moved(clip, torch.tensor(2.0), torch.tensor([30.0, -40.0]))
    starts = torch.arange(0, 50, 10)
    weights = joint_weights(FIGURE)
    a, b = (clouds(forward_clip(c).positions, starts, 10, weights) for c in (clip, far))
    assert float(distances(a, b).diagonal().max()) < 1e-6
    assert float(distances(a, b)[0, 1]) > 0.02  # other poses are


def test_weights_follow_the_bones() -> None:
    weights = joint_weights(FIGURE)
    assert abs(float(weights.sum()) - 1.0) < 1e-12
    knee, head = FIGURE.index("LeftLeg"), FIGURE.index("LeftHand")
    assert float(weights[knee]) > float(weights[head])
