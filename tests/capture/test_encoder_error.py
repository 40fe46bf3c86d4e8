"""The bound on what encoders may be off: never passed, and tight for one axis."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.encoder_error import full_rig, position_bound, position_std
from muybridge.capture.encoders import rotations_from_angles
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from tests.motions import random_clip


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-4, 0.5))
def test_no_error_of_the_angles_passes_the_bound(seed: int, size: float) -> None:
    """Large ones too: the bound is no linearisation."""
    clip = random_clip(seed, joints=7, frames=4)
    rig = full_rig(clip.skeleton)
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(4, len(rig.encoders), generator=generator, dtype=torch.float64)
    limits = size * torch.rand(len(rig.encoders), generator=generator, dtype=torch.float64)
    wrong = angles + limits * (2.0 * torch.rand(angles.shape, generator=generator).double() - 1.0)
    right, off = (
        replace(clip, rotations=rotations_from_angles(a, rig.encoders, 7)) for a in (angles, wrong)
    )
    moved = (forward_clip(right).positions - forward_clip(off).positions).norm(dim=-1)
    for known in (right, off):  # it may be taken at the true or at the measured pose
        bound = position_bound(known, [e.joint for e in rig.encoders], limits)
        assert bool((moved <= bound + 1e-12).all())
        assert bool((bound[:, 0] == 0.0).all())


def test_one_hinge_reaches_its_bound() -> None:
    """A straight arm of 1 m: an error d moves the tip by 2 sin(d / 2), one part in 24 d^2 below."""
    skeleton = Skeleton(("a", "b"), (-1, 0), torch.tensor([[0.0, 0, 0], [1, 0, 0]]).double())
    rig = full_rig(skeleton)
    angles = torch.zeros(2, 6, dtype=torch.float64)
    angles[1, 0] = 0.01
    rotations = rotations_from_angles(angles, rig.encoders, 2)
    clip = Clip(skeleton, rotations, torch.zeros(2, 3).double(), 30.0)
    positions = forward_clip(clip).positions[:, 1]
    moved = float((positions[1] - positions[0]).norm())
    errors = torch.tensor([0.01, 0, 0, 0, 0, 0]).double()
    bound = float(position_bound(clip, [e.joint for e in rig.encoders], errors)[0, 1])
    assert bound == pytest.approx(0.01)
    assert moved == pytest.approx(2.0 * math.sin(0.005))


def test_independent_errors_spread_as_predicted() -> None:
    """Hinges of a planar arm, rounded at random: the tip's spread is that of the formula."""
    skeleton = Skeleton(
        ("a", "b", "c", "d"), (-1, 0, 1, 2), torch.tensor([[0.0, 0, 0], [0.3, 0, 0]]).double()[
            [0, 1, 1, 1]],
    )  # fmt: skip
    encoders = full_rig(skeleton).encoders[0:9:3]  # z of a, b and c
    step = 2.0 * math.pi / 4096
    generator = torch.Generator().manual_seed(0)
    off = step * (torch.rand(20_000, 3, generator=generator, dtype=torch.float64) - 0.5)
    rotations = rotations_from_angles(off, encoders, 4)
    clip = Clip(skeleton, rotations, torch.zeros(20_000, 3).double(), 30.0)
    tip = forward_clip(clip).positions[:, 3]
    spread = float((tip - tip.mean(0)).square().sum(-1).mean().sqrt())
    std = torch.full((3,), step / math.sqrt(12.0)).double()
    predicted = position_std(clip, [e.joint for e in encoders], std)[:, 3]
    assert spread == pytest.approx(float(predicted.mean()), rel=0.02)
