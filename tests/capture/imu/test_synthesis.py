"""Sensors on a clip: exact derivatives, mountings, faults, logs."""

import numpy as np
import pytest
import torch

from muybridge.capture.imu.conventions import clip_from_enu
from muybridge.capture.imu.performers import LOWER_BODY, walker, waving_arm
from muybridge.capture.imu.synthesis import (
    FIELD,
    Mounting,
    SensorFaults,
    disturbed,
    logs_of,
    sensors_on,
)
from muybridge.errors import InputError
from muybridge.files.imu import GRAVITY
from muybridge.geometry.rotation import (
    conjugate,
    geodesic_angle,
    multiply,
    rotate,
    rotvec_from_quaternion,
)
from muybridge.motion.contacts import slide
from muybridge.motion.kinematics import forward_clip


def test_the_gyroscope_is_the_derivative_of_the_orientation() -> None:
    truth = sensors_on(waving_arm(4.0), ("hand",), 2000.0)
    turns = truth.orientations[:, 0]
    step = rotvec_from_quaternion(multiply(conjugate(turns[:-2]), turns[2:])) * 1000.0
    torch.testing.assert_close(step, truth.samples.gyro[1:-1, 0], atol=2e-4, rtol=0.0)


def test_the_accelerometer_is_the_second_derivative_and_gravity() -> None:
    truth = sensors_on(waving_arm(4.0), ("hand",), 500.0)
    place = truth.positions[:, 0]
    second = (place[2:] - 2.0 * place[1:-1] + place[:-2]) * 500.0**2
    force = rotate(truth.orientations[1:-1, 0], truth.samples.acc[1:-1, 0])
    force = force - torch.tensor([0.0, 0.0, GRAVITY]).double()
    torch.testing.assert_close(force, second, atol=5e-3, rtol=0.0)
    torch.testing.assert_close(
        truth.velocities[1:-1, 0], (place[2:] - place[:-2]) * 250.0, atol=1e-3, rtol=0.0
    )


def test_a_sensor_at_rest_reads_g_upward_and_the_field_as_it_is() -> None:
    truth = sensors_on(walker(steps=2), ("left_foot",))
    samples = truth.samples
    assert samples.mag is not None
    up = torch.tensor([0.0, GRAVITY, 0.0]).double()  # Y up at rest: the foot's own axes
    torch.testing.assert_close(samples.acc[10, 0], up, atol=1e-6, rtol=0.0)
    field = rotate(clip_from_enu(), torch.tensor(FIELD).double())
    torch.testing.assert_close(samples.mag[10, 0], field, atol=1e-6, rtol=0.0)
    torch.testing.assert_close(
        samples.gyro[10, 0].norm(), torch.tensor(0.0).double(), atol=1e-6, rtol=0
    )


def test_a_mounting_turns_the_axes_and_moves_the_place() -> None:
    seat = torch.nn.functional.normalize(torch.tensor([0.3, -0.2, 0.5, 0.7]).double(), dim=0)
    mounting = Mounting((0.0, -0.2, 0.1), tuple(seat.tolist()))
    plain, seated = (
        sensors_on(waving_arm(3.0), ("hand",), mountings=m) for m in ({}, {"hand": mounting})
    )
    inward = conjugate(seat)
    torch.testing.assert_close(seated.samples.gyro, rotate(inward, plain.samples.gyro))
    arm = (seated.positions - plain.positions).norm(dim=-1)
    torch.testing.assert_close(arm, torch.full_like(arm, 0.05**0.5), atol=1e-6, rtol=0.0)
    assert float((seated.samples.acc - rotate(inward, plain.samples.acc)).norm(dim=-1).max()) > 0.5


def test_faults_are_as_large_as_they_are_said_to_be_and_repeat() -> None:
    clean = sensors_on(waving_arm(20.0), ("hand", "lower_arm")).samples
    faults = SensorFaults(0.01, 0.002, 0.0, 0.1, 0.03, 0.5, seed=3)
    one, two = disturbed(clean, faults), disturbed(clean, faults)
    torch.testing.assert_close(one.gyro, two.gyro, atol=0.0, rtol=0.0)
    error = one.gyro - clean.gyro
    torch.testing.assert_close(
        error.mean(0).norm(dim=-1), torch.full((2,), 0.01).double(), rtol=0.02, atol=0
    )
    torch.testing.assert_close(error.std(0), torch.full((2, 3), 0.002).double(), rtol=0.1, atol=0)
    assert one.mag is not None
    assert clean.mag is not None
    torch.testing.assert_close(
        (one.mag - clean.mag).std(), torch.tensor(0.5).double(), rtol=0.05, atol=0
    )
    walk = disturbed(clean, SensorFaults(gyro_walk=0.01)).gyro - clean.gyro
    assert 0.003 < float((walk[100:] - walk[:-100]).std()) < 0.03


def test_the_walker_stands_on_his_feet_and_faces_forward() -> None:
    clip = walker(steps=6)
    pose = forward_clip(clip)
    feet = [clip.skeleton.index(name) for name in ("LeftFoot", "RightFoot")]
    standing = (pose.positions[:, feet, 1] - pose.positions[0, feet, 1]).abs() < 1e-6
    moved = slide(pose.positions[:, feet], standing).nan_to_num()
    assert float(moved.max()) < 2e-4
    assert float(standing.double().mean()) > 0.5
    assert float(clip.root[-1, 2] - clip.root[0, 2]) == pytest.approx(5 * 0.33 * 1.75 / 2, rel=0.01)
    lengths = (pose.positions[:, 2] - pose.positions[:, 1]).norm(dim=-1)
    torch.testing.assert_close(lengths, lengths[:1].expand_as(lengths))


def test_logs_lose_samples_and_keep_the_values_of_the_others() -> None:
    samples = sensors_on(walker(steps=2), ("hips",)).samples
    (log,) = logs_of(samples, lost=0.1, seed=2)
    share = len(log.inertial.seconds) / len(samples)
    assert 0.8 < share < 0.98
    index = ((log.inertial.seconds - 100.0) * 100.0).round().long()
    torch.testing.assert_close(log.inertial.values[:, :3], samples.gyro[index, 0])


def test_a_clip_too_short_and_a_joint_unknown_are_refused() -> None:
    with pytest.raises(InputError, match="4 frames"):
        sensors_on(waving_arm(4.0).frames(0, 3), ("hand",))
    with pytest.raises(InputError, match="nose"):
        sensors_on(waving_arm(1.0), ("nose",))


def test_sampling_between_the_frames_changes_nothing_that_matters() -> None:
    """The curve is the same whatever the rate of the sensor."""
    coarse, fine = (sensors_on(waving_arm(3.0), ("hand",), rate) for rate in (50.0, 150.0))
    assert np.allclose(coarse.samples.gyro, fine.samples.gyro[::3], atol=1e-9)
    assert float(geodesic_angle(coarse.orientations, fine.orientations[::3]).max()) < 1e-7
    assert set(LOWER_BODY) >= {"pelvis", "left_foot"}
