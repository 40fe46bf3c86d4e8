"""Blending, cutting, appending and resampling against fairmotion's `ops.motion`.

`append_and_blend` is not compared: it looks up the source at `fps * frame` seconds instead of
`frame / fps`, so it always blends with the last pose, and it turns about the world's origin.
"""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from muybridge.edit.blend import blend
from muybridge.edit.cut import cut
from muybridge.edit.resample import resample
from muybridge.edit.sequence import concatenate
from muybridge.edit.timewarp import pose_features
from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.geometry.rotation import matrix_from_quaternion
from muybridge.motion.clip import Clip
from tests.edit.figures import walker

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    bvh = pytest.importorskip("fairmotion.data.bvh")
    ops = pytest.importorskip("fairmotion.ops.motion")

TOLERANCE = 1e-6  # both read six decimals of degrees


def _both(clip: Clip, path: Path) -> tuple[Clip, object]:
    """The clip as either library reads it from one file, in metres."""
    write_bvh(path, clip, "m")
    return read_bvh(path, "m").clip, bvh.load(str(path))


def _matrices(motion: object, clip: Clip) -> np.ndarray:
    """fairmotion's local transforms, in the order of our joints, without end sites."""
    names = [
        n for n, end in zip(clip.skeleton.names, clip.skeleton.end_sites, strict=True) if not end
    ]
    theirs = [motion.skel.get_index_joint(name) for name in names]
    return motion.to_matrix()[:, theirs]


def _ours(clip: Clip) -> np.ndarray:
    kept = [j for j, end in enumerate(clip.skeleton.end_sites) if not end]
    matrices = np.tile(np.eye(4), (len(clip), len(kept), 1, 1))
    matrices[..., :3, :3] = matrix_from_quaternion(clip.rotations[:, kept]).numpy()
    matrices[:, 0, :3, 3] = clip.root.numpy()  # theirs hold no bone offsets
    return matrices


@pytest.fixture
def pair(tmp_path: Path) -> list[tuple[Clip, object]]:
    """Two walks."""
    clips = walker(40), walker(40, steps=1.1, turn=0.5)
    return [_both(clip, tmp_path / f"{k}.bvh") for k, clip in enumerate(clips)]


def test_reading_and_cutting(pair) -> None:
    clip, theirs = pair[0]
    assert np.abs(_matrices(theirs, clip) - _ours(clip)).max() < TOLERANCE
    piece = ops.cut(theirs, 10, 25)
    ours = cut(clip, 10 / 60, 25 / 60)
    assert np.abs(_matrices(piece, clip) - _ours(ours)).max() < TOLERANCE


def test_appending(pair) -> None:
    (a, theirs_a), (b, theirs_b) = pair
    both = ops.append(theirs_a, theirs_b)
    assert np.abs(_matrices(both, a) - _ours(concatenate(a, b))).max() < TOLERANCE


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_blending_poses(pair, weight: float) -> None:
    """Local rotations and heights; on the floor and in heading ours blends steps and turns."""
    (a, theirs_a), (b, theirs_b) = pair
    mixed = _ours(blend(a, b, weight))
    for frame in (0, 17, 39):
        pose = ops.blend(
            theirs_a.get_pose_by_frame(frame), theirs_b.get_pose_by_frame(frame), weight
        )
        theirs = _matrices_of_pose(pose, a)
        assert np.abs(mixed[frame, 1:, :3, :3] - theirs[1:, :3, :3]).max() < TOLERANCE
        assert abs(mixed[frame, 0, 1, 3] - theirs[0, 1, 3]) < TOLERANCE


def _matrices_of_pose(pose: object, clip: Clip) -> np.ndarray:
    names = [
        n for n, end in zip(clip.skeleton.names, clip.skeleton.end_sites, strict=True) if not end
    ]
    return np.stack([pose.get_transform(pose.skel.get_index_joint(n), local=True) for n in names])


def test_resampling(pair) -> None:
    clip, theirs = pair[0]
    slower = ops.resample(theirs, 30)
    ours = _ours(resample(clip, 30.0))
    count = min(len(ours), slower.num_frames())
    assert count >= len(ours) - 1
    turns = [
        Rotation.from_matrix(m[:count, 1:, :3, :3].reshape(-1, 3, 3))
        for m in (ours, _matrices(slower, clip))
    ]
    assert float((turns[0].inv() * turns[1]).magnitude().max()) < 1e-5


def test_places_relative_to_the_root(pair) -> None:
    """`position_wrt_root` is our facing frame without the turn."""
    clip, theirs = pair[0]
    features = pose_features(clip, 0.0).reshape(len(clip), -1, 6)[..., :3]
    for name in ("LeftFoot", "Head"):
        place = ops.position_wrt_root(theirs)[:, theirs.skel.get_index_joint(name)]
        joint = clip.skeleton.index(name)
        ours = features[:, joint].numpy() - features[:, 0].numpy()
        assert np.abs(np.linalg.norm(ours, axis=-1) - np.linalg.norm(place, axis=-1)).max() < 1e-5
    assert torch.isfinite(features).all()
