"""Motion matching: time of one query, exactly, against scipy's k-d tree, faiss and the definition.

Features of 50,000 frames of walks by formula; 500,000 frames are ten of these with noise added.
And noise that remembers 95 % of itself from frame to frame in all 27 numbers, the worst that a tree
can meet. Queries take the pose of one frame and the wishes of another. Seconds of this thread,
median of the queries. Below, how near recorded clips follow two paths, beside the body's own way
without the pull.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from importlib.metadata import version

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from muybridge.edit.features import features, scale_of, searchable, simulation_bone
from muybridge.edit.floor_path import FloorPath
from muybridge.edit.library import library_from_clips
from muybridge.edit.matching import MatchOptions, database, match_path
from muybridge.edit.matching_search import METHODS, FeatureIndex
from muybridge.edit.procedural import Gait, procedural_walk
from muybridge.files.convert import read_clip
from tests.motions import DATA

GAMES = ("idle", "run_forward", "walk60", "walk_and_turn_left", "walk_forward")
QUERIES = 60
SLOW_FROM = 100_000  # frames, from which on only few queries are made of the slow ways


def walks(frames: int, rng: np.random.Generator) -> torch.Tensor:
    """Features of walks whose speed and turning change by chance."""

    def changing(low: float, high: float, width: float) -> torch.Tensor:
        noise = gaussian_filter1d(rng.normal(size=5000), width)
        middle, half = (low + high) / 2.0, (high - low) / 2.0
        return torch.from_numpy(np.clip(middle + half * noise / noise.std(), low, high))

    clips = [
        procedural_walk(
            changing(0.0, 1.4, 90.0),
            changing(-1.2, 1.2, 60.0),
            gait=Gait(phase=float(rng.random()), stride=0.9 + 0.4 * float(rng.random())),
        )
        for _ in range(frames // 5000)
    ]
    library = library_from_clips(clips)
    raw = features(library, simulation_bone(library))[searchable(library)]
    return scale_of(raw).apply(raw)


def noise(frames: int, rng: np.random.Generator) -> torch.Tensor:
    """Each number by itself, alike from frame to frame only."""
    fresh = rng.normal(size=(frames, 27)) * math.sqrt(1.0 - 0.95**2)
    return torch.from_numpy(lfilter([1.0], [1.0, -0.95], fresh, axis=0))


def timed(ask: Callable[[torch.Tensor], object], queries: list[torch.Tensor]) -> tuple[float, list]:
    """Median milliseconds of this thread, and the answers."""
    ask(queries[0])
    seconds, answers = [], []
    for query in queries:
        start = time.thread_time()
        answers.append(ask(query))
        seconds.append(time.thread_time() - start)
    return 1e3 * float(np.median(seconds)), answers


def compare(name: str, table: torch.Tensor, rng: np.random.Generator) -> None:
    """Print the times of all ways, and whether they agree."""
    index = FeatureIndex(table, torch.ones(len(table), dtype=torch.bool))
    pairs = rng.integers(0, len(table), (QUERIES, 2)).tolist()
    queries = [torch.cat((table[a, :15], table[b, 15:])) for a, b in pairs]
    print(f"\n{name}, {len(table)} frames x {table.shape[1]}")
    expected: list | None = None
    first = 0.0
    for method in ("scan", *(m for m in METHODS if m != "scan")):
        few = method != "scan" and len(table) > SLOW_FROM
        asked = queries[:10] if few else queries
        spent, found = timed(lambda query, m=method: index.nearest(query, m)[0], asked)
        expected, first = expected or found, first or spent
        agree = found == expected[: len(found)]
        label = f"scipy {version('scipy')} k-d tree" if method == "tree" else method
        print(f"{label:24}{spent:9.3f} ms{spent / first:9.1f} x   same frames: {agree}")
    if importlib.util.find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(1)
        flat = faiss.IndexFlatL2(table.shape[1])
        flat.add(index.rows)

        def ask(query: torch.Tensor) -> int:
            return int(flat.search(query.numpy()[None].astype(np.float32), 1)[1][0, 0])

        spent, found = timed(ask, queries)
        label = f"faiss {version('faiss-cpu')} flat"
        print(f"{label:24}{spent:9.3f} ms{spent / first:9.1f} x   same frames: {found == expected}")
    else:
        print("faiss is not installed: pip install faiss-cpu==1.15.1")


def follow() -> None:
    """How near a path recorded clips stay."""
    clips = [read_clip(DATA / "bvh" / "games105" / f"{name}.bvh") for name in GAMES]
    base = database(library_from_clips(clips, mirrored=True))
    angles = torch.linspace(0.0, 2.0 * math.pi, 400, dtype=torch.float64)
    corners = [[0.0, 0.0], [5.0, 0.0], [5.0, 5.0], [0.0, 5.0], [0.0, 0.0]]
    paths = {
        "eight": torch.stack((3.0 * (2.0 * angles).sin(), 4.0 * angles.sin()), dim=-1),
        "square": torch.tensor(corners, dtype=torch.float64),
    }
    print(f"\ngames105 and mirror images, {len(base.library)} frames, 1.15 m/s")
    for name, points in paths.items():
        path = FloorPath(points).timed(1.15)
        for label, options in (("", MatchOptions()), (", no pull", MatchOptions(pull=None))):
            started = time.thread_time()
            found = match_path(base, path, options)
            spent = time.thread_time() - started
            print(
                f"{name + label:18} off by {found.error.mean():.3f} m mean, "
                f"{found.error.max():.3f} m at most; {found.jumps / found.clip.duration:.1f} jumps "
                f"a second; {found.clip.duration:.0f} s made in {spent:.2f} s"
            )


def main() -> None:
    """Print all tables."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    some = walks(50_000, rng)
    compare("walks by formula", some, rng)
    compare(
        "walks with noise", torch.cat([some + 0.1 * noise(len(some), rng) for _ in range(10)]), rng
    )
    compare("noise", noise(50_000, rng), rng)
    compare("noise", noise(500_000, rng), rng)
    if (DATA / "bvh" / "games105").is_dir():
        follow()


if __name__ == "__main__":
    main()
