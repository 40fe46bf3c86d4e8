"""The character that motion matching has to keep up with: a point on springs that follows a path.

It begins at rest at the path's beginning. Its goal moves along the path in time; what it is off the
goal fades by a critically damped spring that knows the goal's speed, so that a steady walk has no
lag and corners are rounded. It turns towards the direction of the path by another spring. Since the
path is known, so is where the character will be: the trajectory that a player's stick only
suggests.

T frames. World frame: metres, floor (x, z), Y up; radians about +Y; seconds.

References:
    Daniel Holden, Spring-It-On, 2021, and Code vs data driven displacement, 2021.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.signal import lfilter

from muybridge.edit.floor_path import FloorPath
from muybridge.edit.springs import stiffness

__all__ = ["Character", "character"]

LOOK = 0.1  # seconds of path over which its direction is taken


class Character(NamedTuple):
    """Where the character is to be and to look.

    Attributes:
        places: x and z, metres.
        angles: Radians about +Y, without jumps.
        goals: Where the path is at the time.
    """

    places: Float[np.ndarray, "t 2"]
    angles: Float[np.ndarray, "t"]
    goals: Float[np.ndarray, "t 2"]


def character(
    path: FloorPath, fps: float, frames: int, halflife: tuple[float, float] = (0.27, 0.27)
) -> Character:
    """Let the character run.

    Args:
        path: With times.
        fps: Frames a second.
        frames: How many; beyond the path's end it stands there.
        halflife: Of place and of direction, seconds.
    """
    seconds = torch.arange(frames + 1, dtype=torch.float64) / fps
    goals = path.at_time(seconds).numpy()
    look = (path.at_time(seconds + LOOK) - path.at_time(seconds - LOOK)).numpy()
    looks = _directions(look[:frames])
    rate = stiffness(halflife[0])
    speeds = np.diff(goals, axis=0) * fps
    change = np.diff(speeds, axis=0, prepend=np.zeros((1, 2)))  # of the goal's speed, each frame
    offsets = np.stack([_faded(-column, rate, fps) for column in change.T], axis=-1)
    turns = np.diff(looks, prepend=looks[:1])
    behind = _stepped(-turns, stiffness(halflife[1]), fps)
    return Character(goals[:frames] + offsets, looks + behind, goals[:frames])


def _directions(steps: Float[np.ndarray, "t 2"]) -> Float[np.ndarray, "t"]:
    """Where steps lead, radians; where there is none, the last that led somewhere, or the next."""
    angles = np.arctan2(steps[:, 0], steps[:, 1])
    moving = np.nonzero(np.hypot(*steps.T) > 1e-6)[0]
    if not len(moving):
        return np.zeros(len(steps))
    last = np.searchsorted(moving, np.arange(len(steps)), side="right") - 1
    return np.unwrap(angles[moving[np.maximum(last, 0)]])


def _faded(kicks: Float[np.ndarray, "t"], rate: float, fps: float) -> Float[np.ndarray, "t"]:
    """Offset of a critically damped spring at each frame; each kick adds to its velocity.

    The offset that a kick leaves after the time s is s e^{-rate s}: the spring is linear, so kicks
    add up, and the sum over all kicks is a recursive filter with a double pole.
    """
    fade = math.exp(-rate / fps)
    return _double_pole(np.array([0.0, fade / fps]), fade, kicks)


def _stepped(steps: Float[np.ndarray, "t"], rate: float, fps: float) -> Float[np.ndarray, "t"]:
    """The same where each step adds to the offset: it leaves (1 + rate s) e^{-rate s}."""
    fade = math.exp(-rate / fps)
    return _double_pole(np.array([1.0, (rate / fps - 1.0) * fade]), fade, steps)


def _double_pole(
    front: Float[np.ndarray, "two"], pole: float, values: Float[np.ndarray, "t"]
) -> Float[np.ndarray, "t"]:
    return lfilter(front, [1.0, -2.0 * pole, pole**2], values)
