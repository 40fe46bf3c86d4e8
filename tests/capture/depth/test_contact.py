"""Closest points on the side that is seen, outlines, and what they do to the pose."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.depth.capsules import CapsuleBody, capsule_body, rest_shape
from muybridge.capture.depth.contact import Outline, Scan, closest_capsule, spill, touch
from muybridge.capture.depth.icp import (
    Evidence,
    IcpOptions,
    evaluate,
    move,
    normal_blocks,
    point_blocks,
)
from muybridge.capture.depth.posed import posed
from muybridge.capture.fit import pose_of
from muybridge.capture.start import State
from tests.depth_person import depth_camera, own_person


def slow_gap(
    point: torch.Tensor, view: torch.Tensor, a: torch.Tensor, b: torch.Tensor, radius: float
) -> float:
    """Distance from a point to the part of a capsule's cross-section that faces the camera."""
    axis = b - a
    share = min(max(float((point - a) @ axis / (axis @ axis)), 0.0), 1.0)
    arm = point - a - share * axis
    towards = float(arm @ view)
    if towards >= 0.0:
        return abs(float(arm.norm()) - radius)
    across = arm - towards * view
    rim = across / across.norm() * radius
    return float((arm - rim).norm())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000))
def test_choice_agrees_with_a_loop(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    points, starts = normal(2, 20, 3), normal(2, 6, 3)
    ends, radii = starts + 0.4 * normal(2, 6, 3), 0.05 + 0.2 * normal(6).abs()
    views = torch.nn.functional.normalize(normal(2, 20, 3), dim=-1)
    chosen = closest_capsule(points, views, starts, ends, radii)
    for t in range(2):
        for n in range(20):
            gaps = [
                slow_gap(points[t, n], views[t, n], starts[t, k], ends[t, k], float(radii[k]))
                for k in range(6)
            ]
            assert gaps[int(chosen[t, n])] == pytest.approx(min(gaps), abs=2e-5)  # single precision


def some_body() -> tuple[CapsuleBody, State]:
    body = capsule_body(rest_shape(1.7))
    _, state = own_person(body, 12)
    return body, State(state.rotations[::4], state.root[::4])


def some_scan(body: CapsuleBody, state: State, seed: int = 0) -> Scan:
    """Points around the joints, seen from +Z."""
    random = torch.Generator().manual_seed(seed)
    joints = pose_of(body.body, state).positions
    points = joints.repeat(1, 5, 1)
    points = points + 0.1 * torch.randn(points.shape, generator=random, dtype=torch.float64)
    view = torch.tensor([0.0, 0.0, 5.0], dtype=torch.float64) - points
    view = view / view.norm(dim=-1, keepdim=True)
    return Scan(points, torch.ones(points.shape[:2], dtype=torch.float64), view)


def test_fast_kinematics_agrees_with_the_joint_by_joint_one() -> None:
    body, state = some_body()
    torch.testing.assert_close(
        posed(body.body.skeleton, state).positions, pose_of(body.body, state).positions
    )


def test_gradient_agrees_with_difference_quotients() -> None:
    """Of all points, priors and limits, by every freedom; the outline's steps are left out."""
    body, state = some_body()
    evidence, options = Evidence(some_scan(body, state)), IcpOptions(belief=1e6)
    size, step = len(body.body.freedoms), 1e-6
    seen = evaluate(body, evidence, state, options, None).rows.growth < -0.999
    assert 0.0 < float(seen.double().mean()) < 1.0  # points on the far side turn with the body
    only = evidence.scan._replace(weights=seen.double())
    now = evaluate(body, Evidence(only), state, options, None)
    _, gradient = normal_blocks(body, state, now, options, None)
    for column in range(0, size, 5):
        change = torch.zeros(len(state.root), size, dtype=torch.float64)
        change[:, column] = step
        costs = [
            evaluate(
                body, Evidence(only), move(body.body, state, sign * change), options, None
            ).cost
            for sign in (1.0, -1.0)
        ]
        slope = (costs[0] - costs[1]) / (4.0 * step)  # of half the cost
        torch.testing.assert_close(gradient[:, column], slope, rtol=2e-3, atol=2e-2)


def test_summing_by_joint_gives_the_normal_matrix_of_all_rows() -> None:
    body, state = some_body()
    pose = posed(body.body.skeleton, state)
    rows = touch(body, pose, some_scan(body, state))
    weights = torch.rand(rows.gaps.shape, dtype=torch.float64)
    fast, force, _ = point_blocks(body, pose, rows, weights, weights.new_zeros(*weights.shape, 0))
    freedoms, skeleton = body.body.freedoms, body.body.skeleton
    for t in range(len(weights)):
        full = torch.zeros(weights.shape[1], len(freedoms), dtype=torch.float64)
        full[:, :3] = -rows.directions[t]
        for n in range(weights.shape[1]):
            joint = body.joints[int(rows.capsules[t, n])]
            reach = freedoms.reach(skeleton, (joint,))[0]
            for r, owner in enumerate(freedoms.joints):
                axis = pose.turns[t, owner] @ freedoms.axes[r]
                lift = torch.linalg.cross(axis, rows.places[t, n] - pose.positions[t, owner])
                full[n, 3 + r] = -reach[r] * (rows.directions[t, n] @ lift)
        weighted = weights[t, :, None] * full
        torch.testing.assert_close(fast[t], weighted.mT @ full)
        torch.testing.assert_close(force[t], weighted.mT @ rows.gaps[t])


def outline(person: torch.Tensor, depth: torch.Tensor) -> Outline:
    """A small picture with the nearest person pixel of each pixel, by trying all."""
    camera = depth_camera(0.0, 3.0, size=(32, 24))
    v, u = torch.meshgrid(torch.arange(24), torch.arange(32), indexing="ij")
    pixels = torch.stack((u, v), -1).double()
    own = pixels[person]
    nearest = own[(pixels[:, :, None] - own).norm(dim=-1).argmin(-1)]
    flat = camera.normalize(nearest.unsqueeze(0))[0]
    return Outline(camera, 1, flat[None].float(), person[None], depth[None].float())


def test_a_body_inside_its_outline_and_behind_its_surface_is_left_alone() -> None:
    body, state = some_body()
    state = State(state.rotations[:1], state.root[:1])
    person = torch.ones(24, 32, dtype=torch.bool)
    near = torch.full((24, 32), 1.0, dtype=torch.float64)
    rows = spill(body, posed(body.body.skeleton, state), outline(person, near))
    assert float((rows.weights * rows.gaps).abs().max()) == 0.0


def test_a_limb_out_of_the_outline_is_pulled_in_and_one_in_front_pushed_back() -> None:
    body, state = some_body()
    state = State(state.rotations[:1], state.root[:1])
    person = torch.zeros(24, 32, dtype=torch.bool)
    person[:, 14:18] = True
    deep = torch.full((24, 32), 3.6, dtype=torch.float64)
    seen = outline(person, deep)
    pose = posed(body.body.skeleton, state)
    rows = spill(body, pose, seen)
    count = rows.gaps.shape[1] // 2
    half = [slice(0, count), slice(count, None)]
    assert float((rows.weights * rows.gaps)[0, half[0]].max()) > 0.05
    assert float((rows.weights * rows.gaps)[0, half[1]].max()) > 0.3
    step = 0.5 * (rows.weights * rows.gaps).unsqueeze(-1) * rows.directions
    for part, axis in zip(half, ("sideways", "back"), strict=True):
        moved = step[0, part][rows.weights[0, part] * rows.gaps[0, part] > 0.02]
        if axis == "back":
            assert bool((moved[:, 2] < 0.0).all())  # the camera stands at +Z
        else:
            assert float(moved[:, 0].abs().mean()) > float(moved[:, 2].abs().mean())


def test_what_something_nearer_hides_may_be_anywhere() -> None:
    body, state = some_body()
    state = State(state.rotations[:1], state.root[:1])
    person = torch.zeros(24, 32, dtype=torch.bool)
    person[:, 14:18] = True
    hidden = outline(person, torch.full((24, 32), 1.0, dtype=torch.float64))
    rows = spill(body, posed(body.body.skeleton, state), hidden)
    count = rows.gaps.shape[1] // 2
    assert float(rows.weights[0, :count].sum()) == 0.0
