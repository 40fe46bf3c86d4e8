"""Learning to steer in a motion field: which action leads to a heading in the long run.

The task is one number: the heading that is wanted less the one that the body has. Each recorded
state is tried with B headings; an action leads near some recorded states, with the heading changed
by what the body turns. That is a decision process, whose values `field_values` computes; what lies
between states and headings is interpolated.

S states, A actions, K neighbours, B headings. Radians; metres/second.

References:
    Lee et al., Motion fields for interactive character locomotion, SIGGRAPH Asia 2010, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from muybridge.edit.field import MotionField, action_weights
from muybridge.edit.field_values import Decisions, Solution, value_iteration
from muybridge.errors import InputError

__all__ = ["Controller", "HeadingTask", "Outlook", "heading_decisions", "learn", "outlook"]

TOLERANCE = 1e-4  # radians, of the values


@dataclass(frozen=True)
class HeadingTask:
    """Walk in a direction.

    The reward of an action is  -|heading error after it| - pace |forward speed - speed|.

    Attributes:
        speed: Wanted along the body's direction, metres/second.
        pace: What 1 m/s too fast or slow costs, radians.
        headings: B, the number of heading errors tried.
        discount: Of each decision later.
    """

    speed: float = 1.1
    pace: float = 0.5
    headings: int = 24
    discount: float = 0.95

    def __post_init__(self) -> None:
        if not (0.0 <= self.discount < 1.0 and self.headings >= 3):
            raise InputError(
                f"expected a discount in [0, 1) and at least 3 headings, got {self.discount} and "
                f"{self.headings}; 0.95 and 24 are usual"
            )

    @property
    def errors(self) -> Float[np.ndarray, "b"]:
        """The heading errors, a whole turn in equal steps."""
        return 2.0 * np.pi * np.arange(self.headings) / self.headings - np.pi

    def between(
        self, errors: Float[np.ndarray, "*c"]
    ) -> tuple[Int[np.ndarray, "*c two"], Float[np.ndarray, "*c two"]]:
        """The two of `errors` to either side of each, and their shares."""
        at = (errors + np.pi) / (2.0 * np.pi) * self.headings
        low = np.floor(at).astype(np.int64)
        share = at - low
        pair = np.stack((low, low + 1), axis=-1) % self.headings
        return pair, np.stack((1.0 - share, share), axis=-1)

    def reward(
        self, errors: Float[np.ndarray, "*#c"], speeds: Float[np.ndarray, "*#c"]
    ) -> Float[np.ndarray, "*#c"]:
        """Of heading errors and forward speeds after an action."""
        wrapped = np.arctan2(np.sin(errors), np.cos(errors))
        return np.asarray(-np.abs(wrapped) - self.pace * np.abs(speeds - self.speed))


class Outlook(NamedTuple):
    """Where the actions of a state lead.

    Attributes:
        frames: Recorded frames like what follows.
        shares: How much each counts.
        turns: What the body turns, radians.
        speeds: How fast it goes forward, metres/second.
    """

    frames: Int[np.ndarray, "*b a k"]
    shares: Float[np.ndarray, "*b a k"]
    turns: Float[np.ndarray, "*b a"]
    speeds: Float[np.ndarray, "*b a"]


def outlook(field: MotionField, points: Float[np.ndarray, "*b e"]) -> Outlook:
    """Where the actions lead from some states, each a point as in `MotionField.numbers`."""
    frames, weights = field.neighbours(points)
    actions = action_weights(weights)
    after = np.einsum("...ak,...ke->...ae", actions, field.numbers[frames + field.stride])
    moved, turns = field.ways(frames)
    seconds = field.stride / field.library.fps
    ahead = np.einsum("...ak,...k->...a", actions, moved[..., 1]) / seconds
    turn = np.einsum("...ak,...k->...a", actions, turns)
    return Outlook(*field.neighbours(after), turn, ahead)


@dataclass(frozen=True)
class Controller:
    """Which action to take.

    Attributes:
        field: Where it acts.
        task: What it wants.
        values: Of each state with each heading error.
        solution: As value iteration left it.
    """

    field: MotionField
    task: HeadingTask
    values: Float[np.ndarray, "n b"]
    solution: Solution

    def choose(self, point: Float[np.ndarray, "e"], error: float) -> int:
        """The best action in a state with a heading error."""
        ahead = outlook(self.field, point)
        errors = error - ahead.turns
        pair, share = self.task.between(errors)
        table = self.values[ahead.frames]  # a k b
        rows = np.take_along_axis(table, pair[:, None, :].repeat(table.shape[1], axis=1), axis=2)
        later = np.einsum("akt,ak,at->a", rows, ahead.shares, share)
        worth = self.task.reward(errors, ahead.speeds) + self.task.discount * later
        return int(worth.argmax())


def learn(field: MotionField, task: HeadingTask | None = None) -> Controller:
    """Compute the values of all states with all headings."""
    task = task or HeadingTask()
    decisions = heading_decisions(field, task)
    solution = value_iteration(decisions, task.discount, TOLERANCE)
    values = np.zeros((len(field.library), task.headings))
    values[field.states] = solution.values.reshape(-1, task.headings)
    return Controller(field, task, values, solution)


def heading_decisions(field: MotionField, task: HeadingTask) -> Decisions:
    """The decision process of a task: state number s B + b."""
    ahead = outlook(field, field.numbers[field.states])
    row = np.zeros(len(field.library), dtype=np.int64)
    row[field.states] = np.arange(len(field.states))
    errors = task.errors[:, None] - ahead.turns[:, None, :]  # s b a
    pair, share = task.between(errors)
    successors = row[ahead.frames][:, None, :, :, None] * task.headings + pair[..., None, :]
    chances = ahead.shares[:, None, :, :, None] * share[..., None, :]
    count = errors.shape[0] * errors.shape[1], errors.shape[2]
    return Decisions(
        successors.reshape(*count, -1),
        chances.reshape(*count, -1),
        task.reward(errors, ahead.speeds[:, None, :]).reshape(count),
    )
