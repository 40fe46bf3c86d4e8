"""Motion graphs: transitions, the core without dead ends, walks, and how smooth they are."""

from dataclasses import replace

import pytest
import torch

from muybridge.edit.graph import GraphOptions, MotionGraph, Transitions, build_graph, local_minima
from muybridge.edit.graph_distance import clouds, distances, joint_weights
from muybridge.edit.library import Library, library_from_clips
from muybridge.errors import InputError
from tests.edit.walks import recorded, walks


@pytest.fixture(scope="module")
def graph() -> MotionGraph:
    return build_graph(walks())


def test_transitions_are_local_minima_under_the_threshold(graph: MotionGraph) -> None:
    library, length, t = graph.library, graph.length, graph.transitions
    assert len(t.sources) > 10
    weights = joint_weights(library.skeleton)
    fits = torch.nonzero(library.left >= length - 1)[:, 0]
    windows = clouds(library.positions, fits, length, weights)
    apart = distances(windows, windows)
    row = {int(frame): i for i, frame in enumerate(fits)}
    for source, target, cost in zip(*(v.tolist() for v in t[:3]), strict=True):
        a, b = row[source], row[target]
        assert cost <= graph.threshold
        assert abs(cost - float(apart[a, b])) < 1e-7
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                near = source + i in row and target + j in row
                if near and library.owners[source + i] == library.owners[source]:
                    same = library.owners[target + j] == library.owners[target]
                    follows = int(library.left[target + j]) >= length
                    assert (
                        not (same and follows) or apart[a + i, b + j] >= cost - 1e-7
                    )  # square roots of zeros


def test_windows_lie_in_their_clips_and_a_frame_follows(graph: MotionGraph) -> None:
    left, t = graph.library.left, graph.transitions
    assert bool((left[t.sources] >= graph.length - 1).all())
    assert bool((left[t.targets] >= graph.length).all())
    assert bool((t.sources.diff() >= 0).all())


def test_minima_of_a_known_table() -> None:
    values = torch.full((5, 6), 9.0, dtype=torch.float64)
    values[1, 1], values[1, 2], values[4, 5] = 1.0, 2.0, 3.0
    expected = {(1, 1), (4, 5)}
    found = {tuple(place) for place in torch.nonzero(local_minima(values) & (values < 9)).tolist()}
    assert found == expected


def test_every_frame_of_the_core_reaches_every_other(graph: MotionGraph) -> None:
    """Breadth first from one frame, forwards and backwards, without scipy."""
    onward: dict[int, set[int]] = {frame: set() for frame in range(len(graph.library))}
    for frame in torch.nonzero(graph.library.left > 0)[:, 0].tolist():
        onward[frame].add(frame + 1)
    for source, target in zip(
        graph.transitions.sources.tolist(), graph.transitions.targets.tolist(), strict=True
    ):
        onward[source].add(target + graph.length)
    back: dict[int, set[int]] = {frame: set() for frame in onward}
    for frame, others in onward.items():
        for other in others:
            back[other].add(frame)
    core = set(torch.nonzero(graph.core)[:, 0].tolist())
    start = next(iter(core))
    assert _reached(onward, start) & _reached(back, start) == core


def _reached(edges: dict[int, set[int]], start: int) -> set[int]:
    seen, waiting = {start}, [start]
    while waiting:
        new = edges[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def test_a_higher_threshold_keeps_all_transitions_of_a_lower() -> None:
    library = walks()
    few, many = (build_graph(library, GraphOptions(threshold=t)).transitions for t in (0.04, 0.2))
    pairs = [set(zip(t.sources.tolist(), t.targets.tolist(), strict=True)) for t in (few, many)]
    assert pairs[0] < pairs[1]


def test_clips_that_never_return_are_refused() -> None:
    empty = torch.zeros(0, dtype=torch.long)
    none = torch.zeros(0, dtype=torch.float64)
    t = Transitions(empty, empty, none, none, none.reshape(0, 2))
    graph = MotionGraph(walks(), t, 10, 0.01)
    with pytest.raises(InputError, match="raise --threshold"):
        _ = graph.core


def test_short_clips_are_named() -> None:
    clip = walks().clips[0]
    short = replace(clip.frames(0, 19), name="stub")
    with pytest.raises(InputError, match="19 in stub; remove it"):
        build_graph(Library((clip, short)))


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"window": -1.0}])
def test_options_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="above 0"):
        GraphOptions(**options)


def test_recorded_clips_have_a_core() -> None:
    """games105: five clips, 739 frames at 60/s; 517 can be walked for ever, and more mirrored."""
    clips = recorded()
    graph = build_graph(library_from_clips(clips))
    assert len(graph.library) == 739
    assert int(graph.core.sum()) > 450
    assert len(graph.usable.sources) > 60
    both = build_graph(library_from_clips(clips, mirrored=True))
    assert int(both.core.sum()) > 2 * 450
