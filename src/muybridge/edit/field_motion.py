"""Motion that a field makes, one decision after the other.

T frames, D decisions, K neighbours, J joints. World frame: metres, Y up; radians; seconds.

References:
    Lee et al., Motion fields for interactive character locomotion, SIGGRAPH Asia 2010, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from muybridge.edit.features import bone_steps
from muybridge.edit.field import MotionField, action_weights, state_numbers
from muybridge.edit.field_control import HeadingTask
from muybridge.edit.inertialize import extrapolated, offset_at_switch, with_offset
from muybridge.edit.matching_pose import Poses, placed_poses, pose_state, seen
from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate
from muybridge.motion.clip import Clip
from muybridge.motion.facing import yaw_quaternion
from muybridge.motion.kinematics import forward_clip

__all__ = ["Choose", "Steered", "steer"]

Choose = Callable[[Float[np.ndarray, "e"], float], int | None]


@dataclass(frozen=True)
class Steered:
    """A motion that was steered.

    Attributes:
        clip: What is shown.
        bodies: x, z and angle of the body's bone in each frame.
        errors: Heading error after each decision, radians in [-pi, pi].
        rewards: Of each decision.
    """

    clip: Clip
    bodies: Float[np.ndarray, "t 3"]
    errors: Float[np.ndarray, "d"]
    rewards: Float[np.ndarray, "d"]


def steer(
    field: MotionField,
    headings: Float[np.ndarray, "d"],
    choose: Choose,
    start: int,
    task: HeadingTask | None = None,
    name: str = "steered",
) -> Steered:
    """Let a choice of actions lead from a recorded frame.

    Args:
        field: Where it happens.
        headings: Wanted at each decision, radians about +Y in the motion's world, in which the
            body begins at the origin and looks along +Z.
        choose: From a state's numbers and its heading error to an action; None to follow the
            neighbours as near as they are (no control).
        start: A frame that is followed by another.
        task: For the rewards.
        name: Of the clip.
    """
    task = task or HeadingTask()
    if start < 0 or start + 1 >= len(field.library) or not int(field.library.left[start]):
        raise InputError(
            f"expected a first frame that another follows, got {start} of {len(field.library)}; "
            "choose one within a clip"
        )
    steps = bone_steps(field.library, field.bone)
    shown = [seen(field.library, field.bone, torch.tensor([start, start + 1]))]
    bodies = [np.zeros(3), _moved(np.zeros(3), steps[start])]
    errors, rewards = [], []
    for wanted in headings.tolist():
        last = _tail(shown)
        point = _point(field, last, bodies)
        frames, weights = field.neighbours(point)
        action = choose(point, wanted - bodies[-1][2])
        shares = weights if action is None else action_weights(weights)[action]
        shown.append(_block(field, frames, shares, last))
        before = bodies[-1]
        for step in np.einsum("k,ktc->tc", shares, steps[_onward(frames, field.stride)]):
            bodies.append(_moved(bodies[-1], step))
        errors.append(math.remainder(wanted - bodies[-1][2], 2.0 * math.pi))
        speed = _forward(before, bodies[-1]) * field.library.fps / field.stride
        rewards.append(float(task.reward(np.array(errors[-1]), np.array(speed))))
    poses = Poses(*(torch.cat(parts) for parts in zip(*shown, strict=True)))
    clip = placed_poses(field.library, poses, np.array(bodies), name)
    return Steered(clip, np.array(bodies), np.array(errors), np.array(rewards))


def _onward(frames: Int[np.ndarray, "k"], stride: int) -> Int[np.ndarray, "k t"]:
    """The frames from each neighbour up to the next decision, without its last."""
    return frames[:, None] + np.arange(stride)


def _moved(body: Float[np.ndarray, "3"], step: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3"]:
    c, s = math.cos(body[2]), math.sin(body[2])
    return body + np.array((c * step[0] + s * step[1], c * step[1] - s * step[0], step[2]))


def _forward(before: Float[np.ndarray, "3"], after: Float[np.ndarray, "3"]) -> float:
    """Metres moved along the direction before, as in `MotionField.ways`."""
    return float(
        math.sin(before[2]) * (after[0] - before[0]) + math.cos(before[2]) * (after[1] - before[1])
    )


def _tail(shown: list[Poses]) -> Poses:
    """The last two poses."""
    both = shown[-2:] if len(shown[-1].rotations) < 2 else shown[-1:]
    return Poses(*(torch.cat(parts)[-2:] for parts in zip(*both, strict=True)))


def _block(
    field: MotionField,
    frames: Int[np.ndarray, "k"],
    shares: Float[np.ndarray, "k"],
    last: Poses,
) -> Poses:
    """The poses up to the next decision: the neighbours' mean, begun as the last pose moved."""
    library, stride = field.library, field.stride
    rows = torch.from_numpy(_onward(frames, stride + 1).ravel())
    mean = _mean(seen(library, field.bone, rows), torch.from_numpy(shares))
    source = pose_state(last.only(slice(0, 1)), last.only(slice(1, 2)), library.fps)
    source = extrapolated(source, 1.0 / library.fps)
    target = pose_state(mean.only(slice(0, 1)), mean.only(slice(1, 2)), library.fps)
    seconds = torch.arange(stride, dtype=torch.float64) / library.fps
    offset = offset_at_switch(source, target)
    return Poses(*with_offset(*mean.only(slice(1, None)), offset, field.options.interval, seconds))


def _mean(poses: Poses, shares: Float[torch.Tensor, "k"]) -> Poses:
    """The weighted mean over neighbours of each time: K T poses to T."""
    count = len(shares)
    turned = poses.rotations.unflatten(0, (count, -1))
    middle = turned[int(shares.argmax())]
    signs = torch.where((turned * middle).sum(-1, keepdim=True) < 0.0, -1.0, 1.0)
    summed = torch.einsum("k,ktjc->tjc", shares, signs * turned)
    places = torch.einsum("k,ktjc->tjc", shares, poses.places.unflatten(0, (count, -1)))
    return Poses(torch.nn.functional.normalize(summed, dim=-1), places)


def _point(
    field: MotionField, last: Poses, bodies: list[Float[np.ndarray, "3"]]
) -> Float[np.ndarray, "e"]:
    """The last pose and how it moves as numbers of the field, from the last two."""
    library = field.library
    clip = placed_poses(library, last, np.array(bodies[-2:]), "last")
    before, now = forward_clip(clip).positions
    x, z, angle = bodies[-1].tolist()
    back = yaw_quaternion(torch.tensor(-angle, dtype=now.dtype)).expand(len(now), 4)
    place = torch.tensor([x, 0.0, z], dtype=now.dtype)
    return state_numbers(
        library.skeleton,
        rotate(back, now - place),
        rotate(back, (now - before) * library.fps),
        field.options.velocity,
    ).numpy()
