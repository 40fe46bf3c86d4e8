"""Two bones: exact, in the plane they had, soft where asked, and nothing else moves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import (
    geodesic_angle,
    identity_quaternion,
    quaternion_from_rotvec,
    rotate,
)
from muybridge.motion.clip import Clip
from muybridge.motion.ik.two_bone import (
    Limb,
    TwoBoneOptions,
    align,
    limb,
    soft_distance,
    turns,
    two_bone,
)
from muybridge.motion.kinematics import Pose, forward_clip
from muybridge.motion.skeleton import Skeleton

WALK = Path(__file__).parents[3] / "../shared/data/bvh/games105/walk60.bvh"


def leg(frames: int, seed: int, twist_bone: bool = False) -> Clip:
    """Hips, hip, (twist,) knee, ankle, toe with bones of many lengths and directions."""
    generator = torch.Generator().manual_seed(seed)
    names = ("hips", "hip", *(("twist",) if twist_bone else ()), "knee", "ankle", "toe")
    offsets = 0.1 + torch.rand(len(names), 3, dtype=torch.float64, generator=generator)
    skeleton = Skeleton(names, tuple(range(-1, len(names) - 1)), offsets)
    rotvec = torch.randn(frames, len(names), 3, dtype=torch.float64, generator=generator)
    root = torch.randn(frames, 3, dtype=torch.float64, generator=generator)
    return Clip(skeleton, quaternion_from_rotvec(rotvec), root, 30.0)


def joints_of(clip: Clip) -> Limb:
    return Limb(*(clip.skeleton.index(name) for name in ("hip", "knee", "ankle")))


def reachable(clip: Clip, seed: int) -> torch.Tensor:
    """Targets between the shortest and the longest reach, any direction."""
    generator = torch.Generator().manual_seed(seed)
    pose, joints = forward_clip(clip).positions, joints_of(clip)
    a, b, c = (pose[:, j] for j in joints)
    first, second = (b - a).norm(dim=-1), (c - b).norm(dim=-1)
    share = torch.rand(len(clip), dtype=torch.float64, generator=generator)
    direction = torch.randn(len(clip), 3, dtype=torch.float64, generator=generator)
    distance = torch.lerp((first - second).abs(), first + second, 0.001 + 0.998 * share)
    return a + distance.unsqueeze(-1) * torch.nn.functional.normalize(direction, dim=-1)


def reached(
    clip: Clip, target: torch.Tensor, pole: torch.Tensor | None = None, softness: float = 0.0
) -> Pose:
    options = TwoBoneOptions(softness=softness)
    rotations = two_bone(
        clip.skeleton, clip.rotations, forward_clip(clip), joints_of(clip), target, pole, options
    )
    return forward_clip(replace(clip, rotations=rotations))


@pytest.mark.parametrize("twist_bone", [False, True])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_reaches_exactly_and_keeps_the_foot(twist_bone: bool, seed: int) -> None:
    clip = leg(50, seed, twist_bone)
    target, joints = reachable(clip, seed + 1), joints_of(clip)
    before, after = forward_clip(clip), reached(clip, target)
    assert float((after.positions[:, joints.end] - target).norm(dim=-1).max()) < 1e-12
    feet = geodesic_angle(before.orientations[:, joints.end], after.orientations[:, joints.end])
    assert float(feet.max()) < 1e-7
    torch.testing.assert_close(
        after.positions[:, : joints.upper + 1], before.positions[:, : joints.upper + 1]
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_knee_points_to_the_pole(seed: int) -> None:
    clip = leg(20, seed)
    target, pole = reachable(clip, seed + 1), 3.0 * torch.ones(20, 3, dtype=torch.float64)
    pose, joints = reached(clip, target, pole), joints_of(clip)
    a, b, c = (pose.positions[:, j] for j in joints)
    torch.testing.assert_close(c, target, atol=1e-12, rtol=0.0)
    normal = torch.linalg.cross(c - a, pole - a)
    across = torch.linalg.cross(normal, c - a)
    assert (
        float(((b - a) * torch.nn.functional.normalize(normal, dim=-1)).sum(-1).abs().max()) < 1e-9
    )
    assert bool((((b - a) * across).sum(-1) > -1e-9).all())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_limb_that_is_there_already_stays(seed: int) -> None:
    """The smallest change of all; and without a pole the plane of the limb turns with it."""
    clip = leg(20, seed)
    before, joints = forward_clip(clip), joints_of(clip)
    after = reached(clip, before.positions[:, joints.end])
    torch.testing.assert_close(after.positions, before.positions, atol=1e-9, rtol=0.0)
    turned = quaternion_from_rotvec(torch.tensor([[0.3, -0.2, 0.5]], dtype=torch.float64))
    a, c = before.positions[:, joints.upper], before.positions[:, joints.end]
    upper, lower = turns(before, joints, a + rotate(turned.expand(20, 4), c - a))
    torch.testing.assert_close(upper, lower, atol=1e-7, rtol=0.0)  # nothing bends


def test_out_of_reach_is_straight_towards_the_target_and_too_near_is_folded() -> None:
    clip = leg(30, 5)
    joints = joints_of(clip)
    a, b, c = (forward_clip(clip).positions[:, j] for j in joints)
    away = torch.nn.functional.normalize(reachable(clip, 6) - a, dim=-1)
    first, second = (b - a).norm(dim=-1, keepdim=True), (c - b).norm(dim=-1, keepdim=True)
    after = reached(clip, a + 9.0 * away).positions
    torch.testing.assert_close(after[:, joints.end], a + (first + second) * away)
    torch.testing.assert_close(after[:, joints.middle], a + first * away)
    after = reached(clip, a + 0.01 * (first - second).abs() * away).positions
    torch.testing.assert_close(after[:, joints.end], a + (first - second).abs() * away)


def test_missing_targets_change_nothing() -> None:
    clip = leg(4, 7)
    target = reachable(clip, 8)
    target[1] = torch.nan
    rotations = two_bone(clip.skeleton, clip.rotations, forward_clip(clip), joints_of(clip), target)
    assert torch.equal(rotations[1], clip.rotations[1])
    assert not torch.equal(rotations[2], clip.rotations[2])
    assert bool(rotations.isfinite().all())


def test_softness_slows_down_without_a_kink() -> None:
    one = torch.ones(20_001, dtype=torch.float64)
    distance = torch.linspace(0.0, 4.0, 20_001, dtype=torch.float64)
    soft = soft_distance(distance, one, one, 0.05)
    assert torch.equal(soft[distance < 1.9], distance[distance < 1.9])
    slope = soft.diff() / distance.diff()
    assert bool((slope > -1e-9).all())
    assert bool((slope < 1.0 + 1e-9).all())
    assert float(slope.diff().abs().max()) < 0.01  # the hard limit steps by 1
    assert 1.99 < float(soft[-1]) <= 2.0
    clip = leg(20, 9)
    joints = joints_of(clip)
    a, b, c = (forward_clip(clip).positions[:, j] for j in joints)
    length = (b - a).norm(dim=-1) + (c - b).norm(dim=-1)
    target = a + (length * 1.02).unsqueeze(-1) * torch.nn.functional.normalize(c - a, dim=-1)
    after = reached(clip, target, softness=0.05).positions
    short = 1.0 - (after[:, joints.end] - a).norm(dim=-1) / length
    torch.testing.assert_close(short, torch.full_like(short, 0.05 * 2.718281828459045**-1.4))


def test_a_straight_leg_bends_the_way_the_others_do() -> None:
    """One frame in line, one past straight by noise: the knee still goes forwards."""
    offsets = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, -0.5, 0.0], [0.0, -0.5, 0.0]])
    skeleton = Skeleton(("hips", "hip", "knee", "ankle"), (-1, 0, 1, 2), offsets.double())
    bend = torch.tensor([0.9, 0.5, 0.0, -0.005], dtype=torch.float64)
    rotations = identity_quaternion(4, 4)
    rotvec = torch.stack((bend, 0.0 * bend, 0.0 * bend), dim=-1)
    rotations[:, 2] = quaternion_from_rotvec(rotvec)
    clip = Clip(skeleton, rotations, offsets[:1].double().expand(4, 3), 30.0)
    target = torch.tensor([0.0, 0.2, 0.0], dtype=torch.float64).expand(4, 3)
    after = reached(clip, target).positions
    torch.testing.assert_close(after[:, 3], target, atol=1e-12, rtol=0.0)
    assert bool((after[:, 2, 2] > 0.2).all())


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_align_is_the_smallest_turn(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    old, new, axis = torch.randn(3, 5, 3, dtype=torch.float64, generator=generator)
    new[0], new[1] = -2.0 * old[0], 3.0 * old[1]
    turn = align(old, new, torch.nn.functional.normalize(axis, dim=-1))
    unit_old, unit_new = (torch.nn.functional.normalize(v, dim=-1) for v in (old, new))
    torch.testing.assert_close(rotate(turn, unit_old), unit_new, atol=1e-12, rtol=0.0)
    angle = torch.atan2(
        torch.linalg.cross(unit_old, unit_new).norm(dim=-1), (unit_old * unit_new).sum(-1)
    )
    torch.testing.assert_close(
        geodesic_angle(identity_quaternion(5), turn), angle, atol=1e-7, rtol=0.0
    )


def test_mistakes_are_named() -> None:
    clip = leg(1, 0)
    with pytest.raises(InputError, match="expected the end of a limb of two bones, got 'hip'"):
        limb(clip.skeleton, 1)
    assert limb(clip.skeleton, 3) == (1, 2, 3)
    with pytest.raises(InputError, match="expected a softness"):
        TwoBoneOptions(softness=1.0)


@pytest.mark.skipif(not WALK.exists(), reason="../shared/data is absent")
def test_the_feet_of_a_recorded_walk_lifted_by_10_cm() -> None:
    clip = read_bvh(WALK, "m").clip
    pose = forward_clip(clip)
    for name in ("lAnkle", "rAnkle"):
        joints = limb(clip.skeleton, clip.skeleton.index(name))
        target = pose.positions[:, joints.end] + torch.tensor([0.0, 0.1, 0.0], dtype=torch.float64)
        rotations = two_bone(clip.skeleton, clip.rotations, pose, joints, target)
        after = forward_clip(replace(clip, rotations=rotations))
        assert float((after.positions[:, joints.end] - target).norm(dim=-1).max()) < 1e-12
        jumps = geodesic_angle(rotations[1:, joints.middle], rotations[:-1, joints.middle])
        was = geodesic_angle(clip.rotations[1:, joints.middle], clip.rotations[:-1, joints.middle])
        assert float(jumps.max()) < 2.0 * float(was.max())
