"""Pairs: parity with OpenCV, truth recovered, rectification, depth of rendered planes."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from muybridge.capture.board import Board
from muybridge.capture.corners import find_views, read_pictures
from muybridge.capture.lens import calibrate_lens
from muybridge.capture.rig import cameras_from_lenses
from muybridge.capture.sightings import gather_sightings
from muybridge.capture.stereo import (
    DepthOptions,
    calibrate_pair,
    depth_image,
    rectify,
    rectify_image,
    rectify_points,
)
from muybridge.errors import InputError
from muybridge.geometry.bundle import PARAMETERS
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec
from tests.board_rig import CHESSBOARD, arc, corners_of, poses, seen_views, turn_deg

CHESSBOARDS = Path(__file__).parents[2] / "../shared/data/chessboards"
LENS = PARAMETERS[:9]


def side_by_side(vertical: bool = False) -> Cameras:
    """Two equal-sized cameras 12 cm apart, slightly turned against each other."""
    cameras = arc(2, (320, 240))
    along = [0.12, 0.01, 0.02] if not vertical else [0.01, 0.12, 0.02]
    turn = matrix_from_rotvec(torch.tensor([0.02, -0.04, 0.01], dtype=torch.float64))
    rotation = torch.stack((torch.eye(3, dtype=torch.float64), turn))
    centre = torch.tensor([[0.0, 0.0, 0.0], along], dtype=torch.float64)
    return cameras.with_extrinsics(Rigid(rotation, -(rotation @ centre[..., None])[..., 0]))


def textured_plane(cameras: Cameras, index: int, depth_m: float, tilt: float) -> np.ndarray:
    """A band-limited random texture on the plane z = depth + tilt x, seen by one camera."""
    camera = cameras.select([index])
    width, height = (int(n) for n in camera.size_px[0].tolist())
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    flat = camera.normalize(torch.stack((u, v), -1).double().reshape(1, -1, 2))[0]
    rays = torch.cat((flat, torch.ones_like(flat[:, :1])), -1) @ camera.rotation[0]
    origin = camera.centres_world[0]
    normal = torch.tensor([-tilt, 0.0, 1.0], dtype=torch.float64)
    reach = (depth_m - origin @ normal) / (rays @ normal)
    hit = origin + reach[:, None] * rays
    generator = np.random.default_rng(4)
    waves = generator.normal(0.0, 120.0, (60, 2)) / depth_m
    phase = generator.uniform(0.0, 2.0 * np.pi, 60)
    grey = np.cos(hit[:, :2].numpy() @ waves.T + phase).sum(-1)
    return np.clip(128.0 + 14.0 * grey, 0, 255).reshape(height, width).astype(np.uint8)


@cache
def chessboard_pair():
    if not CHESSBOARDS.is_dir():
        pytest.skip(f"no pictures in {CHESSBOARDS}")
    board = Board("chessboard", 9, 6, 1.0)
    views = [
        find_views(side, read_pictures(sorted(CHESSBOARDS.glob(f"{side}*.jpg"))), board)
        for side in ("left", "right")
    ]
    cameras = cameras_from_lenses([calibrate_lens(v) for v in views])
    return cameras, gather_sightings(views)


def test_chessboards_reach_the_rms_of_the_issue() -> None:
    """<= 0.21 px (0.444 px with OpenCV's usual window), with lenses refined together."""
    cameras, sightings = chessboard_pair()
    pair = calibrate_pair(cameras, sightings, LENS)
    assert pair.rms_px <= 0.21
    assert len(pair.instants) == 13
    assert pair.baseline_m == pytest.approx(3.34, abs=0.02)
    assert pair.baseline_sigma_m < 0.005


def test_chessboards_are_rectified_and_measured() -> None:
    """Epipolar error <= 0.29 px; triangulated squares 1.000 +- 0.02."""
    cameras, sightings = chessboard_pair()
    rectification = rectify(calibrate_pair(cameras, sightings, LENS).cameras)
    first, second = rectify_points(rectification, sightings.points_px)
    assert float((first - second)[..., 1].abs().mean()) <= 0.29
    depth = rectification.disparity_metres_px / (first - second)[..., :1]
    rays = (
        torch.cat((first, torch.ones_like(depth)), -1) @ torch.linalg.inv(rectification.matrix).mT
    )
    corners = (rays * depth).reshape(-1, 6, 9, 3)
    across = (corners[:, :, 1:] - corners[:, :, :-1]).norm(dim=-1).flatten()
    down = (corners[:, 1:] - corners[:, :-1]).norm(dim=-1).flatten()
    squares = torch.cat((across, down))
    assert float(squares.mean()) == pytest.approx(1.0, abs=0.002)
    assert float(squares.std()) < 0.02


def test_agrees_with_opencv_stereo_calibrate() -> None:
    cameras, sightings = chessboard_pair()
    pair = calibrate_pair(cameras, sightings)
    board = [sightings.board.corners_board().numpy().astype(np.float32)] * 13
    seen = [[p.numpy().astype(np.float32) for p in points] for points in sightings.points_px]
    rms, *_, rotation, translation, _, _ = cv2.stereoCalibrate(
        board, *seen,
        cameras.matrix[0].numpy(), cameras.distortion[0].numpy(),
        cameras.matrix[1].numpy(), cameras.distortion[1].numpy(), (640, 480),
        flags=cv2.CALIB_FIX_INTRINSIC, criteria=(3, 300, 1e-12),
    )  # fmt: skip
    assert pair.rms_px == pytest.approx(rms, rel=1e-4)
    shift = torch.from_numpy(translation[:, 0])
    torch.testing.assert_close(pair.second_from_first.translation, shift, rtol=1e-4, atol=1e-4)
    assert turn_deg(pair.second_from_first.rotation, torch.from_numpy(rotation)) < 1e-3


def test_recovers_the_relative_pose_although_each_view_is_ambiguous() -> None:
    """Small, far, nearly frontal boards: a single view may choose the wrong of its two poses."""
    truth = arc(2)
    board = replace(CHESSBOARD, square_m=0.02)
    views = seen_views(truth, poses(12, board, seed=5), board, noise_px=0.3)
    pair = calibrate_pair(truth, gather_sightings(views))
    relative = truth.select([1]).camera_from_world.compose(
        truth.select([0]).camera_from_world.inverse()
    )
    assert turn_deg(pair.second_from_first.rotation, relative.rotation[0]) < 0.5
    length = float(relative.translation[0].norm())
    assert abs(pair.baseline_m - length) < 5.0 * pair.baseline_sigma_m + 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_one_shared_view_suffices(seed: int) -> None:
    """Both cameras' second poses together explain the second camera, but not the first."""
    truth = arc(2)
    pair = calibrate_pair(
        truth, gather_sightings(seen_views(truth, poses(1, seed=seed), noise_px=0.02))
    )
    length = float((truth.centres_world[1] - truth.centres_world[0]).norm())
    assert pair.baseline_m == pytest.approx(length, rel=0.005)


def test_no_shared_view_is_named() -> None:
    truth = arc(2)
    views = seen_views(truth, poses(4))
    apart = [views[0], replace(views[1], instants=("a", "b", "c", "d"))]
    with pytest.raises(InputError, match="cam1 and cam2"):
        calibrate_pair(truth, gather_sightings(apart))


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("swapped", [False, True])
def test_rectified_points_share_a_row_and_give_depth(vertical: bool, swapped: bool) -> None:
    cameras = side_by_side(vertical).select([1, 0] if swapped else [0, 1])
    rectification = rectify(cameras)
    assert rectification.axis == ("y" if vertical else "x")
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(40, 3, generator=generator, dtype=torch.float64) - 0.5
    points = points + torch.tensor([0.0, 0.0, 2.0])
    first, second = rectify_points(rectification, cameras.project(points))
    along = int(vertical)
    torch.testing.assert_close(first[:, 1 - along], second[:, 1 - along], rtol=0.0, atol=1e-6)
    depth = rectification.disparity_metres_px / (first - second)[:, along]
    seen = cameras.select([0]).camera_from_world.apply(points[None])[0]
    expected = (seen @ rectification.rotation[0].mT)[:, 2]
    torch.testing.assert_close(depth, expected, rtol=1e-6, atol=1e-6)


def test_the_maps_move_pixels_where_the_points_go() -> None:
    cameras = side_by_side()
    rectification = rectify(cameras)
    corner = torch.tensor([[[150.0, 110.0]], [[150.0, 110.0]]], dtype=torch.float64)
    target = rectify_points(rectification, corner)
    for index in (0, 1):
        picture = np.zeros((240, 320), np.float32)
        picture[108:113, 148:153] = 1.0
        moved = rectify_image(rectification, picture, index)
        v, u = np.indices(moved.shape)
        found = torch.tensor([(u * moved).sum(), (v * moved).sum()]) / float(moved.sum())
        torch.testing.assert_close(found.double(), target[index, 0], rtol=0.0, atol=0.1)


@pytest.mark.parametrize(("vertical", "swapped"), [(False, False), (False, True), (True, False)])
def test_depth_of_a_rendered_plane_is_true_to_one_per_cent(vertical: bool, swapped: bool) -> None:
    cameras = side_by_side(vertical)
    pictures = [textured_plane(cameras, c, 1.5, 0.2) for c in (0, 1)]
    if swapped:
        cameras, pictures = cameras.select([1, 0]), pictures[::-1]
    rectification = rectify(cameras)
    depth = depth_image(rectification, *pictures, DepthOptions(1.0, 3.0))
    v, u = np.indices(depth.shape)
    matrix = rectification.matrix.numpy()
    flat = np.stack((u, v, np.ones_like(u)), -1) @ np.linalg.inv(matrix).T
    to_world = (rectification.rotation[0] @ cameras.rotation[0]).numpy()
    rays, origin = flat @ to_world, cameras.centres_world[0].numpy()
    normal = np.array([-0.2, 0.0, 1.0])
    true = (1.5 - origin @ normal) / (rays @ normal)
    found = np.isfinite(depth)
    assert found.mean() > 0.5
    assert np.median(np.abs(depth[found] / true[found] - 1.0)) < 0.01
    assert np.mean(np.abs(depth[found] / true[found] - 1.0) < 0.03) > 0.97


def test_depth_range_too_near_is_refused_with_a_number() -> None:
    rectification = rectify(side_by_side())
    grey = np.zeros((240, 320), np.uint8)
    with pytest.raises(InputError, match=r"start at \d"):
        depth_image(rectification, grey, grey, DepthOptions(0.02, 1.0))


def test_rectification_refuses_what_makes_no_sense() -> None:
    cameras = side_by_side()
    other = replace(cameras, size_px=torch.tensor([[320.0, 240.0], [640.0, 480.0]]).double())
    with pytest.raises(InputError, match="320x240 and 640x480"):
        rectify(other)
    with pytest.raises(InputError, match="degrees between cam1 and cam4"):
        rectify(arc(4, spread_deg=120.0).select([0, 3]))


def test_corners_lie_where_they_were_measured() -> None:
    """The pair's board poses put corners back onto the pixels: nothing is lost on the way."""
    truth = arc(2)
    world = poses(5)
    pair = calibrate_pair(truth, gather_sightings(seen_views(truth, world)))
    seen = pair.cameras.project(corners_of(CHESSBOARD, pair.world_from_board))
    torch.testing.assert_close(
        seen, truth.project(corners_of(CHESSBOARD, world)), rtol=0, atol=1e-3
    )
