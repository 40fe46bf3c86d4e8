"""Markers: what belongs to a marker goes with it; the one figure for its uncertainty."""

import pytest
import torch

from muybridge.errors import InputError
from muybridge.motion.markers import Markers

POINTS = torch.arange(4 * 3 * 3, dtype=torch.float64).view(4, 3, 3)
VARIANCE = torch.tensor([[1.0, 4.0, 7.0], [9.0, 9.0, 9.0], [0.0, 0.0, 3.0]]).double()
MARKERS = Markers(
    ("a", "b", "c"),
    POINTS,
    60.0,
    torch.diag_embed(VARIANCE).expand(4, 3, 3, 3),
    views=torch.arange(12, dtype=torch.float64).view(4, 3),
)


def test_choosing_markers_takes_all_that_is_theirs() -> None:
    part = MARKERS.select(("c", "a"))
    assert torch.equal(part.points_world, POINTS[:, [2, 0]])
    assert torch.equal(part.covariance, MARKERS.covariance[:, [2, 0]])
    assert torch.equal(part.views, MARKERS.views[:, [2, 0]])
    assert len(part) == 4


def test_standard_deviation_is_the_root_of_the_mean_variance_over_the_axes() -> None:
    expected = torch.tensor([2.0, 3.0, 1.0]).double().expand(4, 3)
    torch.testing.assert_close(MARKERS.position_std, expected)
    assert Markers(("a", "b", "c"), POINTS, 60.0).position_std is None


def test_one_missing_coordinate_makes_a_point_unseen() -> None:
    points = POINTS.clone()
    points[1, 2, 0] = torch.nan
    assert (~Markers(("a", "b", "c"), points, 60.0).seen).nonzero().tolist() == [[1, 2]]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="got none called d; there are a, b, c"):
        MARKERS.select(("a", "d"))
    with pytest.raises(InputError, match="each of 3 markers, got 2"):
        Markers(("a", "b"), POINTS, 60.0)
