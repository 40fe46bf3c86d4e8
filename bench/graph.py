"""Motion graphs: pairs of windows compared a second, against fairmotion's loop, and exactness.

Both get the same clip. fairmotion compares two stretches at 3 frames each by joint angles,
velocities and end effectors, one pair at a time; muybridge compares all joints of all 20 frames of
a window after the best turn and shift, all pairs at once. Also the whole building of a graph, and
the distance against a search over turn and shift for some pairs. CPU time, best of some runs.
"""

from __future__ import annotations

import importlib.util
import math
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize

from bench._clock import best
from muybridge.edit.graph import build_graph
from muybridge.edit.graph_distance import clouds, distances, joint_weights, squared
from muybridge.edit.graph_walk import hardest, random_route, shown
from muybridge.edit.library import Library, library_from_clips
from muybridge.edit.procedural import procedural_walk
from muybridge.files.bvh import write_bvh
from muybridge.files.convert import read_clip
from muybridge.motion.clip import Clip
from tests.motions import DATA

GAMES = ("idle", "run_forward", "walk60", "walk_and_turn_left", "walk_forward")
WINDOW = 20  # frames
NODES = 40  # of fairmotion, all compared with all


def walking(frames: int = 1200) -> Clip:
    """A walk that changes speed and direction."""
    seconds = torch.arange(frames, dtype=torch.float64) / 60.0
    return procedural_walk(1.0 + 0.3 * seconds.sin(), 0.6 * (0.7 * seconds).cos())


def ours(library: Library) -> tuple[float, int]:
    """Seconds for all pairs of windows, from joint positions on, and how many pairs there are."""
    starts = torch.nonzero(library.left >= WINDOW - 1)[:, 0]
    weights, positions = joint_weights(library.skeleton), library.positions

    def work() -> torch.Tensor:
        windows = clouds(positions, starts, WINDOW, weights)
        return distances(windows, windows)

    work()
    return best(work, 5), len(starts) ** 2


def theirs(clip: Clip) -> tuple[float, int]:
    """The same of fairmotion's `compare_and_connect_edge`, for fewer nodes."""
    from fairmotion.core import motion as motion_core
    from fairmotion.core import velocity
    from fairmotion.data import bvh
    from fairmotion.tasks.motion_graph import motion_graph

    # version 0.0.4 asks joints for a name that they do not have, and stops
    motion_core.Joint.child_joint = property(lambda joint: joint.child_joints)
    with tempfile.TemporaryDirectory() as folder:
        write_bvh(Path(folder) / "clip.bvh", clip.frames(0, NODES + 3 * WINDOW))
        motion = bvh.load(str(Path(folder) / "clip.bvh"))
    moving = velocity.MotionWithVelocity.from_motion(motion)
    nodes = {n: {"motion_idx": 0, "frame_start": n, "frame_end": n + WINDOW} for n in range(NODES)}

    def work() -> None:
        for node in nodes:
            motion_graph.compare_and_connect_edge(
                node, nodes, [moving], frames_compare=WINDOW, w_joints=None, w_joint_pos=0.4,
                w_joint_vel=0.1, w_root_pos=0.4, w_root_vel=0.6, w_ee_pos=0.4, w_ee_vel=0.6,
                w_trajectory=0.5, diff_threshold=math.inf, num_comparison=3, verbose=False,
            )  # fmt: skip

    return best(work, 1), NODES**2


def farthest_from_search(library: Library, pairs: int = 6) -> float:
    """Largest difference of our squared distance from a search's, square metres."""
    weights = joint_weights(library.skeleton)
    generator = torch.Generator().manual_seed(0)
    starts = torch.randint(len(library.clips[0]) - WINDOW, (2 * pairs,), generator=generator)
    windows = clouds(library.positions, starts, WINDOW, weights)
    found = squared(windows, windows)
    points = [library.positions[s : s + WINDOW].numpy() for s in starts.tolist()]
    worst = 0.0
    for pair in range(pairs):
        first, second = points[2 * pair], points[2 * pair + 1]

        def cost(v: np.ndarray, a: np.ndarray = first, b: np.ndarray = second) -> float:
            c, s = math.cos(v[0]), math.sin(v[0])
            x, y, z = np.moveaxis(b, -1, 0)
            turned = np.stack((c * x + s * z + v[1], y, c * z - s * x + v[2]), axis=-1)
            return float((weights.numpy() * np.square(a - turned).sum(-1)).sum() / WINDOW)

        tries = (minimize(cost, [t, 0, 0], tol=1e-14).fun for t in np.arange(8) * math.pi / 4)
        worst = max(worst, abs(min(tries) - float(found[2 * pair, 2 * pair + 1])))
    return worst


def recordings() -> None:
    """Figures of the graph of five recorded clips."""
    clips = [read_clip(DATA / "bvh" / "games105" / f"{name}.bvh") for name in GAMES]
    for mirrored in (False, True):
        library = library_from_clips(clips, mirrored=mirrored)
        graph = build_graph(library)
        owners = library.owners[graph.core].unique().tolist()
        source = [hardest(library.clips[owner]) for owner in owners]
        walks = [hardest(shown(graph, random_route(graph, 60.0, seed))) for seed in range(5)]
        print(
            f"games105{' and mirror images' if mirrored else ''}: {len(library)} frames, "
            f"{len(graph.transitions.sources)} transitions, of which {len(graph.usable.sources)} "
            f"join a core of {int(graph.core.sum())} frames; hardest of five 60 s walks "
            f"{max(w.acceleration for w in walks):.0f} m/s2, {max(w.jerk for w in walks):.0f} "
            f"m/s3, of their clips {max(s.acceleration for s in source):.0f} and "
            f"{max(s.jerk for s in source):.0f}"
        )


def main() -> None:
    """Print the ratio and what is exact."""
    torch.set_num_threads(1)
    clip = walking()
    library = library_from_clips([clip])
    seconds, pairs = ours(library)
    print(f"muybridge: {pairs} pairs of {WINDOW} frames, {1e9 * seconds / pairs:.0f} ns a pair")
    print(f"squared distance off a search by at most {farthest_from_search(library):.1e} m2")
    if importlib.util.find_spec("fairmotion"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            slow, fewer = theirs(clip)
        ratio = slow / fewer / (seconds / pairs)
        print(
            f"fairmotion {version('fairmotion')}: {fewer} pairs of 3 frames, "
            f"{1e6 * slow / fewer:.0f} us a pair: {ratio:.0f} times ours"
        )
    else:
        print("fairmotion is not installed: pip install --no-deps fairmotion==0.0.4 tqdm")
    whole = best(lambda: build_graph(library), 3)
    print(f"a graph of {len(library)} frames in {whole:.2f} s")
    if (DATA / "bvh" / "games105").is_dir():
        recordings()


if __name__ == "__main__":
    main()
