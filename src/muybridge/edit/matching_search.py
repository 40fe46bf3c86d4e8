"""The nearest of many feature vectors, exactly, in three ways that agree to the last frame.

The distance is the sum of squares of the differences of the stored numbers (float32), summed in
float64; of equal distances the first frame wins.

"scan" bounds every frame from below by one product of matrix and vector, and compares in full only
the few frames whose bound does not rule them out. In the axes of the database's principal
components, with f = (a, b), a the K numbers that vary most and b the rest,

    |f - q|^2 / 2  >=  |f|^2 / 2 - a . a_q - |b| |b_q| + |q|^2 / 2,

so that K + 2 numbers a frame are read instead of F. Where all K = F count, this is the known
|f|^2 / 2 - f . q. Bounds are float32; their rounding is allowed for.

"tree" is scipy's k-d tree, "brute" the definition.

N frames that may be found, F features, K kept. Features have no unit, see `features`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.spatial import cKDTree
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["METHODS", "FeatureIndex", "Method"]

Method = Literal["scan", "tree", "brute"]
METHODS: tuple[Method, ...] = ("scan", "tree", "brute")
KEPT = 0.9  # of the variance, in the numbers that are read for every frame
FEW = 256  # frames compared in full before the others' bounds are looked at again


class _Scan(NamedTuple):
    """What a scan reads.

    Attributes:
        axes: Principal components, the strongest first.
        table: K numbers, length of the rest, half the squared length, of each frame.
        bounds: Room for the result.
        longest: Length of the longest feature vector.
    """

    axes: Float[np.ndarray, "f f"]
    table: Float32[np.ndarray, "g n"]
    bounds: Float32[np.ndarray, "n"]
    longest: float


@dataclass(frozen=True)
class FeatureIndex:
    """Feature vectors that are looked through again and again.

    Attributes:
        features: Of all frames.
        allowed: Frames that may be found.
    """

    features: Float[Tensor, "m f"]
    allowed: Bool[Tensor, "m"]

    def __post_init__(self) -> None:
        if not bool(self.allowed.any()):
            raise InputError(
                "expected frames to choose from, got none; give longer clips (0.4 s at least)"
            )

    @cached_property
    def frames(self) -> Int[np.ndarray, "n"]:
        """Numbers of the frames that may be found."""
        return np.nonzero(self.allowed.numpy())[0]

    @cached_property
    def rows(self) -> Float32[np.ndarray, "n f"]:
        """Their features."""
        return np.ascontiguousarray(self.features.numpy()[self.frames], dtype=np.float32)

    def nearest(self, query: Float[Tensor, "f"], method: Method = "scan") -> tuple[int, float]:
        """Number of the nearest frame, and its squared distance."""
        wanted = query.numpy().astype(np.float64)
        find = {"scan": self._by_scan, "tree": self._by_tree, "brute": self._exact}[method]
        row, squared = find(wanted)
        return int(self.frames[row]), squared

    def distance(self, query: Float[Tensor, "f"], frame: int) -> float:
        """Squared distance of one frame, whether it may be found or not."""
        stored = self.features[frame].numpy().astype(np.float32).astype(np.float64)
        return float(np.square(stored - query.numpy().astype(np.float64)).sum())

    def _exact(
        self, query: Float[np.ndarray, "f"], rows: Int[np.ndarray, "c"] | None = None
    ) -> tuple[int, float]:
        """The nearest of some rows in rising order, or of all: its number and squared distance."""
        apart = (self.rows if rows is None else self.rows[rows]) - query
        squared = np.square(apart).sum(axis=1)
        best = int(squared.argmin())
        return best if rows is None else int(rows[best]), float(squared[best])

    @cached_property
    def _scan(self) -> _Scan:
        rows = self.rows.astype(np.float64)
        variance, axes = np.linalg.eigh(np.cov(rows.T, bias=True).reshape(len(rows.T), -1))
        share = np.cumsum(variance[::-1]) / max(variance.sum(), 1e-30)
        kept = min(int(np.searchsorted(share, KEPT)) + 1, len(variance))
        axes = axes[:, ::-1]
        seen = rows @ axes
        rest = np.sqrt(np.square(seen[:, kept:]).sum(1))
        half = 0.5 * np.square(seen).sum(1)
        table = np.ascontiguousarray(
            np.column_stack((seen[:, :kept], rest, half)).T, dtype=np.float32
        )
        room = np.empty(len(rows), dtype=np.float32)
        return _Scan(axes, table, room, float(np.sqrt(2.0 * half.max())))

    def _by_scan(self, query: Float[np.ndarray, "f"]) -> tuple[int, float]:
        axes, table, bounds, longest = self._scan
        kept, seen = len(table) - 2, query @ axes
        short = np.concatenate((-seen[:kept], [-np.sqrt(np.square(seen[kept:]).sum()), 1.0]))
        np.dot(short.astype(np.float32), table, out=bounds)
        length = float(np.sqrt(query @ query))
        slack = 4.0 * len(table) * 6e-8 * longest * (longest + length)  # rounding of float32
        first = int(bounds.argmin())
        best = self._exact(query, np.array([first]))
        for few in (FEW, len(bounds)):
            limit = 0.5 * (best[1] - length**2) + slack
            near = np.nonzero(bounds <= limit)[0]
            if len(near) > few:
                near = near[np.argpartition(bounds[near], few)[:few]]
                near.sort()
            best = self._exact(query, near)
            if len(near) < few:
                break
        return best

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.rows.astype(np.float64))

    def _by_tree(self, query: Float[np.ndarray, "f"]) -> tuple[int, float]:
        distance = float(self._tree.query(query)[0])
        near = self._tree.query_ball_point(query, distance * (1.0 + 1e-9) + 1e-12)
        return self._exact(query, np.sort(np.array(near)))
