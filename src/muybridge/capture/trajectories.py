"""The most likely joint paths given all views, the inertia of bodies and constant bone lengths.

C cameras, T frames, J joints, B bones. World frame, metres. The posterior

    sum rho(|pi_c(X) - x|)  +  sum |acceleration|^2 / s_a^2  +  sum (|bone| - length)^2 / s_b^2

is minimised by reweighted Gauss-Newton; each step solves its sparse normal equations by conjugate
gradients, so time and memory grow linearly with frames and no matrix is ever formed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.geometry.robust import robust_weight

__all__ = ["BONES", "Motion", "Rays", "bone_pairs", "fit_trajectories", "project_rays", "rays"]

BONES = (
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("right_hip", "right_knee"), ("right_knee", "right_ankle"),
    ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"),
    ("mid_hip", "left_hip"), ("mid_hip", "right_hip"),
    ("neck", "left_shoulder"), ("neck", "right_shoulder"), ("neck", "head"), ("neck", "nose"),
    ("left_ankle", "left_heel"), ("left_ankle", "left_big_toe"), ("left_heel", "left_big_toe"),
    ("left_big_toe", "left_small_toe"),
    ("right_ankle", "right_heel"), ("right_ankle", "right_big_toe"),
    ("right_heel", "right_big_toe"), ("right_big_toe", "right_small_toe"),
    ("nose", "left_eye"), ("nose", "right_eye"),
    ("left_eye", "left_ear"), ("right_eye", "right_ear"),
)  # fmt: skip  # joints whose distance the body keeps; the spine bends and is left out

STEP_LIMIT = 0.2  # metres a point may move in one Gauss-Newton step
FLOOR = 1e-2  # information of a point that no view sees, 1 / (10 m)^2


class Rays(NamedTuple):
    """What the cameras saw, undistorted. Unseen detections have weight 0 and focal position 0."""

    focal_px: Float[Tensor, "c t j 2"]  # undistorted pixels from the principal point
    weight: Float[Tensor, "c t j"]  # relative inverse variance
    certain: Bool[Tensor, "c t j"] | None = None  # set by hand: no robust loss

    def trust(self, certain: Bool[Tensor, "c t j"], weight: float) -> Rays:
        """Take some detections for certain, at that weight, as far as they are seen."""
        heavy = torch.where(certain & (self.weight > 0.0), weight, self.weight)
        return self._replace(weight=heavy, certain=certain)


@dataclass(frozen=True)
class Motion:
    """What is known before any view is looked at.

    Attributes:
        fps: Frames a second.
        sigma_px: Standard deviation of a detection of weight 1, pixels per axis.
        loss_px: Scale of the Cauchy loss on reprojection errors, pixels.
        acceleration_std: Typical acceleration of a joint, m/s^2; infinite for no memory.
        bones: Joint pairs with constant distance.
        lengths: Their lengths, metres.
        bone_std: How much a bone may seem to change, metres; infinite for rubber.
    """

    fps: float
    sigma_px: float
    loss_px: float
    acceleration_std: float
    bones: Int[Tensor, "b 2"]
    lengths: Float[Tensor, "b"]
    bone_std: float


def rays(
    points_px: Float[Tensor, "c t j 2"], confidence: Float[Tensor, "c t j"], cameras: Cameras
) -> Rays:
    """Undistort detections; NaN or zero confidence is unseen."""
    normalized = cameras.normalize(points_px)
    seen = normalized.isfinite().all(-1) & (confidence > 0.0)
    scaled = torch.where(seen.unsqueeze(-1), normalized, 0.0) * _focal(cameras)
    return Rays(scaled, torch.where(seen, confidence, 0.0))


def project_rays(
    points_world: Float[Tensor, "t j 3"], cameras: Cameras
) -> tuple[Float[Tensor, "c t j 2"], Float[Tensor, "c t j 2 3"]]:
    """Reprojections as in `Rays.focal_px`, and their derivatives by the points, pixels/metre."""
    rotation = cameras.rotation[:, None, None]
    points_camera = (rotation @ points_world.unsqueeze(-1)).squeeze(-1)
    points_camera = points_camera + cameras.translation[:, None, None]
    depth = points_camera[..., 2:].clamp(min=1e-3)
    ray, focal = points_camera[..., :2] / depth, _focal(cameras)
    rows = rotation[..., :2, :] - ray.unsqueeze(-1) * rotation[..., 2:, :]
    return focal * ray, (focal / depth).unsqueeze(-1) * rows


def bone_pairs(joints: tuple[str, ...]) -> Int[Tensor, "b 2"]:
    """Index pairs of the BONES that these joints form."""
    pairs = [(joints.index(a), joints.index(b)) for a, b in BONES if a in joints and b in joints]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)


def fit_trajectories(
    start_world: Float[Tensor, "t j 3"],
    seen: Rays,
    cameras: Cameras,
    motion: Motion,
    steps: int = 8,
) -> tuple[Float[Tensor, "t j 3"], Float[Tensor, "t j 3 3"]]:
    """Most likely paths, and the information that each frame's own views give about each point.

    Args:
        start_world: Finite start for every point, metres.
        seen: Undistorted detections.
        cameras: One per view.
        motion: Inertia, bones, noise.
        steps: Reweighted Gauss-Newton steps; stops early below 0.01 mm.
    Returns:
        Positions, metres, and the 3 x 3 information (inverse covariance) of the views alone,
        robust weights included, 1/m^2.
    References:
        Bell, The iterated Kalman smoother as a Gauss-Newton method, SIAM J. Optim. 4(3), 1994.
    """
    points = start_world
    for _ in range(steps):
        information, pull = _data_term(points, seen, cameras, motion)
        step = _solve_step(points, information, pull, motion)
        step = step * (STEP_LIMIT / step.norm(dim=-1, keepdim=True).clamp(min=STEP_LIMIT))
        points = points + step
        if float(step.abs().max()) < 1e-5:
            break
    return points, _data_term(points, seen, cameras, motion)[0]


# -- one Gauss-Newton step --------------------------------------------------------------------


def _focal(cameras: Cameras) -> Float[Tensor, "c 1 1 2"]:
    return cameras.matrix.diagonal(dim1=-2, dim2=-1)[:, None, None, :2]


def _data_term(
    points: Tensor, seen: Rays, cameras: Cameras, motion: Motion
) -> tuple[Float[Tensor, "t j 3 3"], Float[Tensor, "t j 3"]]:
    """Information of the views and the pull of their residuals."""
    predicted, slope = project_rays(points, cameras)
    residual = seen.focal_px - predicted
    robust = robust_weight(residual.norm(dim=-1), motion.loss_px, "cauchy")
    if seen.certain is not None:
        robust = robust.masked_fill(seen.certain, 1.0)
    weight = seen.weight * robust / motion.sigma_px**2
    weighted = weight[..., None, None] * slope
    information = (weighted.mT @ slope).sum(0)
    pull = (weighted * residual.unsqueeze(-1)).sum(-2).sum(0)
    return information, pull


def _inertia(paths: Float[Tensor, "t j 3"]) -> Float[Tensor, "t j 3"]:
    """D^T D x for second differences D along time."""
    out = torch.zeros_like(paths)
    bend = paths[2:] - 2.0 * paths[1:-1] + paths[:-2]
    out[2:] += bend
    out[1:-1] -= 2.0 * bend
    out[:-2] += bend
    return out


def _inertia_diagonal(frames: int) -> Float[Tensor, "t"]:
    diagonal = torch.zeros(frames, dtype=torch.float64)
    for offset, square in ((2, 1.0), (1, 4.0), (0, 1.0)):
        diagonal[offset : frames - 2 + offset] += square
    return diagonal


class _Bones(NamedTuple):
    """Bones at the current pose: a rank-one spring each."""

    first: Int[Tensor, "b"]
    second: Int[Tensor, "b"]
    axis: Float[Tensor, "t b 3"]
    stretch: Float[Tensor, "t b"]

    def spread(self, tension: Float[Tensor, "t b"], joints: int) -> Float[Tensor, "t j 3"]:
        """Forces on the joints of a tension along each bone."""
        force = tension.unsqueeze(-1) * self.axis
        out = force.new_zeros(len(force), joints, 3)
        return out.index_add_(1, self.first, force).index_add_(1, self.second, -force)

    def elongation(self, step: Float[Tensor, "t j 3"]) -> Float[Tensor, "t b"]:
        """How much each bone grows for small moves of the joints."""
        return ((step[:, self.first] - step[:, self.second]) * self.axis).sum(-1)


def _bones(points: Tensor, motion: Motion) -> _Bones:
    first, second = motion.bones.unbind(-1)
    span = points[:, first] - points[:, second]
    length = span.norm(dim=-1).clamp(min=1e-6)
    return _Bones(first, second, span / length.unsqueeze(-1), length - motion.lengths)


def _solve_step(
    points: Tensor, information: Tensor, pull: Tensor, motion: Motion
) -> Float[Tensor, "t j 3"]:
    frames, joints, _ = points.shape
    stiff = (motion.fps**2 / motion.acceleration_std) ** 2
    spring = motion.bone_std**-2.0
    bones = _bones(points, motion)
    identity = torch.eye(3, dtype=points.dtype)
    block = information + FLOOR * identity

    def operator(step: Tensor) -> Tensor:
        own = (block @ step.unsqueeze(-1)).squeeze(-1) + stiff * _inertia(step)
        return own + spring * bones.spread(bones.elongation(step), joints)

    diagonal = block + stiff * _inertia_diagonal(frames)[:, None, None, None] * identity
    outer = spring * bones.axis.unsqueeze(-1) * bones.axis.unsqueeze(-2)
    diagonal = diagonal.index_add(1, bones.first, outer).index_add(1, bones.second, outer)
    inverse = torch.linalg.inv(diagonal)
    right = pull - stiff * _inertia(points) - spring * bones.spread(bones.stretch, joints)
    return _conjugate_gradients(operator, right, inverse)


def _conjugate_gradients(
    operator: Callable[[Tensor], Tensor],
    right: Float[Tensor, "t j 3"],
    inverse: Float[Tensor, "t j 3 3"],
    steps: int = 60,
    tolerance: float = 1e-4,
) -> Float[Tensor, "t j 3"]:
    """Solve a symmetric positive system; `inverse` holds its inverted diagonal blocks."""
    solution, residual = torch.zeros_like(right), right
    conditioned = (inverse @ residual.unsqueeze(-1)).squeeze(-1)
    direction, energy = conditioned, float((residual * conditioned).sum())
    target = tolerance**2 * energy
    for _ in range(steps):
        if energy <= target:
            break
        image = operator(direction)
        length = energy / float((direction * image).sum())
        solution = solution + length * direction
        residual = residual - length * image
        conditioned = (inverse @ residual.unsqueeze(-1)).squeeze(-1)
        before, energy = energy, float((residual * conditioned).sum())
        direction = conditioned + (energy / before) * direction
    return solution
