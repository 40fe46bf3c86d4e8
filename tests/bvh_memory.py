"""Run as `python tests/bvh_memory.py FILE`: kilobytes that reading a BVH file takes at its peak.

Prints what reading adds, what reading and making the clip add, and what the whole process peaks at.
"""

import sys
from pathlib import Path

from muybridge.files.bvh import read_bvh

__all__ = ["main"]


def kilobytes(word: str) -> int:
    """What the system says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(word)).split()[1])


def main() -> None:
    """Read the file and print."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here
    before = kilobytes("VmRSS")
    file = read_bvh(Path(sys.argv[1]))
    read = kilobytes("VmHWM") - before
    assert len(file.clip)
    print(read, kilobytes("VmHWM") - before, kilobytes("VmHWM"))


if __name__ == "__main__":
    main()
