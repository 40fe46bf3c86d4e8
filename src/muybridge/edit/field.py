"""Motion fields: every pose knows how motion goes on from poses like it.

A state is a pose and its velocity. Its k nearest recorded frames say where it may go: each action
follows all of them, one most. What is recorded may thus be left and mixed at every moment, where a
graph keeps to its transitions and matching to one clip at a time.

What this implementation does differently from the paper: a decision is made every tenth of a
second instead of every frame, so that looking ahead reaches farther; and the difference between the
state and its neighbours fades by a spring (`inertialize`) instead of by a tension.

N frames of the library, S states, K neighbours and actions, E numbers of a state. Metres, radians.

References:
    Lee, Wampler, Bernstein, Popovic, Popovic, Motion fields for interactive character locomotion,
    SIGGRAPH Asia 2010.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from muybridge.edit.features import SimulationBone, simulation_bone, turned
from muybridge.edit.graph_distance import joint_weights
from muybridge.edit.library import Library
from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate
from muybridge.motion.facing import yaw_quaternion
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "FieldOptions",
    "MotionField",
    "action_weights",
    "build_field",
    "similarity",
    "state_numbers",
]

CROWD = 12  # nearest frames looked at for each neighbour: those around one count once


@dataclass(frozen=True)
class FieldOptions:
    """How a field is built.

    Attributes:
        neighbours: Recorded frames that a state looks to, and actions.
        interval: Seconds from decision to decision.
        velocity: Metres that a difference of 1 m/s counts as, seconds.
    """

    neighbours: int = 6
    interval: float = 0.1
    velocity: float = 0.15

    def __post_init__(self) -> None:
        if self.neighbours < 1 or not self.interval > 0.0:
            raise InputError(
                f"expected at least 1 neighbour and an interval above 0 s, got {self.neighbours} "
                f"and {self.interval}; 6 and 0.1 are usual"
            )


@dataclass(frozen=True)
class MotionField:
    """Recorded states and how they go on.

    Attributes:
        library: The clips.
        bone: Where the body stands in each frame.
        states: Frames with enough of their clip before them, which may be neighbours.
        numbers: Each frame as a point, so that like states are near: joints seen from the bone,
            times the root of their weights, and their velocities.
        stride: Frames from decision to decision.
        options: As given.
    """

    library: Library
    bone: SimulationBone
    states: Int[np.ndarray, "s"]
    numbers: Float[np.ndarray, "n e"]
    stride: int
    options: FieldOptions

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.numbers[self.states])

    def neighbours(
        self, points: Float[np.ndarray, "*b e"]
    ) -> tuple[Int[np.ndarray, "*b k"], Float[np.ndarray, "*b k"]]:
        """Frames of the states nearest to some points, and how much each counts (`similarity`)."""
        wanted = min(self.options.neighbours, len(self.states))
        many = min(wanted * CROWD, len(self.states))
        distance, rows = self._tree.query(points, k=[*range(1, many + 1)])
        frames = self.states[rows]
        apart = _spread(frames, self.library.owners.numpy()[frames], self.stride)
        first = np.argsort(~apart, axis=-1, kind="stable")[..., :wanted]
        distance = np.take_along_axis(distance, first, axis=-1)
        order = np.argsort(distance, axis=-1, kind="stable")
        first = np.take_along_axis(first, order, axis=-1)
        near = np.take_along_axis(distance, order, axis=-1)
        return np.take_along_axis(frames, first, axis=-1), similarity(near)

    def ways(
        self, frames: Int[np.ndarray, "*b k"]
    ) -> tuple[Float[np.ndarray, "*b k 2"], Float[np.ndarray, "*b k"]]:
        """What the bone moves, in its own frame, and turns from frames to the next decision."""
        start, end = torch.from_numpy(frames), torch.from_numpy(frames + self.stride)
        moved = turned(self.bone.places[end] - self.bone.places[start], -self.bone.angles[start])
        return moved.numpy(), (self.bone.angles[end] - self.bone.angles[start]).numpy()


def _spread(
    frames: Int[np.ndarray, "*b m"], clips: Int[np.ndarray, "*b m"], gap: int
) -> Bool[np.ndarray, "*b m"]:
    """Frames, the nearest first, that are not within a gap of a nearer one of the same clip.

    The nearest frames of a recorded one are those before and after it, and all go on alike.
    """
    kept = np.ones(frames.shape, dtype=bool)
    for place in range(1, frames.shape[-1]):
        close = np.abs(frames[..., :place] - frames[..., place : place + 1]) < gap
        same = clips[..., :place] == clips[..., place : place + 1]
        kept[..., place] = ~(close & same & kept[..., :place]).any(axis=-1)
    return kept


def similarity(distance: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b k"]:
    """How much neighbours count: as the inverse square of their distance, in sum 1.

    A neighbour that is no farther than a millionth of a metre counts alone, or nearly.
    """
    weight = 1.0 / (np.square(distance) + 1e-12)
    return weight / weight.sum(axis=-1, keepdims=True)


def action_weights(weights: Float[np.ndarray, "*b k"]) -> Float[np.ndarray, "*b a k"]:
    """The K actions: each counts one neighbour as much as the nearest could, then all to sum 1."""
    count = weights.shape[-1]
    actions = np.repeat(weights[..., None, :], count, axis=-2)
    actions[..., np.arange(count), np.arange(count)] = 1.0
    return actions / actions.sum(axis=-1, keepdims=True)


def build_field(library: Library, options: FieldOptions | None = None) -> MotionField:
    """Make a field of clips.

    Raises:
        InputError: If no clip is longer than an interval.
    """
    options = options or FieldOptions()
    stride = max(1, round(options.interval * library.fps))
    states = np.nonzero(library.left.numpy() > stride)[0]
    if not len(states):
        raise InputError(
            f"expected a clip longer than {stride + 1} frames, got none; give longer clips"
        )
    bone = simulation_bone(library)
    numbers = _numbers(library, bone, options.velocity).numpy()
    return MotionField(library, bone, states, numbers, stride, options)


def _numbers(library: Library, bone: SimulationBone, velocity: float) -> Float[Tensor, "n e"]:
    """Joints seen from the bone, and their velocities in the same directions."""
    places = bone.places
    floor = torch.stack((places[:, 0], torch.zeros(len(places)), places[:, 1]), dim=-1)
    back = yaw_quaternion(-bone.angles).unsqueeze(1).expand(-1, len(library.skeleton), 4)
    seen = rotate(back, library.positions - floor.unsqueeze(1))
    lengths = [len(clip) for clip in library.clips]
    rates = [
        torch.from_numpy(np.gradient(p.numpy(), 1.0 / library.fps, axis=0))
        for p in library.positions.split(lengths)
    ]
    return state_numbers(library.skeleton, seen, rotate(back, torch.cat(rates)), velocity)


def state_numbers(
    skeleton: Skeleton,
    positions: Float[Tensor, "*b j 3"],
    velocities: Float[Tensor, "*b j 3"],
    seconds: float,
) -> Float[Tensor, "*b e"]:
    """Poses and how they move as points: near for like states, in metres.

    Args:
        skeleton: For the joints' weights.
        positions: Joints seen from the bone, metres.
        velocities: In the same directions, metres/second.
        seconds: What a metre/second counts as.
    """
    root = joint_weights(skeleton).sqrt().unsqueeze(-1)
    return torch.cat(
        ((root * positions).flatten(-2), (root * seconds * velocities).flatten(-2)), -1
    )
