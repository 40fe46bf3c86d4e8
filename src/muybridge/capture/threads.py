"""Threads of torch: one is the fastest where tensors are small.

Stages 4 to 7 work on many small matrices. A second thread saves nothing there, and on a busy
machine each of its thousands of hand-overs waits for a core.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
