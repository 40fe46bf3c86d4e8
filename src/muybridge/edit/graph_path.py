"""Walks on a motion graph that follow a path on the floor.

Branch and bound: a walk's cost is what it has strayed from the path so far, so it can only grow,
and a walk that is dearer than the best finished one is dropped with all that would follow. The
search goes forward along the path in stretches; with a `width`, only so many walks go on from each
stretch (a beam), without, the cheapest walk of all is found.

    cost = sum over frames of (|p - q(s)|^2 + delay^2) / fps + sum over transitions of c D^2,

p the root over the floor, q(s) the path after the way s that the root has gone (or at its time, if
the path has times), D the transition's distance. The `delay` makes standing still cost something.

References:
    Kovar, Gleicher, Pighin, Motion graphs, SIGGRAPH 2002, section 5.1.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count

import numpy as np
import torch
from jaxtyping import Float

from muybridge.edit.floor_path import FloorPath
from muybridge.edit.graph import MotionGraph
from muybridge.edit.graph_walk import Place, Route, blend_weights, choices
from muybridge.errors import InputError
from muybridge.motion.facing import rest_heading, yaw

__all__ = ["Found", "PathOptions", "follow_path"]


@dataclass(frozen=True)
class PathOptions:
    """How a walk along a path is looked for.

    Attributes:
        width: Walks that go on from each stretch; None for all.
        stretch: Metres of way, or half as many seconds on a path with times.
        delay: What a frame costs at least, metres.
        transition: What a transition costs, seconds times its squared distance.
        same: Walks that go on from the same frame of a stretch, at most (with a `width`).
    """

    width: int | None = 48
    stretch: float = 0.25
    delay: float = 0.05
    transition: float = 2.0
    same: int = 3

    def __post_init__(self) -> None:
        if self.width is not None and self.width < 1:
            raise InputError(f"expected a width of at least 1, got {self.width}; give --width 48")


@dataclass(frozen=True)
class Found:
    """A walk and what it cost, square metres times seconds."""

    route: Route
    cost: float


@dataclass(frozen=True)
class _Walk:
    """A walk up to the end of its last transition.

    Attributes:
        cost: Of the frames shown so far.
        progress: Way gone at the last of them, metres (seconds on a path with times).
        at: Where it was shown, metres.
        frame: Shown next.
        place: Of that frame's clip.
        before: The walk before its last transition; None if it has not begun.
        taken: That transition.
    """

    cost: float
    progress: float
    at: tuple[float, float]
    frame: int
    place: Place
    before: _Walk | None = None
    taken: int = -1


_Step = tuple[float, int, float, tuple[float, float], _Walk, int]
# Cost, age and progress after a transition, where it ends; the walk before it; the transition.


@dataclass
class _Search:
    """What is the same for all walks, and the best finished one: cost, walk, frame to stop at."""

    graph: MotionGraph
    path: FloorPath
    options: PathOptions
    floor: Float[np.ndarray, "n 2"]  # root over the floor, in each clip's world
    crossing: Float[np.ndarray, "e l 2"]  # the same over each transition, in the left clip's world
    best: tuple[float, _Walk, int] | None = None
    order: Iterator[int] = field(default_factory=count)

    @cached_property
    def end(self) -> float:
        """Progress of a finished walk."""
        return self.path.length if self.path.times is None else self.path.duration

    @cached_property
    def entries(self) -> list[tuple[int, float, float, float]]:
        """Of each transition: the frame after it, and its turn and shift."""
        usable = self.graph.usable
        columns = usable.targets + self.graph.length, usable.angles, *usable.offsets_xz.T
        return list(zip(*(column.tolist() for column in columns), strict=True))

    @cached_property
    def prices(self) -> Float[np.ndarray, "e"]:
        """What taking each transition costs."""
        return self.options.transition * self.graph.usable.costs.square().numpy()

    def along(
        self,
        cost: Float[np.ndarray, "m"],
        progress: Float[np.ndarray, "m"],
        points: Float[np.ndarray, "m t 2"],
    ) -> tuple[Float[np.ndarray, "m t"], Float[np.ndarray, "m t"]]:
        """Cost and progress of walks that go on from the first of these points over the others."""
        fps, timed = self.graph.library.fps, self.path.times is not None
        steps = np.empty(points.shape[:2])
        steps[:, 0] = progress
        moved = points[:, 1:] - points[:, :-1]
        steps[:, 1:] = 1.0 / fps if timed else np.hypot(moved[..., 0], moved[..., 1])
        way = steps.cumsum(axis=1)
        find = self.path.at_time if timed else self.path.at_distance
        apart = points - find(torch.from_numpy(way)).numpy()
        strayed = (np.square(apart).sum(-1) + self.options.delay**2) / fps
        strayed[:, 0] = cost
        return strayed.cumsum(axis=1), way


def follow_path(graph: MotionGraph, path: FloorPath, options: PathOptions | None = None) -> Found:
    """The walk that strays least from a path.

    It begins at the path's beginning, in any frame that a transition leads to, and moves along the
    path's first direction. It ends when it has gone as far as the path is long, or at its last
    time.

    Raises:
        InputError: If the graph has no core, or none of its walks gets to the end.
    """
    options = options or PathOptions()
    search = _Search(graph, path, options, _floor(graph), _crossings(graph))
    stretch = options.stretch * (1.0 if path.times is None else 0.5)
    waiting: dict[int, list[_Step]] = {
        0: [(0.0, next(search.order), 0.0, w.at, w, -1) for w in _beginnings(search)]
    }
    while waiting:
        number = min(waiting)
        _one_stretch(search, waiting, number, stretch)
        del waiting[number]
    if search.best is None:
        raise InputError(
            "expected a walk that gets to the end of the path, found none; give clips that move "
            "on, or a higher --threshold"
        )
    cost, walk, stop = search.best
    return Found(_route(walk, stop), cost)


def _one_stretch(
    search: _Search, waiting: dict[int, list[_Step]], number: int, stretch: float
) -> None:
    """Let the cheapest walks of a stretch go on by one transition each."""
    queue, options = waiting[number], search.options
    heapq.heapify(queue)
    left = math.inf if options.width is None else options.width
    seen: dict[int, int] = {}
    while queue and left > 0:
        step = heapq.heappop(queue)
        if search.best is not None and step[0] >= search.best[0]:
            return  # those that wait are dearer still
        walk = _entered(search, step)
        seen[walk.frame] = seen.get(walk.frame, 0) + 1
        if options.width is not None and seen[walk.frame] > options.same:
            continue
        left -= 1
        for onward in _onward(search, walk):
            after = max(number, int(onward[2] / stretch))
            if after == number:
                heapq.heappush(queue, onward)
            else:
                waiting.setdefault(after, []).append(onward)


def _onward(search: _Search, walk: _Walk) -> Iterator[_Step]:
    """The transitions it can take; notes where it would end before or in them."""
    taken = choices(search.graph, walk.frame)
    pieces = search.graph.usable.sources.numpy()[taken] - walk.frame
    plain = search.floor[walk.frame : walk.frame + int(pieces[-1]) + 1]
    points = np.concatenate(([walk.at], _carried(plain, walk.place)))
    start = np.array([walk.cost]), np.array([walk.progress])
    cost, way = (row[0] for row in search.along(*start, points[None]))
    _note_end(search, (walk.cost, 0, walk.progress, walk.at, walk, -1), cost, way)
    reach = way[pieces] < search.end
    taken, pieces = taken[reach], pieces[reach]
    if not len(taken):
        return
    crossing = _carried(search.crossing[taken], walk.place)
    crossing = np.concatenate((points[pieces][:, None], crossing), axis=1)
    costs, ways = search.along(cost[pieces] + search.prices[taken], way[pieces], crossing)
    dearest = math.inf if search.best is None else search.best[0]
    paid, gone, end = costs[:, -1].tolist(), ways[:, -1].tolist(), search.end
    for row, chosen in enumerate(taken.tolist()):
        at = crossing[row, -1]
        step = (paid[row], next(search.order), gone[row], (at[0], at[1]), walk, chosen)
        if gone[row] >= end:
            _note_end(search, step, costs[row], ways[row])
        elif paid[row] < dearest:
            yield step


def _entered(search: _Search, step: _Step) -> _Walk:
    """The walk on the other side of a transition."""
    cost, _, progress, at, walk, chosen = step
    if chosen < 0:
        return walk
    frame, *shift = search.entries[chosen]
    return _Walk(cost, progress, at, frame, walk.place.then(*shift), walk, chosen)


def _note_end(
    search: _Search, step: _Step, cost: Float[np.ndarray, "t"], way: Float[np.ndarray, "t"]
) -> None:
    """Remember a walk that gets to the end, if none has been cheaper.

    Args:
        search: Has the best so far.
        step: The last transition, or none.
        cost: Before these frames of the transition (or the clip), and after each.
        way: Progress before them, and at each.
    """
    over = np.nonzero(way >= search.end)[0]
    if not len(over):
        return
    last = int(over[0]) - 1  # the frame that gets there is not shown
    if search.best is None or cost[last] < search.best[0]:
        walk = _entered(search, step)
        ahead = 0 if step[-1] < 0 else search.graph.length
        search.best = float(cost[last]), walk, walk.frame - ahead + last


def _beginnings(search: _Search) -> Iterator[_Walk]:
    """Walks that have not begun, at the path's beginning and in its direction."""
    graph = search.graph
    fps = graph.library.fps
    first, ahead = search.path.points[0].numpy(), search.path.points
    tangent = (ahead[1] - ahead[0]).numpy()
    entered = np.unique((graph.usable.targets + graph.length).numpy())
    for frame in entered.tolist():
        later = frame + min(int(graph.library.left[frame]), max(1, round(0.5 * fps)))
        way = search.floor[later] - search.floor[frame]
        if np.hypot(*way) < 0.05:  # it stands: then it looks along the path
            facing = _facing(graph, frame)
            way = np.array([np.sin(facing), np.cos(facing)])
        angle = float(np.arctan2(tangent[0], tangent[1]) - np.arctan2(way[0], way[1]))
        here = _carried(search.floor[frame], Place(angle, 0.0, 0.0))
        place = Place(angle, *(first - here).tolist())
        begun = 0.0 if search.path.times is None else -1.0 / fps  # no frame has been shown
        yield _Walk(0.0, begun, (float(first[0]), float(first[1])), frame, place)


def _facing(graph: MotionGraph, frame: int) -> float:
    """Where the body faces in its clip's world, radians."""
    return float(yaw(graph.library.rotations[frame, 0])) + rest_heading(graph.library.skeleton)


def _floor(graph: MotionGraph) -> Float[np.ndarray, "n 2"]:
    return graph.library.translations[:, 0, [0, 2]].numpy()


def _crossings(graph: MotionGraph) -> Float[np.ndarray, "e l 2"]:
    """Root over the floor in the frames of each transition, in the world of the clip it leaves."""
    usable, step = graph.usable, torch.arange(graph.length)
    floor = graph.library.translations[:, 0, [0, 2]]
    x, z = floor[usable.targets[:, None] + step].unbind(-1)
    c, s = usable.angles.cos()[:, None], usable.angles.sin()[:, None]
    entered = torch.stack((c * x + s * z, c * z - s * x), dim=-1) + usable.offsets_xz[:, None]
    share = blend_weights(graph.length)[:, None]
    return torch.lerp(entered, floor[usable.sources[:, None] + step], share).numpy()


def _carried(points: Float[np.ndarray, "*t 2"], place: Place) -> Float[np.ndarray, "*t 2"]:
    """Points of a clip's world where the clip is put."""
    c, s = math.cos(place.angle), math.sin(place.angle)
    x, z = points[..., 0], points[..., 1]
    return np.stack((c * x + s * z + place.x, c * z - s * x + place.z), axis=-1)


def _route(walk: _Walk, stop: int) -> Route:
    taken: list[int] = []
    while walk.before is not None:
        taken.append(walk.taken)
        walk = walk.before
    return Route(walk.frame, tuple(reversed(taken)), stop, walk.place)
