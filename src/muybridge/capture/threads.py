"""Threads of the numerics: one is the fastest where matrices are small.

Stages 4 to 7 work on many small matrices. A second thread saves nothing there, and on a busy
machine each of its thousands of hand-overs waits for a core: measured, 15 times the processor time.
Two pools matter: torch's own, and the OpenBLAS that scipy brings for its banded Cholesky.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from scipy.linalg import cython_blas

__all__ = ["one_thread"]

BLAS = "scipy_openblas_{}_num_threads"  # as scipy's wheels name it


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and scipy use one thread inside, and as many as before afterwards.

    Where scipy was built with another BLAS, or the platform does not show its symbols, scipy keeps
    its threads: that costs time only.
    """
    pools = [(torch.get_num_threads, torch.set_num_threads), *_blas()]
    before = [count() for count, _ in pools]
    for _, limit in pools:
        limit(1)
    try:
        yield
    finally:
        for (_, limit), number in zip(pools, before, strict=True):
            limit(number)


def _blas() -> list[tuple[Callable[[], int], Callable[[int], None]]]:
    """How to ask and how to set the threads of scipy's OpenBLAS; empty where that is not known."""
    try:
        library = ctypes.CDLL(cython_blas.__file__)  # its symbols include those it links to
        return [(library[BLAS.format("get")], library[BLAS.format("set")])]
    except (OSError, AttributeError):
        return []
