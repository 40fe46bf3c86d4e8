"""Mechanical capture: synthetic streams only, made from random and recorded motion."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.capture.encoder_error import full_rig, position_bound, simulate
from muybridge.capture.encoders import clip_from_encoders, plant_feet, unwrapped_angles
from muybridge.errors import InputError
from muybridge.files.convert import read_clip
from muybridge.files.encoders import Encoder, EncoderLog, EncoderRig
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from tests.motions import BVH_FILES

needs_data = pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
each_file = pytest.mark.parametrize("path", BVH_FILES, ids=lambda path: path.stem)
BONES = torch.tensor([[0.0, 0, 0], [0.3, 0, 0], [0.25, 0, 0]], dtype=torch.float64)
ARM = Skeleton(("shoulder", "elbow", "hand"), (-1, 0, 1), BONES)
TURN = 2.0 * math.pi


def known_offsets(rig: EncoderRig, offsets: Tensor) -> EncoderRig:
    """The same suit with its zeros known."""
    return replace(
        rig,
        encoders=tuple(
            replace(encoder, offset=float(offset) / TURN * encoder.per_turn)
            for encoder, offset in zip(rig.encoders, offsets, strict=True)
        ),
    )


def anywhere(count: int, seed: int = 0) -> Tensor:
    """Zeros of encoders that were mounted as they came."""
    generator = torch.Generator().manual_seed(seed)
    return TURN * (torch.rand(count, generator=generator, dtype=torch.float64) - 0.5)


def in_place(clip: Clip, like: Clip) -> Clip:
    """The pose alone: where the hips are no encoder measures."""
    return replace(clip, root=like.root[:1].expand(len(clip), 3), translations=None)


@needs_data
@each_file
def test_recorded_motion_stays_within_the_bound(path) -> None:
    """12 bit, any offset: every joint is off by less than sum_i |L_i| pi / 2^12."""
    truth = read_clip(path)
    rig = full_rig(truth.skeleton, bits=12)
    offsets = anywhere(len(rig.encoders))
    known = known_offsets(rig, offsets)
    clip = clip_from_encoders(simulate(truth, known, offsets), known).clip
    truth = in_place(truth, clip)
    assert (len(clip), clip.fps) == (len(truth), pytest.approx(truth.fps))
    off = (forward_clip(clip).positions - forward_clip(truth).positions).norm(dim=-1)
    half = torch.full((len(rig.encoders),), math.pi / 4096, dtype=torch.float64)
    bound = position_bound(truth, [encoder.joint for encoder in rig.encoders], half)
    assert bool((off <= bound + 1e-9).all())
    assert 1e-4 < float(off.max()) < 4e-3  # metres
    assert clip.position_std is not None
    ratio = (off / clip.position_std)[:, clip.position_std.amin(0) > 0.0]
    assert 0.6 < float(ratio.square().mean().sqrt()) < 1.0


@needs_data
@each_file
def test_a_t_pose_restores_the_zeros_to_a_millimetre(path) -> None:
    """Two seconds of rest pose, noise of one count: against the same streams with known zeros."""
    truth = read_clip(path)
    rig = replace(full_rig(truth.skeleton, bits=12), calibration=(0.0, 2.0))
    offsets = anywhere(len(rig.encoders), 1)
    log = simulate(truth, rig, offsets, still=2.5, noise=1.0, seed=2)
    found = clip_from_encoders(log, rig)
    ideal = clip_from_encoders(log, replace(known_offsets(rig, offsets), calibration=None))
    moved = forward_clip(found.clip).positions - forward_clip(ideal.clip).positions
    assert float(moved.norm(dim=-1).max()) < 1e-3
    uncalibrated = clip_from_encoders(log, replace(rig, calibration=None)).clip
    moved = forward_clip(uncalibrated).positions - forward_clip(ideal.clip).positions
    assert float(moved.norm(dim=-1).max()) > 0.1


@needs_data
def test_a_walk_is_carried_by_its_standing_foot() -> None:
    """8 steps, 3.9 m: the path that no encoder measures is off by less than a tenth."""
    path = next(path for path in BVH_FILES if path.stem == "cmu_12_01_walk")
    clip = read_clip(path)
    root = plant_feet(clip.skeleton, clip.rotations)
    walked = (clip.root - clip.root[:1])[:, [0, 2]]
    off = (walked - (root - root[:1])[:, [0, 2]]).norm(dim=-1)
    assert float(walked[-1].norm()) > 3.5
    assert float(off.max()) < 0.25


def stream(angles: Tensor, bits: int = 12) -> tuple[EncoderLog, EncoderRig]:
    """An elbow of one encoder, 100 samples a second, counts."""
    encoder = Encoder("elbow.z", 1, (0.0, 0.0, 1.0), 2.0**bits, True)
    counts = (angles / TURN * 2**bits).round() % 2**bits
    seconds = torch.arange(len(angles), dtype=torch.float64) / 100.0
    return EncoderLog(("elbow.z",), seconds, counts.unsqueeze(1)), EncoderRig(ARM, (encoder,))


def swing(count: int = 200) -> Tensor:
    """Radians, past half a turn and back."""
    return 4.0 * torch.sin(torch.linspace(0.0, 6.0, count, dtype=torch.float64))


def astray(clip: Clip, angles: Tensor) -> float:
    """Largest error of the elbow's turn about z, radians."""
    quaternion = clip.rotations[:, 1]
    off = 2.0 * torch.atan2(quaternion[:, 2], quaternion[:, 3]) - angles
    return float((off - TURN * (off / TURN).round()).abs().max())


def test_counts_that_wrap_run_on() -> None:
    angles = swing()
    log, rig = stream(angles)
    readings, thrown = unwrapped_angles(log.values, rig.encoders, 0.01)
    assert float(np.abs(readings[:, 0] - angles.numpy()).max()) <= math.pi / 4096 + 1e-12
    assert thrown.tolist() == [0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(4, 16), st.floats(-3.0, 3.0))
def test_a_constant_added_to_counts_is_a_constant_angle(seed: int, bits: int, shift: float) -> None:
    """Turning the housing of an encoder and its known zero together changes nothing."""
    angles = 0.2 * torch.randn(
        50, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    ).cumsum(0)
    counts = round(shift / TURN * 2**bits)
    plain, rig = stream(angles, bits)
    turned, _ = stream(angles + counts * TURN / 2**bits, bits)
    shifted = replace(rig, encoders=(replace(rig.encoders[0], offset=float(counts)),))
    a, b = (clip_from_encoders(log, r).clip for log, r in ((plain, rig), (turned, shifted)))
    assert float(geodesic_angle(a.rotations, b.rotations).max()) < 1e-6


def test_gear_sign_and_pose() -> None:
    """An encoder that turns twice as fast and backwards, zeroed with the elbow bent by 90 deg."""
    angles = torch.cat((torch.full((100,), math.pi / 2).double(), math.pi / 2 + 0.3 * swing(100)))
    log, rig = stream(-2.0 * angles + 1.0)
    encoder = replace(rig.encoders[0], gear=-0.5, pose=math.pi / 2)
    rig = replace(rig, encoders=(encoder,), calibration=(0.0, 0.9))
    assert astray(clip_from_encoders(log, rig).clip, angles) < 1.5 * encoder.step


def spoil_gap(values: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Ten readings lost."""
    values[60:70] = torch.nan
    return values, seconds


def spoil_range(values: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Counts that a 12-bit encoder cannot have."""
    values[[10, 50, 120]] = torch.tensor([[-1.0], [65535.0], [4096.0]]).double()
    return values, seconds


def spoil_bits(values: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """The top bit of single readings flips."""
    values[[15, 90, 91 + 40]] = (values[[15, 90, 91 + 40]] + 2048.0) % 4096.0
    return values, seconds


def spoil_lines(values: Tensor, seconds: Tensor) -> tuple[Tensor, Tensor]:
    """Every seventh line never arrives."""
    kept = torch.arange(len(values)) % 7 != 4
    return values[kept], seconds[kept]


SPOILT: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "gap": spoil_gap, "out of range": spoil_range, "bit errors": spoil_bits, "lost": spoil_lines,
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_faults_of_a_stream_are_bridged_marked_and_said(spoil) -> None:
    angles = swing()
    log, rig = stream(angles)
    values, seconds = spoil(log.values.clone(), log.seconds)
    take = clip_from_encoders(replace(log, values=values, seconds=seconds), rig)
    assert len(take.clip) == 200
    assert astray(take.clip, angles) < math.radians(5.0)
    assert take.clip.filled is not None
    assert 3 <= int(take.clip.filled[:, 1].sum()) <= 30
    assert not bool(take.clip.filled[:, 0].any())
    assert any("interpolated" in f.sentence + f.advice for f in take.findings)


def test_uneven_stamps_are_laid_on_even_frames() -> None:
    generator = torch.Generator().manual_seed(0)
    seconds = 0.01 * torch.arange(300, dtype=torch.float64)
    seconds += 0.004 * (torch.rand(300, generator=generator, dtype=torch.float64) - 0.5)
    truth = torch.sin(2.0 * seconds)
    log, rig = stream(truth, bits=16)
    take = clip_from_encoders(replace(log, seconds=seconds), replace(rig, fps=60.0))
    grid = seconds[0] + torch.arange(len(take.clip), dtype=torch.float64) / 60.0
    assert take.clip.fps == 60.0
    assert astray(take.clip, torch.sin(2.0 * grid)) < 2e-4
    assert any("unevenly" in finding.sentence for finding in take.findings)


def test_stamps_in_whole_milliseconds_keep_rate_and_length() -> None:
    log, rig = stream(swing(241))
    seconds = (torch.arange(241, dtype=torch.float64) / 0.120).floor() / 1000.0
    clip = clip_from_encoders(replace(log, seconds=seconds), rig).clip
    assert (clip.fps, len(clip)) == (120.0, 241)


def test_a_stuck_encoder_and_missing_zeros_are_said() -> None:
    log, rig = stream(torch.full((100,), 0.3).double())
    said = " ".join(f.sentence for f in clip_from_encoders(log, rig).findings)
    assert "elbow.z never moves" in said
    assert "no calibration pose and no offsets" in said


REFUSED = {
    "silence": (lambda v: v.index_fill_(0, torch.arange(60, 120), torch.nan), {}, "0.61 s without"),
    "late start": (lambda v: v.index_fill_(0, torch.arange(60), torch.nan), {}, "from 0.00 s on"),
    "no cable": (lambda v: v.index_fill_(0, torch.arange(5, 200), torch.nan), {}, "5 of 200"),
    "moving pose": (lambda v: v, {"calibration": (0.0, 1.0)}, "held still, got elbow.z turning"),
    "pose too late": (lambda v: v, {"calibration": (9.0, 10.0)}, "within the log's 2.0 s"),
    "silent pose": (lambda v: v.index_fill_(0, torch.arange(20), torch.nan),
                    {"calibration": (0.0, 0.1)}, "got none"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_is_refused(case) -> None:
    log, rig = stream(swing())
    with pytest.raises(InputError, match=case[2]) as raised:
        clip_from_encoders(
            replace(log, values=case[0](log.values.clone())), replace(rig, **case[1])
        )
    assert "\n" not in str(raised.value)


def test_feet_must_be_known_for_a_path() -> None:
    log, rig = stream(swing())
    with pytest.raises(InputError, match="named as feet"):
        clip_from_encoders(log, replace(rig, root="feet"))
