"""BVH files: megabytes a second against pybvh and PyMotion, in one process, and what is exact.

Two files, each a recorded clip repeated to about 10 MB: "fixed" has six decimals everywhere, as
most programs write, "mixed" also has whole numbers and other lengths. CPU time, best of some runs
that take turns, so that a busy machine is busy for all. Then the memory of 150,000 frames of 64
joints, in a process of its own.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from bench._clock import best
from muybridge.files.bvh import read_bvh, write_bvh, write_bvh_file
from tests import bvh_memory
from tests.motions import DATA

CLIPS = {"fixed": "games105/motion.bvh", "mixed": "pybvh/cmu_12_01_walk.bvh"}
MEGABYTES = 10
READS = 15  # with 7 the ratio of a busy machine still changes by a tenth
LONG = 150_000


def best_in_turns(works: Mapping[str, Callable[[], object]], repeats: int = 7) -> dict[str, float]:
    """Least CPU seconds of each, one run of all after the other."""
    seconds = dict.fromkeys(works, float("inf"))
    for _ in range(repeats):
        for name, work in works.items():
            seconds[name] = min(seconds[name], best(work, 1))
    return seconds


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
    reading = best_in_turns({name: read for name, (read, _) in rows.items()}, READS)
    writing = best_in_turns({name: write for name, (_, write) in rows.items()})
    for name, (_, write) in rows.items():
        write()
        written = out.stat().st_size / 1e6
        ratios = [times[name] / times["muybridge"] for times in (reading, writing)]
        print(
            f"{name:32}{size / reading[name]:10.0f}{ratios[0]:12.2f}"
            f"{written / writing[name]:11.0f}{ratios[1]:12.2f}"
        )
    write_bvh_file(out, file)
    again = read_bvh(out)
    print(
        f"numbers equal float(): {np.array_equal(file.values, exact)}; after writing and reading "
        f"they differ by at most {np.abs(again.values - file.values).max():.1e}"
    )


def memory(path: Path) -> None:
    """Print what reading 150,000 frames of 64 joints adds to a process."""
    file = read_bvh(DATA / "bvh" / CLIPS["fixed"])
    turns = len(file.skeleton) - sum(file.skeleton.end_sites)
    values = np.tile(file.values, (-(-LONG // len(file.values)), 1))[:LONG]
    write_bvh_file(path, replace(file, values=values))
    del values
    done = subprocess.run(
        [sys.executable, bvh_memory.__file__, str(path)], capture_output=True, text=True, check=True
    )
    size = path.stat().st_size / 1e6
    read, clip, whole = (int(word) * 1024 / 1e6 for word in done.stdout.split())
    print(
        f"\n{LONG} frames x {turns} joints, {size:.0f} MB: reading adds {read:.0f} MB at its peak "
        f"({read / size:.2f} x the file), with its clip {clip:.0f} MB ({clip / size:.2f} x); the "
        f"whole process, Python and torch included, {whole:.0f} MB ({whole / size:.2f} x)"
    )


def main() -> None:
    """Print both tables and the memory."""
    if not (DATA / "bvh").is_dir():
        print("the BVH files of ../shared/data are absent")
        return
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in CLIPS:
            compare(kind, Path(folder))
        memory(Path(folder) / "long.bvh")


if __name__ == "__main__":
    main()
