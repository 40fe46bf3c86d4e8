"""The person's build: lengths and girths that one fits to many frames at once, poses included.

F frames, S shape parameters, D freedoms, N rows. Bones show their length only where they bend or
end, so that frames of different poses are needed, and what no frame shows stays ordinary: every
parameter is pulled to the mean person as strongly as people are alike.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.depth.capsules import SHAPE_STD, CapsuleBody, capsule_body, rest_shape
from muybridge.capture.depth.icp import (
    Evidence,
    IcpOptions,
    Round,
    add_priors,
    damped_step,
    evaluate,
    move,
    point_blocks,
    row_weights,
)
from muybridge.capture.depth.posed import posed
from muybridge.capture.start import State

__all__ = ["Shaped", "fit_shape", "shape_columns"]

STEP = 1e-5  # of a logarithm, for the difference quotient
TOLERANCE = 1e-4  # relative decrease of the cost at which to stop


class Shaped(NamedTuple):
    """A body, the poses it was fitted in, and the cost there."""

    body: CapsuleBody
    state: State
    cost: float


def fit_shape(
    body: CapsuleBody,
    evidence: Evidence,
    start: State,
    options: IcpOptions | None = None,
    rounds: int = 12,
) -> Shaped:
    """Fit one shape and F poses to F frames.

    Args:
        body: The first guess of the shape.
        evidence: Frames of poses as different as possible.
        start: Their poses, roughly right.
        options: Weights.
        rounds: Levenberg-Marquardt steps, each with new closest points.

    References:
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., appendix 6.3 (sparse steps).
    """
    options = options or IcpOptions()
    state, damping = start, 1e-2
    now = evaluate(body, evidence, state, options, None)
    cost = float(now.cost.sum()) + _prior(body)
    for _ in range(rounds):
        step, change = _solve(body, evidence, state, now, options, damping)
        trial_body = capsule_body(body.shape + change)
        trial = move(trial_body.body, state, step)
        then = evaluate(trial_body, evidence, trial, options, None)
        trial_cost = float(then.cost.sum()) + _prior(trial_body)
        if trial_cost < cost:
            gain = (cost - trial_cost) / cost
            body, state, now, cost, damping = trial_body, trial, then, trial_cost, damping * 0.3
            if gain < TOLERANCE:
                break
        else:
            damping *= 8.0
    return Shaped(body, state, cost)


def _prior(body: CapsuleBody) -> float:
    return float(((body.shape - rest_shape()) / SHAPE_STD).square().sum())


def _solve(
    body: CapsuleBody,
    evidence: Evidence,
    state: State,
    now: Round,
    options: IcpOptions,
    damping: float,
) -> tuple[Float[Tensor, "f d"], Float[Tensor, "s"]]:
    """Step of the poses and of the shape; the poses are eliminated first, frame by frame."""
    weights, columns = row_weights(now, options), shape_columns(body, state, now)
    blocks, gradient, cross = point_blocks(body, now.pose, now.rows, weights, columns)
    add_priors(body, state, now, options, blocks, gradient)
    damp = torch.full((len(blocks),), damping, dtype=blocks.dtype)
    pose_only = damped_step(blocks, gradient, damp)
    pulled = torch.stack([damped_step(blocks, c, damp) for c in cross.unbind(-1)], -1)
    weighted = (weights.unsqueeze(-1) * columns).flatten(0, 1)
    square = weighted.mT @ columns.flatten(0, 1) + torch.diag(SHAPE_STD**-2)
    slope = weighted.mT @ now.rows.gaps.flatten() + (body.shape - rest_shape()) / SHAPE_STD**2
    square = square + (cross.mT @ pulled).sum(0)
    slope = slope + (cross * pose_only.unsqueeze(-1)).sum((0, 1))
    square = square + damping * torch.diag(square.diagonal().abs())
    change = -torch.linalg.solve(square, slope)
    return pose_only + pulled @ change, change


def shape_columns(body: CapsuleBody, state: State, now: Round) -> Float[Tensor, "f n s"]:
    """Derivative of every row by every shape parameter, the closest points held.

    By difference quotients of the skeleton and its capsules, S forward kinematics of all frames:
    the template's lengths are no simple function of the parameters.
    """
    rows, columns = now.rows, []
    index = rows.capsules.unsqueeze(-1).expand(-1, -1, 3)
    base = body.axes_world(now.pose)
    others = [capsule_body(body.shape + nudge) for nudge in STEP * torch.eye(len(body.shape))]
    for other in others:
        ends = other.axes_world(posed(other.body.skeleton, state))
        starts, stops = ((b - a).gather(1, index) / STEP for a, b in zip(base, ends, strict=True))
        shift = torch.lerp(starts, stops, rows.shares.unsqueeze(-1))
        swell = ((other.radii - body.radii) / STEP)[rows.capsules]
        columns.append(rows.growth * swell - (rows.directions * shift).sum(-1))
    return torch.stack(columns, dim=-1)
