"""Keypoints: everything that belongs to a view or a joint goes with it."""

from dataclasses import replace

import pytest
import torch

from muybridge.errors import InputError
from muybridge.motion.keypoints import BODY_25, BODY_25B, COCO_17, HALPE_26, Keypoints

POINTS = torch.arange(2 * 3 * 1 * 17 * 2, dtype=torch.float64).view(2, 3, 1, 17, 2)
KEYPOINTS = Keypoints(
    ("left", "right"),
    COCO_17,
    POINTS,
    POINTS[..., 0] / 1000.0,
    30.0,
    corrected=POINTS[..., 0] % 3 == 0,
)


@pytest.mark.parametrize("names", [COCO_17, BODY_25, BODY_25B, HALPE_26])
def test_joints_have_one_name_each_and_a_twin_on_the_other_side(names: tuple[str, ...]) -> None:
    assert len(set(names)) == len(names)
    assert {n.replace("left", "right") for n in names if "left" in n} <= set(names)
    assert {n.replace("right", "left") for n in names if "right" in n} <= set(names)


def test_choosing_cameras_takes_all_that_is_theirs() -> None:
    swapped = KEYPOINTS.select_cameras(["right", "left"])
    assert swapped.cameras == ("right", "left")
    for name in ("points_px", "confidence", "corrected"):
        assert torch.equal(getattr(swapped, name), getattr(KEYPOINTS, name).flip(0))
    again = swapped.select_cameras(KEYPOINTS.cameras)
    assert torch.equal(again.points_px, POINTS)


def test_choosing_joints_takes_all_that_is_theirs() -> None:
    part = KEYPOINTS.select_joints(("right_ankle", "nose"))
    for name in ("confidence", "corrected"):
        assert torch.equal(getattr(part, name), getattr(KEYPOINTS, name)[..., [16, 0]])
    assert torch.equal(part.points_px, POINTS[..., [16, 0], :])


def test_unseen_is_nan_or_without_confidence() -> None:
    points, confidence = POINTS.clone(), torch.ones_like(KEYPOINTS.confidence)
    points[0, 0, 0, 3, 1] = torch.nan
    confidence[1, 2, 0, 5] = 0.0
    seen = replace(KEYPOINTS, points_px=points, confidence=confidence).seen
    assert (~seen).nonzero().tolist() == [[0, 0, 0, 3], [1, 2, 0, 5]]
    assert KEYPOINTS.frame_count == 3


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="got none of top; there are left, right"):
        KEYPOINTS.select_cameras(["left", "top"])
    with pytest.raises(InputError, match="got none called tail"):
        KEYPOINTS.select_joints(("nose", "tail"))
    with pytest.raises(InputError, match="1 cameras and 17 joints, got 2 and 17"):
        replace(KEYPOINTS, cameras=("left",))
