"""Easings: where they begin and end, that out mirrors in, and derivatives."""

from typing import get_args

import pytest
import torch

from muybridge.edit.curves.easing import Direction, Easing, Spring, ease
from muybridge.errors import InputError

U = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
NAMES = get_args(Easing)


@pytest.mark.parametrize("easing", NAMES)
@pytest.mark.parametrize("direction", get_args(Direction))
def test_goes_from_0_to_1(easing: Easing, direction: Direction) -> None:
    path = ease(U, easing, direction)
    assert abs(float(path[0])) < 1e-15
    assert abs(float(path[-1]) - 1.0) < 1e-15
    assert float(path.diff().abs().max()) < 0.25  # no jump


@pytest.mark.parametrize("easing", NAMES)
def test_out_is_in_backwards_and_in_out_is_both(easing: Easing) -> None:
    forth, back = ease(U, easing, "in"), 1.0 - ease(U, easing, "out").flip(0)
    torch.testing.assert_close(forth, back, rtol=0, atol=1e-13)
    both = ease(U, easing, "in-out")
    torch.testing.assert_close(both, 1.0 - both.flip(0), rtol=0, atol=1e-12)
    if easing not in ("elastic", "back"):  # they swing otherwise in half the time
        torch.testing.assert_close(both[:51], 0.5 * forth[::2], rtol=0, atol=1e-13)


def test_shapes() -> None:
    assert torch.allclose(ease(U, "quint", "in"), U**5)
    assert float(ease(U, "back", "in").min()) == pytest.approx(-0.1, abs=1e-3)  # Penner's tenth
    assert float(ease(U, "elastic", "out").max()) == 1.0  # no amplitude: the swings are damped away
    swinging = ease(U, "elastic", "out", Spring(amplitude=1.5))
    assert float(swinging.max()) > 1.3
    bounces = ease(U, "bounce", "out")
    assert int(((bounces[1:-1] > bounces[:-2]) & (bounces[1:-1] > bounces[2:])).sum()) == 3


@pytest.mark.parametrize("easing", sorted(set(NAMES) - {"bounce"}))
def test_derivatives(easing: Easing) -> None:
    u = torch.tensor([0.13, 0.4, 0.77], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: ease(x, easing, "in-out"), (u,))


def test_unknown_words_are_named(unchecked: None) -> None:
    with pytest.raises(InputError, match="'wobble' and 'in'"):
        ease(U, "wobble", "in")  # type: ignore[arg-type]
