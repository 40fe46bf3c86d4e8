"""`muybridge graph`: new motion from old along a motion graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Graph"]


@dataclass(frozen=True)
class Build:
    """Find where the clips of a folder may change into one another."""

    clips: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of motion files (.bvh, .glb, .npz) of one skeleton."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("graph.npz")
    """File to write."""
    threshold: float = 0.12
    """Transitions whose poses differ by more (root mean square of the joints, metres) are not
    made: lower is smoother, higher finds more ways."""
    window: float = 1.0 / 3.0
    """Seconds that are compared, and blended in a transition."""
    mirror: bool = False
    """Add each clip with left and right exchanged."""

    def run(self) -> None:
        """Build, save, and say what can be walked."""
        from muybridge.cli.progress import say
        from muybridge.edit.graph import GraphOptions, build_graph
        from muybridge.edit.graph_file import save_graph
        from muybridge.edit.library import read_library

        options = GraphOptions(self.threshold, self.window)
        library = read_library(self.clips, mirrored=self.mirror)
        graph = build_graph(library, options)
        frames = int(graph.core.sum())
        save_graph(self.out, graph)
        say(
            f"{len(library.clips)} clips, {len(library)} frames at {library.fps:g}/s: "
            f"{len(graph.transitions.sources)} transitions, of which {len(graph.usable.sources)} "
            f"join {frames} frames that can be walked for ever"
        )
        say(f"wrote {self.out}")


@dataclass(frozen=True)
class Walk:
    """Walk on a graph: at random, or along a path on the floor."""

    graph: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="GRAPH")]
    """File of `muybridge graph build`."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("walk.bvh")
    """File to write: .bvh, .glb, .fbx, .npz, .c3d or .trc."""
    seconds: float = 60.0
    """Length of a random walk."""
    seed: int = 0
    """Other numbers give other random walks."""
    path: Path | None = None
    """JSON with a path to follow instead: [[x, z], ...] in metres, or {"points": [[x, z], ...],
    "times": [seconds, ...]}."""
    width: int = 48
    """Walks tried side by side along a path: more is slower and may be nearer."""
    pin: bool = False
    """Pin standing feet to the ground afterwards."""

    def run(self) -> None:
        """Walk, write, and say how far from the path."""
        from muybridge.cli.progress import say
        from muybridge.edit.floor_path import read_floor_path
        from muybridge.edit.graph_file import load_graph
        from muybridge.edit.graph_path import PathOptions, follow_path
        from muybridge.edit.graph_walk import random_route, shown
        from muybridge.edit.planting import pinned
        from muybridge.files.convert import check_suffix, write_motion

        check_suffix(self.out)
        graph = load_graph(self.graph)
        if self.path is None:
            route, along = random_route(graph, self.seconds, self.seed), None
        else:
            along = read_floor_path(self.path)
            route = follow_path(graph, along, PathOptions(width=self.width)).route
        clip = shown(graph, route, self.out.stem)
        write_motion(self.out, pinned(clip) if self.pin else clip)
        say(f"wrote {self.out}: {clip.duration:.1f} s, {len(route.transitions)} transitions")
        if along is not None:
            apart = along.apart(clip.root[:, [0, 2]])
            say(f"off the path by {apart.mean():.2f} m on average, {apart.max():.2f} m at most")


@dataclass(frozen=True)
class Graph:
    """New motion from old: build a motion graph from clips, and walk on it."""

    verb: Annotated[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[Build, tyro.conf.subcommand("build")]
            | Annotated[Walk, tyro.conf.subcommand("walk")]
        ],
        tyro.conf.arg(name=""),  # its options stand with the others in --help
    ]

    def run(self) -> None:
        """Run the verb."""
        self.verb.run()
