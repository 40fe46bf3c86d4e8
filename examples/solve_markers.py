"""Fit a skeleton with constant bones to triangulated joints (a TRC file), and write BVH."""

import sys
from pathlib import Path

from muybridge.capture.solve import solve_take
from muybridge.files.bvh import write_bvh
from muybridge.files.trc import read_trc

source, target = Path(sys.argv[1]), Path(sys.argv[2])
solution = solve_take(read_trc(source))
for finding in solution.findings:
    print(finding.sentence)
std = solution.clip.position_std
assert std is not None
print(f"typical uncertainty of a joint: {1000 * float(std.nanmedian()):.0f} mm")
write_bvh(target, solution.clip)
