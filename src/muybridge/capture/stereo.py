"""Two cameras: where they stand to each other, rectification, and depth from disparity.

V views, N corners. `first` and `second` are cameras 0 and 1 of a pair; the pair's world frame is
the first camera's frame (x right, y down, z forward), metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from muybridge.capture.sightings import (
    Sightings,
    adjust_boards,
    choose_poses,
    pose_candidates,
)
from muybridge.errors import InputError
from muybridge.geometry.bundle import Bundle, BundleOptions, baseline_sigma, free_parameters
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

__all__ = [
    "DepthOptions",
    "Rectification",
    "StereoPair",
    "calibrate_pair",
    "depth_image",
    "rectify",
    "rectify_image",
    "rectify_points",
]

FEWEST_VIEWS = 1
MOST_VOTERS = 24  # views that propose and judge poses
CAP_PX = 20.0  # in the vote a corner that lies farther off counts as this far
ROUGH = 1e-5  # relative decrease of the cost that ends the robust first pass
FRACTION = 16.0  # OpenCV gives disparity in sixteenths of a pixel

Grey = UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class StereoPair:
    """Two cameras and how well their relative pose is known.

    Attributes:
        cameras: Both; the world is the first one's frame.
        rms_px: Root mean square distance of reprojected and seen corners, both cameras.
        instants: Views used, by name.
        world_from_board: Pose of the board in each view used.
        baseline_sigma_m: Standard deviation of the distance of the two centres, metres.
        bundle: The adjustment behind it.
        used: Corners that took part; the others were outliers or unseen.
    """

    cameras: Cameras
    rms_px: float
    instants: tuple[str, ...]
    world_from_board: Rigid
    baseline_sigma_m: float
    bundle: Bundle
    used: Bool[Tensor, "2 v n"]

    @property
    def second_from_first(self) -> Rigid:
        """Relative pose, metres."""
        return Rigid(self.cameras.rotation[1], self.cameras.translation[1])

    @property
    def baseline_m(self) -> float:
        """Distance of the two optical centres, metres."""
        return float(self.cameras.translation[1].norm())


def calibrate_pair(
    cameras: Cameras, sightings: Sightings, refine: tuple[str, ...] = ()
) -> StereoPair:
    """Find where the second camera stands to the first from boards that both saw.

    Each shared view proposes relative poses (a plane has two likely poses in either camera); the
    one that explains all shared views best starts a bundle adjustment.

    Args:
        cameras: Two lenses; their poses are ignored.
        sightings: What these two saw.
        refine: Lens parameters to adjust too, by their names in `geometry.bundle.PARAMETERS`.

    Raises:
        InputError: If no view is shared.
    References:
        Zhang, A flexible new technique for camera calibration, IEEE TPAMI 22(11), 2000.
    """
    shared = sightings.posed.all(0)
    if int(shared.sum()) < FEWEST_VIEWS:
        raise InputError(
            f"expected a picture in which both {' and '.join(cameras.names)} see the board, got "
            f"none; hold the board where both see it"
        )
    both = sightings.select((0, 1), shared)
    start, poses = start_pair(cameras, both, pose_candidates(cameras, both))
    free = free_parameters(2, refine)
    options = BundleOptions(loss="soft_l1", tolerance=ROUGH)
    bundle, used = adjust_boards(start, poses, both, free, options)
    sigma = baseline_sigma(bundle, 0, 1)
    return StereoPair(
        bundle.cameras, bundle.rms_px, both.instants, bundle.bodies, sigma, bundle, used
    )


def start_pair(cameras: Cameras, sightings: Sightings, candidates: Rigid) -> tuple[Cameras, Rigid]:
    """Vote for the relative pose; returns the placed cameras and each view's world_from_board.

    Args:
        cameras: Two lenses.
        sightings: Views that both cameras saw.
        candidates: camera_from_board, two for each camera and view (`pose_candidates`).
    """
    some = (
        torch.linspace(0, candidates.translation.shape[1] - 1, MOST_VOTERS).round().unique().long()
    )
    first, second = (
        Rigid(candidates.rotation[c][some], candidates.translation[c][some]) for c in (0, 1)
    )
    proposals = Rigid(second.rotation[:, None], second.translation[:, None]).compose(
        Rigid(first.rotation[:, :, None], first.translation[:, :, None]).inverse()
    )
    rotation, translation = proposals.rotation.flatten(0, 2), proposals.translation.flatten(0, 2)
    known = translation.isfinite().all(-1)
    rotation, translation = rotation[known], translation[known]
    corners = first.apply(
        sightings.board.corners_board().expand(*first.translation.shape[:2], -1, 3)
    )
    seen = sightings.points_px[:, some]
    alone = _capped_error(cameras, 0, corners, seen[0])
    scores = [
        (alone + _capped_error(cameras, 1, corners @ r.mT + t, seen[1])).amin(-1).sum()
        for r, t in zip(rotation, translation, strict=True)
    ]
    best = int(torch.stack(scores).argmin())
    eye, zero = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    placed = cameras.with_extrinsics(
        Rigid(torch.stack((eye, rotation[best])), torch.stack((zero, translation[best])))
    )
    return placed, choose_poses(placed, sightings, candidates)


def _capped_error(
    cameras: Cameras,
    index: int,
    corners_camera: Float[Tensor, "v k n 3"],
    points_px: Float[Tensor, "v n 2"],
) -> Float[Tensor, "v k"]:
    """Summed reprojection error of corners in a camera's frame; unseen ones count nothing."""
    camera = cameras.select([index])
    standing = Rigid(torch.eye(3, dtype=torch.float64)[None], torch.zeros(1, 3).double())
    seen = camera.with_extrinsics(standing).project(corners_camera)[0]
    error = (seen - points_px[:, None]).norm(dim=-1).nan_to_num(CAP_PX).clamp(max=CAP_PX)
    return (error * points_px.isfinite().all(-1)[:, None]).sum(-1)


@dataclass(frozen=True)
class Rectification:
    """Both pictures turned so that a point lies in the same row (or column) of both.

    Attributes:
        cameras: The pair as calibrated.
        size_px: Width and height of the rectified pictures.
        matrix: Their common intrinsics, pixels.
        rotation: rectified_from_camera of both.
        axis: Along which points shift from one picture to the other.
        shift_m: Where the first centre lies for the rectified second camera along that axis.
        maps: For each camera, where every rectified pixel lies in its picture (x and y).
    """

    cameras: Cameras
    size_px: tuple[int, int]
    matrix: Float[Tensor, "3 3"]
    rotation: Float[Tensor, "2 3 3"]
    axis: Literal["x", "y"]
    shift_m: float
    maps: tuple[tuple[Any, Any], tuple[Any, Any]]

    @property
    def disparity_metres_px(self) -> float:
        """Depth times disparity: depth = this / (first - second coordinate), metres pixels."""
        focal = self.matrix[0, 0] if self.axis == "x" else self.matrix[1, 1]
        return -float(focal) * self.shift_m


def rectify(cameras: Cameras, keep: Literal["valid", "all"] = "valid") -> Rectification:
    """Compute rectifying rotations and pixel maps for two cameras.

    Args:
        cameras: Two cameras of the same picture size.
        keep: "valid" zooms until no empty pixel shows, "all" keeps every pixel of both pictures.

    Raises:
        InputError: If the sizes differ or the cameras look in very different directions.
    References:
        Fusiello, Trucco & Verri, A compact algorithm for rectification of stereo pairs, 2000.
    """
    assert len(cameras) == 2, f"two cameras expected, got {len(cameras)}"
    size = _common_size(cameras)
    relative = cameras.select([1]).camera_from_world.compose(
        cameras.select([0]).camera_from_world.inverse()
    )
    matrix, distortion = cameras.matrix.numpy(), cameras.distortion.numpy()
    turn_0, turn_1, new_0, new_1, *_ = cv2.stereoRectify(
        matrix[0], distortion[0], matrix[1], distortion[1], size,
        relative.rotation[0].numpy(), relative.translation[0, :, None].numpy(),
        flags=cv2.CALIB_ZERO_DISPARITY, alpha=0.0 if keep == "valid" else 1.0,
    )  # fmt: skip
    axis: Literal["x", "y"] = "x" if abs(new_1[0, 3]) >= abs(new_1[1, 3]) else "y"
    row = "xy".index(axis)
    maps = [
        cv2.initUndistortRectifyMap(matrix[c], distortion[c], turn, new[:, :3], size, cv2.CV_32FC1)
        for c, (turn, new) in enumerate(((turn_0, new_0), (turn_1, new_1)))
    ]
    return Rectification(
        cameras,
        size,
        torch.from_numpy(new_0[:, :3].copy()),
        torch.from_numpy(np.stack((turn_0, turn_1))),
        axis,
        float(new_1[row, 3] / new_1[row, row]),
        (maps[0], maps[1]),
    )


def _common_size(cameras: Cameras) -> tuple[int, int]:
    first, second = (tuple(int(n) for n in size) for size in cameras.size_px.tolist())
    if first != second:
        raise InputError(
            f"expected two pictures of one size, got {first[0]}x{first[1]} and "
            f"{second[0]}x{second[1]}; scale or crop one of them first"
        )
    ahead = cameras.rotation[:, 2]
    apart = float(torch.rad2deg((ahead[0] @ ahead[1]).clamp(-1.0, 1.0).acos()))
    if apart > 75.0:
        raise InputError(
            f"expected two cameras that look the same way, got {apart:.0f} degrees between "
            f"{' and '.join(cameras.names)}; choose neighbours for a depth image"
        )
    return first[0], first[1]


def rectify_image(rectification: Rectification, image: Any, index: int) -> Any:
    """The rectified picture of camera `index` (0 or 1), grey or colour."""
    return cv2.remap(image, *rectification.maps[index], cv2.INTER_LINEAR)


def rectify_points(
    rectification: Rectification, points_px: Float[Tensor, "2 *n 2"]
) -> Float[Tensor, "2 *n 2"]:
    """Where points of both pictures lie in the rectified pictures, pixels."""
    flat = rectification.cameras.normalize(points_px).reshape(2, -1, 2)
    rays = torch.cat((flat, torch.ones_like(flat[..., :1])), dim=-1) @ rectification.rotation.mT
    pixels = rays[..., :2] / rays[..., 2:] @ rectification.matrix[:2, :2].mT
    return (pixels + rectification.matrix[:2, 2]).reshape(points_px.shape)


@dataclass(frozen=True)
class DepthOptions:
    """How to match.

    Attributes:
        near_m: Nearest depth looked for, metres.
        far_m: Farthest depth looked for, metres.
        block_px: Side of the window that is matched, odd.
    """

    near_m: float = 0.5
    far_m: float = 10.0
    block_px: int = 5


def depth_image(
    rectification: Rectification, first: Grey, second: Grey, options: DepthOptions | None = None
) -> Float[np.ndarray, "height width"]:
    """Depth of every pixel of the rectified first picture by semi-global matching.

    Args:
        rectification: Of the pair.
        first: Grey picture of the first camera, as filmed.
        second: Of the second camera.
        options: Depth range and window.

    Returns:
        Depth along the rectified first camera's axis, metres; NaN where no match was found.
    Raises:
        InputError: If the nearest depth asked for would shift points out of the picture.
    References:
        Hirschmueller, Stereo processing by semiglobal matching, IEEE TPAMI 30(2), 2008.
    """
    options = options or DepthOptions()
    pictures = [rectify_image(rectification, image, i) for i, image in enumerate((first, second))]
    if rectification.axis == "y":  # the matcher searches along rows
        pictures = [np.ascontiguousarray(picture.T) for picture in pictures]
    product = rectification.disparity_metres_px
    low, high = sorted((product / options.near_m, product / options.far_m))
    lowest = int(np.floor(low)) - 1
    count = int(np.ceil((high + 1 - lowest) / 16.0)) * 16
    if count >= pictures[0].shape[1]:
        nearest = abs(product) / (pictures[0].shape[1] - 32)
        raise InputError(
            f"expected depths whose disparity fits into the picture, got {options.near_m:g} m and "
            f"nearer; start at {nearest:.2f} m"
        )
    area = options.block_px**2
    matcher = cv2.StereoSGBM.create(
        lowest, count, options.block_px, P1=8 * area, P2=32 * area,
        disp12MaxDiff=1, uniquenessRatio=8, speckleWindowSize=80, speckleRange=2,
    )  # fmt: skip
    disparity = matcher.compute(pictures[0], pictures[1]).astype(np.float64) / FRACTION
    disparity[disparity < lowest] = np.nan
    with np.errstate(divide="ignore"):
        depth = product / disparity
    depth[~((depth >= options.near_m) & (depth <= options.far_m))] = np.nan
    return depth.T if rectification.axis == "y" else depth
