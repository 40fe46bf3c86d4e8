"""Robust triangulation: speed and accuracy beside aniposelib, same seeded data, same process.

The set: the demo trial's rig (Qualisys calibration), 4 cameras x 10,000 frames x 26 points, 2 px
noise per axis, 10 % outliers of 80 px sigma per axis, 10 % missing. Points are uniform in a box of
2 x 1.8 x 2 m around the trial's person. All of it is seeded.

aniposelib's RANSAC is far too slow for the whole set: it runs on a slice, and its speed is that
slice's. It is left out, and said so, where aniposelib is not installed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import time
from collections.abc import Callable

import numpy as np
import torch

from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import rotvec_from_matrix
from muybridge.geometry.triangulation import triangulate
from tests.demo import demo_cameras
from tests.rigs import noisy, spoilt

POINTS = 10_000 * 26
SLICE = 150  # points for aniposelib's RANSAC
ASKED = "asked: >= 30,000 points/s, mean <= 8 mm, p95 <= 11 mm, valid >= 98 %"


def dirty_set() -> tuple[Cameras, torch.Tensor, torch.Tensor]:
    """Cameras, true points (metres) and detections (pixels, NaN where missing)."""
    cameras = demo_cameras()
    generator = torch.Generator().manual_seed(0)
    box = torch.rand(POINTS, 3, generator=generator, dtype=torch.float64)
    low = torch.tensor([-1.0, 0.0, -2.0], dtype=torch.float64)
    points = low + box * torch.tensor([2.0, 1.8, 2.0], dtype=torch.float64)
    seen = noisy(cameras.project(points), 2.0, generator)
    return cameras, points, spoilt(seen, generator, 0.10, 80.0, 0.10)[0]


def report(name: str, found: np.ndarray, truth: np.ndarray, seconds: tuple[float, float]) -> float:
    """Print a line, wall and CPU speed; returns points a second of wall time."""
    error = 1000.0 * np.linalg.norm(found - truth, axis=-1)
    known = error[np.isfinite(error)]
    rate, cpu = (len(truth) / s for s in seconds)
    valid = len(known) / len(truth)
    median, mean, high = np.median(known), known.mean(), np.quantile(known, 0.95)
    print(
        f"{name:44s} {rate:9,.0f} points/s ({cpu:9,.0f} per cpu-s)  valid {valid:7.2%}  "
        f"median {median:5.2f}  mean {mean:6.2f}  p95 {high:6.2f} mm"
    )
    return rate


def timed(work: Callable[[], np.ndarray]) -> tuple[np.ndarray, tuple[float, float]]:
    """Result, wall seconds and CPU seconds of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return result, (time.perf_counter() - wall, time.process_time() - cpu)


def aniposelib_group(cameras: Cameras):
    """The same rig for aniposelib."""
    from aniposelib.cameras import Camera, CameraGroup

    rotvec = rotvec_from_matrix(cameras.rotation)
    return CameraGroup(
        [
            Camera(
                matrix=cameras.matrix[c].numpy(),
                dist=cameras.distortion[c].numpy(),
                size=cameras.size_px[c].tolist(),
                rvec=rotvec[c].numpy(),
                tvec=cameras.translation[c].numpy(),
                name=name,
            )
            for c, name in enumerate(cameras.names)
        ]
    )


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)  # one thread is the fastest on a busy machine, see LOG.md
    print(f"one thread; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    cameras, points, seen = dirty_set()
    truth = points.numpy()
    triangulate(seen[:, :1000], cameras)
    ours, seconds_ours = timed(lambda: triangulate(seen, cameras).points_world.numpy())
    rate = report("muybridge triangulate", ours, truth, seconds_ours)
    print(f"{'':44s} {ASKED}")
    if importlib.util.find_spec("aniposelib") is None:
        print("aniposelib is not installed: pip install aniposelib==0.8.0 to compare")
        return
    version = importlib.metadata.version("aniposelib")
    group, pixels = aniposelib_group(cameras), seen.numpy()
    group.triangulate(pixels[:, :2000], progress=False)  # compiles
    linear, seconds = timed(lambda: np.asarray(group.triangulate(pixels, progress=False)))
    report(f"aniposelib {version} triangulate", linear, truth, seconds)
    part = pixels[:, :SLICE]
    robust, seconds = timed(
        lambda: np.asarray(group.triangulate_ransac(part, progress=False)[0]).reshape(-1, 3)
    )
    theirs = report(f"aniposelib {version} triangulate_ransac *", robust, truth[:SLICE], seconds)
    share = (seconds_ours[0] * SLICE / POINTS, seconds_ours[1] * SLICE / POINTS)
    report("muybridge, the same slice", ours[:SLICE], truth[:SLICE], share)
    print(f"* first {SLICE} points only; all {POINTS:,} would take {POINTS / theirs / 3600:.1f} h")
    print(f"muybridge / aniposelib RANSAC: {rate / theirs:,.0f} times as fast")


if __name__ == "__main__":
    main()
