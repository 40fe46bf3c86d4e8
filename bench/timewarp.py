"""Dynamic time warping against dtaidistance (C) in one process: distance, path and time.

Random walks (seed 0) of one and of many features. CPU time, best of five. "distance" fills the
table only, as theirs does; "path" also follows it back.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version

import numpy as np
import torch

from bench._clock import best
from muybridge.edit.timewarp import accumulated, dtw, squared_costs

SIZES = ((300, 400, 1), (2000, 2000, 1), (300, 400, 60), (1000, 1200, 60), (1000, 1200, 150))


def main() -> None:
    """Print the table."""
    if importlib.util.find_spec("dtaidistance") is None:
        print("dtaidistance is not installed: pip install dtaidistance==2.5.1")
        return
    from dtaidistance import dtw as one
    from dtaidistance import dtw_ndim as many

    torch.set_num_threads(1)
    print(f"dtaidistance {version('dtaidistance')}, torch {torch.__version__}; ms, CPU time")
    print(f"{'n x m x features':>20}{'distance':>10}{'theirs':>8}{'ratio':>7}"
          f"{'path':>10}{'theirs':>8}{'ratio':>7}{'difference':>12}{'same path':>11}")  # fmt: skip
    for n, m, k in SIZES:
        rng = np.random.default_rng(0)
        a, b = (rng.normal(size=(c, k)).cumsum(0) for c in (n, m))
        x, y = torch.from_numpy(a), torch.from_numpy(b)
        module, pair = (many, (a, b)) if k > 1 else (one, (a[:, 0].copy(), b[:, 0].copy()))
        ours = dtw(x, y)
        apart = abs(ours.distance - module.distance_fast(*pair)) / max(ours.distance, 1e-12)
        path = list(zip(ours.first.tolist(), ours.second.tolist(), strict=True))
        follow = module.warping_path_fast if k == 1 else module.warping_path
        fast = {} if k == 1 else {"use_c": True}
        same = path == follow(*pair, **fast)
        seconds = (
            best(lambda x=x, y=y: accumulated(squared_costs(x, y).numpy())),
            best(lambda module=module, pair=pair: module.distance_fast(*pair)),
            best(lambda x=x, y=y: dtw(x, y)),
            best(lambda follow=follow, pair=pair, fast=fast: follow(*pair, **fast)),
        )
        own, theirs, own_path, their_path = (1e3 * s for s in seconds)
        print(
            f"{f'{n} x {m} x {k}':>20}{own:10.2f}{theirs:8.2f}{theirs / own:7.2f}"
            f"{own_path:10.2f}{their_path:8.2f}{their_path / own_path:7.2f}"
            f"{apart:12.1e}{same!s:>11}"
        )


if __name__ == "__main__":
    main()
