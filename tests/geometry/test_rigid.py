"""Rigid transforms are a group; the alignment of point sets finds what was applied."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from muybridge.geometry.rigid import Rigid, align
from muybridge.geometry.rotation import matrix_from_rotvec

GENERATOR = torch.Generator().manual_seed(4)


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def _rigid(*batch: int) -> Rigid:
    return Rigid(matrix_from_rotvec(_random(*batch, 3)), _random(*batch, 3))


@pytest.mark.parametrize("batch", [(), (5,), (2, 3)])
def test_group_laws(batch: tuple[int, ...]) -> None:
    c_from_b, b_from_a, a_from_o = _rigid(*batch), _rigid(*batch), _rigid(*batch)
    points = _random(*batch, 7, 3)
    torch.testing.assert_close(
        c_from_b.compose(b_from_a).apply(points), c_from_b.apply(b_from_a.apply(points))
    )
    left = c_from_b.compose(b_from_a).compose(a_from_o)
    right = c_from_b.compose(b_from_a.compose(a_from_o))
    torch.testing.assert_close(left.rotation, right.rotation)
    torch.testing.assert_close(left.translation, right.translation)
    torch.testing.assert_close(b_from_a.inverse().apply(b_from_a.apply(points)), points)


@pytest.mark.parametrize("with_scale", [False, True])
def test_alignment_finds_the_transform_and_ignores_points_without_weight(with_scale: bool) -> None:
    source, truth = _random(9, 3), _rigid()
    scale = 2.5 if with_scale else 1.0
    target = scale * truth.apply(source)
    target[4] += 10.0
    keep = torch.arange(9) != 4
    found = align(source, target, keep, with_scale)
    assert float(found.scale) == pytest.approx(scale)
    torch.testing.assert_close(found.rotation, truth.rotation)
    torch.testing.assert_close(found.apply(source[keep]), target[keep])


def test_a_mirror_image_is_not_taken_for_a_turn() -> None:
    source = _random(20, 3)
    mirrored = source * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    found = align(source, mirrored)
    assert float(torch.linalg.det(found.rotation)) == pytest.approx(1.0)
    assert float((found.apply(source) - mirrored).norm(dim=-1).mean()) > 0.1


@given(st.integers(0, 1000), st.booleans())
def test_align_recovers_the_transform(seed: int, with_scale: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    rotation = torch.tensor(Rotation.random(random_state=seed).as_matrix())
    scale = 1.7 if with_scale else 1.0
    target = scale * source @ rotation.mT + torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    found = align(source, target, with_scale=with_scale)
    torch.testing.assert_close(found.rotation, rotation, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.apply(source), target, atol=1e-9, rtol=0)
