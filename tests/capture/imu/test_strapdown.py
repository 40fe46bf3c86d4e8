"""Dead reckoning: it returns the path, and its errors grow as theory says."""

import numpy as np
import pytest
import torch

from muybridge.capture.imu.performers import waving_arm
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.strapdown import integrate_gyro, integrate_path, strapdown
from muybridge.capture.imu.synthesis import SensorFaults, disturbed, sensors_on
from muybridge.files.bvh import read_bvh
from muybridge.files.imu import GRAVITY
from muybridge.geometry.rotation import geodesic_angle, multiply, quaternion_from_rotvec
from tests.capture.imu.arms import DEGREE, arm
from tests.walker import WALK


def exponent(seconds: np.ndarray, error: torch.Tensor) -> float:
    """Slope of the error over time in a double logarithmic plot."""
    return float(np.polyfit(np.log(seconds), np.log(error.numpy()), 1)[0])


def still(seconds: float, rate: float = 100.0) -> ImuSamples:
    """A level sensor that does not move."""
    count = round(seconds * rate)
    acc = torch.tensor([0.0, 0.0, GRAVITY]).double().expand(count, 1, 3)
    return ImuSamples(rate, torch.zeros(count, 1, 3).double(), acc)


def test_without_noise_the_path_comes_back() -> None:
    """Ten seconds of waving, sampled at 200 Hz: to a millimetre; the hand travels some 15 m."""
    truth = sensors_on(waving_arm(10.0, 50.0), ("hand", "lower_arm"), 200.0)
    found = strapdown(truth.samples, truth.orientations[0], truth.velocities[0], truth.positions[0])
    assert float(truth.velocities[:, 0].norm(dim=-1).sum() / 200.0) > 5.0
    assert float(geodesic_angle(found.orientations, truth.orientations).max()) < 1e-5
    assert float((found.positions - truth.positions).norm(dim=-1).max()) < 1e-3
    assert float((found.velocities - truth.velocities).norm(dim=-1).max()) < 1e-3


@pytest.mark.skipif(not WALK.is_file(), reason="recorded walks are not part of the repository")
def test_a_recorded_walk_comes_back_to_a_millimetre() -> None:
    """Its joints are noisy at 60 Hz, so the sensor has to sample them well: 240 Hz."""
    clip = read_bvh(WALK, "m").clip
    truth = sensors_on(clip, ("lAnkle", "lWrist", "RootJoint"), 240.0)
    found = strapdown(truth.samples, truth.orientations[0], truth.velocities[0], truth.positions[0])
    travelled = (truth.positions[-1] - truth.positions[0]).norm(dim=-1)
    assert float(travelled.min()) > 3.0
    assert float((found.positions - truth.positions).norm(dim=-1).max()) < 1e-3


def test_a_gyroscope_bias_turns_the_estimate_in_proportion_to_time() -> None:
    samples, bias = still(60.0), 0.5 * DEGREE
    off = integrate_gyro(ImuSamples(100.0, samples.gyro + bias, samples.acc))[:, 0]
    seconds = np.arange(len(off)) / 100.0
    error = geodesic_angle(off[500:], off[0].expand_as(off[500:]))
    assert exponent(seconds[500:], error) == pytest.approx(1.0, abs=1e-6)
    assert float(error[-1]) == pytest.approx(3.0**0.5 * bias * seconds[-1], rel=1e-6)


@pytest.mark.parametrize("moving", [False, True], ids=["still", "waving"])
def test_an_accelerometer_bias_moves_the_estimate_with_the_square_of_time(moving: bool) -> None:
    """b t^2 / 2 exactly at rest; in motion the bias turns with the sensor, so less."""
    if moving:
        truth, _ = arm(60.0)
        samples, turns = truth.samples.select([2]), truth.orientations[:, 2:]
    else:
        samples = still(60.0)
        turns = integrate_gyro(samples)
    bias = torch.tensor([0.03, -0.04, 0.0]).double()
    clean = integrate_path(samples, turns).positions
    off = integrate_path(ImuSamples(100.0, samples.gyro, samples.acc + bias), turns).positions
    error = (off - clean).norm(dim=-1)[500:, 0]
    seconds = np.arange(len(samples))[500:] / 100.0
    assert exponent(seconds, error) == pytest.approx(2.0, abs=0.2 if moving else 1e-6)
    if not moving:
        assert float(error[-1]) == pytest.approx(0.5 * 0.05 * seconds[-1] ** 2, rel=1e-6)


def test_a_gyroscope_bias_moves_the_estimate_with_the_cube_of_time() -> None:
    """g b t^3 / 6, as long as the tilt b t is small."""
    samples, bias = still(30.0), torch.tensor([0.05 * DEGREE, 0.0, 0.0]).double()
    turns = integrate_gyro(ImuSamples(100.0, samples.gyro + bias, samples.acc))
    error = integrate_path(samples, turns).positions.norm(dim=-1)[500:, 0]
    seconds = np.arange(len(samples))[500:] / 100.0
    assert exponent(seconds, error) == pytest.approx(3.0, abs=0.02)
    theory = GRAVITY * float(bias[0]) * seconds[-1] ** 3 / 6.0
    assert float(error[-1]) == pytest.approx(theory, rel=0.01)


def test_gyroscope_noise_turns_the_estimate_with_the_root_of_time() -> None:
    samples = still(60.0)
    many = ImuSamples(100.0, samples.gyro.expand(-1, 150, -1), samples.acc.expand(-1, 150, -1))
    off = integrate_gyro(disturbed(many, SensorFaults(gyro_std=0.5 * DEGREE, seed=1)))
    error = geodesic_angle(off[500:], off[:1].expand_as(off[500:])).square().mean(1).sqrt()
    seconds = np.arange(len(samples))[500:] / 100.0
    assert exponent(seconds, error) == pytest.approx(0.5, abs=0.1)


def test_integration_equals_a_loop() -> None:
    generator = torch.Generator().manual_seed(7)
    gyro = torch.randn(600, 2, 3, generator=generator).double()
    quaternion = torch.tensor([[0.0, 0, 0, 1], [0.6, 0, 0, 0.8]]).double()
    slow = [quaternion]
    for rate in gyro[1:]:
        slow.append(multiply(slow[-1], quaternion_from_rotvec(rate / 50.0)))
    found = integrate_gyro(ImuSamples(50.0, gyro, gyro), quaternion)
    assert float(geodesic_angle(found, torch.stack(slow)).max()) < 1e-7


def test_a_fourth_order_step_beats_a_first_order_step_on_coning() -> None:
    """Coning: the axis itself goes round, which simple steps take for a drift."""
    time = torch.arange(2001).double() / 100.0
    angle = 2.0 * torch.pi * 2.0 * time
    gyro = torch.stack((angle.cos(), angle.sin(), torch.full_like(angle, 0.3)), dim=-1)[:, None]
    fine = torch.arange(40001).double() / 2000.0
    angle = 2.0 * torch.pi * 2.0 * fine
    dense = torch.stack((angle.cos(), angle.sin(), torch.full_like(angle, 0.3)), dim=-1)[:, None]
    exact = integrate_gyro(ImuSamples(2000.0, dense, dense), smooth=True)[::20]
    samples = ImuSamples(100.0, gyro, gyro)
    simple, smooth = (integrate_gyro(samples, smooth=s) for s in (False, True))
    assert float(geodesic_angle(smooth, exact).max()) < 1e-6
    assert float(geodesic_angle(simple, exact).max()) > 1e-3
