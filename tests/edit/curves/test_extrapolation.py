"""Beyond the keys: each mode by its definition, for values and for rotations."""

import numpy as np
import pytest
import torch

from muybridge.edit.curves.extrapolation import Beyond, beyond_keys, beyond_rotations, folded
from muybridge.edit.curves.rotation import slerp
from muybridge.edit.curves.spline import spline
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle, quaternion_from_rotvec
from tests.edit.curves.keys import turns

T = torch.tensor([1.0, 1.5, 3.0], dtype=torch.float64)
V = torch.tensor([0.0, 2.0, 1.0], dtype=torch.float64)
CURVE = spline(T, V)
ENDS, SLOPES = CURVE(T[[0, -1]]), CURVE(T[[0, -1]], 1)


def carried(times: list[float], mode: Beyond) -> torch.Tensor:
    where = folded(torch.tensor(times, dtype=torch.float64), (1.0, 3.0), mode, mode)
    return beyond_keys(CURVE, where, ENDS, SLOPES)


def test_values() -> None:
    inside = torch.tensor([1.3, 2.2], dtype=torch.float64)
    at = CURVE(inside)
    for mode in ("constant", "linear", "cycle", "cycle-offset", "mirror"):
        torch.testing.assert_close(carried([1.3, 2.2], mode), at, rtol=0, atol=0)  # type: ignore[arg-type]
    torch.testing.assert_close(carried([-7.0, 9.0], "constant"), ENDS, rtol=0, atol=0)
    straight = torch.stack((-2.0 * SLOPES[0], 1.0 + 3.0 * SLOPES[1]))
    torch.testing.assert_close(carried([-1.0, 6.0], "linear"), straight, rtol=0, atol=1e-12)
    torch.testing.assert_close(carried([5.3, -1.8], "cycle"), at, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        carried([5.3, -1.8], "cycle-offset"), at + torch.tensor([2.0, -2.0]), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(carried([0.7, 3.8], "mirror"), at, rtol=0, atol=1e-12)
    torch.testing.assert_close(carried([5.3, 6.2], "mirror"), at, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["linear", "cycle", "cycle-offset", "mirror"])
def test_nothing_jumps_that_should_not(mode: Beyond) -> None:
    times = np.linspace(-3.0, 7.0, 20001)
    steps = carried(times.tolist(), mode).diff().abs()
    assert (float(steps.max()) > 0.5) == (mode == "cycle")  # from the end's 1 back to 0


def test_rotations() -> None:
    times, rotations, _ = turns(4)
    curve, span = slerp(times, rotations), (float(times[0]), float(times[-1]))
    length = span[1] - span[0]
    ends, speeds = rotations[[0, -1]], curve.velocity(times[[0, -1]])

    def at(seconds: float, mode: Beyond) -> torch.Tensor:
        query = torch.tensor([seconds], dtype=torch.float64)
        return beyond_rotations(curve, folded(query, span, mode, mode), ends, speeds)[0]

    def same(a: torch.Tensor, b: torch.Tensor) -> bool:
        return float(geodesic_angle(a, b)) < 1e-7

    some = curve(torch.tensor([span[0] + 0.3], dtype=torch.float64))[0]
    assert same(at(span[1] + 9.0, "constant"), rotations[-1])
    assert same(at(span[0] + 0.3 + 2 * length, "cycle"), some)
    assert same(at(span[0] - 0.3, "mirror"), some)
    beyond = curve(torch.tensor([span[1] + 0.2], dtype=torch.float64))[0]  # slerp itself turns on
    assert same(at(span[1] + 0.2, "linear"), beyond)
    assert same(at(span[1], "cycle-offset"), at(span[1] + 1e-9, "cycle-offset"))
    assert same(at(span[0], "cycle-offset"), at(span[0] - 1e-9, "cycle-offset"))


def test_two_turns_of_offset_are_twice_the_turn() -> None:
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    angles = torch.tensor([0.0, 0.5], dtype=torch.float64)
    axis = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    q = quaternion_from_rotvec(angles[:, None] * axis)
    curve = slerp(times, q)
    where = folded(torch.tensor([2.4, -1.6]).double(), (0.0, 1.0), "cycle-offset", "cycle-offset")
    found = beyond_rotations(curve, where, q, curve.velocity(times))
    wanted = quaternion_from_rotvec(torch.tensor([[0.0, 1.2, 0.0], [0.0, -0.8, 0.0]]).double())
    assert float(geodesic_angle(found, wanted).max()) < 1e-7


def test_unknown_modes_are_named(unchecked: None) -> None:
    with pytest.raises(InputError, match="'forever'"):
        folded(T, (1.0, 3.0), "forever")  # type: ignore[arg-type]
