"""Walks on a motion graph: no dead end, seams that fit, motion no rougher than its sources."""

import numpy as np
import pytest
import torch

from muybridge.edit.graph import GraphOptions, MotionGraph, build_graph
from muybridge.edit.graph_walk import (
    Place,
    Route,
    blend_weights,
    choices,
    hardest,
    random_route,
    shown,
    transition_spans,
)
from muybridge.edit.library import library_from_clips
from muybridge.errors import InputError
from muybridge.motion.kinematics import forward_clip
from tests.edit.walks import recorded, walks


@pytest.fixture(scope="module")
def graph() -> MotionGraph:
    return build_graph(walks())


@pytest.mark.parametrize("seed", range(5))
def test_a_minute_is_walked_without_a_dead_end(graph: MotionGraph, seed: int) -> None:
    route = random_route(graph, 60.0, seed)
    clip = shown(graph, route)
    assert len(clip) == 1800
    assert bool(clip.rotations.isfinite().all())
    norms = clip.rotations.norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones_like(norms), atol=1e-9, rtol=0.0)


def test_the_same_seed_gives_the_same_walk_and_another_another(graph: MotionGraph) -> None:
    first, again, other = (random_route(graph, 20.0, seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_between_transitions_the_clips_are_shown_as_they_are(graph: MotionGraph) -> None:
    route = random_route(graph, 30.0, seed=1)
    clip, blended = shown(graph, route), transition_spans(graph, route)
    usable, frame, at = graph.usable, route.start, 0
    for chosen in route.transitions:
        piece = int(usable.sources[chosen]) - frame
        assert not bool(blended[at : at + piece].any())
        assert bool(blended[at + piece : at + piece + graph.length].all())
        torch.testing.assert_close(
            clip.rotations[at : at + piece, 1:],
            graph.library.rotations[frame : frame + piece, 1:],
        )
        at, frame = at + piece + graph.length, int(usable.targets[chosen]) + graph.length


def test_choices_are_the_transitions_ahead_in_the_clip(graph: MotionGraph) -> None:
    sources = graph.usable.sources
    for frame in (graph.usable.targets + graph.length).unique().tolist():
        expected = [
            e
            for e, source in enumerate(sources.tolist())
            if source >= frame and graph.library.owners[source] == graph.library.owners[frame]
        ]
        assert choices(graph, frame).tolist() == expected
        assert expected  # no dead end


def test_places_put_one_in_another() -> None:
    outer, inner = Place(0.7, 1.0, -2.0), (0.4, 0.3, 0.5)
    both = outer.then(*inner)
    point = np.array([0.2, 0.9])

    def put(place: Place, p: np.ndarray) -> np.ndarray:
        c, s = np.cos(place.angle), np.sin(place.angle)
        return np.array([c * p[0] + s * p[1] + place.x, c * p[1] - s * p[0] + place.z])

    np.testing.assert_allclose(put(both, point), put(outer, put(Place(*inner), point)))


def test_weights_fall_from_one_to_nought_and_mirror_themselves() -> None:
    weights = blend_weights(9)
    assert float(weights[0]) < 1.0
    assert float(weights[-1]) > 0.0
    torch.testing.assert_close(weights + weights.flip(0), torch.ones(9, dtype=torch.float64))


def test_a_route_may_end_within_a_transition(graph: MotionGraph) -> None:
    route = random_route(graph, 30.0, seed=1)
    whole = shown(graph, route)
    entered = int(graph.usable.targets[route.transitions[0]]) + graph.length
    first = int(graph.usable.sources[route.transitions[0]]) - route.start
    cut = Route(route.start, route.transitions[:1], entered - 4)
    clip = shown(graph, cut)
    assert len(clip) == first + graph.length - 4
    torch.testing.assert_close(clip.root, whole.root[: len(clip)])


def test_transitions_are_smoother_than_cuts(
    graph: MotionGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = random_route(graph, 30.0, seed=0)
    smooth = hardest(shown(graph, route)).acceleration
    assert smooth < 1.5 * max(hardest(clip).acceleration for clip in graph.library.clips)
    middle = (blend_weights(graph.length) > 0.5).double()
    monkeypatch.setattr("muybridge.edit.graph_walk.blend_weights", lambda _: middle)
    assert hardest(shown(graph, route)).acceleration > 1.5 * smooth


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e9, float("nan"), float("inf")])
def test_times_out_of_range(graph: MotionGraph, seconds: float) -> None:
    with pytest.raises(InputError, match="above 0 seconds"):
        random_route(graph, seconds)


def test_a_seed_is_not_negative(graph: MotionGraph) -> None:
    with pytest.raises(InputError, match="seed of 0 or more"):
        random_route(graph, 1.0, -1)


def test_recorded_walks_are_no_rougher_than_the_recordings() -> None:
    """60 s from seeds 0 to 4: joint accelerations up to 1.06 of the largest in the clips used."""
    library = library_from_clips(recorded())
    graph = build_graph(library, GraphOptions())
    owners = library.owners[graph.core].unique().tolist()
    source = max(hardest(library.clips[owner]).acceleration for owner in owners)
    for seed in range(5):
        clip = shown(graph, random_route(graph, 60.0, seed))
        assert len(clip) == 3600
        assert hardest(clip).acceleration < 1.15 * source
        low = forward_clip(clip).positions[..., 1].amin(1)
        assert float(low.min()) > -0.1  # no one walks in the floor
