"""The bias-estimating filter: parity with `vqf`, blocks, biases, a disturbed field."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter1d

from muybridge.capture.imu.bias_fit import BiasOptions, fit_bias, offline
from muybridge.capture.imu.heading import HeadingOptions, heading, turned, with_heading
from muybridge.capture.imu.low_pass import LowPass, low_passed
from muybridge.capture.imu.samples import ImuSamples
from muybridge.capture.imu.steady_heading import steady_heading
from muybridge.capture.imu.strapdown import integrate_gyro
from muybridge.capture.imu.synthesis import SensorFaults, disturbed
from muybridge.capture.imu.vqf import VqfOptions, vqf
from muybridge.errors import InputError
from muybridge.geometry.rotation import conjugate, geodesic_angle, rotate
from tests.capture.imu.arms import DEGREE, SETTLED, arm, off_deg, unlike

SINGLE = VqfOptions(block=0.0)
IRON = (slice(2000, 2800), torch.tensor([15.0, 5.0, 10.0]).double())  # samples, microtesla


def busy(seed: int, count: int = 3000, sensors: int = 3) -> ImuSamples:
    """Wild motion with a rest in it, an iron bar passing by, biases and noise."""
    generator = np.random.default_rng(seed)

    def smooth(width: float) -> np.ndarray:
        return gaussian_filter1d(generator.normal(size=(count, sensors, 3)), width, axis=0)

    gyro = 4.0 * smooth(8.0)
    gyro[1200:1700] = 0.0
    still = torch.zeros(count, sensors, 3).double()
    turns = integrate_gyro(ImuSamples(100.0, torch.from_numpy(gyro), still))
    force, field = 4.0 * smooth(5.0), np.tile([0.0, 20.0, -43.0], (count, sensors, 1))
    force[1200:1700] = 0.0
    field[1900:2400] += [15.0, 5.0, 10.0]
    inward = conjugate(turns)
    up = np.array([0.0, 0.0, 9.81])
    acc, mag = (rotate(inward, torch.from_numpy(v)) for v in (force + up, field))
    faults = SensorFaults(0.5 * DEGREE, 0.1 * DEGREE, 0.0, 0.0, 0.03, 0.5, seed)
    return disturbed(ImuSamples(100.0, torch.from_numpy(gyro), acc, mag), faults)


def test_blocks_of_one_sample_equal_the_published_filter() -> None:
    """Orientation, bias, rest and disturbance of every sample; in 9 axes 1e-7, since whether the
    1/n-th sample at the start still counts hangs on a rounding."""
    peer = pytest.importorskip("vqf")
    samples = busy(0)
    assert samples.mag is not None
    found = vqf(samples, SINGLE)
    north = heading(samples, found.orientations)
    assert bool(found.rest.any())
    assert bool(north.disturbed[1900:2300].any())
    for sensor in range(2):
        read = [v[:, sensor].contiguous().numpy() for v in (samples.gyro, samples.acc, samples.mag)]
        theirs = peer.VQF(0.01).updateBatchFullState(*read)
        assert unlike(found.orientations[:, sensor], theirs["quat6D"]) < 1e-9
        np.testing.assert_allclose(found.bias[:, sensor].numpy(), theirs["bias"], atol=1e-10)
        np.testing.assert_array_equal(found.rest[:, sensor].numpy(), theirs["restDetected"])
        np.testing.assert_array_equal(north.disturbed[:, sensor].numpy(), theirs["magDistDetected"])
        ours = turned(found.orientations, north.angle)[:, sensor]
        assert unlike(ours, theirs["quat9D"]) < 1e-7


def test_without_rejection_the_heading_equals_theirs_too() -> None:
    peer = pytest.importorskip("vqf")
    samples = busy(1, 1500)
    assert samples.mag is not None
    found = vqf(samples, SINGLE).orientations
    ours = with_heading(samples, found, HeadingOptions(reject=False))
    read = [v[:, 0].contiguous().numpy() for v in (samples.gyro, samples.acc, samples.mag)]
    theirs = peer.VQF(0.01, magDistRejectionEnabled=False).updateBatch(*read)
    assert unlike(ours[:, 0], theirs["quat9D"]) < 1e-7


@pytest.mark.parametrize("block", [0.05, 0.1, 0.25])
def test_longer_blocks_cost_hardly_any_accuracy(block: float) -> None:
    samples = busy(2)
    exact = vqf(samples, SINGLE).orientations
    quick = vqf(samples, VqfOptions(block=block)).orientations
    assert float(geodesic_angle(exact, quick).max()) < 0.2 * DEGREE


def test_a_take_that_is_no_multiple_of_the_block_keeps_its_length() -> None:
    samples = busy(3, 107)
    found = vqf(samples)
    assert found.orientations.shape == (107, 3, 4)
    torch.testing.assert_close(found.orientations.norm(dim=-1), torch.ones(107, 3).double())


def test_a_filter_by_blocks_equals_the_filter_at_once() -> None:
    values = np.random.default_rng(4).normal(size=(3, 200, 2))
    at_once = np.moveaxis(low_passed(np.moveaxis(values, 1, 0), 0.3, 100.0), 0, 1)
    for size in (1, 7, 30, 64, 200):
        low_pass = LowPass(0.3, 100.0)
        blocks = [low_pass(values[:, k : k + size]) for k in range(0, 200, size)]
        np.testing.assert_allclose(np.concatenate(blocks, axis=1), at_once, atol=1e-12)


def test_a_filter_starts_without_a_transient() -> None:
    constant = np.full((50, 1), 3.0)
    np.testing.assert_allclose(low_passed(constant, 0.1, 100.0), constant, atol=1e-12)
    np.testing.assert_allclose(low_passed(constant[:4], 0.1, 100.0), constant[:4])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_fitted_bias_is_the_bias(seed: int) -> None:
    """And so 6 axes stay within 1.5 degrees for a minute where the gyroscope goes 10 and more."""
    truth, samples = arm(60.0, seed)
    level = samples.without_mag()
    bias = (samples.gyro - truth.samples.gyro).mean(0)
    fit = fit_bias(level)
    error = (fit.bias[0] - bias).norm(dim=-1) / DEGREE
    assert float(error.max()) < 0.15
    assert float((error / (fit.std[0] / DEGREE)).max()) < 3.0
    aim = truth.orientations[SETTLED:]
    drift = geodesic_angle(integrate_gyro(level, truth.orientations[0])[-1], truth.orientations[-1])
    assert float(drift.max()) > 20.0 * DEGREE
    assert float(off_deg(offline(level).orientations[SETTLED:], aim).max()) < 1.5


def test_a_bias_that_changes_is_followed_span_by_span() -> None:
    truth, samples = arm(60.0)
    ramp = torch.linspace(-0.5, 0.5, len(samples)).double()[:, None, None] * DEGREE
    level = ImuSamples(100.0, truth.samples.gyro + ramp, truth.samples.acc)
    assert fit_bias(level, options=BiasOptions(span=20.0)).std.shape == (3, 3)
    flat = fit_bias(level).bias - ramp
    pieces = fit_bias(level, options=BiasOptions(span=20.0)).bias - ramp
    assert float(pieces.norm(dim=-1).mean()) < 0.8 * float(flat.norm(dim=-1).mean())


def test_rest_shows_the_whole_bias() -> None:
    bias = torch.tensor([0.3, -0.2, 0.5]).double() * DEGREE
    gyro = bias.expand(1000, 1, 3) + 0.001 * torch.randn(1000, 1, 3).double()
    acc = torch.tensor([0.0, 3.0, 9.3]).double().expand(1000, 1, 3)
    found = vqf(ImuSamples(100.0, gyro, acc))
    assert bool(found.rest[200:].all())
    assert float((found.bias[-1, 0] - bias).norm()) < 0.05 * DEGREE
    fit = fit_bias(ImuSamples(100.0, gyro, acc))
    assert float((fit.bias[0, 0] - bias).norm()) < 0.02 * DEGREE


def test_a_second_pass_knows_the_bias_from_the_start() -> None:
    samples = busy(5)
    once, twice = (vqf(samples, VqfOptions(passes=n)) for n in (1, 2))
    assert float(once.bias[0].norm()) == 0.0
    torch.testing.assert_close(twice.bias[0], once.bias[-1])


def test_iron_nearby_does_not_turn_the_heading() -> None:
    """A disturbance of 8 s: with rejection the heading stays, without it goes along."""
    truth, samples = arm(60.0)
    start, iron = IRON
    assert samples.mag is not None
    mag = samples.mag.clone()
    mag[start] += rotate(conjugate(truth.orientations[start]), iron)
    near = ImuSamples(100.0, samples.gyro, samples.acc, mag)
    level = offline(near).orientations
    pose = slice(0, 100)
    ways = {
        "smooth": turned(level, steady_heading(near, level, pose).angle),
        "rejecting": with_heading(near, level),
        "naive": with_heading(near, level, HeadingOptions(reject=False)),
    }
    off = {
        n: float(off_deg(q[start], truth.orientations[start], heading_free=False).max())
        for n, q in ways.items()
    }
    assert off["smooth"] < 2.5
    assert off["rejecting"] < 4.0
    assert off["naive"] > 2.0 * off["rejecting"]


def test_a_field_that_stays_becomes_the_usual_one() -> None:
    samples = busy(6, 6000, 1)
    assert samples.mag is not None
    field = rotate(integrate_gyro(samples), samples.mag)
    mag = samples.mag * torch.where(torch.arange(6000) > 2600, 1.5, 1.0)[:, None, None]
    found = heading(ImuSamples(100.0, samples.gyro, samples.acc, mag), vqf(samples).orientations)
    assert bool(torch.isfinite(field).all())
    assert bool(found.disturbed[3000:4000].all())
    assert not bool(found.disturbed[-300:].any())


def test_options_out_of_range_are_refused() -> None:
    for wrong in ({"tilt_time": 0.0}, {"block": 2.0}, {"passes": 0}):
        with pytest.raises(InputError, match="expected"):
            VqfOptions(**wrong)
