"""2-D detection on the demo's videos: distance from its OpenPose joints, and frames a second."""

from __future__ import annotations

import time
from importlib.metadata import version
from importlib.util import find_spec

from tests.capture.demo_trial import distances_px, trial_folder

from muybridge.capture.detect import DetectOptions, detect_videos
from muybridge.pose.runtime import Backend


def main() -> None:
    """Print a row per back end."""
    trial = trial_folder()
    if trial is None:
        print("the demo trial is missing: pip install --no-deps pose2sim==0.6.1")
        return
    videos = sorted((trial / "videos").glob("*.mp4"))
    print(
        f"4 videos of 1080 x 1920, 2 processes; reference: OpenPose, pose2sim {version('pose2sim')}"
    )
    print("asked: median <= 13, mean <= 15, every camera's mean <= 18 px")
    print(f"{'back end':22} {'median':>7} {'mean':>6}  {'mean of each camera':24} {'frames/s':>8}")
    backends: tuple[Backend, ...] = ("torch", "onnx") if find_spec("onnxruntime") else ("torch",)
    speeds = []
    for backend in backends:
        started = time.perf_counter()
        found = detect_videos(videos, options=DetectOptions(backend=backend))
        seconds = time.perf_counter() - started
        apart = distances_px(found, trial)
        cameras = " ".join(f"{mean:5.1f}" for mean in apart.nanmean(dim=(1, 2)).tolist())
        package = "torch" if backend == "torch" else "onnxruntime"
        name = f"{package} {version(package)}"
        speeds.append(4 * found.frame_count / seconds)
        print(
            f"{name:22} {float(apart.nanmedian()):7.2f} {float(apart.nanmean()):6.2f}  "
            f"{cameras:24} {speeds[-1]:8.1f}",
            flush=True,
        )
    if len(speeds) == 2:
        print(f"ONNX Runtime / PyTorch: {speeds[1] / speeds[0]:.2f} times the frames a second")


if __name__ == "__main__":
    main()
