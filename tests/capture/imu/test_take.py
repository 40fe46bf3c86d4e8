"""From logs to a clip: truth from a synthetic walk, figures from a recorded one."""

import math
from dataclasses import replace

import pytest
import torch

from muybridge.capture.imu.bodies import body_clip, bone_orientations
from muybridge.capture.imu.calibration import pose_window
from muybridge.capture.imu.clock import at, regular
from muybridge.capture.imu.heading import turned
from muybridge.capture.imu.madgwick import madgwick
from muybridge.capture.imu.strapdown import integrate_gyro
from muybridge.capture.imu.take import ImuTake, TakeOptions, capture_logs
from muybridge.capture.imu.tracking import pose_mean
from muybridge.errors import InputError
from muybridge.files.imu import ImuLog, Series, read_imu_folder
from muybridge.geometry.rotation import (
    conjugate,
    geodesic_angle,
    multiply,
    rotate,
    rotvec_from_quaternion,
)
from muybridge.motion.kinematics import forward_clip
from tests.capture.imu.arms import DEGREE
from tests.capture.imu.walks import RECORDED, walk

recorded = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="recorded sensors are not part of the repository"
)


def bone_errors(take: ImuTake, seed: int = 1) -> dict[str, float]:
    """RMS degrees of each joint's local rotation against the truth."""
    truth, clip = walk(seed)[0], take.clip
    count = min(len(truth), len(clip))
    order = [truth.skeleton.index(name) for name in clip.skeleton.names]
    off = geodesic_angle(clip.rotations[:count], truth.rotations[:count][:, order])
    rms = off.square().mean(0).sqrt() / DEGREE
    return dict(zip(clip.skeleton.names, rms.tolist(), strict=True))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_walk_comes_back_from_badly_mounted_cheap_sensors(seed: int) -> None:
    truth, logs = walk(seed)
    take = capture_logs(logs)
    assert not [f for f in take.findings if f.severity == "error"]
    off = bone_errors(take, seed)
    assert max(off.values()) < 3.0
    count = min(len(truth), len(take.clip))
    path, aim = take.clip.root[:count], truth.root[:count]
    error = ((path - path[0]) - (aim - aim[0])).norm(dim=-1)
    assert float((aim[-1] - aim[0]).norm()) > 1.9
    assert float(error.max()) < 0.10


def test_the_clip_faces_forward_and_stands_on_the_floor() -> None:
    clip = capture_logs(walk()[1]).clip
    assert clip.contacts is not None
    assert clip.filled is not None
    pose = forward_clip(clip)
    ahead = clip.root[-1] - clip.root[0]
    assert float(ahead[2]) > 1.9
    assert abs(float(ahead[0])) < 0.15
    feet = [clip.skeleton.index(n) for n in ("LeftFoot", "RightFoot")]
    soles = pose.positions[:, feet, 1] - 0.039 * 1.75
    assert float(soles.amin()) > -0.03
    assert bool(clip.contacts[:100, feet].all())
    assert not bool(clip.filled[:, feet].any())
    assert bool(clip.filled[:, clip.skeleton.index("LeftToeBase")].all())


def test_the_stature_scales_the_clip_and_the_rate_is_chosen() -> None:
    take = capture_logs(walk()[1], TakeOptions(stature=0.875, fps=30.0))
    full = capture_logs(walk()[1])
    assert take.clip.fps == 30.0
    assert float(take.clip.root[0, 1]) == pytest.approx(float(full.clip.root[0, 1]) / 2, rel=1e-3)
    ratio = float((take.clip.root[-1] - take.clip.root[0]).norm())
    assert ratio == pytest.approx(
        float((full.clip.root[-1] - full.clip.root[0]).norm()) / 2, rel=0.1
    )


def test_facing_given_turns_everything() -> None:
    """The walker faces +Z of a clip, which is east."""
    found = capture_logs(walk()[1])
    given = capture_logs(walk()[1], TakeOptions(facing_deg=90.0))
    assert max(bone_errors(given).values()) < 3.0
    heading = found.clip.root[-1] - given.clip.root[-1]
    assert float(heading.norm()) < 0.15
    wrong = capture_logs(walk()[1], TakeOptions(facing_deg=0.0))
    assert max(bone_errors(wrong).values()) > 15.0


def test_a_take_without_a_pelvis_says_so_and_keeps_the_legs() -> None:
    logs = [log for log in walk()[1] if log.name != "pelvis"]
    take = capture_logs(logs)
    assert any("no sensor on the pelvis" in f.sentence for f in take.findings)
    off = bone_errors(take)
    assert max(off["LeftLeg"], off["RightLeg"], off["LeftFoot"]) < 3.0
    assert off["Hips"] < 10.0


def test_one_leg_alone_becomes_a_clip() -> None:
    take = capture_logs([log for log in walk()[1] if log.name.startswith("left")])
    names = take.clip.skeleton.names
    assert "LeftFoot" in names
    assert "RightFoot" not in names
    assert any("feet have no sensor" in f.sentence for f in take.findings)


def test_a_pose_that_is_no_pose_is_told() -> None:
    take = capture_logs(walk()[1], TakeOptions(pose_at=4.0))
    assert any("stands still" in f.sentence for f in take.findings)
    assert max(bone_errors(take).values()) > 5.0
    with pytest.raises(InputError, match="within the"):
        capture_logs(walk()[1], TakeOptions(pose_at=400.0))


def test_without_magnetometers_the_clip_says_that_it_does_not_know_north() -> None:
    logs = [replace(log, magnetic=None) for log in walk()[1]]
    said = [f for f in capture_logs(logs).findings if f.severity == "error"]
    assert len(said) == 7
    assert "where north is" in said[0].sentence


def test_own_quaternions_stand_in_for_a_magnetometer() -> None:
    """And the agreement with them is what it should be: they are our own here."""
    logs = walk()[1]
    found = capture_logs(logs)
    own = []
    for i, log in enumerate(logs):
        turns = Series(found.tracked.seconds, found.tracked.orientations[:, i])
        own.append(ImuLog(log.name, log.inertial, None, turns))
    take = capture_logs(own)
    assert set(take.tracked.sources) == {"own quaternions"}
    assert max(bone_errors(take).values()) < 4.0
    assert max(take.own_difference) < 3.0 * DEGREE


def test_a_gap_is_told_and_marked() -> None:
    logs = list(walk()[1])
    foot = logs[3]
    seconds = foot.inertial.seconds
    kept = (seconds < 104.0) | (seconds > 104.5)
    logs[3] = replace(foot, inertial=Series(seconds[kept], foot.inertial.values[kept]))
    take = capture_logs(logs)
    assert any("left_foot is silent for 0." in f.sentence for f in take.findings)
    assert take.clip.filled is not None
    column = take.clip.filled[:, take.clip.skeleton.index("LeftFoot")]
    assert 40 <= int(column.sum()) <= 60
    assert bool(column[420:430].all())


def test_sensors_that_stop_early_shorten_the_clip() -> None:
    logs = list(walk()[1])
    seconds = logs[0].inertial.seconds
    kept = seconds < 105.0
    logs[0] = replace(logs[0], inertial=Series(seconds[kept], logs[0].inertial.values[kept]))
    take = capture_logs(logs)
    assert take.clip.duration == pytest.approx(5.0, abs=0.1)
    assert any("goes on" in f.sentence for f in take.findings)
    logs[0] = replace(logs[0], inertial=Series(seconds + 100.0, walk()[1][0].inertial.values))
    with pytest.raises(InputError, match="record together for 1 s or more, got -9"):
        capture_logs(logs)


def test_names_that_mean_nothing_or_the_same_are_refused() -> None:
    logs = list(walk()[1])
    with pytest.raises(InputError, match="rename its folder"):
        capture_logs([replace(logs[0], name="sensor 12")])
    with pytest.raises(InputError, match="one sensor a bone"):
        capture_logs([logs[1], replace(logs[2], name="left thigh")])


def _times(log: ImuLog, factor: float) -> ImuLog:
    return replace(log, inertial=replace(log.inertial, values=factor * log.inertial.values))


def test_sensors_that_say_nothing_are_told_and_do_no_harm() -> None:
    """A dead magnetometer, quaternions of NaN, a force of zero, a sensor beside itself."""
    logs = list(walk()[1])
    shape = logs[0].inertial.values
    dead = Series(logs[0].inertial.seconds, 0.0 * shape[:, :3])
    nothing = Series(logs[0].inertial.seconds, torch.full((len(shape), 4), torch.nan).double())
    logs[0] = replace(logs[0], magnetic=dead, orientation=nothing)
    logs[3], logs[6] = _times(logs[3], 0.0), _times(logs[6], 1e6)
    take = capture_logs(logs)
    assert bool(torch.isfinite(take.clip.rotations).all())
    assert take.tracked.sources[0] == "nothing"
    assert sum(f.severity == "error" for f in take.findings) >= 3
    with pytest.raises(InputError, match="leave this sensor out"):
        capture_logs([_times(logs[1], math.nan)])


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="metres"):
        TakeOptions(stature=175.0)
    with pytest.raises(InputError, match="frames/s"):
        TakeOptions(fps=0.0)


def test_the_stillest_early_second_is_the_pose() -> None:
    seconds = torch.arange(1000).double() / 100.0
    speed = torch.full((1000, 2), 1.0).double()
    speed[300:450] = 0.01
    window = pose_window(seconds, speed)
    assert 3.0 <= window.start <= 3.5
    assert window.still
    assert not pose_window(seconds, speed, when=8.0).still


@recorded
def test_the_recorded_legs_agree_with_their_own_quaternions() -> None:
    """Seven x-io sensors, 18.6 s, 1 to 3 % of samples lost; 50 Hz.

    All sensors together within 3 degrees RMS of what they computed themselves. The right thigh
    stands out: there the sensor's own heading is off by 14 degrees from its magnetometer at the
    end, back on the spot of the beginning, ours by less than 2.
    """
    logs = read_imu_folder(RECORDED)
    take = capture_logs(logs)
    off = dict(zip(take.tracked.names, (d / DEGREE for d in take.own_difference), strict=True))
    together = math.sqrt(sum(d * d for d in off.values()) / len(off))
    assert together < 3.0
    assert max(d for name, d in off.items() if name != "right_upper_leg") < 3.0
    level = capture_logs(logs, TakeOptions(heading="off"))
    ours = _heading_error(logs, level.tracked.orientations, level.tracked.seconds)
    assert math.sqrt(sum(e * e for e in ours) / len(ours)) < 2.5  # the gyroscope alone: 6.5
    (samples,) = regular(logs)
    start = level.tracked.orientations[0]
    for baseline in (integrate_gyro(samples, start), madgwick(samples.without_mag(), start)):
        at_frames = torch.stack(
            [
                at(baseline[:, i], samples.seconds[:, i], level.tracked.seconds)
                for i in range(len(logs))
            ],
            dim=1,
        )
        theirs = _heading_error(logs, at_frames, level.tracked.seconds)
        assert sum(e * e for e in theirs) > 1.2 * sum(e * e for e in ours)


def _heading_error(
    logs: tuple[ImuLog, ...], turns: torch.Tensor, seconds: torch.Tensor
) -> list[float]:
    """Change of north between the first and the last second of standing, degrees, each sensor."""
    errors = []
    for i, log in enumerate(logs):
        assert log.magnetic is not None
        when = log.magnetic.seconds
        field = rotate(at(turns[:, i], seconds, when), log.magnetic.values)
        bearing = torch.atan2(field[:, 0], field[:, 1])
        first, last = when < seconds[0] + 0.8, when > seconds[-1] - 0.8
        change = bearing[last].median() - bearing[first].median()
        errors.append(float((change + math.pi) % (2.0 * math.pi) - math.pi) / DEGREE)
    return errors


@recorded
def test_the_recorded_walker_comes_back_to_where_he_began() -> None:
    clip = capture_logs(read_imu_folder(RECORDED)).clip
    away = (clip.root - clip.root[0])[:, [0, 2]].norm(dim=-1)
    assert float(away.max()) > 1.2
    assert float(away[-1]) < 0.15
    assert len(clip) == pytest.approx(928, abs=2)
    knees = clip.rotations[:, clip.skeleton.index("LeftLeg")]
    bend = 2.0 * torch.asin(knees[:, 0].clamp(-1.0, 1.0)) / DEGREE
    assert float(bend.max()) > 40.0  # they bend the way knees do


@recorded
def test_own_quaternions_make_nearly_the_same_joint_angles() -> None:
    """One heading a sensor aligned, then the same calibration: 1.9 to 3.1 degrees a joint.

    But for hip and knee beside the right thigh, see above: there ours are the likelier, since the
    knee turns less about the axes that a knee has not.
    """
    logs = read_imu_folder(RECORDED)
    take = capture_logs(logs)
    found = take.tracked.orientations
    own = torch.stack(
        [
            at(log.orientation.values, log.orientation.seconds, take.tracked.seconds)
            for log in logs
            if log.orientation is not None
        ],
        dim=1,
    )
    relative = multiply(found, conjugate(own))
    yaw = 2.0 * torch.atan2(relative[..., 2], relative[..., 3])
    aligned = turned(own, torch.polar(torch.ones_like(yaw), yaw).mean(0).angle()[None])
    inside = (take.tracked.seconds <= take.window.stop) & (
        take.tracked.seconds >= take.window.start
    )
    joints = []
    for turns in (found, aligned):
        bones = bone_orientations(turns, pose_mean(turns[inside]), take.bones, "N")
        bridged = {bone: take.tracked.bridged[:, i] for bone, i in take.bones.items()}
        joints.append(body_clip(bones, bridged, 1.75, take.clip.fps))
    off = geodesic_angle(joints[0].rotations, joints[1].rotations).square().mean(0).sqrt() / DEGREE
    names = joints[0].skeleton.names
    for name in ("Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "RightFoot"):
        assert float(off[names.index(name)]) < 3.3
    ours, theirs = (
        rotvec_from_quaternion(clip.rotations[:, names.index("RightLeg")])[:, 1:].norm()
        for clip in joints
    )
    assert float(ours) < 0.9 * float(theirs)
