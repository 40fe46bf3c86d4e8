"""Chains as points: what CCD and FABRIK share, and bones turned from old points to new ones.

b chains, k points (joints, the last is the tip), k - 1 bones of constant length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["PointOptions", "PointSolution", "bone_lengths", "converge"]

Sweep = Callable[[Float[Tensor, "b k 3"], Float[Tensor, "b 3"]], Float[Tensor, "b k 3"]]


@dataclass(frozen=True)
class PointOptions:
    """When to stop.

    Attributes:
        iterations: At most so many sweeps over all joints.
        tolerance: Distance of the tip from its target that is near enough, metres.
    """

    iterations: int = 100
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.tolerance > 0.0:
            raise InputError(
                f"expected at least one iteration and a tolerance above 0, got {self.iterations} "
                f"and {self.tolerance:g}; 100 and 1e-6 are usual"
            )


@dataclass(frozen=True)
class PointSolution:
    """Where the joints went.

    Attributes:
        points: The joints, metres.
        error: Distance of the tip from its target, metres.
        iterations: Sweeps that each chain took.
        history: The error before each sweep; a chain that is done keeps its last.
    """

    points: Float[Tensor, "b k 3"]
    error: Float[Tensor, "b"]
    iterations: Int[Tensor, "b"]
    history: Float[Tensor, "i b"]


def bone_lengths(points: Float[Tensor, "b k 3"]) -> Float[Tensor, "b k-1"]:
    """Lengths of the bones between neighbouring joints, metres."""
    return points.diff(dim=1).norm(dim=-1)


def converge(
    sweep: Sweep,
    points: Float[Tensor, "b k 3"],
    target: Float[Tensor, "b 3"],
    options: PointOptions,
) -> PointSolution:
    """Sweep until each chain is near enough or time is up."""
    points = points.clone()
    error = (points[:, -1] - target).norm(dim=-1)
    history, count = [error], torch.zeros(len(points), dtype=torch.long)
    for _ in range(options.iterations):
        rows = (error > options.tolerance).nonzero().squeeze(-1)
        if not len(rows):
            break
        points[rows] = sweep(points[rows], target[rows])
        error = (points[:, -1] - target).norm(dim=-1)
        history.append(error)
        count[rows] += 1
    return PointSolution(points, error, count, torch.stack(history))
