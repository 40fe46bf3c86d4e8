"""CCD and FABRIK on chains of ball joints: reach, bone lengths, what is out of reach."""

import pytest
import torch

from muybridge.errors import InputError
from muybridge.geometry.rotation import quaternion_from_rotvec, rotate
from muybridge.motion.ik.ccd import ccd
from muybridge.motion.ik.fabrik import fabrik
from muybridge.motion.ik.points import PointOptions, bone_lengths

LENGTHS = torch.tensor([0.30, 0.25, 0.20, 0.15, 0.10], dtype=torch.float64)
SOLVERS = {"ccd": ccd, "fabrik": fabrik}
both = pytest.mark.parametrize("name", list(SOLVERS))


def chains(count: int, seed: int) -> torch.Tensor:
    """Chains of five bones in random poses."""
    generator = torch.Generator().manual_seed(seed)
    way = torch.randn(count, 5, 3, dtype=torch.float64, generator=generator)
    way = LENGTHS[:, None] * torch.nn.functional.normalize(way, dim=-1)
    return torch.nn.functional.pad(way.cumsum(1), (0, 0, 1, 0)) + 0.1


@both
def test_targets_of_random_poses(name: str) -> None:
    """A 5-bone chain: 99.8 % within 0.1 mm after 100 sweeps, all within 1 mm after 200."""
    start, target = chains(2000, 0), chains(2000, 1)[:, -1]
    found = SOLVERS[name](start, target, PointOptions(iterations=100))
    assert float((found.error < 1e-4).double().mean()) >= 0.998
    found = SOLVERS[name](start[:500], target[:500], PointOptions(iterations=200))
    assert float(found.error.max()) < 1e-3 * float(LENGTHS.sum())
    torch.testing.assert_close((found.points[:, -1] - target[:500]).norm(dim=-1), found.error)


@both
def test_bones_keep_their_lengths_and_the_root_its_place(name: str) -> None:
    start = chains(50, 2)
    found = SOLVERS[name](start, 1.2 * chains(50, 3)[:, -1], PointOptions(iterations=30))
    torch.testing.assert_close(bone_lengths(found.points), LENGTHS.expand(50, -1))
    torch.testing.assert_close(found.points[:, 0], start[:, 0])


@both
def test_turning_everything_turns_the_answer(name: str) -> None:
    start, target = chains(20, 4), chains(20, 5)[:, -1]
    turn = quaternion_from_rotvec(torch.tensor([0.4, -1.0, 0.7], dtype=torch.float64))
    options = PointOptions(iterations=10)
    first = SOLVERS[name](start, target, options).points
    second = SOLVERS[name](rotate(turn, start), rotate(turn, target), options).points
    torch.testing.assert_close(second, rotate(turn, first), atol=1e-9, rtol=0.0)


@both
def test_out_of_reach_is_straight_towards_the_target(name: str) -> None:
    start, length = chains(20, 6), float(LENGTHS.sum())
    away = torch.nn.functional.normalize(chains(20, 7)[:, -1] - 0.1, dim=-1)
    target = start[:, 0] + 1.5 * length * away
    found = SOLVERS[name](start, target, PointOptions(iterations=300))
    line = torch.nn.functional.pad(LENGTHS.cumsum(0), (1, 0))
    straight = start[:, :1] + line[:, None] * away[:, None]
    tolerance = 1e-12 if name == "fabrik" else 1e-2
    torch.testing.assert_close(found.points, straight, atol=tolerance, rtol=0.0)
    left = torch.full_like(found.error, 0.5 * length)
    torch.testing.assert_close(found.error, left, atol=1e-3, rtol=0.0)


def test_a_chain_in_line_with_its_target_bends() -> None:
    """The target lies on the straight chain itself, where every pull is along the bones."""
    line = torch.nn.functional.pad(LENGTHS.cumsum(0), (1, 0))
    start = line[None, :, None] * torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64)
    found = fabrik(start, 0.7 * start[:, -1], PointOptions(iterations=300))
    assert float(found.error) < 1e-4
    torch.testing.assert_close(bone_lengths(found.points), LENGTHS.unsqueeze(0))


@both
def test_what_is_there_already_is_left_alone(name: str) -> None:
    start = chains(5, 8)
    found = SOLVERS[name](start, start[:, -1])
    torch.testing.assert_close(found.points, start, atol=1e-15, rtol=0.0)
    assert found.iterations.tolist() == [0] * 5


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="expected at least one iteration"):
        PointOptions(tolerance=0.0)
