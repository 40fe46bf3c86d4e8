"""Rotations from positions: forward kinematics gives the positions back, without made-up twist."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from muybridge.files.convert import read_clip
from muybridge.geometry.rotation import geodesic_angle, quaternion_from_rotvec
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward, forward_clip
from muybridge.motion.pose_from_positions import rotations_from_positions
from muybridge.motion.skeleton import Skeleton
from tests.motions import BVH_FILES, clip_makers, random_clip

needs_data = pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
each_file = pytest.mark.parametrize("path", BVH_FILES, ids=lambda path: path.stem)


def replayed(clip: Clip, rotations: torch.Tensor) -> torch.Tensor:
    """Positions of the rotations, at the clip's root."""
    local = clip.skeleton.offsets.expand(len(clip), -1, -1).clone()
    local[:, 0] = clip.root
    return forward(clip.skeleton, rotations, local).positions


@settings(max_examples=30, deadline=None)
@given(clip_makers(moving=False))
def test_positions_come_back(make) -> None:
    clip = make()
    positions = forward_clip(clip).positions
    rotations = rotations_from_positions(clip.skeleton, positions)
    torch.testing.assert_close(replayed(clip, rotations), positions, atol=1e-9, rtol=0)


@needs_data
@each_file
def test_recorded_positions_come_back_as_with_pymotion_or_better(path) -> None:
    """PyMotion 0.3.4 rolls about the first child only, which real hips with three bones show."""
    skeleton_np = pytest.importorskip("pymotion.ops.skeleton_np")
    clip = read_clip(path).frames(0, 40)
    if clip.translations is not None:
        pytest.skip("joints slide")
    positions = forward_clip(clip).positions
    found = replayed(clip, rotations_from_positions(clip.skeleton, positions))
    ours = float((found - positions).norm(dim=-1).max())
    assert ours < 1e-9
    centred = (positions - positions[:, :1]).numpy()
    parents = np.array([0, *clip.skeleton.parents[1:]])
    offsets = clip.skeleton.offsets.numpy().copy()
    offsets[0] = 0.0
    with np.errstate(all="ignore"):
        theirs = skeleton_np.from_root_positions(centred, parents, offsets)
        back, _ = skeleton_np.fk(theirs, np.zeros((40, 3)), offsets, parents)
    assert ours <= float(np.linalg.norm(back - centred, axis=-1).max()) or np.isnan(back).any()


def test_a_chain_gets_no_twist() -> None:
    """Bones in one line that swing: every local turn is square to the bone it turns."""
    skeleton = Skeleton(
        ("a", "b", "c"), (-1, 0, 1), torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 1, 0]]).double()
    )
    clip = random_clip(3, joints=3, frames=20, tips=False)
    clip = Clip(skeleton, clip.rotations, clip.root, 30.0)
    found = rotations_from_positions(skeleton, forward_clip(clip).positions)
    assert float(found[:, :, 1].abs().max()) < 1e-12  # no part along y


def test_opposite_bones_and_zero_bones() -> None:
    skeleton = Skeleton(
        ("a", "b", "c", "d"), (-1, 0, 1, 2),
        torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0]]).double(),
    )  # fmt: skip
    turn = quaternion_from_rotvec(torch.tensor([0.0, 0.0, torch.pi]).double())
    rotations = torch.tensor([0.0, 0, 0, 1]).double().repeat(1, 4, 1)
    rotations[0, 0] = turn
    clip = Clip(skeleton, rotations, torch.zeros(1, 3).double(), 30.0)
    positions = forward_clip(clip).positions
    found = rotations_from_positions(skeleton, positions)
    torch.testing.assert_close(replayed(clip, found), positions)
    assert float(geodesic_angle(found[0, 1], rotations[0, 1])) < 1e-6


def test_missing_positions_stay_missing_below_only() -> None:
    clip = random_clip(4, joints=5, frames=6)
    positions = forward_clip(clip).positions
    positions[2] = torch.nan
    found = rotations_from_positions(clip.skeleton, positions)
    known = [0, 1, 3, 4, 5]
    moving = [j for j in range(5) if j in clip.skeleton.parents]
    assert bool(found[known].isfinite().all())
    assert bool(found[2, moving].isnan().any(-1).all())


def test_gradients_equal_finite_differences() -> None:
    clip = random_clip(5, joints=6, frames=2)
    positions = forward_clip(clip).positions.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: rotations_from_positions(clip.skeleton, p), (positions,), atol=1e-6
    )
