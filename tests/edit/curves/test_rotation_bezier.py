"""Rotations by de Casteljau: limits that must be curves already known."""

import pytest
import torch

from muybridge.edit.curves.bezier import de_casteljau
from muybridge.edit.curves.rotation import slerp
from muybridge.edit.curves.rotation_bezier import barry_goldman, rotation_bezier, rotation_tcb
from muybridge.edit.curves.rotvec import exponential
from muybridge.edit.curves.tangents import catmull_rom, kochanek_bartels
from muybridge.errors import InputError
from tests.edit.curves.keys import turns
from tests.edit.curves.test_rotation import apart, speeds

AXIS = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
T = torch.tensor([0.0, 0.7, 1.0, 2.4, 3.0], dtype=torch.float64)
ANGLE = torch.tensor([0.0, 0.4, 0.1, 0.9, 1.2], dtype=torch.float64)
AT = torch.linspace(0.0, 3.0, 61, dtype=torch.float64)


def about(angle: torch.Tensor) -> torch.Tensor:
    return exponential(angle[..., None] * AXIS)


def test_about_one_axis_they_are_the_curves_of_the_angle() -> None:
    tcb = torch.tensor([0.3, -0.2, 0.4], dtype=torch.float64)
    wanted = about(kochanek_bartels(T, ANGLE, tcb)(AT))
    assert apart(rotation_tcb(T, about(ANGLE), tcb)(AT), wanted) < 1e-13
    assert apart(rotation_tcb(T, about(ANGLE))(AT), about(catmull_rom(T, ANGLE)(AT))) < 1e-13
    inner = (T[1] <= AT) & (T[-2] >= AT)  # at the ends they differ in what comes before
    found = barry_goldman(T, about(ANGLE))(AT)
    assert apart(found[inner], about(catmull_rom(T, ANGLE)(AT))[inner]) < 1e-13
    controls = torch.tensor([[0.0, 0.5, -0.3, 0.8, 0.4]], dtype=torch.float64)
    u = torch.linspace(0.0, 1.0, 21, dtype=torch.float64)
    curve = rotation_bezier(torch.tensor([0.0, 1.0], dtype=torch.float64), about(controls))
    assert apart(curve(u), about(de_casteljau(controls[0], u))) < 1e-14


def test_two_controls_are_slerp() -> None:
    times, rotations, inside = turns(3)
    curve = rotation_bezier(times, torch.stack((rotations[:-1], rotations[1:]), dim=1))
    assert apart(curve(inside), slerp(times, rotations)(inside)) < 1e-14
    two = rotation_tcb(times[:2], rotations[:2])
    at = torch.linspace(float(times[0]), float(times[1]), 9, dtype=torch.float64)
    assert apart(two(at), slerp(times[:2], rotations[:2])(at)) < 1e-14


@pytest.mark.parametrize("make", [rotation_tcb, barry_goldman])
def test_the_velocity_does_not_jump(make: object) -> None:
    times, rotations, _ = turns(6, (2,))
    curve = make(times, rotations)  # type: ignore[operator]
    before = speeds(curve, times[1:-1] - 1e-6, 1e-6)
    torch.testing.assert_close(before, speeds(curve, times[1:-1], 1e-6), rtol=0, atol=1e-4)


def test_the_ends_have_no_acceleration() -> None:
    """What "natural" means; `splines` 0.3.3 takes the wrong control there."""
    times, rotations, _ = turns(6)
    curve = rotation_tcb(times, rotations)
    step = 1e-4
    start = speeds(curve, times[:1] + torch.arange(3) * step, step)
    bend = (start[1:] - start[:-1]) / step
    assert float(bend.norm(dim=-1).max()) < 0.05


def test_a_closed_pyramid_comes_back() -> None:
    times, rotations, _ = turns(6)
    longer = torch.cat((times, times[-1:] + 0.8))
    curve = barry_goldman(longer, rotations, closed=True)
    assert apart(curve(longer[-1:]), rotations[:1]) < 1e-14
    first, last = speeds(curve, longer[:1], 1e-6), speeds(curve, longer[-1:] - 1e-6, 1e-6)
    torch.testing.assert_close(first, last, rtol=0, atol=1e-4)


def test_knots_that_do_not_fit_are_named() -> None:
    times, rotations, _ = turns(3)
    with pytest.raises(InputError, match="one knot more"):
        rotation_bezier(times, torch.stack((rotations, rotations), dim=1))
