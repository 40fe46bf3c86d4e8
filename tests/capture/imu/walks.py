"""A synthetic walk with seven badly mounted, faulty sensors, and what is to come out of it."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from muybridge.capture.imu.performers import LOWER_BODY, walker
from muybridge.capture.imu.synthesis import Mounting, SensorFaults, disturbed, logs_of, sensors_on
from muybridge.files.imu import ImuLog
from muybridge.motion.clip import Clip
from tests.capture.imu.arms import DEGREE

RECORDED = Path(__file__).parents[3] / "../shared/data/imu"
USUAL = SensorFaults(0.3 * DEGREE, 0.1 * DEGREE, 0.0, 0.05, 0.03, 0.5)


@cache
def walk(seed: int = 1, steps: int = 8, lost: float = 0.02) -> tuple[Clip, tuple[ImuLog, ...]]:
    """The truth and the logs."""
    clip = walker(steps=steps)
    generator = torch.Generator().manual_seed(seed)
    joints = tuple("hips" if name == "pelvis" else name for name in LOWER_BODY)
    seats = torch.randn(len(joints), 4, generator=generator, dtype=torch.float64)
    mountings = {
        joint: Mounting((0.02, -0.1, 0.03), tuple((seat / seat.norm()).tolist()))
        for joint, seat in zip(joints, seats, strict=True)
    }
    samples = disturbed(
        sensors_on(clip, joints, 100.0, mountings).samples, replace(USUAL, seed=seed)
    )
    return clip, tuple(logs_of(replace(samples, names=LOWER_BODY), lost, seed))
