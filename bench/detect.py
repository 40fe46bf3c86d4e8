"""2-D detection on the demo's videos: distance from its OpenPose joints, and frames a second."""

from __future__ import annotations

import resource
import time
from importlib.metadata import version
from importlib.util import find_spec

from muybridge.capture.detect import DetectOptions, detect_videos
from muybridge.pose.runtime import Backend
from tests.demo import demo_trial, distances_px


def _cpu_s() -> float:
    """Processor time of this process and of its finished children, which load does not change."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def main() -> None:
    """Print a row per back end."""
    videos = sorted((demo_trial() / "videos").glob("*.mp4"))
    print(
        f"4 videos of 1080 x 1920, 2 processes; reference: OpenPose, pose2sim {version('pose2sim')}"
    )
    print("asked: median <= 13, mean <= 15, every camera's mean <= 18 px")
    print("processor time includes starting the two processes")
    head = f"{'back end':22} {'median':>7} {'mean':>6}  {'mean of each camera':24}"
    print(f"{head} {'frames/s':>8} {'CPU ms/frame':>12}")
    backends: tuple[Backend, ...] = ("torch", "onnx") if find_spec("onnxruntime") else ("torch",)
    costs = []
    for backend in backends:
        started, busy = time.perf_counter(), _cpu_s()
        found = detect_videos(videos, options=DetectOptions(backend=backend))
        seconds = time.perf_counter() - started
        cpu_ms = 1e3 * (_cpu_s() - busy) / (4 * found.frame_count)
        apart = distances_px(found)
        cameras = " ".join(f"{mean:5.1f}" for mean in apart.nanmean(dim=(1, 2)).tolist())
        package = "torch" if backend == "torch" else "onnxruntime"
        name = f"{package} {version(package)}"
        costs.append(cpu_ms)
        print(
            f"{name:22} {float(apart.nanmedian()):7.2f} {float(apart.nanmean()):6.2f}  "
            f"{cameras:24} {4 * found.frame_count / seconds:8.1f} {cpu_ms:12.0f}",
            flush=True,
        )
    if len(costs) == 2:
        print(f"PyTorch / ONNX Runtime: {costs[0] / costs[1]:.2f} times the processor time")


if __name__ == "__main__":
    main()
