"""Segments and joints that the motion itself shows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.capture.markers.chain import centre_of_rotation, solve_segments
from muybridge.capture.markers.segments import find_segments
from muybridge.errors import InputError
from muybridge.files.c3d import read_c3d
from muybridge.geometry.rotation import matrix_from_rotvec
from muybridge.motion.gaps import fill_gaps
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers

C3D = Path(__file__).parents[3] / "../shared/data/c3d"


def arm(frames: int = 120, named: bool = True, sigma: float = 0.0) -> tuple[Markers, torch.Tensor]:
    """Three segments in a row with four markers each, and the true joints (T, 2, 3)."""
    rng = np.random.default_rng(0)
    t = torch.arange(frames, dtype=torch.float64) / 30.0
    turns = [
        matrix_from_rotvec(torch.stack((0.5 * (k + t).sin(), 0.7 * (2 * t + k).cos(),
                                        0.9 * (1.3 * t + 2 * k).sin()), dim=-1))
        for k in range(3)
    ]  # fmt: skip
    bone = torch.tensor([0.0, 0.30, 0.0], dtype=torch.float64)
    path = torch.stack((t, 1.0 + 0 * t, 0.3 * t.sin()), dim=-1)
    joints, points, names = [], [], []
    for k, turn in enumerate(turns):
        own = torch.from_numpy(rng.normal(size=(4, 3))) * 0.05 + bone / 2.0
        points.append(own @ turn.mT + path.unsqueeze(1))
        names += [f"{'ABC'[k]}{m}" if named else f"x{k}y{m}z" for m in range(4)]
        path = path + turn @ bone
        joints.append(path)
    world = torch.cat(points, dim=1)
    world = world + sigma * torch.from_numpy(rng.normal(size=world.shape))
    return Markers(tuple(names), world, 30.0), torch.stack(joints[:2], dim=1)


def test_a_ball_joint_is_found_where_it_is() -> None:
    rng = np.random.default_rng(1)
    a, b = (matrix_from_rotvec(torch.from_numpy(rng.normal(size=(50, 3)))) for _ in range(2))
    path = torch.from_numpy(rng.normal(size=(50, 3)))
    first, second = (torch.from_numpy(rng.normal(size=3)) for _ in range(2))
    other = path + a @ first - b @ second
    joint = centre_of_rotation(a, path, b, other)
    torch.testing.assert_close(joint.first, first, atol=1e-9, rtol=0.0)
    torch.testing.assert_close(joint.second, second, atol=1e-9, rtol=0.0)
    assert joint.residual < 1e-9


def test_a_hinge_gives_a_point_on_its_axis() -> None:
    angle = torch.linspace(0.0, 1.5, 40, dtype=torch.float64)
    spin = matrix_from_rotvec(torch.stack((0 * angle, 0 * angle, angle), dim=-1))
    still = torch.eye(3, dtype=torch.float64).expand(40, 3, 3)
    elbow = torch.tensor([0.3, 0.0, 0.0], dtype=torch.float64)
    far = elbow + spin @ torch.tensor([0.2, 0.0, 0.0], dtype=torch.float64)
    joint = centre_of_rotation(still, torch.zeros(40, 3, dtype=torch.float64), spin, far)
    torch.testing.assert_close(joint.first[:2], elbow[:2], atol=1e-9, rtol=0.0)
    assert float(joint.first[2].abs()) < 1e-9


@pytest.mark.parametrize("named", [True, False])
def test_the_chain_is_found_with_and_without_names(named: bool) -> None:
    markers, joints = arm(named=named)
    chain = solve_segments(markers)
    assert len(chain.segments) == 3
    assert len(chain.joined) == 2
    assert max(chain.joined.values()) < 1e-6
    assert float(chain.residual.max()) < 1e-6
    assert chain.clip.translations is None
    inner = forward_clip(chain.clip).positions[:, 1:3]  # the middle segment is the root
    gap = (inner.unsqueeze(2) - joints.unsqueeze(1)).norm(dim=-1).amin(-1)
    assert float(gap.max()) < 1e-6


def test_noise_moves_the_joints_by_little() -> None:
    markers, joints = arm(sigma=0.001)
    chain = solve_segments(markers)
    inner = forward_clip(chain.clip).positions[:, 1:3]
    gap = (inner.unsqueeze(2) - joints.unsqueeze(1)).norm(dim=-1).amin(-1)
    assert float(gap.square().mean().sqrt()) < 0.003


def test_a_body_apart_keeps_its_own_path() -> None:
    markers, _ = arm()
    rng = np.random.default_rng(5)
    ball = torch.from_numpy(rng.normal(size=(4, 3))) * 0.05
    t = torch.arange(len(markers), dtype=torch.float64)[:, None] / 30.0
    path = torch.cat(((3.0 * t).sin(), 2.0 + (2.0 * t).cos(), (5.0 * t).cos()), dim=1)
    turn = matrix_from_rotvec(torch.cat((t, 0.3 * t.sin(), 0.5 * t.cos()), dim=1))
    world = ball @ turn.mT + path.unsqueeze(1)
    both = Markers(
        (*markers.names, "Ball1", "Ball2", "Ball3", "Ball4"),
        torch.cat((markers.points_world, world), dim=1),
        30.0,
    )
    chain = solve_segments(both)
    assert "Ball" not in chain.joined
    assert chain.clip.translations is not None
    assert float(chain.residual.max()) < 1e-6


def test_hidden_frames_are_bridged_and_marked() -> None:
    markers, _ = arm()
    markers.points_world[40:50, 4:8] = torch.nan
    clip = solve_segments(markers).clip
    assert clip.filled is not None
    assert bool(clip.filled[40:50, clip.skeleton.index("B")].all())
    assert not bool(clip.filled[:, clip.skeleton.index("A")].any())
    assert bool(clip.rotations.isfinite().all())


def test_markers_that_are_not_rigid_are_refused() -> None:
    noise = torch.randn(50, 6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="three markers that keep their distances"):
        solve_segments(Markers(tuple("abcdef"), noise, 30.0))


@pytest.mark.skipif(not C3D.is_dir(), reason="../shared/data/c3d is absent")
def test_a_recorded_wheelchair_user_has_arms_that_hang_together() -> None:
    markers = read_c3d(C3D / "sample_propulsion.c3d")
    names = tuple(n for n in markers.names if n[:3] in ("Arm", "For", "Glo"))
    part = markers.select(names)
    part = Markers(names, part.points_world[:300], part.fps)
    filled = fill_gaps(part.points_world, part.fps).points
    assert {s.name for s in find_segments(part)} == {
        "ArmL", "ArmR", "ForearmL", "ForearmR", "GloveL", "GloveR"}  # fmt: skip
    chain = solve_segments(Markers(names, filled, part.fps))
    parents = {
        name: chain.clip.skeleton.names[parent]
        for name, parent in zip(chain.clip.skeleton.names, chain.clip.skeleton.parents, strict=True)
        if parent >= 0
    }
    for side in "LR":
        pairs = {frozenset((child, parents.get(child))) for child in parents if child[-1] == side}
        assert frozenset((f"Arm{side}", f"Forearm{side}")) in pairs
        assert frozenset((f"Forearm{side}", f"Glove{side}")) in pairs
    assert sorted(chain.joined.values())[3] < 0.012
