"""Batched Levenberg-Marquardt over all frames of a window, through our own forward kinematics.

T frames, J joints, N points (markers, then planted feet), D freedoms, R = D - 3 turns.
Every frame gives a D x D block; the smoothness of the motion couples it with its two neighbours on
either side, so the normal matrix is banded with 2 D sub-diagonals and one banded Cholesky solves
all frames at once: linear time, no loop over frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.linalg import cho_solve_banded, cholesky_banded, solveh_banded
from torch import Tensor

from muybridge.capture.start import State
from muybridge.geometry.rotation import conjugate, multiply, rotate, rotvec_from_quaternion
from muybridge.motion.body import Body
from muybridge.motion.jacobian import (
    angles_jacobian,
    joint_angles,
    point_jacobian,
    retract,
    rotation_from_angles,
)
from muybridge.motion.kinematics import Pose, forward

__all__ = ["ROBUST", "Problem", "fit", "pose_of", "position_std"]

ROBUST = 4.0  # whitened distance at which a marker has lost three quarters of its weight
ROOT_AGILITY = 8.0  # m/s^2: ordinary acceleration of the hips
LIMIT_STD = 0.01  # radians: softness of the joint limits inside the solver
SECOND_DIFFERENCE = (1.0, -2.0, 1.0)
DRAWS = 48  # samples of the posterior; the standard deviation is then good to 10 % / sqrt(3 axes)


@dataclass(frozen=True)
class Problem:
    """What the pose of each frame should explain.

    Attributes:
        body: The skeleton, its freedoms, limits and priors.
        fps: Frames a second.
        targets: World position of each point, metres; NaN where there is none.
        whitening: W with W^T W = inverse covariance of each target, 1/metre; 0 drops it.
        point_joints: Joint that each point is fixed to.
        point_offsets: Its place in the joint's frame, metres.
        robust: True for points that may be outliers.
        belief: Whitened distance at which such a point has lost three quarters of its weight.
        smoothness: Multiplies the weight of small accelerations; 0 makes frames independent.
        limits: Keep joints within their ranges.
    """

    body: Body
    fps: float
    targets: Float[Tensor, "t n 3"]
    whitening: Float[Tensor, "t n 3 3"]
    point_joints: tuple[int, ...]
    point_offsets: Float[Tensor, "n 3"]
    robust: Bool[Tensor, "n"]
    belief: float = ROBUST
    smoothness: float = 1.0
    limits: bool = True

    def frames(self, start: int, stop: int) -> Problem:
        """The frames [start, stop)."""
        cut = slice(start, stop)
        return replace(self, targets=self.targets[cut], whitening=self.whitening[cut])

    @property
    def stiffness(self) -> Float[Tensor, "d"]:
        """Inverse of the ordinary second difference of each freedom."""
        turns = self.body.agility[list(self.body.freedoms.joints)]
        agility = torch.cat((torch.full((3,), ROOT_AGILITY, dtype=turns.dtype), turns))
        return self.smoothness * self.fps**2 / agility


class _Terms(NamedTuple):
    """Residuals of one state, whitened."""

    pose: Pose
    points: Tensor  # (t, n, 3) world
    data: Tensor  # (t, n, 3)
    angles: Tensor  # (t, j, 3)
    excess: Tensor  # (t, j, 3) beyond the limits, radians
    bend: Tensor  # (t - 2, d) second differences
    cost: float


def pose_of(body: Body, state: State) -> Pose:
    """World pose of the skeleton in every frame."""
    local = body.skeleton.offsets.expand(len(state.root), -1, -1)
    return forward(
        body.skeleton,
        state.rotations,
        torch.cat((state.root.unsqueeze(1), local[:, 1:]), dim=1),
    )


def _second_difference(problem: Problem, state: State) -> Tensor:
    """Change of each freedom's velocity from frame to frame, in units of the ordinary one."""
    if len(state.root) < 3 or problem.smoothness == 0.0:
        return torch.zeros(0, len(problem.body.freedoms), dtype=state.root.dtype)
    used = list(problem.body.turning)
    own = state.rotations[:, used]
    turn = rotvec_from_quaternion(multiply(conjugate(own[:-1]), own[1:]))
    change = turn[1:] - turn[:-1]
    column = [used.index(j) for j in problem.body.freedoms.joints]
    turns = (change[:, column] * problem.body.freedoms.axes).sum(-1)
    return torch.cat((state.root.diff(n=2, dim=0), turns), dim=1) * problem.stiffness


def _evaluate(problem: Problem, state: State) -> _Terms:
    body = problem.body
    pose = pose_of(body, state)
    owners = list(problem.point_joints)
    points = pose.positions[:, owners] + rotate(pose.orientations[:, owners], problem.point_offsets)
    gap = (points - problem.targets).nan_to_num(nan=0.0)
    data = (problem.whitening @ gap.unsqueeze(-1)).squeeze(-1)
    angles = joint_angles(state.rotations, body.axes)
    excess = angles - angles.clamp(body.lower, body.upper)
    if not problem.limits:
        excess = torch.zeros_like(excess)
    bend = _second_difference(problem, state)
    square = data.square().sum(-1)
    saturated = problem.belief**2 * square / (problem.belief**2 + square)
    cost = torch.where(problem.robust, saturated, square).sum() + bend.square().sum()
    moving = list(body.turning)
    cost = cost + (angles / body.prior_std)[:, moving].square().sum()
    cost = cost + (excess[:, moving] / LIMIT_STD).square().sum()
    return _Terms(pose, points, data, angles, excess, bend, float(cost))


def _angle_blocks(problem: Problem, state: State, terms: _Terms) -> tuple[Tensor, Tensor]:
    """Normal matrix (t, r, r) and gradient (t, r) of priors and limits."""
    body, owners = problem.body, list(problem.body.freedoms.joints)
    jacobian = angles_jacobian(state.rotations[:, owners], body.axes[owners])
    columns = (jacobian @ body.freedoms.axes.unsqueeze(-1)).squeeze(-1)  # (t, r, 3)
    tight = (terms.excess != 0.0).to(columns.dtype) / LIMIT_STD**2
    weight = (body.prior_std**-2 + tight)[:, owners]
    slope = (terms.angles * body.prior_std**-2 + terms.excess / LIMIT_STD**2)[:, owners]
    index = torch.tensor(owners)
    same = (index[:, None] == index).to(columns.dtype)
    return (columns * weight) @ columns.mT * same, (columns * slope).sum(-1)


def _normal(problem: Problem, state: State, terms: _Terms) -> tuple[Tensor, Tensor]:
    """Blocks (t, d, d) of the normal matrix without smoothness, and the full gradient (t, d)."""
    square = terms.data.square().sum(-1)
    down = problem.belief**2 / (problem.belief**2 + square)  # root of the weight
    down = torch.where(problem.robust, down, torch.ones_like(down)).unsqueeze(-1)
    jacobian = point_jacobian(
        problem.body.skeleton, terms.pose, terms.points, problem.point_joints, problem.body.freedoms
    )
    rows = ((down.unsqueeze(-1) * problem.whitening) @ jacobian).flatten(1, 2)
    blocks = rows.mT @ rows
    gradient = (rows.mT @ (down * terms.data).flatten(1, 2).unsqueeze(-1)).squeeze(-1)
    angle_blocks, angle_gradient = _angle_blocks(problem, state, terms)
    blocks[:, 3:, 3:] += angle_blocks
    gradient[:, 3:] += angle_gradient
    return blocks, gradient + _spread(terms.bend * problem.stiffness, len(gradient))


def _spread(values: Float[Tensor, "k *d"], count: int) -> Tensor:
    """Transpose of the second difference: (t - 2) rows to t rows."""
    total = torch.zeros(count, *values.shape[1:], dtype=values.dtype)
    if len(values):
        total[:-2] += values
        total[1:-1] -= 2.0 * values
        total[2:] += values
    return total


def _banded(blocks: Tensor, stiffness: Tensor, damping: float) -> np.ndarray:
    """The lower bands of the whole normal matrix: blocks, their damping and the smoothness."""
    count, size = blocks.shape[0], blocks.shape[1]
    bands = np.zeros((2 * size + 1, count, size))
    row, column = np.tril_indices(size)
    bands[row - column, :, column] = blocks.numpy()[:, row, column].T
    weight = stiffness.square().numpy()
    tails = np.zeros((3, count))
    for first, second, product in (
        (0, 0, 1),
        (1, 1, 4),
        (2, 2, 1),
        (0, 1, -2),
        (1, 2, -2),
        (0, 2, 1),
    ):
        tails[second - first, first : count - 2 + first] += product
    for band in range(3):
        bands[band * size] += tails[band, :, None] * weight
    bands[0] = bands[0] * (1.0 + damping) + 1e-9
    return bands.reshape(2 * size + 1, count * size)


def _solve(problem: Problem, blocks: Tensor, gradient: Tensor, damping: float) -> Tensor:
    """The Levenberg-Marquardt step of all frames."""
    if len(blocks) < 3 or problem.smoothness == 0.0:
        diagonal = blocks.diagonal(dim1=-2, dim2=-1)
        damped = blocks + torch.diag_embed(damping * diagonal + 1e-9)
        return -torch.cholesky_solve(gradient.unsqueeze(-1), torch.linalg.cholesky(damped)).squeeze(
            -1
        )
    bands = _banded(blocks, problem.stiffness, damping)
    step = solveh_banded(
        bands, -gradient.numpy().reshape(-1), overwrite_ab=True, lower=True, check_finite=False
    )
    return torch.from_numpy(step).view_as(gradient)


def _move(problem: Problem, state: State, step: Tensor) -> State:
    """Retract, and take out the twist that two axes of a hinge make together."""
    body = problem.body
    rotations, root = retract(state.rotations, state.root, step, body.freedoms)
    turning = list(body.turning)
    partly = [j for j in turning if body.freedoms.joints.count(j) < 3]
    axes = body.axes[partly]
    free = body.lower[partly] < body.upper[partly]
    angles = torch.where(free, joint_angles(rotations[:, partly], axes), 0.0)
    rotations[:, partly] = rotation_from_angles(angles, axes)
    return State(rotations, root)


def fit(problem: Problem, state: State, iterations: int = 12, tolerance: float = 1e-4) -> State:
    """Improve a pose of every frame until the cost stands still.

    Args:
        problem: What to explain.
        state: Start, near the answer.
        iterations: At most so many linear solves.
        tolerance: Relative decrease of the cost at which to stop.
    References:
        Madsen, Nielsen & Tingleff, Methods for non-linear least squares problems, 2004.
        Black & Rangarajan, On the unification of line processes, outlier rejection, and robust
        statistics, IJCV 19(1), 1996 (the saturating loss).
    """
    damping, terms = 1e-4, _evaluate(problem, state)
    fresh = None
    for _ in range(iterations):
        fresh = fresh or _normal(problem, state, terms)
        trial = _move(problem, state, _solve(problem, *fresh, damping))
        trial_terms = _evaluate(problem, trial)
        if not trial_terms.cost < terms.cost:
            damping *= 10.0
            if damping > 1e6:
                break
            continue
        gain = (terms.cost - trial_terms.cost) / max(terms.cost, 1e-12)
        state, terms, fresh, damping = trial, trial_terms, None, damping * 0.2
        if gain < tolerance:
            break
    return state


def position_std(problem: Problem, state: State) -> Float[Tensor, "t j"]:
    """One-sigma uncertainty of every joint's position, metres: the posterior of the last step.

    The covariance of the pose is the inverse of the normal matrix, smoothness included, so that it
    grows inside gaps. Its D x D diagonal blocks come from seeded draws x = A^-1 y, y ~ N(0, A).
    """
    terms = _evaluate(problem, state)
    blocks, gradient = _normal(problem, state, terms)
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, DRAWS, dtype=torch.float64, generator=generator)

    ridge = torch.diag_embed(torch.full_like(gradient, 1e-9))
    draws = torch.linalg.cholesky(blocks + ridge) @ noise(*gradient.shape)
    if len(terms.bend):
        draws = draws + _spread(
            noise(*terms.bend.shape) * problem.stiffness.unsqueeze(-1), len(gradient)
        )
        factor = cholesky_banded(_banded(blocks, problem.stiffness, 0.0), lower=True)
        flat = cho_solve_banded((factor, True), draws.reshape(-1, DRAWS).numpy())
        draws = torch.from_numpy(flat).view_as(draws)
    else:
        draws = torch.cholesky_solve(draws, torch.linalg.cholesky(blocks + ridge))
    joints = tuple(range(len(problem.body.skeleton)))
    jacobian = point_jacobian(
        problem.body.skeleton, terms.pose, terms.pose.positions, joints, problem.body.freedoms
    )
    moved = jacobian.flatten(1, 2) @ draws
    return moved.square().mean(-1).unflatten(1, (-1, 3)).mean(-1).sqrt()
