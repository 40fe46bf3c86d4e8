"""Articulated ICP: poses of T frames at once, each from its own points.

T frames, J joints, D = 3 + R freedoms, N rows. World frame: metres.

Each round finds the closest capsule of every point anew and takes one damped Gauss-Newton step of
all freedoms. A row's derivative by a turn about axis a through p is d . (a x (x - p)), which is
linear in the six numbers (d, x x d): so the rows of each joint are first summed up to a 6 x 6
matrix, and the freedoms enter only afterwards. The price of a point does not depend on how many
joints lie between it and the root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.capture.depth.capsules import CapsuleBody
from muybridge.capture.depth.contact import Outline, Rows, Scan, spill, touch
from muybridge.capture.depth.posed import Posed, posed
from muybridge.capture.start import State
from muybridge.geometry.rotation import conjugate, multiply, rotvec_from_quaternion
from muybridge.motion.body import Body
from muybridge.motion.jacobian import (
    angles_jacobian,
    joint_angles,
    retract,
    rotation_from_angles,
)

__all__ = [
    "Anchor",
    "Evidence",
    "Fit",
    "IcpOptions",
    "Round",
    "add_priors",
    "damped_step",
    "evaluate",
    "fit_frames",
    "move",
    "normal_blocks",
    "point_blocks",
    "row_weights",
]


@dataclass(frozen=True)
class IcpOptions:
    """How to weigh what is known.

    Attributes:
        iterations: Rounds of closest points and one step each.
        point_std: Ordinary distance of a point to the fitted surface, metres; points agree with
            their neighbours, so that it stands for the model's error and not for the sensor's.
        belief: In units of `point_std`: where a point has lost three quarters of its weight.
        outline_std: Ordinary distance by which an axis may leave the outline, metres.
        limit_std: Softness of the joint limits, radians.
        prior: Multiplies the pull to the rest pose.
        share: How much one point counts; 1 / the number of points that say the same thing.
    """

    iterations: int = 8
    point_std: float = 0.012
    belief: float = 4.0
    outline_std: float = 0.03
    limit_std: float = 0.02
    prior: float = 1.0
    share: float = 0.15


class Anchor(NamedTuple):
    """A pose expected before looking, and how sure that is."""

    state: State
    std: Float[Tensor, "d"]  # metres for the root, then radians


@dataclass(frozen=True)
class Evidence:
    """What the poses of T frames are to explain."""

    scan: Scan
    outlines: tuple[Outline, ...] = ()

    def frames(self, index: Int[Tensor, "f"]) -> Evidence:
        """These frames only; an index may occur more than once."""
        return Evidence(self.scan.frames(index), tuple(o.frames(index) for o in self.outlines))


class Fit(NamedTuple):
    """Poses of T frames and how well they explain the points.

    Attributes:
        state: The poses.
        cost: Of each frame, in units of squared standard deviations.
        information: Normal matrix of each frame at the end, priors and anchor included.
        distance: Mean distance of the points to the surface, metres.
    """

    state: State
    cost: Float[Tensor, "t"]
    information: Float[Tensor, "t d d"]
    distance: Float[Tensor, "t"]


class Round(NamedTuple):
    """One state, what it leaves unexplained, and what that costs."""

    pose: Posed
    rows: Rows
    std: Tensor  # (n,) of each row
    angles: Tensor  # (t, j, 3)
    excess: Tensor  # (t, j, 3)
    anchor: Tensor  # (t, d), in units of its standard deviations
    cost: Tensor  # (t,)
    distance: Tensor  # (t,)


def fit_frames(
    body: CapsuleBody,
    evidence: Evidence,
    start: State,
    options: IcpOptions | None = None,
    anchor: Anchor | None = None,
) -> Fit:
    """Improve the pose of every frame, each for itself but all at once.

    Args:
        body: The capsules.
        evidence: Points and outlines of T frames.
        start: T poses, roughly right: within about a limb's radius and 30 degrees.
        options: Weights.
        anchor: Pull to poses that are expected, for instance from the frame before.

    References:
        Besl & McKay, A method for registration of 3-D shapes, IEEE TPAMI 14(2), 1992.
        Pellegrini, Schindler & Nardi, A generalisation of the ICP algorithm for articulated
        bodies, BMVC 2008.
        Madsen, Nielsen & Tingleff, Methods for non-linear least squares problems, 2004.
    """
    options = options or IcpOptions()
    state, now = start, evaluate(body, evidence, start, options, anchor)
    damping = torch.full_like(now.cost, 1e-3)
    blocks, gradient = normal_blocks(body, state, now, options, anchor)
    for _ in range(options.iterations):
        trial = move(body.body, state, damped_step(blocks, gradient, damping))
        then = evaluate(body, evidence, trial, options, anchor)
        better = then.cost < now.cost
        damping = torch.where(better, damping * 0.3, damping * 8.0).clamp(1e-6, 1e6)
        if not bool(better.any()):
            continue
        gain = torch.where(better, (now.cost - then.cost) / now.cost.clamp(min=1e-9), 0.0)
        if bool(better.all()):
            state, now = trial, then
        else:
            state = State(*(_pick(better, a, b) for a, b in zip(trial, state, strict=True)))
            now = evaluate(body, evidence, state, options, anchor)
        blocks, gradient = normal_blocks(body, state, now, options, anchor)
        if bool((gain < 1e-3).all()):
            break
    return Fit(state, now.cost, blocks, now.distance)


def _pick(choice: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    return torch.where(choice.reshape(-1, *[1] * (yes.ndim - 1)), yes, no)


def evaluate(
    body: CapsuleBody,
    evidence: Evidence,
    state: State,
    options: IcpOptions,
    anchor: Anchor | None,
) -> Round:
    pose = posed(body.body.skeleton, state)
    near = touch(body, pose, evidence.scan)
    outlines = [spill(body, pose, outline) for outline in evidence.outlines]
    parts = [near, *outlines]
    std = [options.point_std, *[options.outline_std] * len(outlines)]
    rows = Rows(*(torch.cat(group, 1) for group in zip(*parts, strict=True)))
    spread = torch.cat(
        [torch.full((p.gaps.shape[1],), s).double() for p, s in zip(parts, std, strict=True)]
    )
    weights = torch.cat((options.share * near.weights, rows.weights[:, near.gaps.shape[1] :]), 1)
    rows = rows._replace(weights=weights)
    square = (rows.gaps / spread).square()
    saturated = options.belief**2 * square / (options.belief**2 + square)
    cost = (rows.weights * saturated).sum(-1)
    angles = joint_angles(state.rotations, body.body.axes)
    excess = angles - angles.clamp(body.body.lower, body.body.upper)
    moving = list(body.body.turning)
    pull = ((angles - body.usual) * (options.prior / body.usual_std))[:, moving]
    cost = cost + pull.square().sum((1, 2))
    cost = cost + (excess[:, moving] / options.limit_std).square().sum((1, 2))
    away = _away(body.body, state, anchor)
    cost = cost + away.square().sum(-1)
    known = near.weights.sum(-1).clamp(min=1e-9)
    distance = (near.weights * near.gaps.abs()).sum(-1) / known
    return Round(pose, rows, spread, angles, excess, away, cost, distance)


def _away(body: Body, state: State, anchor: Anchor | None) -> Float[Tensor, "t d"]:
    """Distance from the expected pose in units of its standard deviations."""
    if anchor is None:
        return torch.zeros(len(state.root), len(body.freedoms), dtype=torch.float64)
    owners = list(body.freedoms.joints)
    turn = multiply(conjugate(anchor.state.rotations), state.rotations)
    turn = rotvec_from_quaternion(turn)[:, owners]
    turns = (turn * body.freedoms.axes).sum(-1)
    return torch.cat((state.root - anchor.state.root, turns), dim=1) / anchor.std


def normal_blocks(
    body: CapsuleBody, state: State, now: Round, options: IcpOptions, anchor: Anchor | None
) -> tuple[Float[Tensor, "t d d"], Float[Tensor, "t d"]]:
    """Normal matrix and gradient (of half the cost) of each frame."""
    weights = row_weights(now, options)
    none = weights.new_zeros(*weights.shape, 0)
    blocks, gradient, _ = point_blocks(body, now.pose, now.rows, weights, none)
    add_priors(body, state, now, options, blocks, gradient)
    if anchor is not None:
        blocks.diagonal(dim1=-2, dim2=-1).add_(anchor.std**-2)
        gradient += now.anchor / anchor.std
    return blocks, gradient


def row_weights(now: Round, options: IcpOptions) -> Float[Tensor, "t n"]:
    """Weight of each row in the next step, 1/square metre: doubtful rows count less."""
    square = (now.rows.gaps / now.std).square()
    trust = (options.belief**2 / (options.belief**2 + square)).square()
    return now.rows.weights * trust / now.std.square()


def point_blocks(
    body: CapsuleBody,
    pose: Posed,
    rows: Rows,
    weights: Float[Tensor, "t n"],
    others: Float[Tensor, "t n s"],
) -> tuple[Float[Tensor, "t d d"], Float[Tensor, "t d"], Float[Tensor, "t d s"]]:
    """Rows summed up by joint, then spread over the freedoms that move the joint.

    Args:
        body: The body.
        pose: Its pose in each frame.
        rows: What is left unexplained.
        weights: Of the rows.
        others: Derivatives of the rows by S parameters other than the pose.
    Returns:
        Normal matrix, gradient, and the products of the pose's columns with those of the others.
    """
    freedoms, skeleton = body.body.freedoms, body.body.skeleton
    frames, joints = len(rows.gaps), len(skeleton)
    origin = pose.positions[:, :1]  # near the person: no cancellation far from the world's origin
    places = rows.places - origin
    wrench = torch.cat((rows.directions, torch.linalg.cross(places, rows.directions)), -1)
    columns = torch.cat((wrench, -rows.gaps.unsqueeze(-1), -others), -1)
    products = (weights.unsqueeze(-1) * wrench).unsqueeze(-1) * columns.unsqueeze(-2)
    owner = torch.tensor(body.joints)[rows.capsules]
    target = (torch.arange(frames).unsqueeze(1) * joints + owner).flatten()
    sums = products.new_zeros(frames * joints, 6 * columns.shape[-1])
    sums.index_add_(0, target, products.reshape(len(target), -1))
    sums = sums.reshape(frames, joints, 6, -1)
    owners = list(freedoms.joints)
    axes = (pose.turns[:, owners] @ freedoms.axes.unsqueeze(-1))[..., 0]
    lever = torch.linalg.cross(pose.positions[:, owners] - origin, axes)
    turns = torch.cat(
        (lever, axes), -1
    ).mT  # (t, 6, r): d . (a x (x - p)) = (d, x x d) . (p x a, a)
    shift = torch.eye(6, 3, dtype=axes.dtype).expand(frames, 6, 3)
    reach = freedoms.reach(skeleton, tuple(range(joints)))
    reach = torch.cat((torch.ones(joints, 3, dtype=reach.dtype), reach), 1)
    motion = torch.cat((shift, turns), -1).unsqueeze(1) * reach[:, None, :]  # (t, j, 6, d)
    half = torch.cat((sums[..., :6] @ motion, sums[..., 6:]), -1).flatten(1, 2)
    done = motion.flatten(1, 2).mT @ half
    size = len(freedoms)
    return done[..., :size], done[..., size], done[..., size + 1 :]


def add_priors(
    body: CapsuleBody,
    state: State,
    now: Round,
    options: IcpOptions,
    blocks: Float[Tensor, "t d d"],
    gradient: Float[Tensor, "t d"],
) -> None:
    """Add the pull to the rest pose and out of the limits, in place."""
    axes, owners = body.body.axes, list(body.body.freedoms.joints)
    jacobian = angles_jacobian(state.rotations[:, owners], axes[owners])
    columns = (jacobian @ body.body.freedoms.axes.unsqueeze(-1)).squeeze(-1)  # (t, r, 3)
    pull = options.prior**2 * body.usual_std**-2
    tight = (now.excess != 0.0).to(columns.dtype) / options.limit_std**2
    weight = (pull + tight)[:, owners]
    slope = ((now.angles - body.usual) * pull + now.excess / options.limit_std**2)[:, owners]
    index = torch.tensor(owners)
    same = (index[:, None] == index).to(columns.dtype)
    blocks[:, 3:, 3:] += (columns * weight) @ columns.mT * same
    gradient[:, 3:] += (columns * slope).sum(-1)


def damped_step(
    blocks: Float[Tensor, "t d d"], gradient: Float[Tensor, "t d"], damping: Float[Tensor, "t"]
) -> Float[Tensor, "t d"]:
    """The Levenberg-Marquardt step of each frame."""
    diagonal = blocks.diagonal(dim1=-2, dim2=-1)
    damped = blocks + torch.diag_embed(damping.unsqueeze(-1) * diagonal + 1e-6)
    factor = torch.linalg.cholesky(damped)
    return -torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)


def move(body: Body, state: State, step: Float[Tensor, "t d"]) -> State:
    """Retract; hinges stay hinges, as in `capture.fit`."""
    rotations, root = retract(state.rotations, state.root, step, body.freedoms)
    partly = [j for j in body.turning if body.freedoms.joints.count(j) < 3]
    axes = body.axes[partly]
    free = body.lower[partly] < body.upper[partly]
    angles = torch.where(free, joint_angles(rotations[:, partly], axes), 0.0)
    rotations[:, partly] = rotation_from_angles(angles, axes)
    return State(rotations, root)
