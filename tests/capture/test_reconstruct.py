"""Reconstruction: a walk with known truth, hand edits, windows, and the demo trial's figures."""

from dataclasses import replace

import pytest
import torch

from muybridge.capture import reconstruct as module
from muybridge.capture.reconstruct import ReconstructOptions, reconstruct, unbias
from muybridge.capture.refine import refine_cameras
from muybridge.capture.trajectories import bone_pairs
from muybridge.errors import InputError
from muybridge.geometry.triangulation import reprojection_px
from muybridge.motion.markers import Markers
from tests.capture.walk_views import JOINTS, WalkViews, walk_views
from tests.demo import demo_cameras, demo_person

# Pose2Sim 0.10.49 on the same detections, standard deviation of raw bone lengths, mm (right, left)
POSE2SIM_BONE_STD_MM = {
    ("hip", "knee"): (15.6, 20.5),
    ("knee", "ankle"): (28.7, 37.0),
    ("shoulder", "elbow"): (13.6, 19.3),
    ("elbow", "wrist"): (24.9, 17.8),
}


def _error_mm(markers: Markers, views: WalkViews) -> float:
    error = (markers.points_world - views.points_world).norm(dim=-1)
    return 1000.0 * float(error[error.isfinite()].mean())


def test_a_walk_with_faults_is_found_and_more_views_help() -> None:
    views = walk_views()
    errors, valid = [], []
    for count in (2, 3, 4):
        few = views.of(count)
        markers = reconstruct(few.keypoints, few.cameras)
        errors.append(_error_mm(markers, few))
        valid.append(float(markers.seen.float().mean()))
    assert errors[0] < 20.0
    assert errors == sorted(errors, reverse=True)
    assert valid == sorted(valid)
    assert valid[-1] > 0.98


def test_gross_errors_are_rejected_and_good_detections_kept() -> None:
    views = walk_views()
    markers = reconstruct(views.keypoints, views.cameras)
    error = reprojection_px(markers.points_world, views.keypoints.points_px[:, :, 0], views.cameras)
    known = error.isfinite()
    assert float((error[known & views.gross] > 15.0).float().mean()) > 0.95
    assert float((error[known & ~views.gross] < 15.0).float().mean()) > 0.99


def test_coherence_beats_each_frame_alone() -> None:
    views = walk_views()
    alone = ReconstructOptions(mode="independent", gate_px=12.0)
    single = _error_mm(reconstruct(views.keypoints, views.cameras, alone), views)
    assert _error_mm(reconstruct(views.keypoints, views.cameras), views) < 0.6 * single


def test_covariance_tells_the_size_of_the_error_of_one_frame() -> None:
    views = walk_views(dropped=0.0, gross=0.0)
    free = ReconstructOptions(acceleration_std=1e6, bone_std=1e3, sigma_px=3.0)
    markers = reconstruct(views.keypoints, views.cameras, free)
    assert markers.covariance is not None
    error = (markers.points_world - views.points_world).unsqueeze(-1)
    mahalanobis = (error.mT @ torch.linalg.solve(markers.covariance, error)).mean()
    assert float(mahalanobis) == pytest.approx(3.0, rel=0.25)


def test_windows_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    views = walk_views()
    whole = reconstruct(views.keypoints, views.cameras).points_world
    monkeypatch.setattr(module, "WINDOW", 50)
    pieces = reconstruct(views.keypoints, views.cameras).points_world
    difference = (pieces - whole).norm(dim=-1)
    assert bool((difference.isnan() == whole.isnan().any(-1)).all())
    assert float(difference.nan_to_num(0.0).max()) < 0.002
    assert float(difference.nan_to_num(0.0).mean()) < 1e-4


def test_missing_stays_missing() -> None:
    views = walk_views(dropped=0.0, gross=0.0)
    lost = views.keypoints.points_px.clone()
    wrist, knee = JOINTS.index("left_wrist"), JOINTS.index("left_knee")
    lost[:3, 40:60, 0, wrist] = torch.nan
    lost[:, :, 0, knee] = torch.nan
    markers = reconstruct(replace(views.keypoints, points_px=lost), views.cameras)
    seen = markers.seen
    assert not bool(seen[40:60, wrist].any())
    assert not bool(seen[:, knee].any())
    assert bool(seen[:40, wrist].all())
    assert markers.views is not None
    assert markers.views[50, wrist] == 0.0
    assert markers.views[10, wrist] == 4.0
    rest = [j for j in range(len(JOINTS)) if j not in (wrist, knee)]
    error = (markers.points_world - views.points_world)[:, rest].norm(dim=-1)
    assert float(error.max()) < 0.05


def test_a_hand_edit_changes_its_joint_and_little_else() -> None:
    views = walk_views(dropped=0.0, gross=0.0)
    before = reconstruct(views.keypoints, views.cameras).points_world
    wrist = JOINTS.index("right_wrist")
    edited = views.keypoints.points_px.clone()
    edited[:, 30, 0, wrist] += 12.0
    corrected = torch.zeros_like(views.keypoints.confidence, dtype=torch.bool)
    corrected[:, 30, 0, wrist] = True
    hand = replace(views.keypoints, points_px=edited, corrected=corrected)
    after = reconstruct(hand, views.cameras).points_world
    moved = (after - before).norm(dim=-1)
    assert float(moved[30, wrist]) > 0.002
    others = [j for j in range(len(JOINTS)) if j != wrist]
    assert float(moved[:, others].max()) < 0.3 * float(moved[30, wrist])
    assert float(moved[100:].max()) < 1e-4


def test_a_joint_set_by_hand_is_believed_against_the_other_views() -> None:
    """Two of four cameras are corrected; the other two stay off by much more than the noise."""
    views = walk_views(sigma_px=4.0, dropped=0.0, gross=0.0)
    wrist, frame = JOINTS.index("left_wrist"), 60
    there = views.points_world[frame, wrist]
    aside = there + torch.tensor([0.05, 0.03, 0.0], dtype=torch.float64)
    points_px = views.keypoints.points_px.clone()
    points_px[:, frame, 0, wrist] = views.cameras.project(aside.unsqueeze(0))[:, 0]
    corrected = torch.zeros(points_px.shape[:-1], dtype=torch.bool)
    corrected[:2, frame, 0, wrist] = True
    points_px[:2, frame, 0, wrist] = views.cameras.project(there.unsqueeze(0))[:2, 0]
    doubted = replace(views.keypoints, points_px=points_px)
    believed = replace(doubted, corrected=corrected)
    error = [
        float((reconstruct(k, views.cameras).points_world[frame, wrist] - there).norm())
        for k in (doubted, believed)
    ]
    assert error[1] < 0.012
    assert error[1] < 0.5 * error[0]


def test_unknown_bone_lengths_are_estimated() -> None:
    views = walk_views(dropped=0.0, gross=0.0)
    bones = torch.full((len(bone_pairs(JOINTS)),), torch.nan, dtype=torch.float64)
    told = reconstruct(views.keypoints, views.cameras, ReconstructOptions(bone_lengths=bones))
    own = reconstruct(views.keypoints, views.cameras)
    torch.testing.assert_close(told.points_world, own.points_world, equal_nan=True)


def test_offsets_are_taken_off_except_by_hand() -> None:
    views = walk_views(dropped=0.0, gross=0.0)
    offset = torch.randn(4, len(JOINTS), 2, generator=torch.Generator().manual_seed(3)).double()
    shifted = views.keypoints.points_px + 10.0 * offset[:, None, None]
    biased = replace(views.keypoints, points_px=shifted)
    plain = reconstruct(biased, views.cameras)
    known = reconstruct(biased, views.cameras, ReconstructOptions(offset_px=10.0 * offset))
    assert _error_mm(known, views) < 0.5 * _error_mm(plain, views)
    by_hand = replace(biased, corrected=torch.ones_like(biased.confidence, dtype=torch.bool))
    torch.testing.assert_close(unbias(by_hand, offset).points_px, biased.points_px)


def test_wrong_input_says_what_to_do() -> None:
    views = walk_views()
    keypoints = views.keypoints
    two = replace(
        keypoints,
        points_px=keypoints.points_px.expand(-1, -1, 2, -1, -1),
        confidence=keypoints.confidence.expand(-1, -1, 2, -1),
    )
    with pytest.raises(InputError, match="one person, got 2 slots"):
        reconstruct(two, views.cameras)
    with pytest.raises(InputError, match="calibration of 4 cameras, got 3"):
        reconstruct(keypoints, views.cameras.select([0, 1, 2]))
    nobody = replace(keypoints, points_px=keypoints.points_px * torch.nan)
    with pytest.raises(InputError, match="two cameras see in the same frame"):
        reconstruct(nobody, views.cameras)


def test_the_demo_beats_pose2sim() -> None:
    keypoints = demo_person()
    refined = refine_cameras(keypoints, demo_cameras())
    options = ReconstructOptions(offset_px=refined.offset_px, bone_lengths=refined.bone_lengths)
    markers = reconstruct(keypoints, refined.cameras, options)
    assert bool(markers.seen.all()), "Pose2Sim finds 100 % of the points"
    points = markers.points_world
    for (upper, lower), theirs in POSE2SIM_BONE_STD_MM.items():
        for side, limit in zip(("right", "left"), theirs, strict=True):
            ends = [points[:, keypoints.joints.index(f"{side}_{j}")] for j in (upper, lower)]
            spread = 1000.0 * float((ends[0] - ends[1]).norm(dim=-1).std())
            assert spread < min(limit, 15.0), f"{side} {upper}-{lower}: {spread:.1f} mm"
    acceleration = (points[2:] - 2.0 * points[1:-1] + points[:-2]).norm(dim=-1) * 60.0**2
    assert float(acceleration.median()) < 57.0
    clean = unbias(keypoints, refined.offset_px).points_px[:, :, 0]
    error = reprojection_px(points, clean, refined.cameras)
    assert float(error.nanmedian()) < 6.0
