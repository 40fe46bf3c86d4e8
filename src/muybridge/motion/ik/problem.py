"""What the iterative methods solve: b problems at once, n unknowns and m equations each.

The unknowns are numbers that may be added to: angles, or rotation vectors from a start. The error
is what the equations lack, so that a step wants  J step = error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Problem", "Solution"]


@runtime_checkable
class Problem(Protocol):
    """Equations that can be linearised anywhere, limits, and how dear each unknown is."""

    @property
    def lower(self) -> Float[Tensor, "b n"]:
        """Least values; -inf where there is no limit."""

    @property
    def upper(self) -> Float[Tensor, "b n"]:
        """Greatest values; +inf where there is no limit."""

    @property
    def stiffness(self) -> Float[Tensor, "n"]:
        """Cost w of the squares of the unknowns, beside the squared error in metres; 0 is free."""

    def linearise(
        self, state: Float[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b m"], Float[Tensor, "b m n"]]:
        """The error, and the derivative of what the error is subtracted from."""

    def take(self, rows: Int[Tensor, "k"]) -> Problem:
        """Some of the problems."""


@dataclass(frozen=True)
class Solution:
    """What came of it.

    Attributes:
        state: The unknowns.
        error: Length of the error left, metres.
        iterations: Linearisations that each problem took.
        history: Length of the error at each linearisation; a problem that is done keeps its last.
    """

    state: Float[Tensor, "b n"]
    error: Float[Tensor, "b"]
    iterations: Int[Tensor, "b"]
    history: Float[Tensor, "k b"]

    def take(self, rows: Int[Tensor, "k"]) -> Solution:
        """The solutions of some of the problems."""
        return Solution(
            self.state[rows], self.error[rows], self.iterations[rows], self.history[:, rows]
        )

    def merged(self, rows: Int[Tensor, "k"], other: Solution) -> Solution:
        """With some problems replaced by other solutions of them; the history stays."""
        state, error, count = self.state.clone(), self.error.clone(), self.iterations.clone()
        state[rows], error[rows] = other.state, other.error
        count[rows] += other.iterations
        return Solution(state, error, count, self.history)


def started(problem: Problem, state: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """A start within the limits."""
    return torch.maximum(torch.minimum(state, problem.upper), problem.lower)
