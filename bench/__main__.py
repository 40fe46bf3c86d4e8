"""Run every benchmark: `python -m bench`, or some: `python -m bench triangulation sync`."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from pathlib import Path


def main(names: list[str]) -> None:
    """Run the benchmarks of these names, all when none is given."""
    found = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    for name in names or [n for n in found if not n.startswith("_")]:
        started = time.perf_counter()
        print(f"\n== {name} ==", flush=True)
        importlib.import_module(f"bench.{name}").main()
        print(f"({time.perf_counter() - started:.1f} s)", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
