"""Motion fields: neighbours, actions, and steering that beats letting go."""

import numpy as np
import pytest
import torch

from muybridge.edit.field import (
    FieldOptions,
    MotionField,
    action_weights,
    build_field,
    similarity,
)
from muybridge.edit.field_control import (
    Controller,
    HeadingTask,
    heading_decisions,
    learn,
    outlook,
)
from muybridge.edit.field_motion import steer
from muybridge.edit.field_values import policy_iteration
from muybridge.edit.graph_walk import hardest
from muybridge.edit.library import library_from_clips
from muybridge.edit.procedural import procedural_walk
from muybridge.errors import InputError
from tests.edit.walks import recorded, walks

TASK = HeadingTask(headings=12)


@pytest.fixture(scope="module")
def field() -> MotionField:
    return build_field(library_from_clips([_changing(turn) for turn in (0.0, 0.8, -0.8)]))


def _changing(turn: float):
    """A walk whose speed rises: no two frames are the same."""
    speed = torch.linspace(0.9, 1.2, 90, dtype=torch.float64)
    return procedural_walk(speed, turn + 0.0 * speed, 30.0, name=f"turn {turn}")


@pytest.fixture(scope="module")
def controller(field: MotionField) -> Controller:
    return learn(field, TASK)


def test_the_nearest_to_a_recorded_frame_is_itself(field: MotionField) -> None:
    frames, weights = field.neighbours(field.numbers[field.states[::7]])
    assert frames[:, 0].tolist() == field.states[::7].tolist()
    np.testing.assert_allclose(weights[:, 0], 1.0, atol=1e-3)
    np.testing.assert_allclose(weights.sum(-1), 1.0)


def test_neighbours_are_the_nearest_that_are_not_beside_nearer_ones(field: MotionField) -> None:
    """A slow twin for a point between two frames."""
    point = 0.5 * (field.numbers[20] + field.numbers[130]) + 0.01
    owners = field.library.owners.numpy()
    distance = np.linalg.norm(field.numbers[field.states] - point, axis=-1)
    kept: list[int] = []
    for frame in field.states[np.argsort(distance)][: 12 * field.options.neighbours].tolist():
        if all(owners[k] != owners[frame] or abs(k - frame) >= field.stride for k in kept):
            kept.append(frame)
    frames, weights = field.neighbours(point)
    assert frames.tolist() == kept[: field.options.neighbours]
    assert np.all(np.diff(weights) <= 1e-12)


def test_actions_count_one_neighbour_most() -> None:
    weights = similarity(np.array([0.1, 0.2, 0.4]))
    np.testing.assert_allclose(weights, np.array([16.0, 4.0, 1.0]) / 21.0, rtol=1e-9)
    actions = action_weights(weights)
    np.testing.assert_allclose(actions.sum(-1), 1.0)
    assert actions.argmax(-1).tolist() == [0, 1, 2]


def test_an_action_on_a_recorded_frame_foresees_what_was_recorded(field: MotionField) -> None:
    """The first action follows the frame itself alone: its turn and its way."""
    states = field.states[10:60:9]
    ahead = outlook(field, field.numbers[states])
    turn = (field.bone.angles[states + field.stride] - field.bone.angles[states]).numpy()
    alone = np.abs(action_weights(field.neighbours(field.numbers[states])[1])[:, 0, 0] - 1.0)
    assert alone.max() < 1e-3
    np.testing.assert_allclose(ahead.turns[:, 0], turn, atol=1e-3)
    assert np.all((ahead.speeds[:, 0] > 0.9) & (ahead.speeds[:, 0] < 1.2))


def test_values_are_those_of_policy_iteration(field: MotionField, controller: Controller) -> None:
    decisions = heading_decisions(field, TASK)
    np.testing.assert_allclose(decisions.chances.sum(-1), 1.0)
    exact = policy_iteration(decisions, TASK.discount)
    np.testing.assert_allclose(controller.solution.values, exact.values, atol=1e-3)


def test_steering_reaches_headings_that_letting_go_does_not(
    field: MotionField, controller: Controller
) -> None:
    rewards = {"steered": [], "let go": []}
    errors = []
    for start, heading in ((5, 1.0), (110, -1.2)):
        wanted = np.full(25, heading)
        steered = steer(field, wanted, controller.choose, start, TASK)
        errors.append(abs(steered.errors[-1]))
        rewards["steered"].append(steered.rewards.mean())
        rewards["let go"].append(
            steer(field, wanted, lambda point, error: None, start, TASK).rewards.mean()
        )
    assert max(errors) < 0.5
    assert np.mean(rewards["steered"]) > 0.6 * np.mean(rewards["let go"])
    assert all(a > b for a, b in zip(rewards["steered"], rewards["let go"], strict=True))


def test_a_motion_without_control_goes_on_as_recorded(field: MotionField) -> None:
    shown = steer(field, np.zeros(10), lambda point, error: None, 10, TASK)
    assert len(shown.clip) == len(shown.bodies) == 2 + 10 * field.stride
    recorded_clip = field.library.clips[0].frames(10, 10 + len(shown.clip))
    away = torch.linalg.norm(shown.clip.root - shown.clip.root[0], dim=-1)
    expected = torch.linalg.norm(recorded_clip.root - recorded_clip.root[0], dim=-1)
    torch.testing.assert_close(away, expected, atol=0.1, rtol=0.0)
    source = max(hardest(clip).acceleration for clip in field.library.clips)
    assert hardest(shown.clip).acceleration < 1.5 * source


def test_heading_errors_between_the_tried_ones() -> None:
    pair, share = TASK.between(np.array([-np.pi, 0.1, 3.0 * np.pi + 0.1]))
    step = 2.0 * np.pi / 12
    assert pair[0].tolist() == [0, 1]
    assert share[0].tolist() == [1.0, 0.0]
    assert share[1, 1] == pytest.approx(0.1 / step)
    assert pair[2].tolist() == [0, 1]
    assert TASK.reward(np.array(2.0 * np.pi + 0.5), np.array(1.1)) == pytest.approx(-0.5)


def test_what_cannot_be() -> None:
    for wrong in ({"neighbours": 0}, {"interval": 0.0}):
        with pytest.raises(InputError, match="at least 1 neighbour"):
            FieldOptions(**wrong)
    for wrong in ({"discount": 1.0}, {"headings": 2}):
        with pytest.raises(InputError, match="discount in"):
            HeadingTask(**wrong)
    with pytest.raises(InputError, match="longer clips"):
        build_field(library_from_clips([walks().clips[0].frames(0, 4)]))
    last = len(walks().clips[0]) - 1
    with pytest.raises(InputError, match="another follows"):
        steer(build_field(walks()), np.zeros(3), lambda point, error: 0, last)


def test_recordings_are_steered() -> None:
    """Mean reward of 3 s to a new heading: steered well above letting go."""
    field = build_field(library_from_clips(recorded(), mirrored=True), FieldOptions(neighbours=4))
    controller = learn(field, TASK)
    rng = np.random.default_rng(0)
    rewards = []
    walking = [s for s in field.states.tolist() if float(field.bone.speeds[s].norm()) > 0.8]
    for start, heading in zip(rng.choice(walking, 3), (1.0, -1.0, 1.5), strict=True):
        pair = [
            steer(field, np.full(30, heading), choose, int(start), TASK).rewards.mean()
            for choose in (controller.choose, lambda point, error: None)
        ]
        rewards.append(pair)
    steered, let_go = np.mean(rewards, axis=0)
    assert steered > 0.8 * let_go
