"""Pose2Sim's reconstruction, step by step, to compare with and to reproduce published results.

C cameras, T frames, P people, J joints, N points. Written from the published description and
behaviour of Pose2Sim 0.2.6 (the version that made its demo's reference file): lenses count as free
of distortion, rows of the linear system are multiplied by the likelihood, cameras are left out one
by one until the mean error of the remaining ones is below a threshold, gaps become cubic splines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.interpolate import CubicSpline
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.motion.keypoints import Keypoints
from muybridge.motion.markers import Markers

__all__ = ["POSE2SIM_MARKERS", "ParityOptions", "reconstruct_like_pose2sim"]

POSE2SIM_MARKERS = {
    "RHip": "right_hip", "RKnee": "right_knee", "RAnkle": "right_ankle",
    "RBigToe": "right_big_toe", "RSmallToe": "right_small_toe", "RHeel": "right_heel",
    "LHip": "left_hip", "LKnee": "left_knee", "LAnkle": "left_ankle",
    "LBigToe": "left_big_toe", "LSmallToe": "left_small_toe", "LHeel": "left_heel",
    "Neck": "neck", "Head": "head", "Nose": "nose",
    "RShoulder": "right_shoulder", "RElbow": "right_elbow", "RWrist": "right_wrist",
    "LShoulder": "left_shoulder", "LElbow": "left_elbow", "LWrist": "left_wrist",
}  # fmt: skip  # its marker names, in its order, and ours


LEFT_OUT = 1e3  # pixels: a camera left out is worse than any error below the threshold


@dataclass(frozen=True)
class ParityOptions:
    """Pose2Sim's settings under our names, with the values of its demo.

    Attributes:
        likelihood: Detections below this weigh nothing, yet their errors still count.
        error_px: Largest mean reprojection error of a point, pixels.
        person_error_px: The same for the joint that picks the person.
        person_joint: That joint.
        fewest_cameras: Cameras that must remain.
        fewest_samples: Paths with this many known frames or fewer are not interpolated.
    """

    likelihood: float = 0.3
    error_px: float = 15.0
    person_error_px: float = 20.0
    person_joint: str = "neck"
    fewest_cameras: int = 2
    fewest_samples: int = 10


def reconstruct_like_pose2sim(
    keypoints: Keypoints, cameras: Cameras, options: ParityOptions | None = None
) -> Markers:
    """Markers as Pose2Sim computes them, under its names.

    Args:
        keypoints: Any number of people a frame; pixels.
        cameras: In the order of `keypoints.cameras`; the distortion is not used.
        options: Thresholds.
    Returns:
        Those of its 21 markers whose joints exist; metres.
    Raises:
        InputError: If none of its markers, or not the joint that picks the person, was detected.
    References:
        Pagnon, Domalain & Reveret, Pose2Sim: an end-to-end workflow for 3D markerless sports
        kinematics, Sensors 21(19), 2021, section 2.3.
    """
    options = options or ParityOptions()
    markers = {m: j for m, j in POSE2SIM_MARKERS.items() if j in keypoints.joints}
    if not markers or options.person_joint not in keypoints.joints:
        raise InputError(
            f"expected joints such as {options.person_joint} and right_hip, got "
            f"{', '.join(keypoints.joints)}; use keypoints with a neck (BODY_25, Halpe-26)"
        )
    points_px, likelihood = _person(keypoints, cameras, options)
    index = [keypoints.joints.index(joint) for joint in markers.values()]
    shape = (len(keypoints.cameras), -1)
    fit = _leave_out(
        points_px[:, :, index].reshape(*shape, 2),
        likelihood[:, :, index].reshape(shape),
        cameras.projection(),
        options,
    )
    paths = fit.points_world.reshape(-1, len(index), 3)
    views = fit.kept.sum(0).to(paths).reshape(paths.shape[:2])
    views = torch.where(paths.isfinite().all(-1), views, 0.0)
    filled = _interpolate(paths, options.fewest_samples)
    return Markers(tuple(markers), filled, keypoints.fps, views=views)


class _Fit(NamedTuple):
    points_world: Float[Tensor, "n 3"]
    error_px: Float[Tensor, "n"]  # mean over the kept cameras; above the threshold the point is NaN
    kept: Bool[Tensor, "c n"]


def _person(
    keypoints: Keypoints, cameras: Cameras, options: ParityOptions
) -> tuple[Float[Tensor, "c t j 2"], Float[Tensor, "c t j"]]:
    """Of all combinations of people take, frame by frame, the one whose neck fits best.

    Fewer cameras left out goes before a smaller error; a camera that is left out shows nobody.
    """
    count, frames, people, _, _ = keypoints.points_px.shape
    joint = keypoints.joints.index(options.person_joint)
    limits = replace(options, error_px=options.person_error_px)
    camera = torch.arange(count)
    best = torch.full((frames,), torch.inf, dtype=torch.float64)
    slots = torch.zeros(count, frames, dtype=torch.int64)
    present = torch.ones(count, frames, dtype=torch.bool)
    for choice in product(range(people), repeat=count):
        chosen = torch.tensor(choice)
        points_px = keypoints.points_px[camera, :, chosen, joint]
        likelihood = keypoints.confidence[camera, :, chosen, joint]
        fit = _leave_out(points_px, likelihood, cameras.projection(), limits)
        rank = fit.error_px + LEFT_OUT * (count - fit.kept.sum(0))
        better = rank < best
        best = torch.where(better, rank, best)
        slots = torch.where(better, chosen.unsqueeze(-1), slots)
        present = torch.where(better, fit.kept, present)
    frame = torch.arange(frames)
    points_px = keypoints.points_px[camera.unsqueeze(-1), frame, slots]
    likelihood = keypoints.confidence[camera.unsqueeze(-1), frame, slots]
    return torch.where(present[..., None, None], points_px, torch.nan), likelihood


def _leave_out(
    points_px: Float[Tensor, "c n 2"],
    likelihood: Float[Tensor, "c n"],
    projection: Float[Tensor, "c 3 4"],
    options: ParityOptions,
) -> _Fit:
    """Leave out one more camera at a time while the best fit's mean error is too large."""
    count, total = likelihood.shape
    seen = points_px.isfinite().all(-1)
    weight = torch.where(likelihood < options.likelihood, 0.0, likelihood) * seen
    points = points_px.new_full((total, 3), torch.nan)
    error = points_px.new_full((total,), torch.inf)
    kept = seen.clone()
    for out in range(count - options.fewest_cameras + 1):
        pending = (error > options.error_px).nonzero().squeeze(1)
        subsets = [
            [c not in gone for c in range(count)] for gone in combinations(range(count), out)
        ]
        keep = seen[:, pending] & torch.tensor(subsets).unsqueeze(-1)  # s c n
        found = _linear(points_px[:, pending], weight[:, pending] * keep, projection)
        mean = _mean_error(found, points_px[:, pending], keep, projection)
        error[pending], winner = mean.min(0)
        row = torch.arange(len(pending))
        points[pending], kept[:, pending] = found[winner, row], keep[winner, :, row].mT
    lost = error > options.error_px
    return _Fit(torch.where(lost.unsqueeze(-1), torch.nan, points), error, kept)


def _linear(
    points_px: Float[Tensor, "c n 2"],
    weight: Float[Tensor, "s c n"],
    projection: Float[Tensor, "c 3 4"],
) -> Float[Tensor, "s n 3"]:
    """Homogeneous least squares, each row times the likelihood."""
    first, second, third = projection.unsqueeze(2).unbind(1)  # c 1 4
    x, y = points_px.nan_to_num(0.0).unsqueeze(-1).unbind(-2)
    rows = torch.stack((first - x * third, second - y * third), dim=1)  # c 2 n 4
    system = (weight.unsqueeze(2).unsqueeze(-1) * rows).permute(0, 3, 1, 2, 4).flatten(2, 3)
    _, _, vt = torch.linalg.svd(system, full_matrices=False)
    return vt[..., 3, :3] / vt[..., 3, 3:]


def _mean_error(
    points: Float[Tensor, "s n 3"],
    points_px: Float[Tensor, "c n 2"],
    keep: Bool[Tensor, "s c n"],
    projection: Float[Tensor, "c 3 4"],
) -> Float[Tensor, "s n"]:
    """Mean distance over the kept cameras, pixels; infinite with fewer than two."""
    homogeneous = torch.cat((points, torch.ones_like(points[..., :1])), -1)
    image = torch.einsum("cij,snj->scni", projection, homogeneous)
    distance = (image[..., :2] / image[..., 2:] - points_px).norm(dim=-1)
    number = keep.sum(1)
    mean = torch.where(keep, distance, 0.0).sum(1) / number.clamp(min=1)
    return torch.where(number >= 2, mean, torch.inf).nan_to_num(torch.inf)


def _interpolate(paths: Float[Tensor, "t m 3"], fewest: int) -> Float[Tensor, "t m 3"]:
    """Fill gaps with a cubic spline, and the ends with the mean of the path."""
    out = paths.numpy().copy()
    frames = np.arange(len(out))
    for marker in range(out.shape[1]):
        good = np.isfinite(out[:, marker]).all(-1)
        if good.all() or good.sum() <= fewest:
            continue
        path = out[good, marker]
        filled = CubicSpline(frames[good], path)(frames)
        inside = (frames >= frames[good][0]) & (frames <= frames[good][-1])
        mean = np.where(good[:, None], out[:, marker], filled)[inside].mean(0)
        out[~good, marker] = np.where(inside[:, None], filled, mean)[~good]
    return torch.from_numpy(out)
