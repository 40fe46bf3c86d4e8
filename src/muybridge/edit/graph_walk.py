"""Walks on a motion graph, and the clips they show.

A route is a first frame, some transitions one after the other, and a last frame. From any frame of
the core, each transition further on in its clip can be reached, and the way there stays in the core
(a path between two of its nodes never leaves a strongly connected component): a walk is a sequence
of transitions and never meets a dead end.

T frames shown, L frames of a transition. World frame: metres, Y up; radians about +Y.

References:
    Kovar, Gleicher, Pighin, Motion graphs, SIGGRAPH 2002, sections 3.3 and 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from muybridge.edit.floor_path import LONGEST
from muybridge.edit.graph import MotionGraph
from muybridge.errors import InputError
from muybridge.geometry.rotation import multiply, slerp
from muybridge.motion.clip import Clip
from muybridge.motion.facing import yaw_quaternion
from muybridge.motion.kinematics import forward_clip

__all__ = [
    "Hardest",
    "Place",
    "Route",
    "blend_weights",
    "choices",
    "hardest",
    "random_route",
    "shown",
    "transition_spans",
]


class Place(NamedTuple):
    """Where a clip is put: turned about the world's origin, then shifted; radians, metres."""

    angle: float = 0.0
    x: float = 0.0
    z: float = 0.0

    def then(self, angle: float, x: float, z: float) -> Place:
        """The place of a clip that lies at `angle`, `x`, `z` in this one."""
        c, s = math.cos(self.angle), math.sin(self.angle)
        return Place(self.angle + angle, self.x + c * x + s * z, self.z - s * x + c * z)


HERE = Place()


@dataclass(frozen=True)
class Route:
    """A walk.

    Attributes:
        start: Frame shown first.
        transitions: Numbers of `MotionGraph.usable`, in order.
        stop: Frame after the last one shown, in the clip that the last transition enters; it may
            lie before that transition's end, and then the transition is cut short.
        place: Of the first clip.
    """

    start: int
    transitions: tuple[int, ...]
    stop: int
    place: Place = HERE


def choices(graph: MotionGraph, frame: int) -> Int[np.ndarray, "e"]:
    """The usable transitions that can be reached from a frame without another, by their sources."""
    library, sources = graph.library, graph.usable.sources.numpy()
    last = frame + int(library.left[frame])
    return np.arange(np.searchsorted(sources, frame), np.searchsorted(sources, last, side="right"))


def random_route(graph: MotionGraph, seconds: float, seed: int = 0) -> Route:
    """A walk of some length that takes any transition it can reach with the same chance.

    Raises:
        InputError: If the graph has no core, the time is not positive, or the seed is negative.
    """
    if not 0.0 < seconds <= LONGEST:
        raise InputError(
            f"expected a time above 0 seconds and up to {LONGEST:g}, got {seconds}; "
            "give --seconds 60"
        )
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, got {seed}; give --seed 0")
    rng = np.random.default_rng(seed)
    usable, length = graph.usable, graph.length
    wanted = max(1, round(seconds * graph.library.fps))
    entered = (usable.targets + length).numpy()
    frame = start = int(rng.choice(entered))
    taken: list[int] = []
    shown_frames = 0
    while True:
        chosen = int(rng.choice(choices(graph, frame)))
        piece = int(usable.sources[chosen]) - frame
        if shown_frames + piece >= wanted:
            return Route(start, tuple(taken), frame + wanted - shown_frames)
        taken.append(chosen)
        frame = int(entered[chosen])
        shown_frames += piece + length
        if shown_frames >= wanted:
            return Route(start, tuple(taken), frame + wanted - shown_frames)


def blend_weights(length: int) -> Float[Tensor, "l"]:
    """Share of the clip that is left, over a transition: 2 s^3 - 3 s^2 + 1, s = (p + 1) / (L + 1).

    Its slope is zero at both ends. Kovar's s = (p + 1) / L shows the entered clip alone one frame
    sooner.
    """
    s = torch.arange(1, length + 1, dtype=torch.float64) / (length + 1)
    return 2.0 * s**3 - 3.0 * s**2 + 1.0


class _Track(NamedTuple):
    """Which frame is shown when, and where: T frames of the clip that leads, its place, its share.

    Attributes:
        frames: Of the library.
        places: Angle, x, z of the clip.
        shares: 1 outside transitions.
    """

    frames: Int[np.ndarray, "t"]
    places: Float[np.ndarray, "t 3"]
    shares: Float[np.ndarray, "t"]


def _tracks(graph: MotionGraph, route: Route) -> tuple[_Track, _Track]:
    """What leads and, in transitions, what comes in beside it (elsewhere the same frames)."""
    usable, length = graph.usable, graph.length
    weights = blend_weights(length).numpy()
    frame, place = route.start, route.place
    old: list[tuple[np.ndarray, Place, np.ndarray]] = []
    new: list[tuple[np.ndarray, Place]] = []
    step = np.arange(length)
    for chosen in route.transitions:
        source, target = int(usable.sources[chosen]), int(usable.targets[chosen])
        x, z = usable.offsets_xz[chosen].tolist()
        entered = place.then(float(usable.angles[chosen]), x, z)
        plain = np.arange(frame, source)
        old += [(plain, place, np.ones(len(plain))), (source + step, place, weights)]
        new += [(plain, place), (target + step, entered)]
        frame, place = target + length, entered
    plain = np.arange(frame, max(frame, route.stop))
    old.append((plain, place, np.ones(len(plain))))
    new.append((plain, place))
    count = sum(len(frames) for frames, *_ in old) - max(0, frame - route.stop)
    shares = np.concatenate([share for *_, share in old])[:count]
    tracks = []
    for pieces in ([(f, p) for f, p, _ in old], new):
        frames = np.concatenate([f for f, _ in pieces])[:count]
        places = np.concatenate([np.tile(p, (len(f), 1)) for f, p in pieces])[:count]
        tracks.append(_Track(frames, places, shares))
    return tracks[0], tracks[1]


def shown(graph: MotionGraph, route: Route, name: str = "walk") -> Clip:
    """The clip of a route.

    Rotations are blended along the shorter arc, the root's path and sliding joints linearly. In a
    transition the feet that stand are those of the clip with the larger share.
    """
    library = graph.library
    old, new = _tracks(graph, route)
    rotations, places = _placed(graph, old)
    blended = np.nonzero(old.shares < 1.0)[0]
    if len(blended):
        entering = _Track(*(values[blended] for values in new))
        turned, put = _placed(graph, entering)
        rows = torch.from_numpy(blended)
        share = 1.0 - torch.from_numpy(entering.shares)
        rotations[rows] = slerp(rotations[rows], turned, share.unsqueeze(-1))
        places[rows] = torch.lerp(places[rows], put, share[:, None, None])
    lead = torch.from_numpy(np.where(old.shares >= 0.5, old.frames, new.frames))
    return Clip(
        library.skeleton, rotations, places[:, 0].clone(), library.fps, name,
        places if library.moving else None,
        contacts=None if library.contacts is None else library.contacts[lead],
    )  # fmt: skip


def _placed(
    graph: MotionGraph, track: _Track
) -> tuple[Float[Tensor, "t j 4"], Float[Tensor, "t j 3"]]:
    """Local rotations and places of the frames of a track, in the walk's world."""
    frames = torch.from_numpy(track.frames)
    rotations = graph.library.rotations[frames].clone()
    places = graph.library.translations[frames].clone()
    angle, x, z = torch.from_numpy(track.places).unbind(-1)
    rotations[:, 0] = multiply(yaw_quaternion(angle), rotations[:, 0])
    c, s = angle.cos(), angle.sin()
    px, _, pz = places[:, 0].clone().unbind(-1)
    places[:, 0, 0] = c * px + s * pz + x
    places[:, 0, 2] = c * pz - s * px + z
    return rotations, places


class Hardest(NamedTuple):
    """Largest second and third derivatives of any joint's path: metres/second^2 and ^3."""

    acceleration: float
    jerk: float


def hardest(clip: Clip, frames: Bool[Tensor, "t"] | None = None) -> Hardest:
    """How abruptly a clip moves, by differences of joint positions.

    Args:
        clip: At least four frames.
        frames: Count only differences about these frames.
    """
    positions = forward_clip(clip).positions
    keep = torch.ones(len(clip), dtype=torch.bool) if frames is None else frames
    second = positions.diff(n=2, dim=0).norm(dim=-1).amax(1) * clip.fps**2
    third = positions.diff(n=3, dim=0).norm(dim=-1).amax(1) * clip.fps**3
    at = second[keep[1:-1]], third[keep[1:-2] | keep[2:-1]]
    return Hardest(*(float(values.max()) if len(values) else 0.0 for values in at))


def transition_spans(graph: MotionGraph, route: Route) -> Bool[Tensor, "t"]:
    """True in frames that are blended."""
    return torch.from_numpy(_tracks(graph, route)[0].shares < 1.0)
