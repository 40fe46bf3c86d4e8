"""Rotations against scipy, and their group laws."""

import itertools

import pytest
import roma
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.geometry import rotation as rot

ORDERS = ["".join(order) for order in itertools.permutations("xyz")]


def _random_quaternions(seed: int, count: int = 200) -> torch.Tensor:
    return torch.tensor(Rotation.random(count, random_state=seed).as_quat())


def test_maps_equal_scipy() -> None:
    q = _random_quaternions(0)
    scipy = Rotation.from_quat(q.numpy())
    matrix = rot.matrix_from_quaternion(q)
    torch.testing.assert_close(matrix, torch.tensor(scipy.as_matrix()), atol=1e-14, rtol=0)
    rotvec = rot.rotvec_from_quaternion(q)
    torch.testing.assert_close(rotvec, torch.tensor(scipy.as_rotvec()), atol=1e-12, rtol=0)
    torch.testing.assert_close(rot.matrix_from_rotvec(rotvec), matrix, atol=1e-13, rtol=0)
    assert float(rot.geodesic_angle(rot.quaternion_from_matrix(matrix), q).max()) < 1e-7


def test_the_nearest_rotation_is_that_of_scipys_alignment() -> None:
    generator = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 20, 5, 3, generator=generator, dtype=torch.float64)
    found = rot.nearest_rotation(target.mT @ source)
    for a, b, ours in zip(source, target, found, strict=True):
        theirs = torch.tensor(Rotation.align_vectors(b.numpy(), a.numpy())[0].as_matrix())
        torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    assert bool((torch.linalg.det(found) > 0.0).all())
    turned = rot.matrix_from_quaternion(_random_quaternions(2))
    torch.testing.assert_close(rot.nearest_rotation(3.0 * turned), turned, atol=1e-14, rtol=0)


@pytest.mark.parametrize("order", ORDERS)
def test_euler_equals_scipy_capitals_and_returns(order: str) -> None:
    q = _random_quaternions(1)
    expected = Rotation.from_quat(q.numpy()).as_euler(order.upper())
    angles = rot.euler_from_matrix(rot.matrix_from_quaternion(q), order)
    torch.testing.assert_close(angles, torch.tensor(expected), atol=1e-9, rtol=0)
    back = rot.matrix_from_euler(angles, order)
    torch.testing.assert_close(back, rot.matrix_from_quaternion(q), atol=1e-12, rtol=0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_gimbal_lock_keeps_the_rotation(order: str, side: float) -> None:
    angles = torch.tensor([[0.4, side * torch.pi / 2, -0.9]], dtype=torch.float64)
    matrix = rot.matrix_from_euler(angles, order)
    back = rot.matrix_from_euler(rot.euler_from_matrix(matrix, order), order)
    torch.testing.assert_close(back, matrix, atol=1e-7, rtol=0)


@given(st.integers(0, 10_000))
def test_group_laws(seed: int) -> None:
    a, b = _random_quaternions(seed, 2)
    v = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    chained = rot.rotate(a, rot.rotate(b, v))
    torch.testing.assert_close(rot.rotate(rot.multiply(a, b), v), chained, atol=1e-12, rtol=0)
    identity = rot.identity_quaternion()
    assert float(rot.geodesic_angle(rot.multiply(a, rot.conjugate(a)), identity)) < 1e-7


def test_slerp_has_constant_speed_and_takes_the_short_arc() -> None:
    a, b = _random_quaternions(3, 2)
    t = torch.linspace(0.0, 1.0, 11, dtype=torch.float64)
    path = rot.slerp(a.expand(11, 4), -b.expand(11, 4), t)
    steps = rot.geodesic_angle(path[1:], path[:-1])
    torch.testing.assert_close(steps, steps[:1].expand(10), atol=1e-10, rtol=0)
    assert float(rot.geodesic_angle(path[-1], b)) < 1e-7


def test_unroll_keeps_rotations_and_joins_hemispheres() -> None:
    q = _random_quaternions(4, 50)
    smooth = rot.slerp(q[:1].expand(50, 4), q[1:2].expand(50, 4), torch.linspace(0, 1, 50).double())
    flipped = smooth * torch.where(torch.arange(50) % 3 == 0, -1.0, 1.0).unsqueeze(-1)
    unrolled = rot.unroll(flipped)
    assert bool(((unrolled[1:] * unrolled[:-1]).sum(-1) > 0).all())
    assert float(rot.geodesic_angle(unrolled, smooth).max()) < 1e-7


def test_cross_matrix_is_the_cross_product_and_the_slope_of_a_small_turn() -> None:
    generator = torch.Generator().manual_seed(5)
    u, v = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    product = (rot.cross_matrix(v) @ u.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(product, torch.linalg.cross(v, u))
    turned = (rot.matrix_from_rotvec(1e-6 * v) @ u.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close((turned - u) / 1e-6, product, atol=1e-5, rtol=0)


def test_six_numbers_are_two_columns_orthonormalised_as_roma_does() -> None:
    generator = torch.Generator().manual_seed(6)
    six = torch.randn(500, 6, generator=generator, dtype=torch.float64)
    matrix = rot.matrix_from_six(six)
    expected = roma.special_gramschmidt(six.unflatten(-1, (2, 3)).mT)
    torch.testing.assert_close(matrix, expected, atol=1e-14, rtol=0)
    identity = torch.eye(3, dtype=torch.float64).expand(500, 3, 3)
    torch.testing.assert_close(matrix @ matrix.mT, identity, atol=1e-14, rtol=0)
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(500).double())
    scaled = six * torch.tensor([3.0, 3, 3, 0.2, 0.2, 0.2])  # lengths say nothing
    torch.testing.assert_close(rot.matrix_from_six(scaled), matrix)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, torch.pi - 1e-4, torch.pi - 1e-9])
def test_every_parameterisation_goes_there_and_back(angle: float) -> None:
    """Euler angles, quaternion, exponential map and six numbers of the same rotations."""
    generator = torch.Generator().manual_seed(7)
    axis = torch.nn.functional.normalize(torch.randn(50, 3, generator=generator).double(), dim=-1)
    matrix = rot.matrix_from_rotvec(angle * axis)
    for there, back in (
        (rot.six_from_matrix, rot.matrix_from_six),
        (rot.quaternion_from_matrix, rot.matrix_from_quaternion),
        (rot.rotvec_from_matrix, rot.matrix_from_rotvec),
        (lambda m: rot.euler_from_matrix(m, "zxy"), lambda e: rot.matrix_from_euler(e, "zxy")),
    ):
        torch.testing.assert_close(back(there(matrix)), matrix, atol=1e-7, rtol=0)


def test_six_numbers_have_gradients() -> None:
    generator = torch.Generator().manual_seed(8)
    six = torch.randn(5, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rot.matrix_from_six, (six,))


def test_the_shortest_arc_is_square_to_both_and_turns_one_into_the_other() -> None:
    generator = torch.Generator().manual_seed(9)
    a, b = torch.randn(2, 200, 3, generator=generator, dtype=torch.float64)
    b[0], b[1], b[2] = 2.0 * a[0], -a[1], -a[2] + 1e-9
    b[3] = 0.0
    arc = rot.shortest_arc(a, b)
    turned = torch.nn.functional.normalize(rot.rotate(arc, a), dim=-1)
    expected = torch.nn.functional.normalize(b, dim=-1)
    keep = torch.arange(200) != 3
    torch.testing.assert_close(turned[keep], expected[keep], atol=1e-7, rtol=0)
    assert arc[3].tolist() == [0.0, 0.0, 0.0, 1.0]
    assert float((arc[4:, :3] * a[4:]).sum(-1).abs().max()) < 1e-12
    assert float((arc[4:, :3] * b[4:]).sum(-1).abs().max()) < 1e-12
    torch.testing.assert_close(arc.norm(dim=-1), torch.ones(200).double())
