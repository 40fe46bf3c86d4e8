"""Smoothing: half of the power at the cut-off, no delay, straight lines stay, noise goes."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from muybridge.edit.feet import foot_contacts, foot_slide
from muybridge.edit.smooth import Method, SmoothOptions, smooth, smoothed
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle, multiply, quaternion_from_rotvec
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import walker
from tests.motions import DATA

METHODS: tuple[Method, ...] = ("butterworth", "gaussian", "savgol")
WALK = DATA / "bvh/games105/walk60.bvh"


@pytest.mark.parametrize("method", METHODS)
def test_half_of_the_power_is_left_at_the_cutoff(method: Method) -> None:
    time = torch.arange(1000, dtype=torch.float64) / 100.0
    gain = {}
    for hertz in (1.0, 6.0, 20.0):
        wave = (2.0 * math.pi * hertz * time).sin()[:, None]
        kept = smoothed(wave, 100.0, SmoothOptions(method, 6.0))[300:700]
        gain[hertz] = float(kept.norm() / wave[300:700].norm())
        delay = float((kept * wave[300:700]).sum() / (kept.norm() * wave[300:700].norm()))
        assert abs(delay) > 0.999, "the phase has moved"
    assert gain[1.0] > 0.97
    assert gain[6.0] == pytest.approx(math.sqrt(0.5), abs=0.07)
    assert gain[20.0] < 0.2


@pytest.mark.parametrize("method", METHODS)
def test_straight_lines_and_still_poses_stay(method: Method) -> None:
    line = torch.linspace(-1.0, 5.0, 80, dtype=torch.float64)[:, None] * torch.tensor([1.0, -2.0])
    assert float((smoothed(line, 60.0, SmoothOptions(method, 5.0)) - line).abs().max()) < 1e-6
    still = walker(1)
    still = replace(
        still, rotations=still.rotations.expand(50, -1, -1), root=still.root.expand(50, 3)
    )
    out = smooth(still, SmoothOptions(method))
    assert float(geodesic_angle(out.rotations, still.rotations).max()) < 1e-7


@pytest.mark.parametrize("method", METHODS)
def test_noise_goes_and_the_walk_stays(method: Method) -> None:
    clip = walker(300, fps=120.0)
    generator = torch.Generator().manual_seed(3)
    noise = 0.05 * torch.randn(300, len(clip.skeleton), 3, dtype=torch.float64, generator=generator)
    noisy = replace(clip, rotations=multiply(clip.rotations, quaternion_from_rotvec(noise)))
    out = smooth(noisy, SmoothOptions(method, 8.0))
    before, after = (
        float(geodesic_angle(c.rotations, clip.rotations).mean()) for c in (noisy, out)
    )
    assert after < 0.5 * before


def test_signs_of_quaternions_do_not_matter() -> None:
    clip = walker(60)
    signs = torch.where(torch.arange(60) % 3 == 0, -1.0, 1.0)[:, None, None].double()
    flipped = smooth(replace(clip, rotations=clip.rotations * signs))
    assert float(geodesic_angle(flipped.rotations, smooth(clip).rotations).max()) < 1e-7


@pytest.mark.skipif(not WALK.is_file(), reason="the recordings of ../shared/data are absent")
def test_feet_that_stood_stand_again() -> None:
    clip = read_bvh(WALK, "m").clip
    contacts = foot_contacts(clip)
    creeping, standing = (
        smooth(clip, SmoothOptions("gaussian", 3.0, keep_feet=keep)) for keep in (False, True)
    )
    assert foot_slide(standing, contacts) < 0.2 * foot_slide(creeping, contacts)


def test_a_few_frames_are_enough() -> None:
    for frames in (1, 2, 5):
        for method in METHODS:
            out = smooth(walker(frames), SmoothOptions(method, 6.0))
            assert bool(forward_clip(out).positions.isfinite().all())


@pytest.mark.parametrize("cutoff", [0.0, -1.0, 1e-300, 0.02, 30.0, np.nan])
def test_a_cutoff_lies_below_half_the_frame_rate(cutoff: float) -> None:
    with pytest.raises(InputError, match=r"cut-off from .* to half"):
        smooth(walker(10), SmoothOptions(cutoff=float(cutoff)))
