"""Gap filling against splines and principal components: one gap at a time, truth known.

Protocol: markers are the joints of recorded clips (end sites and coincident joints left out, body
scaled to 1.75 m) and the markers of recorded C3D files; in each, 60 gaps of one marker, at random
where it is seen (seed 0), are cut out and filled. Root mean square error in millimetres.

Peers in the same process: numpy's straight line, scipy's cubic spline through ten frames either
side, scikit-learn's PCA (99 % of the variance, positions relative to the mean marker) with the
offsets at both ends blended linearly. `python -m bench.gaps 20` takes 20 gaps each.
"""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from sklearn.decomposition import PCA

from muybridge.files.bvh import read_bvh
from muybridge.files.c3d import read_c3d
from muybridge.motion.gaps import FillOptions, Gap, fill_gaps
from muybridge.motion.kinematics import forward_clip
from tests.motions import DATA

CLIPS = {
    "CMU walk": "pybvh/cmu_12_01_walk.bvh",
    "games105 motion": "games105/motion.bvh",
    "PyMO 8-walk": "pymo/AV_8Walk_Meredith_HVHA_Rep1.bvh",
}
SECONDS = (0.1, 0.25, 0.5, 1.0)
Fill = Callable[[np.ndarray, Gap, float], np.ndarray]


def joints(name: str) -> tuple[np.ndarray, float]:
    """Joint positions of a clip of 1.75 m, each place once."""
    clip = read_bvh(DATA / "bvh" / name, "cm").clip
    points = forward_clip(clip).positions.numpy()
    height = np.ptp(points[0, :, 1])
    kept: list[int] = []
    for joint in range(points.shape[1]):
        apart = np.abs(points[:, kept] - points[:, [joint]]).max((0, 2), initial=0.0)
        if not clip.skeleton.end_sites[joint] and (apart > 1e-3 * height).all():
            kept.append(joint)
    return points[:, kept] * 1.75 / height, clip.fps


def cut(points: np.ndarray, fps: float, seconds: float, count: int, seed: int = 0) -> list[Gap]:
    """Random places where a marker is seen throughout and five frames beyond."""
    rng, gaps = np.random.default_rng(seed), []
    seen, length = np.isfinite(points).all(-1), max(1, round(seconds * fps))
    for _ in range(20_000):
        marker, start = rng.integers(seen.shape[1]), rng.integers(5, len(seen) - length - 5)
        if seen[start - 5 : start + length + 5, marker].all():
            gaps.append(Gap(int(marker), int(start), int(start) + length))
        if len(gaps) == count:
            break
    return gaps


def linear(points: np.ndarray, gap: Gap, fps: float) -> np.ndarray:
    """A straight line."""
    frames, ends = np.arange(gap.start, gap.stop), [gap.start - 1, gap.stop]
    track = points[:, gap.marker]
    return np.stack([np.interp(frames, ends, track[ends, k]) for k in range(3)], axis=1)


def cubic(points: np.ndarray, gap: Gap, fps: float) -> np.ndarray:
    """scipy's not-a-knot spline through what is seen of ten frames either side."""
    track = points[:, gap.marker]
    near = np.r_[max(0, gap.start - 10) : gap.start, gap.stop : min(len(points), gap.stop + 10)]
    near = near[np.isfinite(track[near]).all(1)]
    return np.asarray(CubicSpline(near, track[near])(np.arange(gap.start, gap.stop)))


def components(points: np.ndarray, gap: Gap, fps: float) -> np.ndarray:
    """scikit-learn's PCA of what is always seen, and a linear blend of the offsets at both ends."""
    donors = [m for m in np.flatnonzero(np.isfinite(points).all((0, 2))) if m != gap.marker]
    if len(donors) < 3:
        return np.full((len(gap), 3), np.nan)
    centre = points[:, donors].mean(1)
    rows = (points[:, donors] - centre[:, None]).reshape(len(points), -1)
    own = points[:, gap.marker] - centre
    known = np.isfinite(own).all(1)
    pca = PCA(0.99, svd_solver="full").fit(np.c_[rows, own][known])
    base, mean = pca.components_, pca.mean_
    scores = np.linalg.lstsq(base[:, :-3].T, (rows - mean[:-3]).T, rcond=None)[0].T
    guess = scores @ base[:, -3:] + mean[-3:]
    blend = linear((own - guess)[:, None], Gap(0, gap.start, gap.stop), fps)
    inside = slice(gap.start, gap.stop)
    return np.asarray(guess[inside] + blend + centre[inside])


def rmse(points: np.ndarray, gaps: list[Gap], fps: float, fill: Fill) -> float:
    """Over all gaps, each cut out and filled on its own, millimetres."""
    squares = []
    for gap in gaps:
        holed = points.copy()
        holed[gap.start : gap.stop, gap.marker] = np.nan
        error = fill(holed, gap, fps) - points[gap.start : gap.stop, gap.marker]
        squares.append(np.square(error).sum(-1))
    errors = np.concatenate(squares)
    return 1e3 * float(np.sqrt(np.nanmean(errors))) if np.isfinite(errors).any() else np.nan


class Ours:
    """`fill_gaps`, which also says what it used and what error it expects."""

    def __init__(self) -> None:
        self.used: Counter[str] = Counter()
        self.expected: list[float] = []

    def __call__(self, points: np.ndarray, gap: Gap, fps: float) -> np.ndarray:
        """Fill this gap alone; markers with gaps of their own near it are of no use to it."""
        filled = fill_gaps(torch.from_numpy(points), fps, FillOptions(most_std=1e9), [gap])
        (filling,) = filled.fillings
        self.used[str(filling.method)] += 1
        self.expected.append(filling.std)
        return filled.points[gap.start : gap.stop, gap.marker].numpy()


def table(name: str, points: np.ndarray, fps: float, count: int) -> None:
    """One recording: a line for each length."""
    frames, markers = points.shape[:2]
    print(f"{name}: {frames} frames x {markers} markers, {fps:.1f} fps")
    for seconds in SECONDS:
        gaps, ours, started = cut(points, fps, seconds, count), Ours(), time.perf_counter()
        peers = {f.__name__: rmse(points, gaps, fps, f) for f in (linear, cubic, components)}
        mine = rmse(points, gaps, fps, ours)
        expected = 1e3 * float(np.sqrt(np.nanmean(np.square(ours.expected))))
        words = "  ".join(f"{k} {v:6.1f}" for k, v in peers.items())
        best = min(value for value in peers.values() if value == value)
        print(
            f"  {seconds:4.2f} s  {words}  ours {mine:5.2f} mm (expected {expected:5.2f})  "
            f"{best / mine:4.1f}x better than the best peer  {dict(ours.used)}  "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )


def main() -> None:
    """Print the tables."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 60
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("scipy", "scikit-learn"))
    print(f"gap filling: {count} gaps of one marker each, RMSE in mm; {versions}")
    if not DATA.is_dir():
        print("  ../shared/data is absent: nothing to measure")
        return
    for name, path in CLIPS.items():
        table(name, *joints(path), count)
    for file in sorted((DATA / "c3d").glob("*.c3d")):
        markers = read_c3d(file)
        seen = markers.seen.numpy().any(0)
        table(file.stem, markers.points_world.numpy()[:, seen], markers.fps, count)


if __name__ == "__main__":
    main()
