"""The solver: speed and its growth with the length, accuracy on a recorded walk with known truth.

No peer fits a skeleton to joint positions without OpenSim or Blender, so the yardsticks are the raw
markers and the same markers through the usual 6 Hz Butterworth filter (what Pose2Sim writes).
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from scipy.signal import butter, filtfilt

from muybridge.capture.solve import SolveOptions, solve, solve_take
from muybridge.motion.contacts import slide
from muybridge.motion.keypoints import COCO_17, HALPE_26
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from tests.walker import WALK, Faults, bend, disturb, truth

JOINTS = {
    "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand",
    "hip": "UpLeg", "knee": "Leg", "ankle": "Foot",
}  # fmt: skip


def _limbs(names: tuple[str, ...]) -> list[str]:
    return [n for n in names if "_" in n and n.split("_")[1] in JOINTS and n != "mid_hip"]


def _butterworth(markers: Markers, hertz: float = 6.0) -> Markers:
    """Gaps bridged by straight lines, then a zero-lag fourth-order low-pass."""
    points = markers.points_world.numpy().copy()
    frames = np.arange(len(points))
    for column in points.reshape(len(points), -1).T:
        known = np.isfinite(column)
        column[:] = np.interp(frames, frames[known], column[known])
    b, a = butter(2, hertz / (markers.fps / 2.0))
    return replace(markers, points_world=torch.from_numpy(filtfilt(b, a, points, axis=0).copy()))


def _rms_mm(points: torch.Tensor, real: torch.Tensor, pick: torch.Tensor) -> float:
    return 1000.0 * float((points - real)[pick].square().sum(-1).mean().sqrt())


def _accuracy(names: tuple[str, ...], label: str) -> None:
    real = truth(names)
    limbs = _limbs(names)
    index = [names.index(n) for n in limbs]
    for title, faults in (
        ("10 mm", Faults(outliers=0.0, gaps=0.0)),
        ("10 mm + 5 % outliers + gaps", Faults()),
    ):
        seen = disturb(real, faults)
        solution = solve_take(seen)
        clip = solution.clip
        pose = forward_clip(clip).positions
        joints = [clip.skeleton.index(n.split("_")[0].title() + JOINTS[n.split("_")[1]])
                  for n in limbs]  # fmt: skip
        ours = real.points_world.clone()
        ours[:, index] = pose[:, joints]
        known, aim = seen.seen[:, index], real.points_world[:, index]
        filtered = _butterworth(seen).points_world[:, index]
        rows = (
            ("raw markers", seen.points_world[:, index]),
            ("6 Hz Butterworth", filtered),
            ("solve", pose[:, joints]),
        )
        for name, points in rows:
            print(f"{label:8} {title:29} {name:17} {_rms_mm(points, aim, known):7.1f} mm RMS")
        if not bool(known.all()):
            print(f"{label:8} {title:29} {'solve, in gaps':17} "
                  f"{_rms_mm(pose[:, joints], aim, ~known):7.1f} mm RMS")  # fmt: skip
        bent = replace(real, points_world=ours)
        for parts in (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist")):
            wrong = torch.cat([
                bend(bent, *(f"{s}_{p}" for p in parts)) - bend(real, *(f"{s}_{p}" for p in parts))
                for s in ("left", "right")
            ]).abs().rad2deg()  # fmt: skip
            print(f"{label:8} {title:29} {parts[1] + ' bend':17} {float(wrong.median()):7.2f} "
                  f"deg median, {float(wrong.quantile(0.95)):.1f} p95")  # fmt: skip
        assert clip.contacts is not None
        sliding = 1000.0 * float(slide(pose, clip.contacts).nan_to_num(nan=0.0).max())
        standing = int(clip.contacts.any(1).sum())
        print(f"{label:8} {title:29} {'slide in contact':17} {sliding:7.2f} mm/frame at most, "
              f"{standing} of {len(clip)} frames standing")  # fmt: skip


def _speed() -> None:
    walk = disturb(truth(HALPE_26), Faults())
    solve(walk, SolveOptions())  # warm up
    for count in (100, 200, 1600):
        repeats = -(-count // len(walk))
        points = torch.cat([walk.points_world] * repeats)[:count].clone()
        # walk to and fro, so that the joins are continuous
        for k in range(1, repeats, 2):
            part = slice(k * len(walk), min(count, (k + 1) * len(walk)))
            points[part] = walk.points_world.flip(0)[: part.stop - part.start]
        started, work = time.perf_counter(), time.process_time()
        solve(replace(walk, points_world=points))
        seconds, work = time.perf_counter() - started, time.process_time() - work
        print(f"{count:6d} frames {seconds:6.2f} s wall, {work:6.2f} s cpu, "
              f"{count / work:5.0f} frames per cpu-second")  # fmt: skip


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)  # small matrices: a second thread only waits
    _speed()
    if not WALK.exists():
        print(f"accuracy needs {WALK.name}, which is absent")
        return
    _accuracy(COCO_17, "COCO_17")
    _accuracy(HALPE_26, "HALPE_26")


if __name__ == "__main__":
    main()
