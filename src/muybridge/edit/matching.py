"""Motion matching: every tenth of a second, go on from the recorded frame that fits best.

What fits is the frame whose feet, hips and coming trajectory are nearest to what is shown and what
is wanted (`features`, `matching_search`). At a jump the pose changes at once and the difference
fades (`inertialize`). The shown body moves as its clips did; a little is added to keep it near the
character that it stands for (`matching_character`).

N frames of the library, T frames shown, J joints. World frame: metres, Y up; radians; seconds.

References:
    Clavet, Motion matching and the road to next-gen animation, GDC 2016.
    Holden et al., Learned motion matching, SIGGRAPH 2020, and its code (controller.cpp).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int

from muybridge.edit.features import (
    GROUPS,
    HORIZONS,
    FeatureScale,
    SimulationBone,
    bone_steps,
    features,
    scale_of,
    searchable,
    simulation_bone,
)
from muybridge.edit.floor_path import FloorPath
from muybridge.edit.library import Library
from muybridge.edit.matching_character import Character, character
from muybridge.edit.matching_pose import Jump, shown_poses
from muybridge.edit.matching_search import FeatureIndex, Method
from muybridge.errors import InputError
from muybridge.motion.clip import Clip

__all__ = ["Database", "MatchOptions", "Matched", "database", "match_path", "typical_speed"]

OWN = sum(columns for _, columns, _ in GROUPS[:5])  # features that come from the pose shown


@dataclass(frozen=True)
class MatchOptions:
    """How a path is followed.

    Attributes:
        interval: Seconds from search to search.
        halflife: Of the difference at a jump, seconds.
        character_halflife: Of the character's place and direction, seconds.
        pull: Half-lives with which the body is drawn to the character's place and direction,
            seconds; None lets it go where its clips lead.
        most_pull: The pull moves and turns it by at most this share of its own motion.
        farthest: The body never gets farther from the character, metres.
        jump: A frame elsewhere must be nearer by this much (of the squared distance) than the one
            that would come: fewer jumps slide less and follow less closely.
        method: Of the search.
    """

    interval: float = 0.1
    halflife: float = 0.1
    character_halflife: tuple[float, float] = (0.27, 0.27)
    pull: tuple[float, float] | None = (0.1, 0.2)
    most_pull: float = 0.5
    farthest: float = 0.15
    jump: float = 2.0
    method: Method = "scan"

    def __post_init__(self) -> None:
        halflives = (self.halflife, *self.character_halflife, *(self.pull or ()))
        if not (self.interval > 0.0 and min(halflives) > 0.0):
            raise InputError(
                f"expected an interval and half-lives above 0 s, got {self.interval} and "
                f"{halflives}; 0.1 is usual"
            )
        if not min(self.most_pull, self.farthest, self.jump) >= 0.0:
            raise InputError(
                f"expected a pull, distance and price of a jump of 0 or more, got "
                f"{self.most_pull}, {self.farthest} and {self.jump}; give 0 for none"
            )


@dataclass(frozen=True)
class Database:
    """A library made ready for matching.

    Attributes:
        library: The clips.
        bone: Where each frame's character stands.
        scale: Of the features.
        index: All features without unit, and which frames may be found.
    """

    library: Library
    bone: SimulationBone
    scale: FeatureScale
    index: FeatureIndex

    @cached_property
    def steps(self) -> Float[np.ndarray, "n 3"]:
        """What the bone moves (x, z in its own frame) and turns to the clip's next frame."""
        return bone_steps(self.library, self.bone)


@dataclass(frozen=True)
class Matched:
    """A motion that follows a path.

    Attributes:
        clip: What is shown.
        places: Where the body stands (its simulation bone), metres.
        character: What it was to follow.
        frames: Of the library, shown at each time.
        jumps: How often it jumped.
    """

    clip: Clip
    places: Float[np.ndarray, "t 2"]
    character: Character
    frames: Int[np.ndarray, "t"]
    jumps: int

    @property
    def error(self) -> Float[np.ndarray, "t"]:
        """Distance of the body from where the path is at the time, metres."""
        return np.linalg.norm(self.places - self.character.goals, axis=-1)


def database(library: Library) -> Database:
    """Compute the features of every frame.

    Raises:
        InputError: If the skeleton has no feet, or no clip is long enough.
    """
    bone = simulation_bone(library)
    raw = features(library, bone)
    scale = scale_of(raw)
    return Database(library, bone, scale, FeatureIndex(scale.apply(raw), searchable(library)))


def typical_speed(base: Database) -> float:
    """Median speed of the frames that go somewhere, metres/second; 1 if there are none."""
    speed = base.bone.speeds.norm(dim=-1)
    going = speed[speed > 0.3]
    return float(going.median()) if len(going) else 1.0


@dataclass
class _Body:
    """Where the body is: the frame shown, and the place and angle of its bone."""

    frame: int
    x: float
    z: float
    angle: float


def match_path(
    base: Database, path: FloorPath, options: MatchOptions | None = None, name: str = "match"
) -> Matched:
    """Follow a path with times.

    Raises:
        InputError: If the path has no times, or an option is out of range.
    """
    options = options or MatchOptions()
    if path.times is None:
        raise InputError(
            "expected a path with times, got one without; call `timed` with a speed first"
        )
    fps = base.library.fps
    count = max(2, round(path.duration * fps) + 1)
    horizons = [max(1, round(seconds * fps)) for seconds in HORIZONS]
    goal = character(path, fps, count + horizons[-1], options.character_halflife)
    frames, bodies, jumps = _followed(base, goal, count, horizons, options)
    clip = shown_poses(base.library, base.bone, frames, bodies, jumps, options.halflife, name)
    now = Character(*(values[:count] for values in goal))
    return Matched(clip, bodies[:, :2], now, frames, len(jumps))


def _followed(
    base: Database, goal: Character, count: int, horizons: list[int], options: MatchOptions
) -> tuple[Int[np.ndarray, "t"], Float[np.ndarray, "t 3"], list[Jump]]:
    """The frame shown and the body's place and angle at each time, and the jumps."""
    interval = max(1, round(options.interval * base.library.fps))
    x, z = goal.places[0].tolist()
    body = _Body(-1, x, z, float(goal.angles[0]))
    frames, places = np.empty(count, dtype=np.int64), np.empty((count, 3))
    jumps: list[Jump] = []
    for start in range(0, count, interval):
        found = _best(base, goal, body, start, horizons, interval, options)
        if found != body.frame:
            if body.frame >= 0:
                jumps.append(Jump(start, body.frame, found))
            body.frame = found
        for now in range(start, min(start + interval, count)):
            frames[now], places[now] = body.frame, (body.x, body.z, body.angle)
            _move(base, body, goal, now + 1, options)
    return frames, places, jumps


def _best(
    base: Database,
    goal: Character,
    body: _Body,
    now: int,
    horizons: list[int],
    interval: int,
    options: MatchOptions,
) -> int:
    """The frame to go on from: the one that would come anyway, unless another is nearer."""
    index, mean, size = base.index, base.scale.mean, base.scale.size
    wanted = torch.zeros_like(mean)
    later = torch.from_numpy(_trajectory(goal, body, now, horizons))
    wanted[OWN:] = (later - mean[OWN:]) / size[OWN:]
    if body.frame >= 0:
        wanted[:OWN] = index.features[body.frame, :OWN]
    found, squared = index.nearest(wanted, options.method)
    stays = body.frame >= 0 and int(base.library.left[body.frame]) > interval
    if stays and index.distance(wanted, body.frame) <= squared + options.jump:
        return body.frame
    return found


def _trajectory(
    goal: Character, body: _Body, now: int, horizons: list[int]
) -> Float[np.ndarray, "g"]:
    """Where the character will be and look, as the body sees it."""
    later = [now + step for step in horizons]
    x, z = (goal.places[later] - (body.x, body.z)).T
    c, s = math.cos(body.angle), math.sin(body.angle)
    angles = goal.angles[later] - body.angle
    places = np.stack((c * x - s * z, s * x + c * z), axis=-1)
    looks = np.stack((np.sin(angles), np.cos(angles)), axis=-1)
    return np.concatenate((places.ravel(), looks.ravel()))


def _move(base: Database, body: _Body, goal: Character, now: int, options: MatchOptions) -> None:
    """One frame on: as the clip moves, then a little towards the character."""
    x, z, turn = base.steps[body.frame].tolist()
    c, s = math.cos(body.angle), math.sin(body.angle)
    body.x, body.z, body.angle = body.x + c * x + s * z, body.z + c * z - s * x, body.angle + turn
    body.frame += int(base.library.left[body.frame] > 0)
    if options.pull is None or now >= len(goal.places):
        return
    dt = 1.0 / base.library.fps
    shares = [1.0 - 0.5 ** (dt / halflife) for halflife in options.pull]
    away = goal.places[now] - (body.x, body.z)
    distance = float(np.hypot(*away))
    most = options.most_pull * math.hypot(x, z)
    step = max(min(shares[0] * distance, most), distance - options.farthest)
    if distance > 0.0:
        body.x += float(away[0]) * step / distance
        body.z += float(away[1]) * step / distance
    apart = math.remainder(float(goal.angles[now]) - body.angle, 2.0 * math.pi)
    most = options.most_pull * max(abs(turn), 0.2 * dt)
    body.angle += min(max(shares[1] * apart, -most), most)
