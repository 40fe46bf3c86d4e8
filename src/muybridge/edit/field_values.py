"""What a choice is worth in the long run: value iteration, and the exact answer to check it by.

A decision process has S states; in each, A actions lead to successors with known chances and bring
a reward. The value of a state is the largest reward that can be expected from it on, each step
later counting less by the discount g:

    V(s) = max_a [ R(s, a) + g sum_n chance_n V(successor_n) ].

Value iteration repeats this assignment; the error shrinks by g each time. Policy iteration solves
the linear equations of one choice of actions at a time and ends at the same values.

S states, A actions, N successors.

References:
    Bellman, Dynamic programming, 1957; Howard, Dynamic programming and Markov processes, 1960.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix, eye
from scipy.sparse.linalg import spsolve

__all__ = ["Decisions", "Solution", "policy_iteration", "policy_values", "value_iteration"]


@dataclass(frozen=True)
class Decisions:
    """States, actions and what follows.

    Attributes:
        successors: States that an action may lead to.
        chances: How likely each is; they sum to 1.
        rewards: Of each action.
    """

    successors: Int[np.ndarray, "s a n"]
    chances: Float[np.ndarray, "s a n"]
    rewards: Float[np.ndarray, "s a"]

    @cached_property
    def table(self) -> csr_matrix:
        """Chances of all successors, a row for each action of each state."""
        states, actions, count = self.successors.shape
        ends = np.arange(states * actions + 1) * count
        parts = self.chances.ravel(), self.successors.ravel(), ends
        return csr_matrix(parts, shape=(states * actions, states))

    def worth(self, values: Float[np.ndarray, "s"], discount: float) -> Float[np.ndarray, "s a"]:
        """Reward of each action and discounted value of what follows."""
        return self.rewards + discount * (self.table @ values).reshape(self.rewards.shape)


@dataclass(frozen=True)
class Solution:
    """Values of the states, the best action of each, and how many rounds it took."""

    values: Float[np.ndarray, "s"]
    policy: Int[np.ndarray, "s"]
    rounds: int


def value_iteration(
    decisions: Decisions, discount: float, tolerance: float = 1e-9, most: int = 100_000
) -> Solution:
    """Values to within a tolerance: the last change, times g / (1 - g), bounds what is left."""
    assert 0.0 <= discount < 1.0, f"a discount in [0, 1), not {discount}"
    values = np.zeros(len(decisions.rewards))
    rounds = 0
    for rounds in range(1, most + 1):  # noqa: B007
        worth = decisions.worth(values, discount)
        after = worth.max(axis=1)
        change = float(np.abs(after - values).max())
        values = after
        if change * discount <= tolerance * (1.0 - discount):
            break
    return Solution(values, decisions.worth(values, discount).argmax(axis=1), rounds)


def policy_values(
    decisions: Decisions, policy: Int[np.ndarray, "s"], discount: float
) -> Float[np.ndarray, "s"]:
    """Values of the states if these actions are taken: (I - g P) V = R."""
    states, actions = decisions.rewards.shape
    rows = np.arange(states) * actions + policy
    equations = eye(states, format="csr") - discount * decisions.table[rows]
    return np.asarray(spsolve(equations.tocsc(), decisions.rewards.ravel()[rows])).reshape(states)


def policy_iteration(decisions: Decisions, discount: float, most: int = 1000) -> Solution:
    """The exact optimum: better the actions until none can be bettered."""
    policy = decisions.rewards.argmax(axis=1)
    rounds, values = 0, np.zeros(len(policy))
    for rounds in range(1, most + 1):  # noqa: B007
        values = policy_values(decisions, policy, discount)
        worth = decisions.worth(values, discount)
        taken = np.take_along_axis(worth, policy[:, None], axis=1)[:, 0]
        better = worth.max(axis=1) > taken + 1e-12 * (1.0 + np.abs(taken))
        if not better.any():
            break
        policy = np.where(better, worth.argmax(axis=1), policy)
    return Solution(values, policy, rounds)
