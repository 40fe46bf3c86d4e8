"""Conventions, clocks, calibration and root of inertial takes, each on its own."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.capture.imu.calibration import bone_in_pose, facing, hinge_axes
from muybridge.capture.imu.clock import at, common_span, gaps_at, rate_of, regular
from muybridge.capture.imu.conventions import (
    clip_from_enu,
    converted,
    enu_from,
    evidence,
    findings,
)
from muybridge.capture.imu.root import bearing, planted_root
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.skeleton import bones_of, skeleton_of
from muybridge.capture.imu.synthesis import logs_of
from muybridge.errors import InputError
from muybridge.files.imu import ImuLog, Series, read_imu_folder
from muybridge.geometry.rotation import (
    conjugate,
    geodesic_angle,
    multiply,
    quaternion_from_rotvec,
    rotate,
)
from tests.capture.imu.arms import DEGREE, arm
from tests.capture.imu.walks import RECORDED, walk


def vector(*values: float) -> torch.Tensor:
    return torch.tensor(values).double()


@pytest.mark.parametrize(
    ("earth", "axes"),
    [("NED", "yx-z"), ("NWU", "-yxz"), ("ENU", "xyz"), ("clip", "zxy")],
)
def test_the_axes_of_other_earths(earth: str, axes: str) -> None:
    """Where north, east and up lie in ENU, spelled out."""
    names = {"NED": "ned", "NWU": "nwu", "ENU": "enu"}
    east, north, up = vector(1, 0, 0), vector(0, 1, 0), vector(0, 0, 1)
    meaning = {"e": east, "n": north, "u": up, "d": -up, "w": -east}
    if earth in names:
        for axis, letter in zip(torch.eye(3).double(), names[earth], strict=True):
            turned = rotate(enu_from(earth), axis)  # type: ignore[arg-type]
            torch.testing.assert_close(turned, meaning[letter])
    else:
        torch.testing.assert_close(rotate(clip_from_enu(), up), vector(0, 1, 0))
        torch.testing.assert_close(rotate(clip_from_enu(), east), vector(0, 0, 1))
        torch.testing.assert_close(rotate(clip_from_enu(), north), vector(1, 0, 0))
    assert axes


def _with_own(log: ImuLog) -> ImuLog:
    """The hand's log with its true orientations."""
    truth, _ = arm(20.0)
    seconds = 100.0 + torch.arange(len(truth.orientations)).double() / 100.0
    return replace(log, orientation=Series(seconds, truth.orientations[:, 0]))


def _hand() -> ImuLog:
    return _with_own(logs_of(arm(20.0)[1])[0])


def _scaled(log: ImuLog, gyro: float, acc: float) -> ImuLog:
    factors = vector(gyro, gyro, gyro, acc, acc, acc)
    return replace(log, inertial=replace(log.inertial, values=factors * log.inertial.values))


def _own(log: ImuLog, change: object) -> ImuLog:
    assert log.orientation is not None
    assert callable(change)
    return replace(log, orientation=replace(log.orientation, values=change(log.orientation.values)))


WRONG = {
    "gyroscope in rad/s under deg/s": (lambda log: _scaled(log, DEGREE, 1.0), "unit"),
    "gyroscope in deg/s under rad/s": (lambda log: _scaled(log, 1.0 / DEGREE, 1.0), "unit"),
    "gyroscope of the other sign": (lambda log: _scaled(log, -1.0, 1.0), "against its gyroscope"),
    "force of the other sign": (lambda log: _scaled(log, 1.0, -1.0), "reads -g at rest"),
    "force in g under m/s^2": (lambda log: _scaled(log, 1.0, 1.0 / 9.81), "instead of 9.81"),
    "quaternions to NED": (
        lambda log: _own(log, lambda q: multiply(conjugate(enu_from("NED")), q)), "z down"
    ),
    "quaternions with Y up": (
        lambda log: _own(log, lambda q: multiply(clip_from_enu(), q)), "not z up"
    ),
    "quaternions the other way round": (lambda log: _own(log, conjugate), "sensor from earth"),
}  # fmt: skip


def test_a_log_of_the_one_convention_is_passed_without_a_word() -> None:
    assert findings(_hand()) == ()
    seen = evidence(_hand())
    assert seen.gyro_factor == 1.0
    assert seen.forward > 0.99
    assert seen.up[2] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("kind", WRONG)
def test_a_log_of_another_convention_is_named_in_one_sentence(kind: str) -> None:
    change, words = WRONG[kind]
    said = findings(change(_hand()))
    assert any(words in finding.sentence for finding in said), [f.sentence for f in said]
    assert all(finding.advice for finding in said)


def test_a_wrong_sign_is_seen_without_quaternions_too() -> None:
    log = replace(_scaled(_hand(), -1.0, 1.0), orientation=None)
    assert any("sign" in finding.sentence for finding in findings(log))


def test_converting_mends_what_is_found() -> None:
    wrong = _scaled(WRONG["quaternions to NED"][0](_hand()), 1.0, -1.0)
    assert findings(wrong)
    assert findings(converted(wrong, "NED", flip_force=True)) == ()


@pytest.mark.skipif(not RECORDED.is_dir(), reason="recorded sensors are not in the repository")
def test_the_recorded_sensors_are_of_the_one_convention() -> None:
    for log in read_imu_folder(RECORDED):
        assert findings(log) == ()
        assert evidence(log).dip > 0.9


def test_lost_samples_are_bridged_where_they_were() -> None:
    samples = arm(8.0)[0].samples
    log = logs_of(samples, lost=0.2, seed=4)[0]
    (found,) = regular([log])
    assert found.filled is not None
    assert len(found) == len(samples)
    assert int(found.filled.sum()) == len(samples) - len(log.inertial.seconds)
    kept = ~found.filled[:, 0]
    torch.testing.assert_close(found.gyro[kept, 0], samples.gyro[kept, 0], rtol=1e-6, atol=1e-9)
    off = (found.gyro[:, 0] - samples.gyro[:, 0]).norm(dim=-1)
    assert float(off.max()) < 0.2


def test_rows_without_numbers_count_as_lost() -> None:
    log = logs_of(arm(8.0)[0].samples)[0]
    values = log.inertial.values.clone()
    values[200:205, 3] = torch.nan
    (found,) = regular([replace(log, inertial=replace(log.inertial, values=values))])
    assert found.filled is not None
    assert found.filled[:, 0].nonzero()[:, 0].tolist() == list(range(200, 205))
    assert bool(torch.isfinite(found.acc).all())


def test_a_slow_clock_keeps_its_turns() -> None:
    """Two sensors on one axle, one clock 0.4 % slow: their turns must stay equal."""
    rate = 3.0
    logs = []
    for name, step in (("left_foot", 0.01), ("right_foot", 0.01004)):
        seconds = 5.0 + step * torch.arange(1000).double()
        values = torch.tensor([rate, 0, 0, 0, 0, 9.81]).double().expand(1000, 6)
        logs.append(ImuLog(name, Series(seconds, values)))
    (found,) = regular(logs)
    assert found.seconds is not None
    elapsed = found.seconds[-1] - found.seconds[0]
    turned = found.gyro[1:, :, 0].sum(0) / found.rate
    torch.testing.assert_close(turned, rate * elapsed, rtol=1e-9, atol=0.0)


def test_sensors_of_two_rates_make_two_groups() -> None:
    samples = arm(8.0)[0].samples
    quick, slow, _ = logs_of(samples)
    half = Series(slow.inertial.seconds[::2], slow.inertial.values[::2])
    groups = regular([quick, replace(slow, inertial=half, magnetic=None)])
    assert [round(group.rate) for group in groups] == [100, 50]
    assert groups[1].mag is None


def test_stamps_in_a_wrong_unit_are_refused() -> None:
    log = logs_of(arm(8.0)[0].samples)[0]
    wrong = replace(log, inertial=replace(log.inertial, seconds=1000.0 * log.inertial.seconds))
    with pytest.raises(InputError, match="unit of the stamps"):
        rate_of(wrong)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.0, 0.3))
def test_any_pattern_of_losses_keeps_the_samples_that_came(seed: int, lost: float) -> None:
    samples = arm(8.0)[0].samples.select([0, 1])
    short = ImuSamples(100.0, samples.gyro[:150], samples.acc[:150], names=samples.names)
    logs = logs_of(short, lost, seed)
    span = common_span(logs)
    (found,) = regular(logs)
    assert found.seconds is not None
    assert float(found.seconds[0].max()) <= span.start + 1e-6
    assert bool(torch.isfinite(found.gyro).all())
    assert found.gyro.shape == (150, 2, 3)


def test_orientations_between_samples_lie_on_the_arc() -> None:
    axis = vector(0.0, 0.0, 1.0)
    seconds = torch.arange(5).double()
    turns = quaternion_from_rotvec(seconds[:, None] * axis)
    turns[2] = -turns[2]
    when = torch.tensor([-1.0, 0.5, 1.75, 9.0]).double()
    wanted = quaternion_from_rotvec(when.clamp(0.0, 4.0)[:, None] * axis)
    assert float(geodesic_angle(at(turns, seconds, when), wanted).max()) < 1e-7


def test_only_long_gaps_are_gaps() -> None:
    lost = torch.zeros(100, dtype=torch.bool)
    lost[20:23] = lost[50:80] = True
    seconds = torch.arange(100).double() / 100.0
    found = gaps_at(lost, seconds, seconds, 0.1)
    assert found.nonzero()[:, 0].tolist() == list(range(50, 80))


def test_a_hinge_shows_its_axis_in_both_frames() -> None:
    """A knee that bends while the thigh turns freely; each gyroscope with noise of 1 deg/s."""
    generator = torch.Generator().manual_seed(2)
    time = torch.arange(800).double() / 100.0
    thigh = torch.stack([(f * time).sin() for f in (5.0, 3.1, 2.3)], dim=-1)
    axis = torch.nn.functional.normalize(vector(0.9, 0.3, -0.2), dim=0)
    bend = 3.0 * (4.0 * time).cos()
    turn = quaternion_from_rotvec((0.75 * (4.0 * time).sin())[:, None] * axis)
    shank = rotate(conjugate(turn), thigh) + bend[:, None] * axis
    seat = torch.nn.functional.normalize(torch.randn(4, generator=generator).double(), dim=0)
    noise = DEGREE * torch.randn(2, 800, 3, generator=generator).double()
    one, two = hinge_axes(thigh + noise[0], rotate(seat, shank) + noise[1])
    aim = rotate(seat, axis)
    sign = torch.sign(one @ axis)
    assert float(torch.arccos((sign * one @ axis).clamp(max=1.0))) < 1.0 * DEGREE
    assert float(torch.arccos((two @ aim).abs().clamp(max=1.0))) < 1.0 * DEGREE


def test_the_legs_show_where_the_walker_faces() -> None:
    """He faces east."""
    (samples,) = regular([log for log in walk()[1] if "leg" in log.name])
    # in the pose each sensor is the bone with its mounting: take the truth from the first sample
    from muybridge.capture.imu.start import compass

    assert samples.mag is not None
    found = facing(samples, compass(samples.acc[:100].mean(0), samples.mag[:100].mean(0)))
    assert found is not None
    assert abs(math.remainder(found.angle, 2.0 * math.pi)) < 5.0 * DEGREE
    assert found.agreement < 15.0 * DEGREE
    still = ImuSamples(100.0, 0.0 * samples.gyro, samples.acc)
    assert facing(still, compass(samples.acc[0], samples.mag[0])) is None


def test_arms_hang_in_the_n_pose() -> None:
    for side, out in (("Left", 1.0), ("Right", -1.0)):
        for bone in ("Arm", "ForeArm", "Hand"):
            arm_axis = rotate(bone_in_pose(side + bone, "N"), vector(out, 0.0, 0.0))
            torch.testing.assert_close(arm_axis, vector(0.0, -1.0, 0.0))
            torch.testing.assert_close(bone_in_pose(side + bone, "T"), vector(0.0, 0.0, 0.0, 1.0))
    torch.testing.assert_close(bone_in_pose("Hips", "N"), vector(0.0, 0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("name", "bone"),
    [
        ("pelvis", "Hips"), ("Left Thigh", "LeftUpLeg"), ("r_shank", "RightLeg"),
        ("forearm_l", "LeftForeArm"), ("RightUpperArm", "RightArm"), ("sternum", "Spine1"),
        ("head", "Head"), ("left-foot", "LeftFoot"), ("hand_right", "RightHand"),
    ],
)  # fmt: skip
def test_folders_are_understood(name: str, bone: str) -> None:
    assert bones_of([name]) == {bone: 0}


def test_the_skeleton_has_what_sensors_show_and_what_carries_it() -> None:
    legs = skeleton_of(["Hips", "LeftLeg"], 1.8)
    assert legs.names == (
        "Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "LeftToeBase_end"
    )  # fmt: skip
    arm_only = skeleton_of(["RightForeArm"], 1.8)
    assert {"Hips", "Spine1", "RightArm", "RightHand"} <= set(arm_only.names)
    assert "Head" not in arm_only.names
    assert float(legs.bone_lengths()[2]) == pytest.approx(0.245 * 1.8)


def test_a_planted_point_carries_the_root() -> None:
    """One foot goes back under the body at 1 m/s, the other flies: the root goes forward."""
    time = torch.arange(100).double() / 100.0
    foot = torch.stack((0.0 * time, -0.9 + 0.0 * time, -time), dim=-1)
    other = torch.stack((0.0 * time, -0.6 + 0.0 * time, 2.0 * time), dim=-1)
    soles = torch.stack((foot, other), dim=1)
    shares = bearing(soles, torch.zeros(100, 2).double(), 100.0)
    assert float(shares[:, 0].min()) > 0.99
    path = planted_root(soles, shares)
    np.testing.assert_allclose(path[:, 2].numpy(), time.numpy(), atol=1e-6)
    np.testing.assert_allclose(path[:, 1].numpy(), 0.9, atol=1e-3)
