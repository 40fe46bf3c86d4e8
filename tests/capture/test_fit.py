"""The banded solver against a dense twin, and its uncertainty against an exact inverse."""

from dataclasses import replace

import torch

from muybridge.capture import fit as fitting
from muybridge.capture.fit import Problem, fit, pose_of, position_std
from muybridge.capture.start import State
from muybridge.geometry.rotation import quaternion_from_rotvec, rotate
from muybridge.motion.body import Body, template
from muybridge.motion.jacobian import joint_angles, point_jacobian
from muybridge.motion.keypoints import HALPE_26

FRAMES, FPS = 12, 30.0


def _smooth_state(body: Body, seed: int = 0, size: float = 0.1) -> State:
    """A slow pose inside the limits, moving on a random quadratic."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.linspace(0.0, 1.0, FRAMES, dtype=torch.float64).view(-1, 1, 1)
    middle, half = (body.lower + body.upper) / 2.0, (body.upper - body.lower) / 2.0
    middle[0], half[0] = 0.0, 0.3
    wave = torch.rand(2, len(body.skeleton), 3, dtype=torch.float64, generator=generator)
    angles = 0.5 * middle + half * size * (wave[0] + wave[1] * time * time)
    used = torch.zeros_like(body.lower)
    for joint, axis in zip(body.freedoms.joints, body.freedoms.axes, strict=True):
        used[joint] += axis
    root = torch.tensor([[0.3, 1.0, -0.2]], dtype=torch.float64) + 0.2 * time[:, 0]
    return State(quaternion_from_rotvec(angles * used), root.expand(FRAMES, 3).clone())


def _problem(body: Body, state: State, std: float = 0.01) -> Problem:
    pose, owners = pose_of(body, state), list(body.marker_joints)
    targets = pose.positions[:, owners] + rotate(pose.orientations[:, owners], body.marker_offsets)
    eye = torch.eye(3, dtype=torch.float64) / std
    return Problem(
        body, FPS, targets, eye.expand(*targets.shape[:2], 3, 3).clone(), body.marker_joints,
        body.marker_offsets, torch.ones(targets.shape[1], dtype=torch.bool),
    )  # fmt: skip


def _dense(problem: Problem, blocks: torch.Tensor) -> torch.Tensor:
    """The whole normal matrix, entry by entry."""
    count, size = blocks.shape[0], blocks.shape[1]
    matrix = torch.block_diag(*blocks)
    weight = torch.diag(problem.stiffness.square())
    for t in range(count - 2):
        for i, a in enumerate((1.0, -2.0, 1.0)):
            for j, b in enumerate((1.0, -2.0, 1.0)):
                rows = slice((t + i) * size, (t + i + 1) * size)
                columns = slice((t + j) * size, (t + j + 1) * size)
                matrix[rows, columns] += a * b * weight
    return matrix


def test_banded_step_equals_a_dense_solve() -> None:
    body = template(HALPE_26)
    state = _smooth_state(body)
    problem = _problem(body, _smooth_state(body, seed=1))
    terms = fitting._evaluate(problem, state)
    blocks, gradient = fitting._normal(problem, state, terms)
    step = fitting._solve(problem, blocks, gradient, damping=0.0)
    expected = -torch.linalg.solve(_dense(problem, blocks), gradient.flatten())
    torch.testing.assert_close(step.flatten(), expected, atol=1e-7, rtol=1e-6)


def test_gradient_is_the_slope_of_the_cost() -> None:
    """Exact where motion is slow; between frames the turn's own curvature is left out."""
    body = template(HALPE_26)
    state = _smooth_state(body)
    problem = replace(_problem(body, _smooth_state(body, seed=1)), smoothness=1e-3)
    terms = fitting._evaluate(problem, state)
    _, gradient = fitting._normal(problem, state, terms)
    # uphill in every unknown, so that the slopes do not cancel to next to nothing
    step = gradient.sign() * torch.rand(gradient.shape, dtype=torch.float64) * 1e-6
    up = fitting._evaluate(problem, fitting._move(problem, state, step)).cost
    down = fitting._evaluate(problem, fitting._move(problem, state, -step)).cost
    slope = 2.0 * float((gradient * step).sum())  # the cost is a sum of squares, without 1/2
    assert abs((up - down) / 2.0 - slope) < 0.02 * abs(slope)


def test_the_pose_is_found_back() -> None:
    body = template(HALPE_26)
    truth = _smooth_state(body, seed=1)
    problem = replace(_problem(body, truth, std=0.0005), smoothness=0.01, belief=1e6)
    found = fit(problem, _smooth_state(body, seed=2), iterations=30, tolerance=1e-9)
    for name, axis in (("LeftLeg", 0), ("RightLeg", 0), ("LeftForeArm", 1)):
        joint = body.skeleton.index(name)  # a little sideways bend may hide in the upper bone

        def bend(state: State, joint: int = joint, axis: int = axis) -> torch.Tensor:
            return joint_angles(state.rotations[:, joint], body.axes[joint])[:, axis].rad2deg()

        assert float((bend(found) - bend(truth)).abs().max()) < 0.5
    gap = pose_of(body, found).positions - pose_of(body, truth).positions
    measured = list(body.marker_joints)
    assert float(gap[:, measured].norm(dim=-1).max()) < 0.004


def test_uncertainty_equals_the_exact_posterior() -> None:
    body = template(HALPE_26)
    state = _smooth_state(body)
    problem = _problem(body, state)
    problem.whitening[4:8, body.markers.index("left_wrist")] = 0.0
    terms = fitting._evaluate(problem, state)
    blocks, _ = fitting._normal(problem, state, terms)
    covariance = torch.linalg.inv(_dense(problem, blocks))
    size, joints = len(body.freedoms), tuple(range(len(body.skeleton)))
    jacobian = point_jacobian(
        body.skeleton, terms.pose, terms.pose.positions, joints, body.freedoms
    )
    exact = torch.zeros(FRAMES, len(joints), dtype=torch.float64)
    for t in range(FRAMES):
        block = covariance[t * size : (t + 1) * size, t * size : (t + 1) * size]
        rows = jacobian[t]
        exact[t] = torch.einsum("jad,de,jae->j", rows, block, rows).div(3.0).sqrt()
    found = position_std(problem, state)
    ratio = found / exact
    assert float(ratio.min()) > 0.6
    assert float(ratio.max()) < 1.5  # 48 draws
    assert abs(float(ratio.mean()) - 1.0) < 0.05
    hand = body.skeleton.index("LeftHand")
    assert float(found[5:7, hand].mean()) > 1.5 * float(found[:3, hand].mean())


def test_an_outlier_hardly_moves_the_pose() -> None:
    body = template(HALPE_26)
    truth = _smooth_state(body, seed=1)
    problem = _problem(body, truth)
    problem.targets[6, body.markers.index("right_wrist")] += 0.5
    found = fit(problem, truth, iterations=10)
    hand = body.skeleton.index("RightHand")
    gap = (pose_of(body, found).positions - pose_of(body, truth).positions)[:, hand]
    assert float(gap.norm(dim=-1).max()) < 0.01


def test_one_and_two_frames_are_solved() -> None:
    body = template(HALPE_26)
    truth = _smooth_state(body, seed=1)
    for count in (1, 2):
        part = State(truth.rotations[:count], truth.root[:count])
        problem = _problem(body, truth).frames(0, count)
        found = fit(problem, State(part.rotations, part.root + 0.05))
        assert float((found.root - part.root).norm(dim=-1).max()) < 0.01
        assert bool(position_std(problem, found).isfinite().all())
