"""Forward kinematics against scipy, its own definition, and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from scipy.spatial.transform import Rotation

from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import conjugate, matrix_from_quaternion, multiply, rotate
from muybridge.motion import kinematics
from muybridge.motion.kinematics import (
    forward,
    forward_clip,
    local_rotations,
    local_translations,
    points_in_frame,
)
from tests.motions import BVH_FILES, clip_makers, random_clip


def scipy_pose(clip):
    """World positions and orientations, joint by joint: P' = P + Q l, Q' = Q R."""
    local = clip.local_translations().numpy()
    positions, turns = [], []
    for joint, parent in enumerate(clip.skeleton.parents):
        turn, place = Rotation.from_quat(clip.rotations[:, joint].numpy()), local[:, joint]
        if parent >= 0:
            place = positions[parent] + turns[parent].apply(place)
            turn = turns[parent] * turn
        positions.append(place)
        turns.append(turn)
    return np.stack(positions, 1), np.stack([turn.as_matrix() for turn in turns], 1)


@settings(max_examples=40, deadline=None)
@given(clip_makers())
def test_equals_scipy(make) -> None:
    clip = make()
    pose, (positions, matrices) = forward_clip(clip), scipy_pose(clip)
    np.testing.assert_allclose(pose.positions.numpy(), positions, rtol=0, atol=1e-12)
    found = matrix_from_quaternion(pose.orientations).numpy()
    np.testing.assert_allclose(found, matrices, rtol=0, atol=1e-12)


@pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
def test_recorded_motion_equals_scipy() -> None:
    clip = read_bvh(BVH_FILES[1], unit="m").clip  # file units: hundreds
    positions = forward_clip(clip).positions.numpy()
    np.testing.assert_allclose(positions, scipy_pose(clip)[0], rtol=0, atol=1e-12)


def test_local_rotation_is_the_relative_orientation() -> None:
    clip = random_clip(3)
    world = forward_clip(clip).orientations
    for joint, parent in enumerate(clip.skeleton.parents[1:], start=1):
        relative = multiply(conjugate(world[:, parent]), world[:, joint])
        torch.testing.assert_close(relative, clip.rotations[:, joint])


def test_bones_keep_their_length() -> None:
    clip = random_clip(4)
    positions = forward_clip(clip).positions
    parents = torch.tensor(clip.skeleton.parents[1:])
    lengths = (positions[:, 1:] - positions[:, parents]).norm(dim=-1)
    expected = clip.skeleton.bone_lengths()[1:].expand_as(lengths)
    torch.testing.assert_close(lengths, expected)


def test_moving_the_world_moves_the_pose() -> None:
    """FK commutes with a rigid motion of the root."""
    clip = random_clip(5)
    turn = torch.nn.functional.normalize(torch.rand(4, dtype=torch.float64), dim=0)
    shift = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    rotations, local = clip.rotations.clone(), clip.local_translations()
    rotations[:, 0] = multiply(turn.expand(5, 4), rotations[:, 0])
    local[:, 0] = rotate(turn.expand(5, 4), local[:, 0]) + shift
    moved = forward(clip.skeleton, rotations, local)
    still = forward_clip(clip)
    expected = rotate(turn.expand(5, 6, 4), still.positions) + shift
    torch.testing.assert_close(moved.positions, expected)
    torch.testing.assert_close(
        moved.orientations, multiply(turn.expand(5, 6, 4), still.orientations)
    )


def test_gradients_equal_finite_differences() -> None:
    clip = random_clip(6, joints=5, frames=2, moving=True)
    inputs = (clip.rotations.requires_grad_(), clip.local_translations().requires_grad_())
    assert torch.autograd.gradcheck(lambda q, p: forward(clip.skeleton, q, p), inputs)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_vmap_and_forward_mode_agree_with_a_loop() -> None:
    clip = random_clip(7, joints=4, frames=3)
    local = clip.local_translations()

    def positions(q, p):
        return forward(clip.skeleton, q, p).positions

    mapped = torch.func.vmap(positions)(clip.rotations, local)
    torch.testing.assert_close(mapped, positions(clip.rotations, local))
    ahead = torch.func.jacfwd(positions)(clip.rotations[0], local[0])
    behind = torch.func.jacrev(positions)(clip.rotations[0], local[0])
    torch.testing.assert_close(ahead, behind)


def test_blocks_of_frames_join(monkeypatch: pytest.MonkeyPatch) -> None:
    clip = random_clip(9, frames=7)
    whole = forward_clip(clip)
    monkeypatch.setattr(kinematics, "FEWEST", 3)
    monkeypatch.setattr(kinematics, "BLOCK", 1)
    pieces = forward_clip(clip)
    assert torch.equal(pieces.positions, whole.positions)
    assert torch.equal(pieces.orientations, whole.orientations)


@pytest.mark.parametrize("batch", [(), (1,), (2, 3), (0,)])
def test_any_batch_and_precision(batch: tuple[int, ...]) -> None:
    clip = random_clip(8, frames=6)
    local, count = clip.local_translations(), int(np.prod(batch))
    whole = forward_clip(clip).positions[:count].reshape(*batch, 6, 3)
    rotations = clip.rotations[:count].reshape(*batch, 6, 4)
    places = local[:count].reshape(*batch, 6, 3)
    torch.testing.assert_close(forward(clip.skeleton, rotations, places).positions, whole)
    single = forward(clip.skeleton, rotations.float(), places.float()).positions
    torch.testing.assert_close(single, whole.float(), atol=1e-5, rtol=1e-5)
    assert forward(clip.skeleton, rotations.float(), places).positions.dtype == torch.float64


@settings(max_examples=30, deadline=None)
@given(clip_makers())
def test_in_place_equals_the_differentiable_way(make) -> None:
    """The fast path beside the plain one, which a tensor that wants gradients takes."""
    clip = make()
    fast = forward_clip(clip)
    rotations = clip.rotations.clone().requires_grad_()
    slow = forward(clip.skeleton, rotations, clip.local_translations())
    assert slow.orientations.requires_grad
    assert not fast.orientations.requires_grad
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other.detach(), atol=1e-14, rtol=1e-14)


def test_forward_mode_keeps_its_tangent() -> None:
    clip = random_clip(10, joints=4, frames=2)
    local, direction = clip.local_translations(), torch.ones_like(clip.rotations)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(clip.rotations, direction)
        pose = forward(clip.skeleton, dual, local)
        tangent = torch.autograd.forward_ad.unpack_dual(pose.positions).tangent
    step = 1e-6
    ahead, behind = (
        forward(clip.skeleton, clip.rotations + side * step * direction, local).positions
        for side in (1.0, -1.0)
    )
    torch.testing.assert_close(tangent, (ahead - behind) / (2.0 * step), atol=1e-7, rtol=1e-7)


@settings(max_examples=30, deadline=None)
@given(clip_makers())
def test_inverse_gives_the_clip_back(make) -> None:
    clip = make()
    pose = forward_clip(clip)
    found = local_rotations(clip.skeleton, pose.orientations)
    torch.testing.assert_close(found, clip.rotations, atol=1e-12, rtol=0)
    places = local_translations(clip.skeleton, pose)
    torch.testing.assert_close(places, clip.local_translations(), atol=1e-11, rtol=0)


def test_a_point_in_an_ancestors_frame_is_the_product_of_the_turns_between() -> None:
    clip = random_clip(11, joints=8, frames=4)
    pose, local = forward_clip(clip), clip.local_translations()
    points = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    joint, x = len(clip.skeleton) - 1, points
    while joint >= 0:
        found = points_in_frame(pose, points, len(clip.skeleton) - 1, joint)
        torch.testing.assert_close(found, x, atol=1e-12, rtol=0)
        x = rotate(clip.rotations[:, joint, None], x) + local[:, joint, None]
        joint = clip.skeleton.parents[joint]
    world = points_in_frame(pose, points, len(clip.skeleton) - 1)
    torch.testing.assert_close(world, x, atol=1e-12, rtol=0)


@pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
def test_inverse_equals_pymotion() -> None:
    """PyMotion works in float64 here, and keeps the scalar first."""
    skeleton_np = pytest.importorskip("pymotion.ops.skeleton_np")
    clip = read_bvh(BVH_FILES[1]).clip
    world = forward_clip(clip).orientations
    parents = np.array([0, *clip.skeleton.parents[1:]])
    theirs = skeleton_np.from_global_rotations(world.roll(1, -1).numpy(), parents)
    ours = local_rotations(clip.skeleton, world).roll(1, -1).numpy()
    sign = np.sign((ours * theirs).sum(-1, keepdims=True))
    np.testing.assert_allclose(ours, sign * theirs, rtol=0, atol=1e-6)
