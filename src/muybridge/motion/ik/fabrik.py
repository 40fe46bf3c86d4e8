"""FABRIK: forward and backward reaching, by points and lengths alone.

b chains, k joints. Backward: put the tip on the target and pull each joint to its bone's length
from the one after it. Forward: put the root back and push each joint to its length from the one
before. No angles, no matrices; a target out of reach is met by a straight line at once.

References:
    Aristidou & Lasenby, FABRIK: a fast, iterative solver for the inverse kinematics problem,
    Graphical Models 73 (5), 2011.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.motion.ik.points import PointOptions, PointSolution, bone_lengths, converge

__all__ = ["fabrik"]

KICK = 1e-3  # share of the reach: a chain in line with its target is bent by this


def fabrik(
    points: Float[Tensor, "b k 3"],
    target: Float[Tensor, "b 3"],
    options: PointOptions | None = None,
) -> PointSolution:
    """Chains of ball joints whose last joint is to reach the target; the first stays.

    Args:
        points: The joints as they are, metres.
        target: Where the last joint is to be, metres.
        options: When to stop.
    """
    lengths = bone_lengths(points)
    distance = (target - points[:, 0]).norm(dim=-1)
    far = distance >= lengths.sum(-1)
    straight = _line(points[:, 0], target, lengths)
    begin = torch.where(far[:, None, None], straight, _bent(points, target, lengths))
    aim = torch.where(far[:, None], straight[:, -1], target)

    def sweep(part: Tensor, goal: Tensor) -> Tensor:
        return _sweep(part, goal, part.diff(dim=1).norm(dim=-1))

    found = converge(sweep, begin, aim, options or PointOptions())
    error = (found.points[:, -1] - target).norm(dim=-1)
    return PointSolution(found.points, error, found.iterations, found.history)


def _sweep(
    points: Float[Tensor, "b k 3"], target: Float[Tensor, "b 3"], lengths: Float[Tensor, "b n"]
) -> Float[Tensor, "b k 3"]:
    """There and back once."""
    joints, size = list(points.unbind(1)), list(lengths.unsqueeze(-1).unbind(1))
    root = joints[0]
    joints[-1] = target
    for k in range(len(joints) - 2, -1, -1):  # backward: from the tip to the root
        joints[k] = _at_length(joints[k + 1], joints[k], size[k])
    joints[0] = root
    for k in range(len(joints) - 1):  # forward: from the root to the tip
        joints[k + 1] = _at_length(joints[k], joints[k + 1], size[k])
    return torch.stack(joints, dim=1)


def _at_length(
    start: Float[Tensor, "b 3"], towards: Float[Tensor, "b 3"], length: Float[Tensor, "b 1"]
) -> Float[Tensor, "b 3"]:
    """The point so far from `start` on the way to `towards`."""
    way = towards - start
    return start + length * way / way.norm(dim=-1, keepdim=True).clamp(min=1e-300)


def _line(
    root: Float[Tensor, "b 3"], target: Float[Tensor, "b 3"], lengths: Float[Tensor, "b n"]
) -> Float[Tensor, "b k 3"]:
    """The chain stretched towards the target."""
    way = target - root
    way = way / way.norm(dim=-1, keepdim=True).clamp(min=1e-300)
    along = torch.nn.functional.pad(lengths.cumsum(-1), (1, 0))
    return root.unsqueeze(1) + along.unsqueeze(-1) * way.unsqueeze(1)


def _bent(
    points: Float[Tensor, "b k 3"], target: Float[Tensor, "b 3"], lengths: Float[Tensor, "b n"]
) -> Float[Tensor, "b k 3"]:
    """The same chain, but never exactly in line with its target: from there no sweep leaves."""
    way = (target - points[:, 0]).unsqueeze(1)
    way = way / way.norm(dim=-1, keepdim=True).clamp(min=1e-300)
    off = torch.linalg.cross((points - points[:, :1]), way.expand_as(points)).norm(dim=-1).amax(-1)
    reach = lengths.sum(-1)
    least = torch.nn.functional.one_hot(way[:, 0].abs().argmin(-1), 3).to(way.dtype)
    side = torch.linalg.cross(way[:, 0], least)
    shift = KICK * reach.unsqueeze(-1) * side
    moved = points.clone()
    moved[:, 1:] += shift.unsqueeze(1)
    again = [points[:, 0]]
    for k in range(points.shape[1] - 1):
        again.append(_at_length(again[-1], moved[:, k + 1], lengths[:, k : k + 1]))
    inline = (off < 1e-6 * reach)[:, None, None]
    return torch.where(inline, torch.stack(again, dim=1), points)
