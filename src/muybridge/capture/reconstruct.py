"""One person's joints in 3-D from all views: robust, weighted by confidence, coherent in time.

C cameras, T frames, J joints. Triangulating each frame alone lets views drop in and out, which
makes bones breathe although every reprojection error looks good. So a robust per-frame start is
followed by one joint estimate over time (`capture.trajectories`) in which a doubtful view loses
weight softly, bodies have inertia, and bones keep their length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.parity import reconstruct_like_pose2sim
from muybridge.capture.trajectories import Motion, bone_pairs, fit_trajectories, rays
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.triangulation import (
    TriangulationOptions,
    reprojection_px,
    triangulate,
    triangulate_linear,
)
from muybridge.motion.keypoints import Keypoints
from muybridge.motion.markers import Markers

__all__ = ["ReconstructOptions", "reconstruct", "unbias"]

WINDOW = 480  # frames solved together
MARGIN = 30  # frames solved on either side of a window and thrown away
RAYLEIGH_MEDIAN = 1.17741  # median length of a plane normal vector of unit sigma per axis
NEIGHBOURS = 4  # frames on either side that judge the start of a path


@dataclass(frozen=True)
class ReconstructOptions:
    """How `reconstruct` works.

    Attributes:
        mode: "default" is the coherent estimate described above; "independent" triangulates each
            point of each frame alone by consensus of views; "pose2sim" repeats that tool's
            algorithm with its thresholds and names, picks the person itself, ignores the rest.
        min_confidence: Detections below this are not used.
        gate_px: A view agrees with a point when its reprojection error is below this, pixels.
        acceleration_std: Typical acceleration of a joint, m/s^2: smaller is smoother.
        bone_std: How much a bone may seem to change its length, metres.
        sigma_px: Noise of the detections, pixels per axis; estimated from the take when None.
        bone_lengths: Known bone lengths, metres, in the order of `bone_pairs`; estimated when None
            or NaN.
        offset_px: Known detector offsets, pixels, for instance of `refine_cameras`: detection =
            projection + offset. Hand-corrected joints have none.
        hand_px: Noise of a hand-corrected joint, pixels per axis. People click to a pixel or two
            and mean what they click, so the robust loss does not doubt it either.
    """

    mode: Literal["default", "independent", "pose2sim"] = "default"
    min_confidence: float = 0.05
    gate_px: float = 30.0
    acceleration_std: float = 30.0
    bone_std: float = 0.010
    sigma_px: float | None = None
    bone_lengths: Float[Tensor, "b"] | None = None
    offset_px: Float[Tensor, "c j 2"] | None = None
    hand_px: float = 1.5


def reconstruct(
    keypoints: Keypoints, cameras: Cameras, options: ReconstructOptions | None = None
) -> Markers:
    """Joint paths of one person in the world frame.

    Args:
        keypoints: One person, all cameras on one clock; pixels.
        cameras: The calibration, in the order of `keypoints.cameras`.
        options: Mode, noise and priors.
    Returns:
        Joints in metres. NaN where fewer than two cameras detected the joint. `covariance` is what
        the views of that very frame give (before inertia and bones sharpen it), `views` how many
        of them lie within the gate.
    Raises:
        InputError: If there are several people, fewer than two cameras or nobody at all.
    """
    options = options or ReconstructOptions()
    if options.mode == "pose2sim":
        return reconstruct_like_pose2sim(keypoints, cameras)
    _check(keypoints, cameras)
    points_px, confidence = _trusted(keypoints, options)
    gate = TriangulationOptions(gate_px=options.gate_px, sigma_px=options.sigma_px or 2.0)
    found = triangulate(points_px, cameras, confidence, gate)
    if options.mode == "independent":
        return Markers(
            keypoints.joints, found.points_world, keypoints.fps, found.covariance, found.views
        )
    start, known = _start(found.points_world, points_px, confidence, cameras)
    if not bool(known.any()):
        raise InputError(
            "expected a joint that two cameras see in the same frame, got none; check that the "
            "videos show the same moment and that the calibration belongs to these cameras"
        )
    motion = _motion((start, known), found.error_px, keypoints, options)
    return _coherent(start, known, (points_px, confidence), cameras, (keypoints, motion, options))


def unbias(keypoints: Keypoints, offset_px: Float[Tensor, "c j 2"]) -> Keypoints:
    """Detections less the detector's constant offsets, pixels; hand-corrected joints stay."""
    points_px = keypoints.points_px - offset_px[:, None, None]
    if keypoints.corrected is not None:
        kept = keypoints.corrected.unsqueeze(-1)
        points_px = torch.where(kept, keypoints.points_px, points_px)
    return replace(keypoints, points_px=points_px)


def _check(keypoints: Keypoints, cameras: Cameras) -> None:
    people = keypoints.points_px.shape[2]
    if people != 1:
        raise InputError(
            f"expected the keypoints of one person, got {people} slots; associate people first"
        )
    if len(cameras) != len(keypoints.cameras):
        raise InputError(
            f"expected a calibration of {len(keypoints.cameras)} cameras, got {len(cameras)}; "
            "match the cameras by name first"
        )


def _trusted(
    keypoints: Keypoints, options: ReconstructOptions
) -> tuple[Float[Tensor, "c t j 2"], Float[Tensor, "c t j"]]:
    """Detections that may be used, and their confidence; 1 for a hand-corrected joint."""
    if options.offset_px is not None:
        keypoints = unbias(keypoints, options.offset_px)
    points_px, confidence = keypoints.points_px[:, :, 0], keypoints.confidence[:, :, 0]
    confidence = torch.where(confidence >= options.min_confidence, confidence, 0.0)
    if keypoints.corrected is not None:
        confidence = torch.where(keypoints.corrected[:, :, 0], 1.0, confidence)
    seen = points_px.isfinite().all(-1) & (confidence > 0.0)
    return points_px.to(torch.float64), torch.where(seen, confidence, 0.0).to(torch.float64)


def _start(
    consensus: Float[Tensor, "t j 3"],
    points_px: Float[Tensor, "c t j 2"],
    confidence: Float[Tensor, "c t j"],
    cameras: Cameras,
) -> tuple[Float[Tensor, "t j 3"], Bool[Tensor, "t j"]]:
    """A finite start for every point, and which points two cameras see.

    Where no two views agree, or the point jumps away from its neighbours in time, the median of
    the neighbours stands in; where there are none, the nearest known frame.
    """
    known = (confidence > 0.0).sum(0) >= 2
    points = consensus.clone()
    typical = _running_median(points)
    jumps = (points - typical).norm(dim=-1) > 0.3
    points = torch.where((jumps | points.isnan().any(-1)).unsqueeze(-1), typical, points)
    lost = points.isnan().any(-1) & known
    if bool(lost.any()):
        linear = triangulate_linear(points_px[:, lost], cameras, confidence[:, lost])
        points[lost] = linear
    return _hold(points), known


def _running_median(points: Float[Tensor, "t j 3"]) -> Float[Tensor, "t j 3"]:
    """Median over neighbouring frames, NaN left out; in pieces, for it sorts nine copies."""
    edge = points.new_full((NEIGHBOURS, *points.shape[1:]), torch.nan)
    padded = torch.cat((edge, points, edge))
    median = torch.empty_like(points)
    for first in range(0, len(points), WINDOW):
        part = padded[first : first + WINDOW + 2 * NEIGHBOURS]
        near = part.unfold(0, 2 * NEIGHBOURS + 1, 1)
        median[first : first + WINDOW] = near.nanmedian(-1).values
    return median


def _hold(points: Float[Tensor, "t j 3"]) -> Float[Tensor, "t j 3"]:
    """Replace NaN by the last known position, before the first by the first; else the centroid."""
    frames, joints, _ = points.shape
    known = points.isfinite().all(-1)
    index = torch.arange(frames).unsqueeze(-1).expand(-1, joints)
    last = torch.where(known, index, -1).cummax(0).values
    first = torch.where(known, index, frames).amin(0).clamp(max=frames - 1)
    held = points.gather(0, torch.where(last < 0, first, last).unsqueeze(-1).expand(-1, -1, 3))
    centre = points[known].mean(0) if bool(known.any()) else points.new_zeros(3)
    return torch.where(held.isfinite(), held, centre)


def _motion(
    begun: tuple[Float[Tensor, "t j 3"], Bool[Tensor, "t j"]],
    error_px: Float[Tensor, "c t j"],
    keypoints: Keypoints,
    options: ReconstructOptions,
) -> Motion:
    start, known = begun
    sigma = options.sigma_px
    if sigma is None:
        typical = float(error_px[error_px.isfinite()].median()) / RAYLEIGH_MEDIAN
        freedom = 2 * len(error_px)  # residuals shrink because the point follows its views
        sigma = min(max(typical * (freedom / (freedom - 3)) ** 0.5, 0.3), 10.0)
    bones = bone_pairs(keypoints.joints)
    span = (start[:, bones[:, 0]] - start[:, bones[:, 1]]).norm(dim=-1)
    both = known[:, bones[:, 0]] & known[:, bones[:, 1]]
    lengths = torch.where(both, span, torch.nan).nanmedian(0).values
    if options.bone_lengths is not None:
        lengths = torch.where(options.bone_lengths.isfinite(), options.bone_lengths, lengths)
    stated = lengths.isfinite()  # the others end in a joint that was never seen
    return Motion(
        keypoints.fps,
        sigma,
        3.0 * sigma,
        options.acceleration_std,
        bones[stated],
        lengths[stated],
        options.bone_std,
    )


def _coherent(
    start: Float[Tensor, "t j 3"],
    known: Bool[Tensor, "t j"],
    detections: tuple[Tensor, Tensor],
    cameras: Cameras,
    setting: tuple[Keypoints, Motion, ReconstructOptions],
) -> Markers:
    """Solve window after window with overlapping margins, so that memory does not grow."""
    keypoints, motion, options = setting
    points_px, confidence = detections
    points, covariance = torch.empty_like(start), start.new_empty(*start.shape, 3)
    views = start.new_empty(start.shape[:2])
    for first in range(0, len(start), WINDOW):
        inner = slice(first, min(first + WINDOW, len(start)))
        outer = slice(max(0, first - MARGIN), min(inner.stop + MARGIN, len(start)))
        kept = slice(inner.start - outer.start, inner.stop - outer.start)
        seen = rays(points_px[:, outer], confidence[:, outer], cameras)
        if keypoints.corrected is not None:
            certain = (motion.sigma_px / options.hand_px) ** 2
            seen = seen.trust(keypoints.corrected[:, outer, 0], certain)
        path, information = fit_trajectories(start[outer], seen, cameras, motion)
        points[inner], covariance[inner] = path[kept], _covariance(information[kept])
        error = reprojection_px(points[inner], points_px[:, inner], cameras)
        views[inner] = ((error < options.gate_px) & (confidence[:, inner] > 0.0)).sum(0).to(views)
    usable = known & covariance.isfinite().flatten(2).all(-1)
    points = torch.where(usable.unsqueeze(-1), points, torch.nan)
    covariance = torch.where(usable[..., None, None], covariance, torch.nan)
    views = torch.where(usable, views, 0.0)
    return replace(
        Markers(keypoints.joints, points, keypoints.fps), covariance=covariance, views=views
    )


def _covariance(information: Float[Tensor, "t j 3 3"]) -> Float[Tensor, "t j 3 3"]:
    inverse, failed = torch.linalg.inv_ex(information)
    return torch.where((failed == 0)[..., None, None], inverse, torch.nan)
