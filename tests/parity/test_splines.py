"""Curves against `splines` 0.3.3 and numpy-quaternion 2024.0.13, and where these are wrong."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from muybridge.edit.curves.bezier import bernstein
from muybridge.edit.curves.rotation import key_velocities, slerp, squad
from muybridge.edit.curves.rotation_bezier import barry_goldman, rotation_bezier, rotation_tcb
from muybridge.edit.curves.spline import spline
from muybridge.edit.curves.tangents import catmull_rom, kochanek_bartels
from muybridge.geometry.rotation import unroll
from tests.edit.curves.keys import keys, turns
from tests.edit.curves.test_rotation import apart, speeds

splines = pytest.importorskip("splines")
sq = pytest.importorskip("splines.quaternion")
npq = pytest.importorskip("quaternion")
TCB = (0.3, -0.2, 0.4)


def their_rotations(rotations: torch.Tensor) -> list[Any]:
    return [sq.UnitQuaternion.from_unit_xyzw(q) for q in rotations.tolist()]


def evaluated(curve: Any, at: torch.Tensor) -> np.ndarray:
    return np.array([[*q.vector, q.scalar] for q in curve.evaluate(at.tolist())])


def numpy_quaternions(rotations: torch.Tensor) -> Any:
    wxyz = np.ascontiguousarray(rotations.numpy()[:, [3, 0, 1, 2]])
    return npq.unflip_rotors(npq.from_float_array(wxyz))  # or it goes the long way round


def xyzw(found: Any) -> np.ndarray:
    return npq.as_float_array(found)[:, [1, 2, 3, 0]]


@pytest.mark.parametrize("seed", range(5))
def test_catmull_rom_and_kochanek_bartels(seed: int) -> None:
    times, values, at = keys(seed)
    for ours, theirs in (
        (catmull_rom(times, values), splines.CatmullRom(values.numpy(), times.tolist())),
        (
            kochanek_bartels(times, values, torch.tensor(TCB, dtype=torch.float64)),
            splines.KochanekBartels(values.numpy(), times.tolist(), tcb=TCB),
        ),
    ):
        assert np.abs(ours(at).numpy() - theirs.evaluate(at.numpy())).max() < 1e-12
        assert np.abs(ours(at, 1).numpy() - theirs.evaluate(at.numpy(), 1)).max() < 1e-11


def test_closed_catmull_rom() -> None:
    times, values, at = keys(3)
    theirs = splines.CatmullRom(values[:-1].numpy(), times.tolist(), endconditions="closed")
    values[-1] = values[0]
    ours = catmull_rom(times, values, closed=True)(at)
    assert np.abs(ours.numpy() - theirs.evaluate(at.numpy())).max() < 1e-12


def test_bernstein() -> None:
    points = np.random.default_rng(0).normal(size=(6, 2))
    u = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)
    theirs = splines.Bernstein([points]).evaluate(u.numpy())
    assert np.abs(bernstein(5, u).numpy() @ points - theirs).max() < 1e-12


def test_natural_is_right_where_splines_is_wrong() -> None:
    """On uneven keys their end rows mix two widths; ours and scipy's have no bend there."""
    times = np.array([0.0, 0.5, 2.0, 2.3, 4.0])
    values = np.array([0.0, 1.0, -0.5, 0.3, 1.0])
    at = np.linspace(0.0, 4.0, 200)
    ours = spline(torch.from_numpy(times), torch.from_numpy(values), "natural")
    truth = CubicSpline(times, values, bc_type="natural")
    theirs = splines.Natural(values, times)
    assert np.abs(ours(torch.from_numpy(at)).numpy() - truth(at)).max() < 1e-12
    assert abs(float(ours(torch.zeros(1).double(), 2))) < 1e-12
    assert abs(theirs.evaluate(0.0, 2)) > 0.1
    assert np.abs(theirs.evaluate(at) - truth(at)).max() > 0.01
    even = np.arange(5.0)  # on even ones they agree
    same = spline(torch.from_numpy(even), torch.from_numpy(values), "natural")
    at = np.linspace(0.0, 4.0, 99)
    other = splines.Natural(values, even).evaluate(at)
    assert np.abs(same(torch.from_numpy(at)).numpy() - other).max() < 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_slerp_and_squad_equal_numpy_quaternion(seed: int) -> None:
    times, rotations, at = turns(seed)
    theirs, t, x = numpy_quaternions(rotations), times.numpy(), at.numpy()
    assert apart(squad(times, rotations)(at), xyzw(npq.squad(theirs, t, x))) < 1e-12
    index = np.searchsorted(t, x, side="right") - 1
    part = (x - t[index]) / np.diff(t)[index]
    found = np.slerp_vectorized(theirs[index], theirs[index + 1], part)
    assert apart(slerp(times, rotations)(at), xyzw(found)) < 1e-12


def test_numpy_quaternion_takes_the_long_way_where_signs_flip() -> None:
    """Both name the same rotations; only ours gives the same curve."""
    times, rotations, at = turns(2)
    flipped = rotations.clone()
    flipped[1::2] *= -1.0
    wxyz = npq.from_float_array(np.ascontiguousarray(flipped.numpy()[:, [3, 0, 1, 2]]))
    theirs = xyzw(npq.squad(wxyz, times.numpy(), at.numpy()))
    wanted = squad(times, rotations)(at)
    assert apart(squad(times, flipped)(at), wanted) < 1e-13
    assert apart(wanted, theirs) > 0.3


@pytest.mark.parametrize("seed", range(3))
def test_slerp_and_squad_of_splines(seed: int) -> None:
    times, rotations, at = turns(seed)
    theirs = their_rotations(unroll(rotations))
    found = sq.PiecewiseSlerp(theirs, grid=times.tolist())
    assert apart(slerp(times, rotations)(at), evaluated(found, at)) < 1e-12
    closed = torch.cat((rotations, rotations[:1]))
    longer = torch.cat((times, times[-1:] + 0.6))
    around = torch.cat((longer[-2:-1] - longer[-1:] + longer[:1], longer, longer[1:2] + longer[-1]))
    keys_around = torch.cat((closed[-2:-1], closed, closed[1:2]))
    speed = key_velocities(around, unroll(keys_around))[1:-1]  # the nearer key counts more
    ours = squad(longer, unroll(keys_around)[1:-1], speed)
    assert apart(ours(at), evaluated(sq.Squad(theirs, longer.tolist()), at)) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_rotation_curves_of_splines(seed: int) -> None:
    times, rotations, at = turns(seed)
    theirs = their_rotations(rotations)
    inner = at[(at >= times[1]) & (at < times[-2])]
    tcb = torch.tensor(TCB, dtype=torch.float64)
    for ours, other in (
        (rotation_tcb(times, rotations), sq.CatmullRom(theirs, times.tolist())),
        (rotation_tcb(times, rotations, tcb), sq.KochanekBartels(theirs, times.tolist(), tcb=TCB)),
    ):
        assert apart(ours(inner), evaluated(other, inner)) < 1e-12
    controls = unroll(rotations)[None, :4]
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    u = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    found = sq.DeCasteljau([their_rotations(controls[0])]).evaluate(u.tolist())
    theirs_u = np.array([[*q.vector, q.scalar] for q in found])
    assert apart(rotation_bezier(ends, controls)(u), theirs_u) < 1e-12


def test_barry_goldman_away_from_keys() -> None:
    """Near a key their arccosine of almost one has only half the digits."""
    times, rotations, _ = turns(1)
    longer = torch.cat((times, times[-1:] + 0.8))
    middle = (longer[1:] + longer[:-1]) / 2.0
    theirs = sq.BarryGoldman(their_rotations(rotations), longer.tolist())
    ours = barry_goldman(longer, rotations, closed=True)
    assert apart(ours(middle), evaluated(theirs, middle)) < 1e-12


def test_catmull_rom_rotations_end_naturally_where_splines_does_not() -> None:
    """The end control lies midway to the control after it; they take the next key for that."""
    times, rotations, _ = turns(6)
    start = times[:1] + 1e-3 * torch.arange(3)
    theirs = sq.CatmullRom(their_rotations(rotations), times.tolist())

    def bend(curve: Any) -> float:
        speed = speeds(curve, start, 1e-3)
        return float(((speed[1:] - speed[:-1]) / 1e-3).norm(dim=-1)[0])

    ours = bend(rotation_tcb(times, rotations))
    other = bend(lambda at: torch.from_numpy(evaluated(theirs, at)))
    assert ours < 0.02 * other
