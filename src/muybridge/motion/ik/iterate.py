"""Jacobian methods as a loop: linearise, step, again, until near enough.

A long error is cut to `reach` first: the linear model holds for short steps only, and without the
cut Gauss-Newton is thrown about when a target lies far off or the chain is almost straight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.ik.problem import Problem, Solution, started
from muybridge.motion.ik.steps import STEPS, Method, damped, within

__all__ = ["IterateOptions", "iterate"]


@dataclass(frozen=True)
class IterateOptions:
    """When to stop, and how boldly to go.

    Attributes:
        iterations: At most so many steps.
        tolerance: Error that is near enough, metres.
        reach: Longest error that one step is asked to close, metres.
        turn: Longest step of any one unknown, radians.
        damping: Of the damped method, metres a radian.
    """

    iterations: int = 50
    tolerance: float = 1e-6
    reach: float = 0.1
    turn: float = 0.8
    damping: float = 0.03

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.tolerance > 0.0:
            raise InputError(
                f"expected at least one iteration and a tolerance above 0, got {self.iterations} "
                f"and {self.tolerance:g}; 50 and 1e-6 are usual"
            )


def iterate(
    problem: Problem,
    state: Float[Tensor, "b n"],
    method: Method = "damped",
    options: IterateOptions | None = None,
) -> Solution:
    """Solve by one of the Jacobian methods, each problem until it is near enough.

    Args:
        problem: What is to be met, and the limits.
        state: Where to start; brought within the limits first.
        method: Rule of the step, see `steps`.
        options: When to stop.
    """
    options = options or IterateOptions()
    rule = partial(damped, damping=options.damping) if method == "damped" else STEPS[method]
    state = started(problem, state)
    error, jacobian = problem.linearise(state)
    size = error.norm(dim=-1)
    history, count = [size], torch.ones(len(state), dtype=torch.long)
    for _ in range(options.iterations):
        rows = (size > options.tolerance).nonzero().squeeze(-1)
        if not len(rows):
            break
        part = problem.take(rows)
        now = state[rows]
        wanted = error[rows] * (options.reach / size[rows]).clamp(max=1.0).unsqueeze(-1)
        room = (
            (part.lower - now).clamp(min=-options.turn),
            (part.upper - now).clamp(max=options.turn),
        )
        now = now + within(rule, jacobian[rows], wanted, room)
        state[rows] = now
        error[rows], jacobian[rows] = part.linearise(now)
        size = error.norm(dim=-1)
        history.append(size)
        count[rows] += 1
    return Solution(state, size, count, torch.stack(history))
