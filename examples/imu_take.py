"""Seven sensors on a walker: logs, `muybridge capture --imu`, and how near the clip comes."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

from muybridge.capture.imu.performers import LOWER_BODY, walker
from muybridge.capture.imu.synthesis import SensorFaults, disturbed, logs_of, sensors_on
from muybridge.cli.capture_imu import capture_imu
from muybridge.files.bvh import read_bvh
from muybridge.files.imu import write_imu_log
from muybridge.geometry.rotation import geodesic_angle

truth = walker(steps=8)
joints = ["hips" if name == "pelvis" else name for name in LOWER_BODY]
faults = SensorFaults(math.radians(0.3), math.radians(0.1), 0.0, 0.05, 0.03, 0.5)
samples = disturbed(sensors_on(truth, joints, rate=100.0).samples, faults)
with tempfile.TemporaryDirectory() as folder:
    for log in logs_of(replace(samples, names=LOWER_BODY), lost=0.02):
        write_imu_log(Path(folder) / "logs" / log.name, log)
    capture_imu(Path(folder) / "logs", Path(folder) / "take.bvh")
    clip = read_bvh(Path(folder) / "take.bvh").clip
frames = min(len(clip), len(truth))
off = geodesic_angle(clip.rotations[:frames], truth.rotations[:frames]).square().mean(0).sqrt()
print(f"joint angles off by at most {math.degrees(off.max()):.1f} deg RMS")
error = (clip.root[:frames] - clip.root[0]) - (truth.root[:frames] - truth.root[0])
way = float((truth.root[-1] - truth.root[0]).norm())
print(f"root off by at most {100 * float(error.norm(dim=-1).max()):.1f} cm of {way:.2f} m")
