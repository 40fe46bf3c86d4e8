"""Synchronisation, association and swap repair: what was injected and what was found.

Everything is measured in this run on the demo trial (4 cameras x 100 frames) and on synthetic
walkers with known truth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from muybridge.capture.associate import AssociateOptions, associate
from muybridge.capture.clock import Clocks, onto_one_clock
from muybridge.capture.swaps import GROUPS, exchange, repair_swaps
from muybridge.capture.sync import resample, synchronise
from muybridge.motion.keypoints import Keypoints
from tests.capture.test_associate import crossing, owners, shoot
from tests.capture.test_sync import cut
from tests.demo import demo_cameras, demo_people
from tests.passersby import Faults, rig

SEEDS = 8
ONE_CAMERA = (
    (0.0, 0.5, 0.0, 0.0), (0.0, 0.0, 0.5, 0.0), (0.0, 0.0, 0.0, -0.5),
    (0.0, 30.0, 0.0, 0.0), (0.0, -30.0, 0.0, 0.0), (0.0, 0.0, 30.0, 0.0),
    (0.0, 0.0, -30.0, 0.0), (0.0, 0.0, 0.0, 30.0), (0.0, 0.0, 0.0, -30.0),
)  # fmt: skip
ALL_AT_ONCE = ((0.0, 30.0, 30.0, 30.0), (0.0, -30.0, -30.0, -30.0), (0.0, 30.0, -30.0, 30.0))


def delayed(keypoints: Keypoints, offsets: tuple[float, ...]) -> Keypoints:
    """The take as cameras would have filmed it that started late by so many frames."""
    moved = -torch.tensor(offsets, dtype=torch.float64)
    return onto_one_clock(keypoints, Clocks(keypoints.cameras, moved, torch.zeros_like(moved)))


def shown(values: torch.Tensor | tuple[float, ...]) -> str:
    """Offsets of cameras 2..4 in fixed columns."""
    return " ".join(f"{float(v):8.2f}" for v in values[1:])


def recovery() -> None:
    """Offsets injected into the demo against those found."""
    people, cameras = demo_people(), demo_cameras()
    print("injected (cam02..04, frames) | found | worst error | stated std")
    generator = torch.Generator().manual_seed(0)
    drawn = [
        (0.0, *(float(v) for v in 60.0 * torch.rand(3, generator=generator) - 30.0))
        for _ in range(SEEDS)
    ]
    groups = {
        "one camera": ONE_CAMERA,
        f"random, {SEEDS} seeds": drawn,
        "all cameras at once": ALL_AT_ONCE,
    }
    for title, cases in groups.items():
        errors = []
        for truth in cases:
            found = synchronise(delayed(people, truth), cameras)
            error = (found.offsets_frames - torch.tensor(truth)).abs().max()
            errors.append(float(error))
            std = float(found.std_frames.max())
            print(f"{shown(truth)} | {shown(found.offsets_frames)} | {errors[-1]:.2f} | {std:.2f}")
        good = sum(error < 0.25 for error in errors)
        print(f"  {title}: worst {max(errors):.2f}, {good} of {len(errors)} within 0.25 frame")


def dropped() -> None:
    """Frames cut out of one camera of the demo."""
    print("dropped in the demo (camera, frame, count) -> found")
    for camera, frame, count in ((0, 40, 3), (1, 40, 3), (2, 40, 3), (3, 40, 3), (1, 50, 5)):
        found = synchronise(cut(demo_people(), camera, frame, count), demo_cameras()).dropped
        text = ", ".join(f"{jump.camera} {jump.frame} {jump.count}" for jump in found)
        print(f"  cam0{camera + 1} {frame} {count} -> {text or 'nothing'}")


def crossings() -> None:
    """Three people who meet in the middle of the room."""
    switches = wrong = given = 0
    for seed in range(SEEDS):
        keypoints, who, _ = shoot(crossing(seed, 3, 3.0), 180, Faults(3.0, 0.1, 0.15, True), seed)
        found = associate(keypoints, rig(), AssociateOptions(repair=False))
        for owner in owners(found, who):
            usual = int(owner[owner >= 0].mode().values)
            wrong += int(((owner != usual) & (owner != -9)).sum())
            given += int((owner != -9).sum())
            frames = torch.stack([t[t != -9].mode().values for t in owner.T if (t != -9).any()])
            switches += int((frames.diff() != 0).sum())
    print(
        f"crossings of 3, {SEEDS} seeds: {switches} switches, {wrong} of {given} detections wrong"
    )


def swapped() -> None:
    """Left/right swaps in 10 % of the demo's cameras and frames."""
    person = associate(demo_people(), demo_cameras(), AssociateOptions(repair=False)).main
    clean = repair_swaps(person, demo_cameras()).swapped
    repaired = injected = false = untouched = 0
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        hit = torch.rand(clean.shape[:2], generator=generator) < 0.1
        kind = torch.randint(0, len(GROUPS), clean.shape[:2], generator=generator)
        parts = torch.stack([hit & ((kind == 2) | (kind == g)) for g in range(2)], dim=-1)
        whole = torch.cat((parts, (hit & (kind == 2)).unsqueeze(-1)), dim=-1)
        found = repair_swaps(exchange(person, whole), demo_cameras()).swapped
        right = found == whole ^ clean
        repaired += int((right & whole).sum())
        injected += int(whole.sum())
        false += int((~right & ~whole).sum())
        untouched += int((~whole).sum())
    print(
        f"swaps: {100.0 * repaired / injected:.1f} % of {injected} repaired, "
        f"{100.0 * false / untouched:.2f} % false repairs, {int(clean.sum())} on clean data"
    )


def timing() -> None:
    """Processor time of each stage on the demo."""
    people, cameras = demo_people(), demo_cameras()

    def measure(name: str, job: Callable[[], object]) -> None:
        job()
        started = time.process_time()
        job()
        print(f"  {name}: {1e3 * (time.process_time() - started):.0f} ms")

    found = synchronise(people, cameras)
    person = associate(people, cameras, AssociateOptions(repair=False)).main
    half = replace(found, offsets_frames=torch.tensor([0.0, 0.5, 0.5, 0.5], dtype=torch.float64))
    print("processor time on the demo, one thread")
    measure("sync", lambda: synchronise(people, cameras))
    measure("resample by half a frame", lambda: resample(people, half))
    measure("associate", lambda: associate(people, cameras, AssociateOptions(repair=False)))
    measure("swaps", lambda: repair_swaps(person, cameras))


def main() -> None:
    """Print all tables."""
    torch.set_num_threads(1)
    recovery()
    dropped()
    crossings()
    swapped()
    timing()


if __name__ == "__main__":
    main()
