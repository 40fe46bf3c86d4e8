"""Levenberg-Marquardt: damping that grows until a step helps and shrinks when it does; restarts.

min |e(s)|^2 + w s^2: the error, and how dear it is to leave s = 0. Each of the b problems has its
own damping mu: the diagonal D = w + mu w (mu alone where w is 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.motion.ik.problem import Problem, Solution, started
from muybridge.motion.ik.steps import damped, within

__all__ = ["LevenbergOptions", "Starts", "levenberg_marquardt", "with_restarts"]

Starts = Callable[[Int[Tensor, "k"], int], Float[Tensor, "kt n"]]
LEAST, MOST = 1e-10, 1e12  # damping


@dataclass(frozen=True)
class LevenbergOptions:
    """When to stop.

    Attributes:
        iterations: At most so many linearisations.
        tolerance: Error that is near enough, metres; where the unknowns cost something, it also
            takes steps shorter than `settled`.
        settled: Step after which nothing changes any more, radians; ten times the share by which
            the cost must fall.
        damping: Where mu starts.
        turn: Longest step of any one unknown, radians.
    """

    iterations: int = 50
    tolerance: float = 1e-6
    settled: float = 1e-5
    damping: float = 1e-3
    turn: float = 1.0


@dataclass
class _State:
    """What changes from step to step, for all problems."""

    state: Tensor
    error: Tensor
    jacobian: Tensor
    cost: Tensor
    damping: Tensor
    growth: Tensor
    done: Tensor


def levenberg_marquardt(
    problem: Problem, state: Float[Tensor, "b n"], options: LevenbergOptions | None = None
) -> Solution:
    """Solve all problems from their starts.

    References:
        Marquardt, An algorithm for least-squares estimation of nonlinear parameters, 1963;
        Nielsen, Damping parameter in Marquardt's method, 1999 (how the damping changes).
    """
    options = options or LevenbergOptions()
    state = started(problem, state)
    error, jacobian = problem.linearise(state)
    one = torch.ones(len(state), dtype=state.dtype)
    cost = _cost(problem, error, state)
    now = _State(state, error, jacobian, cost, options.damping * one, 2.0 * one, one < 0.0)
    now.done = _near(problem, error, options) if _free(problem) else now.done
    history, count = [error.norm(dim=-1)], torch.ones(len(state), dtype=torch.long)
    for _ in range(options.iterations):
        rows = (~now.done).nonzero().squeeze(-1)
        if not len(rows):
            break
        part = problem if len(rows) == len(state) else problem.take(rows)
        _advance(part, now, rows, options)
        count[rows] += 1
        history.append(now.error.norm(dim=-1))
    return Solution(now.state, history[-1], count, torch.stack(history))


def _free(problem: Problem) -> bool:
    return not bool(problem.stiffness.any())


def _near(problem: Problem, error: Tensor, options: LevenbergOptions) -> Tensor:
    return error.norm(dim=-1) <= options.tolerance


def _cost(problem: Problem, error: Tensor, state: Tensor) -> Float[Tensor, "b"]:
    return error.square().sum(-1) + (problem.stiffness * state.square()).sum(-1)


def _advance(part: Problem, now: _State, rows: Tensor, options: LevenbergOptions) -> None:
    """One trial step of the problems in these rows, taken where it helps."""
    state, error, jacobian = now.state[rows], now.error[rows], now.jacobian[rows]
    mu, weight = now.damping[rows].unsqueeze(-1), part.stiffness
    diagonal = weight + mu * torch.where(weight > 0.0, weight, 1.0)
    room = (
        (part.lower - state).clamp(min=-options.turn),
        (part.upper - state).clamp(max=options.turn),
    )
    step = _step(jacobian, error, -weight * state / diagonal, diagonal.rsqrt(), room)
    trial = state + step
    new_error, new_jacobian = part.linearise(trial)
    new_cost = _cost(part, new_error, trial)
    gain = now.cost[rows] - new_cost
    model = error - (jacobian @ step.unsqueeze(-1)).squeeze(-1)
    expected = now.cost[rows] - _cost(part, model, trial)
    better = gain > 0.0
    still = step.abs().amax(-1) <= options.settled
    still |= better & (gain <= 0.1 * options.settled * now.cost[rows])
    keep = rows[better]
    now.state[keep], now.error[keep] = trial[better], new_error[better]
    now.jacobian[keep], now.cost[keep] = new_jacobian[better], new_cost[better]
    ratio = gain / expected.clamp(min=1e-300)
    shrink = (1.0 - (2.0 * ratio - 1.0) ** 3).clamp(min=1.0 / 10.0, max=2.0)
    factor = torch.where(better, shrink, now.growth[rows])
    now.damping[rows] = (now.damping[rows] * factor).clamp(LEAST, MOST)
    now.growth[rows] = torch.where(better, 2.0, 2.0 * now.growth[rows])
    near = _near(part, now.error[rows], options)
    now.done[rows] = near if _free(part) else still
    now.done[rows] |= ~better & (now.damping[rows] >= MOST)


def _step(
    jacobian: Float[Tensor, "b m n"],
    error: Float[Tensor, "b m"],
    home: Float[Tensor, "b n"],
    scale: Float[Tensor, "b n"],
    room: tuple[Float[Tensor, "b n"], Float[Tensor, "b n"]],
) -> Float[Tensor, "b n"]:
    """Solve (J^T J + D) step = J^T e - w s within limits.

    After the step home, -w s / D, and in the unit D^-1/2 it is the damped step with damping one.
    """
    lacking = error - (jacobian @ home.unsqueeze(-1)).squeeze(-1)
    room = ((room[0] - home) / scale, (room[1] - home) / scale)
    rule = partial(damped, damping=1.0)
    return home + scale * within(rule, jacobian * scale.unsqueeze(-2), lacking, room)


def with_restarts(
    problem: Problem,
    state: Float[Tensor, "b n"],
    starts: Starts | None = None,
    options: LevenbergOptions | None = None,
    rounds: int = 5,
) -> Solution:
    """Levenberg-Marquardt, and what is not solved again from other starts.

    Each round gives the few problems that are left more starts at once, 8, 16, 32, ...; the best
    end is kept.

    Args:
        state: The first start.
        starts: Further starts, "(k tries) n" for k problems; random ones within the limits when
            None (unlimited unknowns: within half a turn).
        rounds: At most so many.
    """
    options = options or LevenbergOptions()
    starts = starts or _random(problem)
    found = levenberg_marquardt(problem, state, options)
    for tries in (8 * 2**k for k in range(rounds)):
        rows = (found.error > options.tolerance).nonzero().squeeze(-1)
        if not len(rows):
            break
        part = problem.take(rows.repeat_interleave(tries))
        tried = levenberg_marquardt(part, starts(rows, tries), options)
        best = tried.error.view(-1, tries).argmin(-1) + tries * torch.arange(len(rows))
        better = tried.error[best] < found.error[rows]
        found = found.merged(rows[better], tried.take(best[better]))
    return found


def _random(problem: Problem, seed: int = 0) -> Starts:
    """Starts within the limits of each problem."""
    generator = torch.Generator().manual_seed(seed)

    def starts(rows: Tensor, tries: int) -> Tensor:
        part = problem.take(rows.repeat_interleave(tries))
        low, high = part.lower.clamp(min=-torch.pi), part.upper.clamp(max=torch.pi)
        return torch.lerp(low, high, torch.rand(low.shape, dtype=low.dtype, generator=generator))

    return starts
