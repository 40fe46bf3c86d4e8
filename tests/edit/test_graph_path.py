"""Walks along a path: the cheapest of all on a small graph, and near the path on a larger one."""

import math

import pytest
import torch

from muybridge.edit.floor_path import FloorPath
from muybridge.edit.graph import MotionGraph, build_graph
from muybridge.edit.graph_path import PathOptions, follow_path
from muybridge.edit.graph_walk import Place, Route, choices, random_route, shown
from muybridge.edit.library import library_from_clips
from muybridge.errors import InputError
from tests.edit.walks import recorded, walk, walks


@pytest.fixture(scope="module")
def graph() -> MotionGraph:
    return build_graph(walks())


def _cost(graph: MotionGraph, route: Route, path: FloorPath, options: PathOptions) -> float:
    """As the module's formula says, from the clip that is shown."""
    clip = shown(graph, route)
    floor = clip.root[:, [0, 2]]
    steps = floor.diff(dim=0).norm(dim=-1).cumsum(0)
    gone = torch.cat((steps.new_zeros(1), steps))
    if path.times is not None:
        gone = torch.arange(len(clip), dtype=torch.float64) / clip.fps
    goal = path.at_distance(gone) if path.times is None else path.at_time(gone)
    strayed = (floor - goal).square().sum(-1) + options.delay**2
    paid = graph.usable.costs[list(route.transitions)].square().sum()
    return float(strayed.sum() / clip.fps + options.transition * paid)


def _every_route(graph: MotionGraph, start: Route, most: int) -> list[Route]:
    """All routes of up to so many transitions from a first frame."""
    routes, waiting = [], [(start.start, ())]
    while waiting:
        frame, taken = waiting.pop()
        routes.append(Route(start.start, taken, frame, start.place))
        if len(taken) < most:
            for chosen in choices(graph, frame).tolist():
                entered = int(graph.usable.targets[chosen]) + graph.length
                waiting.append((entered, (*taken, chosen)))
    return routes


@pytest.mark.parametrize("timed", [False, True])
def test_without_a_width_no_walk_is_cheaper(timed: bool) -> None:
    """Against all walks of up to two transitions, each cut where it reaches the end."""
    graph = build_graph(library_from_clips([walk(1.2, 0.0, 1.5), walk(1.1, 0.9, 1.5, 0.2)]))
    angles = torch.linspace(0.0, 0.7, 12, dtype=torch.float64)
    points = 2.0 * torch.stack((1.0 - angles.cos(), angles.sin()), dim=-1)
    path = FloorPath(points, 1.2 * angles / angles[-1] if timed else None)
    options = PathOptions(width=None)
    found = follow_path(graph, path, options)
    assert abs(_cost(graph, found.route, path, options) - found.cost) < 1e-9
    for start in (graph.usable.targets + graph.length).unique().tolist():
        begun = _begun_alike(graph, found.route, start, points)
        for route in _every_route(graph, begun, 2):
            cut = _cut(graph, route, path)
            if cut is not None:
                assert _cost(graph, cut, path, options) >= found.cost - 1e-9


def _begun_alike(graph: MotionGraph, found: Route, start: int, points: torch.Tensor) -> Route:
    """A route from a frame that moves along the path's beginning, as the search places it."""
    floor = graph.library.translations[:, 0, [0, 2]]
    later = start + min(int(graph.library.left[start]), round(0.5 * graph.library.fps))
    way, tangent = floor[later] - floor[start], points[1] - points[0]
    angle = float(torch.atan2(*tangent) - torch.atan2(*way))
    x, z = floor[start].tolist()
    c, s = math.cos(angle), math.sin(angle)
    place = Place(angle, float(points[0, 0]) - c * x - s * z, float(points[0, 1]) - c * z + s * x)
    if start == found.start:
        assert place == pytest.approx(found.place)
    return Route(start, (), start, place)


def _cut(graph: MotionGraph, route: Route, path: FloorPath) -> Route | None:
    """The route stopped at the path's end; None if it ends before, or has passed it already."""
    clip_end = route.stop + int(graph.library.left[route.stop])
    clip = shown(graph, Route(route.start, route.transitions, clip_end + 1, route.place))
    steps = clip.root[:, [0, 2]].diff(dim=0).norm(dim=-1).cumsum(0)
    gone = torch.cat((steps.new_zeros(1), steps))
    end = path.length
    if path.times is not None:
        gone, end = torch.arange(len(clip), dtype=torch.float64) / clip.fps, path.duration
    over = torch.nonzero(gone >= end)[:, 0]
    stop = clip_end + 1 - len(clip) + int(over[0]) if len(over) else 0
    if not len(over) or (route.transitions and stop <= route.stop - graph.length):
        return None
    return Route(route.start, route.transitions, stop, route.place)


def test_the_cost_is_that_of_the_clip_that_is_shown(graph: MotionGraph) -> None:
    path = FloorPath(torch.tensor([[0.0, 0.0], [0.0, 3.0], [2.0, 5.0]], dtype=torch.float64))
    found = follow_path(graph, path, PathOptions(width=8))
    assert abs(_cost(graph, found.route, path, PathOptions()) - found.cost) < 1e-9


@pytest.mark.parametrize("turn", [-1.0, 1.0], ids=["right", "left"])
def test_a_curve_is_followed_where_a_random_walk_strays(graph: MotionGraph, turn: float) -> None:
    angles = torch.linspace(0.0, 3.0, 40, dtype=torch.float64)
    path = FloorPath(2.0 * torch.stack((turn * (1.0 - angles.cos()), angles.sin()), dim=-1))
    clip = shown(graph, follow_path(graph, path, PathOptions(width=16)).route)
    apart = path.apart(clip.root[:, [0, 2]])
    wild = shown(graph, random_route(graph, clip.duration, 0))
    assert float(apart.mean()) < 0.25
    assert float(path.apart(wild.root[:, [0, 2]]).mean()) > 4.0 * float(apart.mean())
    assert float((clip.root[-1, [0, 2]] - path.points[-1]).norm()) < 1.0


def test_times_are_kept(graph: MotionGraph) -> None:
    points = torch.tensor([[0.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    path = FloorPath(points, torch.tensor([0.0, 4.0], dtype=torch.float64))
    clip = shown(graph, follow_path(graph, path, PathOptions(width=16)).route)
    assert abs(clip.duration - 4.0) < 0.1
    middle = clip.root[len(clip) // 2, [0, 2]]
    assert float((middle - torch.tensor([0.0, 2.0], dtype=torch.float64)).norm()) < 0.6


def test_a_width_of_nought() -> None:
    with pytest.raises(InputError, match="at least 1"):
        PathOptions(width=0)


def test_recorded_clips_follow_an_s() -> None:
    """11 m in an S from clips of one person and their mirror images."""
    graph = build_graph(library_from_clips(recorded(), mirrored=True))
    angles = torch.linspace(0.0, 1.5 * math.pi, 60, dtype=torch.float64)
    path = FloorPath(torch.stack((2.0 * angles.sin(), 2.0 * angles), dim=-1))
    clip = shown(graph, follow_path(graph, path, PathOptions(width=16)).route)
    apart = path.apart(clip.root[:, [0, 2]])
    assert float(apart.mean()) < 0.4
