"""What every curve must do, of values and of rotations."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from muybridge.edit.curves.cubic import linear, stepped
from muybridge.edit.curves.knots import check_keys
from muybridge.edit.curves.polynomial import barycentric
from muybridge.edit.curves.rotation import nlerp, slerp, squad
from muybridge.edit.curves.rotation_bezier import barry_goldman, rotation_tcb
from muybridge.edit.curves.rotation_cubic import log_spline, rotation_hermite, rotation_spline
from muybridge.edit.curves.spline import spline
from muybridge.edit.curves.tangents import cardinal, catmull_rom, kochanek_bartels, monotone
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle, multiply, quaternion_from_rotvec
from tests.edit.curves.keys import keys, turns

Make = Callable[[Tensor, Tensor], Callable[[Tensor], Tensor]]

VALUES: dict[str, Make] = {
    "stepped": stepped,
    "linear": linear,
    "polynomial": barycentric,
    "natural": lambda t, v: spline(t, v, "natural"),
    "clamped": lambda t, v: spline(t, v, "clamped"),
    "not-a-knot": lambda t, v: spline(t, v, "not-a-knot"),
    "catmull-rom": catmull_rom,
    "cardinal": lambda t, v: cardinal(t, v, 0.4),
    "kochanek-bartels": lambda t, v: kochanek_bartels(t, v, torch.tensor([0.2, -0.3, 0.4]).to(t)),
    "monotone": monotone,
}
ROTATIONS: dict[str, Make] = {
    "nlerp": nlerp,
    "slerp": slerp,
    "squad": squad,
    "hermite": rotation_hermite,
    "c2": rotation_spline,
    "c2 natural": lambda t, q: rotation_spline(t, q, "natural"),
    "log-map": log_spline,
    "catmull-rom": rotation_tcb,
    "kochanek-bartels": lambda t, q: rotation_tcb(t, q, torch.tensor([0.2, -0.3, 0.4]).to(t)),
    "barry-goldman": barry_goldman,
}
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=12, deadline=None)


@pytest.mark.parametrize("name", VALUES)
@given(seed=SEEDS)
@FEW
def test_passes_through_its_keys(name: str, seed: int) -> None:
    times, values, _ = keys(seed)
    torch.testing.assert_close(VALUES[name](times, values)(times), values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", VALUES)
@given(seed=SEEDS)
@FEW
def test_moves_with_its_keys(name: str, seed: int) -> None:
    """Affine maps of values and times, and the sum to one that a constant tests."""
    times, values, inside = keys(seed)
    if name == "monotone":
        matrix = torch.tensor([[-2.0, 0.0], [0.0, 0.7]], dtype=torch.float64)  # channels apart
    else:
        matrix = torch.tensor([[1.0, 2.0], [-0.5, 0.3]], dtype=torch.float64)
    moved = VALUES[name](3.0 * times - 5.0, values @ matrix + 1.5)(3.0 * inside - 5.0)
    atol = 1e-7 if name == "polynomial" else 1e-11
    expected = VALUES[name](times, values)(inside) @ matrix + 1.5
    torch.testing.assert_close(moved, expected, rtol=0, atol=atol)
    constant = VALUES[name](times, torch.full_like(values, 4.25))(inside)
    torch.testing.assert_close(constant, torch.full_like(constant, 4.25), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(VALUES) - {"stepped"}))
def test_gradients_reach_values_and_times(name: str) -> None:
    times, values, inside = keys(3)
    times, values = times[:4], values[:4]
    inside = torch.linspace(float(times[0]) + 0.01, float(times[-1]) - 0.01, 5).double()

    def at(times: Tensor, values: Tensor, inside: Tensor) -> Tensor:
        return VALUES[name](times, values)(inside)

    inputs = tuple(x.clone().requires_grad_() for x in (times, values, inside))
    assert torch.autograd.gradcheck(at, inputs)


@pytest.mark.parametrize("name", VALUES)
def test_any_shape_of_value_and_float32(name: str) -> None:
    times, values, inside = keys(5, 6)
    flat = VALUES[name](times, values)(inside)
    shaped = VALUES[name](times, values.reshape(-1, 2, 3))(inside)
    torch.testing.assert_close(shaped.reshape(-1, 6), flat, rtol=0, atol=1e-13)
    single = VALUES[name](times.float(), values.float())(inside.float())
    assert single.dtype == torch.float32
    alone = VALUES[name](times, values[:, 0])(inside)
    torch.testing.assert_close(alone, flat[:, 0], rtol=0, atol=1e-13)
    assert VALUES[name](times, values)(inside[:0]).shape == (0, 6)


@pytest.mark.parametrize("name", ROTATIONS)
@given(seed=SEEDS)
@FEW
def test_rotations_pass_through_their_keys(name: str, seed: int) -> None:
    times, rotations, inside = turns(seed, (2,))
    curve = ROTATIONS[name](times, rotations)
    assert float(geodesic_angle(curve(times), rotations).max()) < 1e-7  # a sine of 1e-8 squared
    lengths = curve(inside).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ROTATIONS)
@given(seed=SEEDS)
@FEW
def test_a_quaternion_and_its_negative_are_one_rotation(name: str, seed: int) -> None:
    times, rotations, inside = turns(seed)
    rng = np.random.default_rng(seed)
    signs = torch.from_numpy(rng.choice([-1.0, 1.0], len(times)))[:, None]
    a, b = (ROTATIONS[name](times, q)(inside) for q in (rotations, signs * rotations))
    assert float((a * b).sum(-1).abs().min()) > 1.0 - 1e-13


@pytest.mark.parametrize("name", sorted(set(ROTATIONS) - {"log-map"}))
@given(seed=SEEDS)
@FEW
def test_rotations_turn_with_their_keys(name: str, seed: int) -> None:
    """A rotation from the left (of the world) and from the right (of the bone) commute."""
    times, rotations, inside = turns(seed)
    rng = np.random.default_rng(seed)
    left, right = quaternion_from_rotvec(torch.from_numpy(rng.normal(size=(2, 3))))
    plain = ROTATIONS[name](times, rotations)(inside)

    def both(q: Tensor) -> Tensor:
        return multiply(multiply(left.expand_as(q), q), right.expand_as(q))

    moved = ROTATIONS[name](times, both(rotations))(inside)
    assert float((moved * both(plain)).sum(-1).abs().min()) > 1.0 - 1e-12


@pytest.mark.parametrize("name", ROTATIONS)
def test_gradients_reach_rotations(name: str) -> None:
    times, rotations, inside = turns(11)
    rotvecs = torch.zeros(len(times), 3, dtype=torch.float64, requires_grad=True)

    def at(rotvecs: Tensor) -> Tensor:
        return ROTATIONS[name](times, multiply(rotations, quaternion_from_rotvec(rotvecs)))(
            inside[:7]
        )

    small = (0.1 * torch.randn(len(times), 3, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(at, (small,), atol=1e-6)
    still = ROTATIONS[name](times, rotations[:1].expand_as(rotations) + 0.0 * rotvecs.sum())(inside)
    (gradient,) = torch.autograd.grad(still.sum(), rotvecs)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("name", ROTATIONS)
def test_still_keys_stay_still(name: str) -> None:
    times, rotations, inside = turns(2)
    still = rotations[:1].expand_as(rotations)
    angle = geodesic_angle(ROTATIONS[name](times, still)(inside), still[:1])
    assert float(angle.max()) < 1e-7


def _bad(times: Tensor, values: Tensor) -> dict[str, tuple[Tensor, Tensor, str]]:
    swapped, twice, hole = times.clone(), times.clone(), values.clone()
    swapped[1], swapped[2] = times[2], times[1]
    twice[2] = times[1]
    hole[1] = float("nan")
    return {
        "unsorted": (swapped, values, "increase"),
        "duplicate": (twice, values, "increase"),
        "NaN": (times, hole, "finite"),
        "NaN time": (times / 0.0 * 0.0, values, "finite"),
        "none": (times[:0], values[:0], "at least"),
    }


@pytest.mark.parametrize("name", [*VALUES, *(f"rotation {name}" for name in ROTATIONS)])
@pytest.mark.parametrize("fault", ["unsorted", "duplicate", "NaN", "NaN time", "none"])
def test_keys_that_cannot_be_used_are_named(name: str, fault: str) -> None:
    turning = name.startswith("rotation ")
    times, values, _ = turns(1) if turning else keys(1)
    make = ROTATIONS[name.removeprefix("rotation ")] if turning else VALUES[name]
    bad_times, bad_values, word = _bad(times, values)[fault]
    with pytest.raises(InputError, match=word):
        make(bad_times, bad_values)


def test_a_time_too_few_is_named() -> None:
    times, values, _ = keys(1)
    with pytest.raises(InputError, match="one time a key"):
        check_keys(times[:-1], values, 1, "linear")


def test_quaternions_that_are_no_rotations_are_named() -> None:
    times, rotations, _ = turns(1)
    with pytest.raises(InputError, match="unit quaternions"):
        slerp(times, 2.0 * rotations)
