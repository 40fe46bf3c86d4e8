"""F-curves: what Blender's numbers cannot tell (these are in tests/parity/test_fcurves.py)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.curves.fcurve import FCurve, automatic_handles
from muybridge.errors import InputError

T = torch.tensor([0.0, 1.0, 2.5], dtype=torch.float64)
V = torch.tensor([0.0, 3.0, 1.0], dtype=torch.float64)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
@settings(max_examples=40, deadline=None)
def test_any_handles_give_one_value_a_time(before: float, after: float) -> None:
    """The parameter that is found really lies at its time: a line in value shows it."""
    keys, width = T[:2], 1.0
    line = 2.0 * keys + 1.0
    right = torch.stack((keys + after * width, 2.0 * (keys + after * width) + 1.0), dim=-1)
    left = torch.stack((keys - before * width, 2.0 * (keys - before * width) + 1.0), dim=-1)
    at = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
    found = FCurve(keys, line, left, right)(at)
    torch.testing.assert_close(found, 2.0 * at + 1.0, rtol=0, atol=1e-12)


def test_every_key_its_own_word() -> None:
    handles = automatic_handles(T, torch.zeros_like(T), V)
    curve = FCurve(T, V, *handles, ("constant", "linear", "bezier"))
    at = torch.tensor([0.5, 1.75, 2.5, 9.0], dtype=torch.float64)
    assert curve(at).tolist() == [0.0, 2.0, 1.0, 1.0]


def test_gradients_reach_values_and_handles() -> None:
    left, right = automatic_handles(T, torch.tensor([1.0, -0.4, 0.2], dtype=torch.float64), V)
    at = torch.tensor([0.2, 0.9, 1.4, 2.4], dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for x in (V, left, right)]
    assert torch.autograd.gradcheck(lambda v, a, b: FCurve(T, v, a, b)(at), inputs)


def test_one_key_holds() -> None:
    curve = FCurve(T[:1], V[1:2], torch.zeros(1, 2).double(), torch.zeros(1, 2).double(),
                   before="linear", after="cycle")  # fmt: skip
    assert curve(T - 1.0).tolist() == [3.0, 3.0, 3.0]


def test_wrong_words_are_named(unchecked: None) -> None:
    handles = automatic_handles(T, torch.zeros_like(T), V)
    with pytest.raises(InputError, match="'wobble'"):
        FCurve(T, V, *handles, "wobble")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got 2 for 3 keys"):
        FCurve(T, V, *handles, ("linear", "linear"))
