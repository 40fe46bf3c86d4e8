"""How the benches take times: CPU seconds, which other programs disturb least."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["best"]


def best(work: Callable[[], object], repeats: int = 5) -> float:
    """Least CPU seconds of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)
