"""The mannequin: a closed, well-bound mesh around any skeleton."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import matrix_from_quaternion
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from muybridge.motion.skin import body_skin, skinned
from tests.motions import BVH_FILES, random_clip

CHAIN = Skeleton(
    ("root", "elbow", "tip"),
    (-1, 0, 1),
    torch.tensor([[0.0, 1, 0], [0.5, 0, 0], [0.5, 0, 0]], dtype=torch.float64),
    (False, False, True),
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12))
def test_any_skeleton_gets_a_sound_mesh(seed: int, joints: int) -> None:
    skeleton = random_clip(seed, joints).skeleton
    skin = body_skin(skeleton)
    ones = torch.ones(len(skin.vertices), dtype=torch.float64)
    torch.testing.assert_close(skin.weights.sum(1), ones)
    assert float(skin.weights.min()) >= 0.0
    torch.testing.assert_close(skin.normals.norm(dim=1), ones)
    assert 0 <= int(skin.joints.min()) <= int(skin.joints.max()) < len(skeleton)
    assert int(skin.triangles.max()) == len(skin.vertices) - 1
    edges = skin.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    there = {tuple(edge) for edge in edges.tolist()}
    assert len(there) == len(edges)  # each directed edge once
    assert all((b, a) in there for a, b in there)  # and its neighbour the other way: no hole
    centred = skin.vertices - skin.vertices.mean(0)
    a, b, c = centred[skin.triangles].unbind(1)
    assert float((a * torch.linalg.cross(b, c)).sum()) > 0.0  # outside is outside


def test_rest_pose_gives_the_mesh_back() -> None:
    skin, rest = body_skin(CHAIN), CHAIN.rest_positions()
    eye = torch.eye(3, dtype=torch.float64).expand(3, 3, 3)
    torch.testing.assert_close(skinned(skin, rest, rest, eye), skin.vertices)


def test_weights_blend_near_the_joint_only() -> None:
    skin = body_skin(CHAIN)
    own = skin.weights[:, 0]
    along = skin.vertices[:, 0]
    assert float(own[(along - 0.5).abs() < 1e-9].min()) == pytest.approx(0.5)
    assert float(own[(along - 0.25).abs() < 0.05].min()) == 1.0


@pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
@pytest.mark.parametrize("path", BVH_FILES, ids=lambda path: path.stem)
def test_the_body_follows_recorded_motion(path) -> None:
    clip = read_bvh(path).clip.frames(10, 11)
    skin, rest, pose = body_skin(clip.skeleton), clip.skeleton.rest_positions(), forward_clip(clip)
    moved = skinned(skin, rest, pose.positions[0], matrix_from_quaternion(pose.orientations[0]))
    size = float((rest.amax(0) - rest.amin(0)).max())
    nearest = torch.cdist(moved, pose.positions[0]).amin(1)
    assert float(nearest.max()) < 0.25 * size
    assert len(skin.vertices) < 25_000
