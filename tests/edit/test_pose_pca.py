"""Pose components: as scikit-learn's, exact with all of them, and few for recordings."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.pose_pca import fit_pca, joint_vectors, rotation_space
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.facing import moved
from muybridge.motion.kinematics import forward_clip
from tests.edit.walks import walk
from tests.motions import DATA

# Components for 90, 95 and 99 % of the variance, and numbers a pose, in the world's directions.
RECORDED = {
    "pybvh/cmu_12_01_walk.bvh": ([3, 3, 6], 63),
    "games105/motion.bvh": ([4, 6, 10], 195),
    "pymo/AV_8Walk_Meredith_HVHA_Rep1.bvh": ([5, 6, 13], 60),
}


def _random(seed: int, rows: int, columns: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
    return values * 0.7 ** torch.arange(columns) + 3.0


@pytest.mark.parametrize(("rows", "columns"), [(200, 30), (20, 50)])
def test_the_components_are_those_of_scikit_learn(rows: int, columns: int) -> None:
    sklearn = pytest.importorskip("sklearn.decomposition")
    poses = _random(0, rows, columns)
    ours, count = fit_pca(poses), min(rows - 1, columns)
    theirs = sklearn.PCA(svd_solver="full").fit(poses.numpy())
    signs = (ours.components * torch.from_numpy(theirs.components_)).sum(1, keepdim=True).sign()
    expected = signs * torch.from_numpy(theirs.components_)
    near = {"atol": 1e-9, "rtol": 0.0}
    torch.testing.assert_close(ours.components[:count], expected[:count], **near)
    torch.testing.assert_close(ours.variances, torch.from_numpy(theirs.explained_variance_), **near)
    torch.testing.assert_close(
        ours.shares, torch.from_numpy(theirs.explained_variance_ratio_), **near
    )
    numbers = signs.T[:, :count] * torch.from_numpy(theirs.transform(poses.numpy()))[:, :count]
    torch.testing.assert_close(ours.project(poses, count), numbers, **near)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(2, 30), columns=st.integers(1, 12))
def test_all_components_give_the_pose_back_and_fewer_lose_what_is_left(
    seed: int, rows: int, columns: int
) -> None:
    poses = _random(seed, rows, columns)
    pca = fit_pca(poses)
    whole = len(pca.components)
    torch.testing.assert_close(pca.reconstruct(pca.project(poses, whole)), poses)
    for count in range(1, whole):
        lost = (pca.reconstruct(pca.project(poses, count)) - poses).square().sum() / (rows - 1)
        torch.testing.assert_close(lost, pca.variances[count:].sum())


def test_counts_of_a_known_spectrum() -> None:
    poses = torch.diag(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    poses = torch.cat((poses, -poses))  # variances 9, 4, 1 of 14
    pca = fit_pca(poses)
    torch.testing.assert_close(
        pca.shares, torch.tensor([9.0, 4.0, 1.0], dtype=torch.float64) / 14.0
    )
    assert [pca.count(share) for share in (0.5, 0.65, 0.9, 0.95, 1.0)] == [1, 2, 2, 3, 3]


def test_where_a_walk_goes_is_no_part_of_its_poses() -> None:
    clip = walk(1.0, 0.5)
    far = moved(clip, torch.tensor(1.0), torch.tensor([5.0, 6.0]))
    torch.testing.assert_close(joint_vectors(clip), joint_vectors(far), atol=1e-9, rtol=0.0)
    assert not torch.allclose(joint_vectors(clip, "root"), joint_vectors(far, "root"), atol=0.1)


def test_rotations_come_back_as_a_clip() -> None:
    clip = walk(1.1, 0.4)
    space = rotation_space(clip)
    whole = space.reconstruct(space.project(clip, len(space.pca.components)), clip)
    assert float(geodesic_angle(whole.rotations, clip.rotations).max()) < 1e-6
    few = space.pca.count(0.99)
    assert few <= 8
    near = space.reconstruct(space.project(clip, few), clip)
    apart = (forward_clip(near).positions - forward_clip(clip).positions).norm(dim=-1)
    assert float(apart.mean()) < 0.02


def test_what_has_no_components() -> None:
    with pytest.raises(InputError, match="at least two poses"):
        fit_pca(torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(InputError, match="without gaps"):
        fit_pca(torch.full((3, 3), torch.nan, dtype=torch.float64))
    pca = fit_pca(_random(0, 10, 3))
    for count in (0, 4):
        with pytest.raises(InputError, match="1 to 3 components"):
            pca.project(pca.mean, count)
    with pytest.raises(InputError, match="share of the variance"):
        pca.count(0.0)
    still = fit_pca(torch.ones(4, 3, dtype=torch.float64))
    assert still.count(0.9) == len(still.components)


@pytest.mark.parametrize("name", sorted(RECORDED), ids=lambda name: Path(name).stem)
def test_recordings_take_few_numbers(name: str) -> None:
    file = DATA / "bvh" / name
    if not file.is_file():
        pytest.skip("the recordings of ../shared/data are absent")
    poses = joint_vectors(read_bvh(file).clip, "root")
    counts, width = RECORDED[name]
    assert poses.shape[1] == width
    pca = fit_pca(poses)
    assert [pca.count(share) for share in (0.90, 0.95, 0.99)] == counts
    lost = (pca.reconstruct(pca.project(poses, counts[2])) - poses).square().sum()
    assert float(lost) <= 0.01 * float((poses - poses.mean(0)).square().sum())
