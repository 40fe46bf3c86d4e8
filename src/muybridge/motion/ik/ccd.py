"""Cyclic coordinate descent: joint after joint, from the tip inwards, turns the tip at the target.

b targets, n bones (ball joints) or n hinges. Each joint makes the turn that is best for it alone:
no Jacobian, no matrix. Out of reach it straightens the chain slowly.

References:
    Wang & Chen, A combined optimization method for solving the inverse kinematics problem of
    mechanical manipulators, 1991; Welman, 1993.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rotation import rotate
from muybridge.motion.ik.chain import Chain
from muybridge.motion.ik.points import PointOptions, PointSolution, converge
from muybridge.motion.ik.problem import Solution
from muybridge.motion.ik.two_bone import align

__all__ = ["ccd", "ccd_hinges"]


def ccd(
    points: Float[Tensor, "b k 3"],
    target: Float[Tensor, "b 3"],
    options: PointOptions | None = None,
) -> PointSolution:
    """Chains of ball joints: k joints, the last of which is to reach the target.

    Args:
        points: The joints as they are, metres; the first stays.
        target: Where the last is to be, metres.
        options: When to stop.
    """
    return converge(_sweep, points, target, options or PointOptions())


def _sweep(points: Float[Tensor, "b k 3"], target: Float[Tensor, "b 3"]) -> Float[Tensor, "b k 3"]:
    """Each joint once."""
    points = points.clone()
    for joint in range(points.shape[1] - 2, -1, -1):
        pivot = points[:, joint]
        any_axis = torch.linalg.cross(points[:, joint + 1] - pivot, _crosswise(target - pivot))
        turn = align(points[:, -1] - pivot, target - pivot, any_axis)
        beyond = points[:, joint + 1 :] - pivot.unsqueeze(1)
        points[:, joint + 1 :] = pivot.unsqueeze(1) + rotate(turn.unsqueeze(1), beyond)
    return points


def _crosswise(vector: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3"]:
    """Some vector that is not parallel to this one."""
    return vector.roll(1, -1) + vector.new_tensor([0.1, 0.2, 0.3])


def ccd_hinges(
    chain: Chain,
    targets: Float[Tensor, "b 3"],
    start: Float[Tensor, "b n"],
    options: PointOptions | None = None,
) -> Solution:
    """A chain of hinges with limits.

    In the plane across a hinge's axis the tip at r and the target at g are nearest after a turn by
    the angle from r to g.

    Args:
        targets: Where the tip is to be, metres.
        start: Angles to start from.
        options: When to stop.
    """
    options = options or PointOptions()
    angles = torch.maximum(torch.minimum(start, chain.upper), chain.lower)
    error = _lacking(chain, angles, targets)
    history, count = [error.clone()], torch.ones(len(targets), dtype=torch.long)
    for _ in range(options.iterations):
        rows = (error > options.tolerance).nonzero().squeeze(-1)
        if not len(rows):
            break
        angles[rows] = _sweep_hinges(chain, angles[rows], targets[rows])
        error[rows] = _lacking(chain, angles[rows], targets[rows])
        history.append(error.clone())
        count[rows] += 1
    return Solution(angles, error, count, torch.stack(history))


def _lacking(
    chain: Chain, angles: Float[Tensor, "b n"], targets: Float[Tensor, "b 3"]
) -> Float[Tensor, "b"]:
    return (chain.forward(angles).positions[:, -1] - targets).norm(dim=-1)


def _sweep_hinges(
    chain: Chain, angles: Float[Tensor, "b n"], targets: Float[Tensor, "b 3"]
) -> Float[Tensor, "b n"]:
    """Each hinge once; those further in do not move meanwhile, so one forward pass is enough."""
    pose, angles = chain.forward(angles), angles.clone()
    tip = pose.positions[:, -1]
    for hinge in range(len(chain) - 1, -1, -1):
        pivot = pose.positions[:, hinge]
        axis = rotate(pose.orientations[:, hinge], chain.axes[hinge].expand_as(pivot))
        arm, aim = tip - pivot, targets - pivot
        sine = (torch.linalg.cross(arm, aim) * axis).sum(-1)
        cosine = (arm * aim).sum(-1) - (arm * axis).sum(-1) * (aim * axis).sum(-1)
        wanted = angles[:, hinge] + torch.atan2(sine, cosine)
        wanted = wanted.clamp(float(chain.lower[hinge]), float(chain.upper[hinge]))
        turn = wanted - angles[:, hinge]
        angles[:, hinge] = wanted
        tip = pivot + _about(axis, turn, arm)
    return angles


def _about(
    axis: Float[Tensor, "b 3"], angle: Float[Tensor, "b"], vector: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 3"]:
    """Rodrigues' formula."""
    c, s = angle.cos().unsqueeze(-1), angle.sin().unsqueeze(-1)
    along = (axis * vector).sum(-1, keepdim=True) * axis
    return along + c * (vector - along) + s * torch.linalg.cross(axis, vector)
