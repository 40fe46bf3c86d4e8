"""BVH files: megabytes a second against pybvh and PyMotion, in one process, and what is exact.

Two files, each a recorded clip repeated to about 10 MB: "fixed" has six decimals everywhere, as
most programs write, "mixed" also has whole numbers and other lengths. CPU time, best of five.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from muybridge.files.bvh import read_bvh, write_bvh, write_bvh_file
from tests.motions import DATA

CLIPS = {"fixed": "games105/motion.bvh", "mixed": "pybvh/cmu_12_01_walk.bvh"}
MEGABYTES = 10


def best(work: Callable[[], object], repeats: int = 5) -> float:
    """Least CPU seconds of some runs."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def repeated(source: Path, target: Path) -> np.ndarray:
    """Write the clip again and again as one long file; its numbers by float()."""
    head, line, body = source.read_text().replace("\r", "").rpartition("Frame Time")
    line, rows = line + body.partition("\n")[0], body.partition("\n")[2].strip("\n") + "\n"
    times = max(1, round(MEGABYTES * 1e6 / len(rows)))
    count = rows.count("\n")
    head = head.replace(f"Frames: {count}", f"Frames: {count * times}")
    target.write_text(f"{head}{line}\n{rows * times}")
    numbers = np.array([[float(word) for word in row.split()] for row in rows.splitlines()])
    return np.tile(numbers, (times, 1))


def peers(path: Path, out: Path) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Reader and writer of each installed peer."""
    found: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {}
    if importlib.util.find_spec("pybvh"):
        import pybvh

        theirs = pybvh.read_bvh_file(path)
        found[f"pybvh {version('pybvh')}"] = (
            lambda: pybvh.read_bvh_file(path),
            lambda: pybvh.write_bvh_file(theirs, out),
        )
    else:
        print("pybvh is not installed: pip install pybvh==0.9.0")
    if importlib.util.find_spec("pymotion"):
        from pymotion.io.bvh import BVH

        loaded = BVH()
        loaded.load(str(path))
        found[f"upc-pymotion {version('upc-pymotion')}"] = (
            lambda: BVH().load(str(path)),
            lambda: loaded.save(str(out)),
        )
    else:
        print("upc-pymotion is not installed: pip install upc-pymotion==0.3.4")
    return found


def compare(kind: str, folder: Path) -> None:
    """Print one file's table."""
    path, out = folder / f"{kind}.bvh", folder / "out.bvh"
    exact = repeated(DATA / "bvh" / CLIPS[kind], path)
    size = path.stat().st_size / 1e6
    file = read_bvh(path)
    clip = file.clip
    rows = {
        "muybridge": (lambda: read_bvh(path), lambda: write_bvh_file(out, file)),
        "muybridge, to and from a clip": (
            lambda: read_bvh(path).clip,
            lambda: write_bvh(out, clip),
        ),
        **peers(path, out),
    }
    frames, channels = file.values.shape
    print(f"\n{kind}: {size:.1f} MB, {frames} frames x {channels} channels")
    print(f"{'':32}{'read MB/s':>10}{'ours/theirs':>12}{'write MB/s':>11}{'ours/theirs':>12}")
    first: tuple[float, float] | None = None
    for name, (read, write) in rows.items():
        seconds = best(read), best(write)
        written = out.stat().st_size / 1e6
        rates = size / seconds[0], written / seconds[1]
        first = first or rates
        ratios = [f"{ours / theirs:.2f}" for ours, theirs in zip(first, rates, strict=True)]
        print(f"{name:32}{rates[0]:10.0f}{ratios[0]:>12}{rates[1]:11.0f}{ratios[1]:>12}")
    write_bvh_file(out, file)
    again = read_bvh(out)
    print(
        f"numbers equal float(): {np.array_equal(file.values, exact)}; after writing and reading "
        f"they differ by at most {np.abs(again.values - file.values).max():.1e}"
    )


def main() -> None:
    """Print both tables."""
    if not (DATA / "bvh").is_dir():
        print("the BVH files of ../shared/data are absent")
        return
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in CLIPS:
            compare(kind, Path(folder))


if __name__ == "__main__":
    main()
