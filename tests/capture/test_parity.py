"""Pose2Sim's reference file comes out of its own detections."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muybridge.capture.parity import POSE2SIM_MARKERS, reconstruct_like_pose2sim
from muybridge.capture.reconstruct import ReconstructOptions, reconstruct
from muybridge.errors import InputError
from muybridge.files.trc import read_trc
from tests.capture.walk_views import walk_views
from tests.demo import demo_cameras, demo_people

REFERENCE = Path(__file__).parents[2] / "../shared/data/footage/Demo_0-100.trc"


def test_the_reference_file_is_reproduced() -> None:
    if not REFERENCE.exists():
        pytest.skip(f"Pose2Sim's reference output is missing at {REFERENCE}")
    expected = read_trc(REFERENCE)
    found = reconstruct(demo_people(), demo_cameras(), ReconstructOptions(mode="pose2sim"))
    assert found.names == expected.names == tuple(POSE2SIM_MARKERS)
    difference = (found.points_world - expected.points_world).norm(dim=-1)
    assert float(difference.median()) < 1e-6
    # six frames of cam01's nose differ between the package with the file and that with the videos
    others = [m for m, name in enumerate(found.names) if name != "Nose"]
    assert float(difference[:, others].max()) < 1e-5


def test_gaps_become_splines_and_short_paths_stay() -> None:
    views = walk_views(sigma_px=0.0, dropped=0.0, gross=0.0)
    lost = views.keypoints.points_px.clone()
    wrist = views.keypoints.joints.index("left_wrist")
    lost[:, 50:56, 0, wrist] = torch.nan
    ankle = views.keypoints.joints.index("left_ankle")
    lost[:, 8:, 0, ankle] = torch.nan
    found = reconstruct_like_pose2sim(replace(views.keypoints, points_px=lost), views.cameras)
    index = found.names.index("LWrist")
    truth = views.points_world[:, wrist]
    error = (found.points_world[:, index] - truth).norm(dim=-1)
    assert float(error[50:56].max()) < 0.01
    assert found.views is not None
    assert bool((found.views[50:56, index] == 0.0).all())
    assert not bool(found.seen[8:, found.names.index("LAnkle")].any())


def test_a_passer_by_is_not_taken() -> None:
    views = walk_views(sigma_px=0.0, dropped=0.0, gross=0.0)
    stranger = views.keypoints.points_px.flip(1) + 250.0
    both = torch.cat((stranger, views.keypoints.points_px), dim=2)
    both[2] = both[2].flip(1)  # another order in one camera
    crowd = replace(views.keypoints, points_px=both, confidence=torch.ones_like(both[..., 0]))
    alone = reconstruct_like_pose2sim(views.keypoints, views.cameras)
    found = reconstruct_like_pose2sim(crowd, views.cameras)
    torch.testing.assert_close(found.points_world, alone.points_world)


def test_keypoints_without_a_neck_are_refused() -> None:
    views = walk_views()
    with pytest.raises(InputError, match="use keypoints with a neck"):
        reconstruct_like_pose2sim(views.keypoints.select_joints(("nose",)), views.cameras)
