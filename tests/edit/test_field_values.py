"""Value iteration: its optimum is that of policy iteration and of the linear equations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.field_values import (
    Decisions,
    policy_iteration,
    policy_values,
    value_iteration,
)


def _random(seed: int, states: int, actions: int, successors: int) -> Decisions:
    rng = np.random.default_rng(seed)
    chances = rng.random((states, actions, successors))
    return Decisions(
        rng.integers(0, states, (states, actions, successors)),
        chances / chances.sum(-1, keepdims=True),
        rng.normal(size=(states, actions)),
    )


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    states=st.integers(1, 30),
    actions=st.integers(1, 4),
    discount=st.sampled_from([0.0, 0.5, 0.95]),
)
def test_both_ways_end_at_the_same_values(
    seed: int, states: int, actions: int, discount: float
) -> None:
    decisions = _random(seed, states, actions, 3)
    near = value_iteration(decisions, discount, 1e-10)
    exact = policy_iteration(decisions, discount)
    np.testing.assert_allclose(near.values, exact.values, atol=1e-9)
    np.testing.assert_allclose(
        policy_values(decisions, near.policy, discount), exact.values, atol=1e-8
    )
    dense = np.zeros((states, states))
    for state in range(states):
        for end, chance in zip(
            decisions.successors[state, exact.policy[state]],
            decisions.chances[state, exact.policy[state]],
            strict=True,
        ):
            dense[state, end] += chance
    rewards = decisions.rewards[np.arange(states), exact.policy]
    solved = np.linalg.solve(np.eye(states) - discount * dense, rewards)
    np.testing.assert_allclose(exact.values, solved, atol=1e-9)


def test_no_policy_of_a_small_process_is_better() -> None:
    decisions = _random(5, 4, 3, 2)
    best = policy_iteration(decisions, 0.9).values
    for code in range(3**4):
        policy = np.array([code // 3**state % 3 for state in range(4)])
        assert np.all(policy_values(decisions, policy, 0.9) <= best + 1e-9)


def test_a_corridor_whose_values_are_known() -> None:
    """Five rooms, a reward of 1 for staying in the last: V = g^n / (1 - g)."""
    rooms = np.arange(5)
    successors = np.stack((np.maximum(rooms - 1, 0), np.minimum(rooms + 1, 4)), axis=-1)[..., None]
    rewards = np.zeros((5, 2))
    rewards[4, 1] = 1.0
    decisions = Decisions(successors, np.ones((5, 2, 1)), rewards)
    found = value_iteration(decisions, 0.8, 1e-12)
    np.testing.assert_allclose(found.values, 0.8 ** (4 - rooms) / 0.2, atol=1e-10)
    assert found.policy.tolist() == [1] * 5
    assert policy_iteration(decisions, 0.8).values == pytest.approx(found.values)


def test_the_tolerance_is_kept() -> None:
    decisions = _random(1, 20, 3, 3)
    exact = policy_iteration(decisions, 0.97).values
    for tolerance in (1e-1, 1e-3, 1e-6):
        found = value_iteration(decisions, 0.97, tolerance)
        assert float(np.abs(found.values - exact).max()) <= tolerance
