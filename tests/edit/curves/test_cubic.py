"""Piecewise cubics against a loop over queries, in blocks and at the seams."""

import torch

from muybridge.edit.curves import cubic
from muybridge.edit.curves.cubic import Cubic, linear, stepped
from tests.edit.curves.keys import keys


def naive(curve: Cubic, time: float, derivative: int) -> torch.Tensor:
    """One query, one power at a time."""
    segment = 0
    for k, knot in enumerate(curve.knots[:-1].tolist()):
        segment = k if time >= knot else segment
    u, value = time - float(curve.knots[segment]), torch.zeros_like(curve.coefficients[0, 0])
    for power in range(derivative, 4):
        factor = 1.0
        for step in range(derivative):
            factor *= power - step
        value = value + factor * curve.coefficients[segment, power] * u ** (power - derivative)
    return value


def test_equals_the_loop() -> None:
    times, _, _ = keys(1)
    curve = Cubic(times, torch.randn(len(times) - 1, 4, 3, 2, dtype=torch.float64))
    at = torch.cat((times, torch.linspace(float(times[0]) - 1, float(times[-1]) + 1, 31).double()))
    for derivative in range(5):
        wanted = torch.stack([naive(curve, t, derivative) for t in at.tolist()])
        torch.testing.assert_close(curve(at, derivative), wanted, rtol=1e-12, atol=1e-12)


def test_many_blocks_are_one_answer() -> None:
    times, values, _ = keys(2, 64)
    curve = linear(times, values)
    at = torch.linspace(float(times[0]), float(times[-1]), 3 * cubic.BLOCK // 64 + 7).double()
    whole = torch.stack([curve(t[None])[0] for t in at[::97]])
    torch.testing.assert_close(curve(at)[::97], whole, rtol=0, atol=0)


def test_steps_begin_at_their_keys() -> None:
    times = torch.tensor([0.0, 1.0, 2.0])
    held = stepped(times, torch.tensor([5.0, 6.0, 7.0]))
    assert held(torch.tensor([-1.0, 0.0, 0.99, 1.0, 2.0, 9.0])).tolist() == [5, 5, 5, 6, 7, 7]
    assert held(times, derivative=1).tolist() == [0.0, 0.0, 0.0]
