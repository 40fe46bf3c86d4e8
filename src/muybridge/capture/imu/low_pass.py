"""Second-order Butterworth low-pass filters that start without a transient and go block by block.

During the first `time_constant` seconds the output is the mean of what came so far; from then on it
is the filter, begun as if that mean had always been there. A block of m samples is one product with
a constant matrix: state and inputs in, outputs and state out.

References:
    Laidig & Seel, VQF, Information Fusion 91, 2023, section 3.2 (the start; the cut-off frequency
    sqrt(2) / (2 pi tau) that a time constant tau stands for).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

__all__ = ["LowPass", "low_passed"]

Array = NDArray[np.float64]


def _coefficients(time_constant: float, rate: float) -> tuple[Array, Array]:
    """Numerator and denominator; the cut-off stays below half the rate."""
    cutoff = math.sqrt(2.0) / (2.0 * math.pi * time_constant)
    b, a = butter(2, min(cutoff / (0.5 * rate), 0.99))
    return b, a


class LowPass:
    """A filter over channels (c, m, s) whose blocks follow one another along the middle axis."""

    def __init__(self, time_constant: float, rate: float) -> None:
        self._b, self._a = _coefficients(time_constant, rate)
        self._warm = time_constant * rate  # samples that the mean is taken of
        self._count = 0
        self._sum: Array | None = None
        self._state: Array | None = None  # (c, 2, s)
        self._matrices: dict[int, Array] = {}

    def __call__(self, block: Array) -> Array:
        """The filtered block, of the same shape."""
        if self._count >= self._warm:
            return self._run(block)
        ahead = max(0, math.ceil(self._warm) - self._count)
        first = self._mean(block[:, :ahead])
        if block.shape[1] <= ahead:
            return first
        return np.concatenate((first, self._run(block[:, ahead:])), axis=1)

    def _mean(self, block: Array) -> Array:
        """Running mean, and the state that holds its last value."""
        before = np.zeros_like(block[:, :1]) if self._sum is None else self._sum
        sums = before + block.cumsum(axis=1)
        counts = self._count + np.arange(1, block.shape[1] + 1)
        self._count += block.shape[1]
        self._sum = sums[:, -1:]
        means = sums / counts[:, None]
        last = means[:, -1]
        rest = np.array([1.0 - self._b[0], self._b[2] - self._a[2]])
        self._state = last[:, None] * rest[:, None]
        return means

    def _run(self, block: Array) -> Array:
        """Filter in direct form II transposed, as one matrix."""
        count = block.shape[1]
        if count not in self._matrices:
            self._matrices[count] = self._matrix(count)
        assert self._state is not None, "the mean comes first"
        both = self._matrices[count] @ np.concatenate((self._state, block), axis=1)
        self._state = both[:, count:]
        return both[:, :count]

    def _matrix(self, count: int) -> Array:
        """(m + 2, 2 + m): outputs and next state from state and inputs."""
        columns = []
        for unit in np.eye(2 + count):
            output, state = lfilter(self._b, self._a, unit[2:], zi=unit[:2])
            columns.append(np.concatenate((output, state)))
        return np.stack(columns, axis=1)


def low_passed(values: Array, time_constant: float, rate: float) -> Array:
    """The same filter over a whole recording (t, ...) at once."""
    warm = min(len(values), max(1, math.ceil(time_constant * rate)))
    counts = np.arange(1, warm + 1).reshape(-1, *(1,) * (values.ndim - 1))
    first = values[:warm].cumsum(axis=0) / counts
    b, a = _coefficients(time_constant, rate)
    rest = np.array([1.0 - b[0], b[2] - a[2]]).reshape(2, *(1,) * (values.ndim - 1))
    if warm == len(values):
        return first
    then, _ = lfilter(b, a, values[warm:], axis=0, zi=rest * first[-1])
    return np.concatenate((first, then))
