"""The Hermite family against scipy, and what tension, continuity and monotony promise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator

from muybridge.edit.curves.cubic import hermite, linear
from muybridge.edit.curves.tangents import cardinal, catmull_rom, kochanek_bartels, monotone
from muybridge.errors import InputError

SEEDS = st.integers(0, 2**32 - 1)
COUNTS = st.integers(2, 12)


def data(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.2, 2.0, count))
    return times, rng.normal(size=(count, 3)), np.linspace(times[0], times[-1], 200)


@given(seed=SEEDS, count=COUNTS)
@settings(max_examples=30, deadline=None)
def test_hermite_equals_scipy(seed: int, count: int) -> None:
    times, values, at = data(seed, count)
    slopes = np.random.default_rng(seed + 1).normal(size=values.shape)
    ours = hermite(*map(torch.from_numpy, (times, values, slopes)))(torch.from_numpy(at)).numpy()
    assert np.abs(ours - CubicHermiteSpline(times, values, slopes)(at)).max() < 1e-12


@given(seed=SEEDS, count=COUNTS)
@settings(max_examples=30, deadline=None)
def test_monotone_equals_scipys_pchip(seed: int, count: int) -> None:
    times, values, at = data(seed, count)
    values[: count // 2, 0] = 0.0  # flat stretches
    values[:, 1] = np.sort(values[:, 1])
    ours = monotone(*map(torch.from_numpy, (times, values)))(torch.from_numpy(at)).numpy()
    assert np.abs(ours - PchipInterpolator(times, values)(at)).max() < 1e-12
    assert (np.diff(ours[:, 1]) >= -1e-14).all()  # sorted keys, no overshoot


def test_monotone_keeps_within_its_keys_where_catmull_rom_does_not() -> None:
    times = torch.arange(6).double()
    step = torch.tensor([0.0, 0, 0, 1, 1, 1]).double()
    at = torch.linspace(0.0, 5.0, 400).double()
    assert float(monotone(times, step)(at).min()) >= 0.0
    assert float(monotone(times, step)(at).max()) <= 1.0
    assert float(catmull_rom(times, step)(at).max()) > 1.05


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_catmull_rom_is_exact_for_parabolas_inside(seed: int) -> None:
    times, _, _ = data(seed, 7)
    t = torch.from_numpy(times)
    a, b, c = torch.from_numpy(np.random.default_rng(seed).normal(size=3))
    at = torch.linspace(float(t[1]), float(t[-2]), 50).double()
    found = catmull_rom(t, a + b * t + c * t**2)(at)
    torch.testing.assert_close(found, a + b * at + c * at**2, rtol=1e-11, atol=1e-11)


def test_tension_one_stops_at_every_key_and_zero_is_catmull_rom() -> None:
    times, values, at = (torch.from_numpy(x) for x in data(1, 8))
    stopped = cardinal(times, values, 1.0)
    assert float(stopped(times[1:-1], 1).abs().max()) == 0.0
    plain = cardinal(times, values, 0.0)
    torch.testing.assert_close(plain(at), catmull_rom(times, values)(at), rtol=0, atol=0)


def test_continuity_makes_corners_and_bias_leans() -> None:
    times, values, _ = (torch.from_numpy(x) for x in data(2, 6))
    corner = kochanek_bartels(times, values, torch.tensor([0.0, 0.7, 0.0]).double())
    smooth = kochanek_bartels(times, values, torch.tensor([0.3, 0.0, 0.6]).double())
    before = times[1:-1] - 1e-13
    assert float((corner(before, 1) - corner(times[1:-1], 1)).abs().max()) > 0.1
    assert float((smooth(before, 1) - smooth(times[1:-1], 1)).abs().max()) < 1e-9
    leaning = kochanek_bartels(times[:3], values[:3], torch.tensor([0.0, 0.0, 1.0]).double())
    chord = (values[1] - values[0]) / (times[1] - times[0])
    weight = 2.0 * (times[2] - times[1]) / (times[2] - times[0])
    torch.testing.assert_close(leaning(times[1:2], 1)[0], weight * chord, rtol=0, atol=1e-12)


def test_a_closed_curve_goes_round_smoothly() -> None:
    angle = torch.linspace(0.0, 2.0 * torch.pi, 9).double()
    circle = torch.stack((angle.cos(), angle.sin()), dim=-1)
    circle[-1] = circle[0]
    curve = catmull_rom(angle, circle, closed=True)
    torch.testing.assert_close(curve(angle[:1], 1), curve(angle[-1:], 1), rtol=0, atol=1e-12)
    radius = curve(torch.linspace(0.0, 2.0 * torch.pi, 500).double()).norm(dim=-1)
    assert float((radius - 1.0).abs().max()) < 0.02


def test_two_keys_are_a_line() -> None:
    times, values, at = (torch.from_numpy(x) for x in data(3, 2))
    for curve in (catmull_rom(times, values), monotone(times, values)):
        torch.testing.assert_close(curve(at), linear(times, values)(at), rtol=0, atol=1e-15)


def test_rows_of_tension_that_do_not_fit_are_named() -> None:
    times, values, _ = (torch.from_numpy(x) for x in data(3, 5))
    with pytest.raises(InputError, match="for 3 keys"):
        kochanek_bartels(times, values, torch.zeros(5, 3).double())
