"""Slerp against scipy and its definition; what nlerp, slerp and squad promise."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.spatial.transform import Slerp as ScipySlerp

from muybridge.edit.curves.cubic import hermite
from muybridge.edit.curves.rotation import Normalised, key_velocities, nlerp, slerp, squad
from muybridge.geometry.rotation import (
    conjugate,
    geodesic_angle,
    multiply,
    quaternion_from_rotvec,
    rotvec_from_quaternion,
)  # fmt: skip
from muybridge.geometry.rotation import slerp as slerp_of_two
from tests.edit.curves.keys import turns

SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=20, deadline=None)


def apart(a: torch.Tensor, b: torch.Tensor | np.ndarray) -> float:
    """Largest difference of components, blind to signs."""
    other = torch.as_tensor(b)
    same, opposite = (a - other).abs().amax(-1), (a + other).abs().amax(-1)
    return float(torch.minimum(same, opposite).max())


def speeds(curve: object, at: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    """Angular velocity by differences, in the frame of the first."""
    a, b = curve(at), curve(at + step)  # type: ignore[operator]
    return rotvec_from_quaternion(multiply(conjugate(a), b)) / step


@given(seed=SEEDS)
@FEW
def test_slerp_equals_scipy(seed: int) -> None:
    times, rotations, inside = turns(seed)
    theirs = ScipySlerp(times.numpy(), Rotation.from_quat(rotations.numpy()))
    assert apart(slerp(times, rotations)(inside), theirs(inside.numpy()).as_quat()) < 1e-12


@given(seed=SEEDS)
@FEW
def test_slerp_equals_the_naive_one_and_outside_turns_on(seed: int) -> None:
    times, rotations, inside = turns(seed, (3,))
    index = torch.searchsorted(times, inside, right=True) - 1
    part = (inside - times[index]) / times.diff()[index]
    naive = slerp_of_two(rotations[index], rotations[index + 1], part[:, None].expand(-1, 3))
    assert apart(slerp(times, rotations)(inside), naive) < 1e-12
    later = torch.stack((times[-1] + 0.5, times[-1] + 1.0))
    beyond = slerp(times, rotations)(torch.cat((times[-1:], later)))
    angle = geodesic_angle(beyond[1:], beyond[:-1])
    torch.testing.assert_close(angle[0], angle[1], rtol=0, atol=1e-9)


def test_slerp_turns_at_one_speed_and_nlerp_does_not() -> None:
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    rotvecs = torch.tensor([[0.1, 0.0, 0.2], [1.9, -0.8, 0.9]], dtype=torch.float64)
    rotations = quaternion_from_rotvec(rotvecs)
    at = torch.linspace(0.0, 0.9, 10, dtype=torch.float64)
    even = speeds(slerp(times, rotations), at).norm(dim=-1)
    assert float(even.max() / even.min()) < 1.0 + 1e-9
    uneven = speeds(nlerp(times, rotations), at).norm(dim=-1)
    assert float(uneven.max() / uneven.min()) > 1.2
    given = slerp(times, rotations).velocity(at)
    torch.testing.assert_close(given.norm(dim=-1), even, rtol=1e-9, atol=0)
    line = nlerp(times, rotations)(at)  # the same path all the same
    plane = torch.linalg.svdvals(torch.cat((rotations, line)))
    assert float(plane[2]) < 1e-14


def test_squad_is_smooth_where_slerp_jumps() -> None:
    times, rotations, _ = turns(7)
    before = times[1:-1] - 2e-5
    for make, least, most in ((slerp, 0.05, 9.0), (squad, 0.0, 1e-3)):
        curve = make(times, rotations)
        jump = (speeds(curve, before) - speeds(curve, times[1:-1])).norm(dim=-1).max()
        assert least <= float(jump) < most


def test_squad_takes_the_velocities_given() -> None:
    times, rotations, _ = turns(8)
    wanted = torch.randn(len(times), 3, dtype=torch.float64)
    curve = squad(times, rotations, wanted)
    torch.testing.assert_close(speeds(curve, times[:-1], 1e-7), wanted[:-1], rtol=0, atol=1e-4)
    torch.testing.assert_close(speeds(curve, times[1:] - 1e-7, 1e-7), wanted[1:], rtol=0, atol=1e-4)


def test_turns_about_one_axis_become_numbers() -> None:
    """About a fixed axis squad is an ordinary curve of the angle: here an exact one."""
    times = torch.arange(5, dtype=torch.float64)
    axis = torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    rotations = quaternion_from_rotvec((0.3 * times)[:, None] * axis)
    at = torch.linspace(0.0, 4.0, 21, dtype=torch.float64)
    wanted = quaternion_from_rotvec((0.3 * at)[:, None] * axis)
    for curve in (slerp(times, rotations), squad(times, rotations)):
        assert apart(curve(at), wanted) < 1e-14


def test_key_velocities_weigh_the_nearer_key() -> None:
    times = torch.tensor([0.0, 1.0, 1.25], dtype=torch.float64)
    angle = times.square()  # the parabola through three keys is exact
    rotations = quaternion_from_rotvec(angle[:, None] * torch.tensor([0.0, 1.0, 0.0]).double())
    found = key_velocities(times, rotations)[1, 1]
    assert abs(float(found) - 2.0) < 1e-12


def test_gltfs_cubic_is_four_cubics_normalised() -> None:
    times, rotations, inside = turns(5)
    slopes = torch.randn(len(times), 4, dtype=torch.float64)
    curve = Normalised(hermite(times, rotations, slopes))(inside)
    raw = hermite(times, rotations, slopes)(inside)
    torch.testing.assert_close(curve, raw / raw.norm(dim=-1, keepdim=True), rtol=0, atol=1e-15)
