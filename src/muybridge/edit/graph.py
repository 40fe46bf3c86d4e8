"""Motion graphs: where clips may change into one another, and what can be walked for ever.

A node is a frame about to be shown. Two kinds of edges leave it: on to the next frame of its clip,
and, from some frames, a transition: the L frames that follow are blended with L frames elsewhere,
placed to lie best on them. Transitions are the local minima of the distance between all windows
(`graph_distance`) that lie under a threshold. What lies outside the largest strongly connected
part leads to a dead end, or cannot be reached again, and is never shown.

N frames, E transitions, L frames a window. World frame: metres, Y up; radians.

References:
    Kovar, Gleicher, Pighin, Motion graphs, SIGGRAPH 2002.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import minimum_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from muybridge.edit.graph_distance import (
    Clouds,
    align,
    clouds,
    distances,
    joint_weights,
)
from muybridge.edit.library import Library
from muybridge.errors import InputError

__all__ = ["GraphOptions", "MotionGraph", "Transitions", "build_graph", "local_minima"]


@dataclass(frozen=True)
class GraphOptions:
    """How a graph is built.

    Attributes:
        threshold: Transitions whose root-mean-square point distance is larger are left out, metres.
        window: Seconds that are compared, and blended in a transition.
    """

    threshold: float = 0.12
    window: float = 1.0 / 3.0

    def __post_init__(self) -> None:
        for name, value, unit in (
            ("threshold", self.threshold, "metres, such as 0.12"),
            ("window", self.window, "seconds, such as 0.33"),
        ):
            if not 0.0 < value < float("inf"):
                raise InputError(f"expected a {name} above 0, got {value}; give {unit}")


class Transitions(NamedTuple):
    """Ways from clip to clip.

    Attributes:
        sources: First frame of the window that is left; what comes after it is not shown.
        targets: First frame of the window that is entered.
        costs: Root-mean-square point distance of the two windows, metres.
        angles: Turn of the entered clip onto the one that is left, radians about +Y.
        offsets_xz: Its shift on the floor, metres.
    """

    sources: Int[Tensor, "e"]
    targets: Int[Tensor, "e"]
    costs: Float[Tensor, "e"]
    angles: Float[Tensor, "e"]
    offsets_xz: Float[Tensor, "e 2"]

    def only(self, keep: Bool[Tensor, "e"] | Int[Tensor, "f"]) -> Transitions:
        """Some of them."""
        return Transitions(*(values[keep] for values in self))


@dataclass(frozen=True)
class MotionGraph:
    """Clips, the transitions between them, and the part that has no dead end.

    Attributes:
        library: The clips.
        transitions: All under the threshold, in the order of their sources.
        length: Frames of a window.
        threshold: Metres.
    """

    library: Library
    transitions: Transitions
    length: int
    threshold: float

    @cached_property
    def core(self) -> Bool[Tensor, "n"]:
        """Frames of the largest strongly connected component.

        Raises:
            InputError: If no frame can be reached again.
        """
        n, t = len(self.library), self.transitions
        onward = torch.nonzero(self.library.left > 0)[:, 0]
        rows = torch.cat((onward, t.sources)).numpy()
        columns = torch.cat((onward + 1, t.targets + self.length)).numpy()
        edges = coo_matrix((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(n, n))
        labels = connected_components(edges.tocsr(), connection="strong")[1]
        counts = np.bincount(labels)
        if counts.max() < 2:
            raise InputError(
                f"expected transitions that lead back to where they left, got {len(t.sources)} "
                f"under {self.threshold:g} m that do not; raise --threshold or add clips"
            )
        return torch.from_numpy(labels == counts.argmax())

    @cached_property
    def usable(self) -> Transitions:
        """The transitions from the core to the core: the walks' choices."""
        t = self.transitions
        return t.only(self.core[t.sources] & self.core[t.targets + self.length])


def build_graph(library: Library, options: GraphOptions | None = None) -> MotionGraph:
    """Compare all windows of all clips and keep the best places to change.

    Raises:
        InputError: If a clip is shorter than two windows.
    """
    options = options or GraphOptions()
    length = max(2, round(options.window * library.fps))
    for clip in library.clips:
        if len(clip) < 2 * length:
            raise InputError(
                f"expected clips of at least {2 * length} frames, two windows of "
                f"{options.window:.2f} s, got {len(clip)} in {clip.name}; remove it or give a "
                "smaller --window"
            )
    weights = joint_weights(library.skeleton)
    first = [
        start + torch.arange(len(clip) - length + 1)
        for start, clip in zip(library.starts, library.clips, strict=True)
    ]
    windows = [(s, clouds(library.positions, s, length, weights)) for s in first]
    found = [_between(a, b, options.threshold, length) for a in windows for b in windows]
    sources, targets = (torch.cat(side) for side in zip(*found, strict=True))
    order = torch.argsort(sources, stable=True)
    sources, targets = sources[order], targets[order]
    here, there = (clouds(library.positions, s, length, weights) for s in (sources, targets))
    placed = align(here, there)
    transitions = Transitions(
        sources, targets, placed.squared.sqrt(), placed.angle, placed.offset_xz
    )
    return MotionGraph(library, transitions, length, options.threshold)


def _between(
    left: tuple[Tensor, Clouds], entered: tuple[Tensor, Clouds], threshold: float, length: int
) -> tuple[Int[Tensor, "e"], Int[Tensor, "e"]]:
    """First frames of windows of two clips where the one may change into the other."""
    (leave, here), (enter, there) = left, entered
    apart = distances(here, there)[:, :-1]  # a frame must follow the window that is entered
    good = local_minima(apart) & (apart <= threshold)
    rows, columns = torch.nonzero(good).unbind(-1)
    sources, targets = leave[rows], enter[columns]
    elsewhere = (sources - targets).abs() >= length  # a clip is like itself a moment later
    return sources[elsewhere], targets[elsewhere]


def local_minima(values: Float[Tensor, "a b"]) -> Bool[Tensor, "a b"]:
    """Where no one of the eight neighbours is smaller; the edge of the matrix may hold minima."""
    lowest = minimum_filter(values.numpy(), size=3, mode="nearest")
    return values == torch.from_numpy(lowest)
