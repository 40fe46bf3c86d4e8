"""Sparse bundle adjustment: lenses, camera poses and structure that explain all pixels best.

    min  sum_n  rho( w_n | project(camera_n, R_b p_n + t_b) - x_n - delay_camera v_n | )

Structure is a list of rigid bodies b, each carrying known points p: a calibration board is a body
with a pose; a free scene point is a body that only translates and carries the origin. One solver
thus serves boards and joints alike. Where the velocities v of the pixels are given, each camera may
run late by a delay of its own, which is found together with everything else.

What this one does differently: Jacobians are analytic and batched over observations, bodies are
eliminated by the Schur complement so that only a 16 C x 16 C system is solved, and the covariance
of the cameras falls out of the same system.

N observations, C cameras, B bodies, P = 16 C camera parameters. The world frame is held by
parameters that are not free (usually the pose of camera 0) and by a stated baseline where nothing
else gives scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from muybridge.geometry.camera import Cameras, distort, distortion_basis, distortion_jacobian
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import cross_matrix, matrix_from_rotvec

__all__ = [
    "PARAMETERS",
    "Baseline",
    "Bundle",
    "BundleOptions",
    "Observations",
    "adjust",
    "baseline_sigma",
    "free_parameters",
]

PARAMETERS = (
    "fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3",
    "rotation_x", "rotation_y", "rotation_z", "x", "y", "z", "delay",
)  # fmt: skip  # of one camera; the rotation is a small turn of the camera frame, radians
LENS = slice(0, 9)
POSE = slice(9, 15)
DELAY = 15
SIZE = len(PARAMETERS)
NEAREST = 1e-3  # metres; smaller depths are taken as this: a point behind a camera is only far off
BASELINE_SIGMA = 1e-5  # relative; tight enough to hold the scale, loose enough to stay well scaled

Loss = Literal["squared", "huber", "soft_l1", "cauchy"]


@dataclass(frozen=True)
class Observations:
    """Pixels and what was seen there.

    Attributes:
        points_px: Where, pixels, as the lens shows it (with distortion).
        camera: By which camera.
        body: Of which body.
        points_body: Which point of the body, metres in its frame; zeros for free points.
        weight: Multiplies the residual (1 / sigma in units of the usual sigma); all ones if absent.
        velocity_px: How the pixel moves, pixels a unit of time (any unit: delays come out in it).
    """

    points_px: Float[Tensor, "n 2"]
    camera: Int64[Tensor, "n"]
    body: Int64[Tensor, "n"]
    points_body: Float[Tensor, "n 3"]
    weight: Float[Tensor, "n"] | None = None
    velocity_px: Float[Tensor, "n 2"] | None = None

    def select(self, which: Bool[Tensor, "n"]) -> Observations:
        """The observations marked True."""
        given = {name: field for name, field in vars(self).items() if field is not None}
        return Observations(**{name: field[which] for name, field in given.items()})


class Baseline(NamedTuple):
    """The stated distance between two camera centres; gives scale where no board does."""

    first: int
    second: int
    metres: float


@dataclass(frozen=True)
class BundleOptions:
    """How to adjust.

    Attributes:
        body: "pose" lets bodies turn and move, "point" only move.
        loss: Robust loss rho, as in scipy.optimize.least_squares.
        loss_scale_px: Residual at which the loss turns from squared to robust.
        baseline: Holds the scale when given.
        steps: Most Levenberg-Marquardt steps.
        tolerance: Relative decrease of the cost that ends the search.
    """

    body: Literal["pose", "point"] = "pose"
    loss: Loss = "squared"
    loss_scale_px: float = 1.0
    baseline: Baseline | None = None
    steps: int = 100
    tolerance: float = 1e-10


@dataclass(frozen=True)
class Bundle:
    """The adjusted scene.

    Attributes:
        cameras: Adjusted lenses and poses.
        bodies: world_from_body.
        residuals_px: Reprojected minus seen.
        rms_px: Root mean square length of the residuals (OpenCV's definition).
        covariance: Of all camera parameters, in the order of PARAMETERS camera by camera; zeros
            where held fixed. Scaled by the observed residuals; structure is marginalised out.
        steps: Levenberg-Marquardt steps taken.
        converged: Whether the tolerance was met.
        delay: Time by which each camera's pixels should be moved on along their velocity to show
            the instant of the others; zeros where held fixed.
    """

    cameras: Cameras
    bodies: Rigid
    residuals_px: Float[Tensor, "n 2"]
    rms_px: float
    covariance: Float[Tensor, "p p"]
    steps: int
    converged: bool
    delay: Float[Tensor, "c"]

    def sigma(self) -> Float[Tensor, "c 16"]:
        """Standard deviation of every camera parameter, in the order of PARAMETERS."""
        return self.covariance.diagonal().clamp(min=0.0).sqrt().reshape(-1, SIZE)


def free_parameters(
    camera_count: int, lens: tuple[str, ...] = (), fixed_poses: tuple[int, ...] = (0,)
) -> Bool[Tensor, "c 16"]:
    """Which parameters may move: the named lens parameters, and all poses but the fixed ones.

    Delays are held; to find them, free the last column for all cameras but one.
    """
    free = torch.zeros(camera_count, SIZE, dtype=torch.bool)
    free[:, POSE] = True
    free[list(fixed_poses), POSE] = False
    free[:, [PARAMETERS.index(name) for name in lens]] = True
    return free


class _Scene(NamedTuple):
    cameras: Cameras
    bodies: Rigid
    delay: Float[Tensor, "c"]


class _Problem(NamedTuple):
    observations: Observations
    options: BundleOptions
    free: Bool[Tensor, "c 16"]
    start: Cameras
    information: Float[Tensor, "c 9 9"] | None


class _Normal(NamedTuple):
    camera: Float[Tensor, "p p"]
    cross: Float[Tensor, "b d p"]
    body: Float[Tensor, "b d d"]
    camera_gradient: Float[Tensor, "p"]
    body_gradient: Float[Tensor, "b d"]


def adjust(
    cameras: Cameras,
    bodies: Rigid,
    observations: Observations,
    free: Bool[Tensor, "c 16"],
    options: BundleOptions | None = None,
    lens_information: Float[Tensor, "c 9 9"] | None = None,
) -> Bundle:
    """Adjust cameras and bodies by Levenberg-Marquardt with the bodies eliminated.

    Args:
        cameras: Start values.
        bodies: Start values, world_from_body; for free points the translation is the point.
        observations: What was seen; finite.
        free: Which camera parameters may move, in the order of PARAMETERS.
        options: Loss, kind of bodies, stopping.
        lens_information: Inverse covariance of each start lens (fx fy cx cy k1 k2 p1 p2 k3, in
            pixels and for residuals of one pixel), when it comes from other pictures than these.

    References:
        Triggs et al., Bundle adjustment: a modern synthesis, 2000, sections 4 and 6.
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., appendix 6.
    """
    options = options or BundleOptions()
    assert bool(observations.points_px.isfinite().all()), "observations must be finite"
    problem = _Problem(observations, options, free, cameras, lens_information)
    scene = _Scene(cameras, bodies, torch.zeros(len(cameras), dtype=torch.float64))
    cost = _cost(problem, scene)
    damping, converged, step = 1e-4, False, 0
    while step < options.steps and not converged:
        step += 1
        found, damping = _descend(problem, scene, cost, damping)
        if found is None:
            converged = True
            break
        new_cost = _cost(problem, found)
        converged = cost - new_cost <= options.tolerance * cost
        scene, cost = found, new_cost
    residuals = _residuals(scene, observations)
    rms = float(residuals.square().sum(-1).mean().sqrt())
    covariance = _covariance(problem, scene)
    return Bundle(*scene[:2], residuals, rms, covariance, step, converged, scene.delay)


def _descend(
    problem: _Problem, scene: _Scene, cost: float, damping: float
) -> tuple[_Scene | None, float]:
    """The first damped step that lowers the cost, or None where no step does."""
    normal = _normal_equations(problem, scene)
    while damping < 1e10:
        candidate = _moved(scene, *_solve(normal, problem.free, damping))
        if _cost(problem, candidate) < cost:
            return candidate, max(damping / 10.0, 1e-12)
        damping *= 10.0
    return None, damping


def _points(scene: _Scene, observations: Observations) -> tuple[Tensor, Tensor]:
    """Arms (points relative to the body's origin, world axes) and points in the camera's frame."""
    body, camera = observations.body, observations.camera
    arm = (scene.bodies.rotation[body] @ observations.points_body.unsqueeze(-1)).squeeze(-1)
    world = arm + scene.bodies.translation[body]
    seen = (scene.cameras.rotation[camera] @ world.unsqueeze(-1)).squeeze(-1)
    return arm, seen + scene.cameras.translation[camera]


def _project(
    cameras: Cameras, points_camera: Float[Tensor, "n 3"], camera: Int64[Tensor, "n"]
) -> tuple[Tensor, Tensor]:
    """Undistorted normalised coordinates and pixels of points in their cameras' frames."""
    normalized = points_camera[:, :2] / points_camera[:, 2:].clamp(min=NEAREST)
    distorted = distort(normalized.unsqueeze(1), cameras.distortion[camera])
    matrix = cameras.matrix[camera]
    pixels = (matrix[:, :2, :2] @ distorted.mT).squeeze(-1) + matrix[:, :2, 2]
    return normalized, pixels


def _residuals(scene: _Scene, observations: Observations) -> Float[Tensor, "n 2"]:
    _, points_camera = _points(scene, observations)
    pixels = _project(scene.cameras, points_camera, observations.camera)[1]
    residuals = pixels - observations.points_px
    if observations.velocity_px is None:
        return residuals
    return residuals - scene.delay[observations.camera, None] * observations.velocity_px


def _cost(problem: _Problem, scene: _Scene) -> float:
    observations, options = problem.observations, problem.options
    squared = _residuals(scene, observations).square().sum(-1)
    if observations.weight is not None:
        squared = squared * observations.weight.square()
    s = squared / options.loss_scale_px**2
    rho = {
        "squared": lambda: s,
        "huber": lambda: torch.where(s <= 1.0, s, 2.0 * s.sqrt() - 1.0),
        "soft_l1": lambda: 2.0 * ((1.0 + s).sqrt() - 1.0),
        "cauchy": lambda: s.log1p(),
    }[options.loss]()
    total = rho.sum() * options.loss_scale_px**2
    if problem.information is not None:
        change = _lens(scene.cameras) - _lens(problem.start)
        total = total + torch.einsum("ci,cij,cj->", change, problem.information, change)
    if options.baseline is not None:
        total = total + _baseline_residual(scene.cameras, options.baseline) ** 2
    return float(total.nan_to_num(torch.inf))


def _root_weight(problem: _Problem, residuals: Float[Tensor, "n 2"]) -> Float[Tensor, "n"]:
    """Square root of the weight of each residual in the reweighted least squares."""
    options, weight = problem.options, problem.observations.weight
    squared = residuals.square().sum(-1)
    given = torch.ones_like(squared) if weight is None else weight
    s = squared * given.square() / options.loss_scale_px**2
    slope = {
        "squared": lambda: torch.ones_like(s),
        "huber": lambda: s.clamp(min=1.0).rsqrt(),
        "soft_l1": lambda: (1.0 + s).rsqrt(),
        "cauchy": lambda: 1.0 / (1.0 + s),
    }[options.loss]()
    return given * slope.sqrt()


def _jacobians(
    scene: _Scene, observations: Observations
) -> tuple[Float[Tensor, "n 2 16"], Float[Tensor, "n 2 6"]]:
    """Derivatives of the pixels by the camera's parameters and by the body's turn and shift."""
    cameras, camera = scene.cameras, observations.camera
    arm, points_camera = _points(scene, observations)
    normalized, _ = _project(cameras, points_camera, camera)
    distortion, focal = cameras.distortion[camera], cameras.matrix[camera][:, :2, :2]
    distorted = distort(normalized.unsqueeze(1), distortion).squeeze(1)
    by_normalized = focal @ distortion_jacobian(normalized.unsqueeze(1), distortion).squeeze(1)
    depth = points_camera[:, 2:].clamp(min=NEAREST)
    eye = torch.eye(2, dtype=depth.dtype).expand(len(depth), 2, 2)
    by_point = by_normalized @ torch.cat((eye, -normalized.unsqueeze(-1)), -1) / depth[..., None]
    turned = points_camera - cameras.translation[camera]
    by_camera = torch.cat(
        (
            torch.diag_embed(distorted),
            eye,
            focal @ distortion_basis(normalized),
            by_point @ -cross_matrix(turned),
            by_point,
            _by_delay(observations),
        ),
        dim=-1,
    )
    by_shift = by_point @ cameras.rotation[camera]
    return by_camera, torch.cat((by_shift @ -cross_matrix(arm), by_shift), dim=-1)


def _by_delay(observations: Observations) -> Float[Tensor, "n 2 1"]:
    velocity = observations.velocity_px
    return -(torch.zeros_like(observations.points_px) if velocity is None else velocity)[..., None]


def _normal_equations(problem: _Problem, scene: _Scene) -> _Normal:
    observations = problem.observations
    residuals = _residuals(scene, observations)
    root = _root_weight(problem, residuals)[:, None]
    by_camera, by_body = _jacobians(scene, observations)
    by_camera = by_camera * problem.free[observations.camera].unsqueeze(1) * root[..., None]
    by_body = (by_body if problem.options.body == "pose" else by_body[..., 3:]) * root[..., None]
    residuals = residuals * root
    bodies, cameras, width = len(scene.bodies.translation), len(scene.cameras), by_body.shape[-1]
    body = by_body.new_zeros(bodies, width, width)
    body.index_add_(0, observations.body, by_body.mT @ by_body)
    body_gradient = by_body.new_zeros(bodies, width)
    body_gradient.index_add_(
        0, observations.body, (by_body.mT @ residuals.unsqueeze(-1)).squeeze(-1)
    )
    pair = observations.body * cameras + observations.camera
    cross = by_body.new_zeros(bodies * cameras, width, SIZE)
    cross.index_add_(0, pair, by_body.mT @ by_camera)
    cross = cross.unflatten(0, (bodies, cameras)).transpose(1, 2).flatten(2)
    camera = [_gram(by_camera, residuals, observations.camera == c) for c in range(cameras)]
    matrix = torch.block_diag(*(square for square, _ in camera))
    gradient = torch.cat([gradient for _, gradient in camera])
    matrix, gradient = _with_knowledge(problem, scene.cameras, matrix, gradient)
    return _Normal(matrix, cross, body, gradient, body_gradient)


def _gram(
    jacobian: Float[Tensor, "n 2 16"], residuals: Float[Tensor, "n 2"], mine: Bool[Tensor, "n"]
) -> tuple[Float[Tensor, "16 16"], Float[Tensor, "16"]]:
    rows = jacobian[mine].reshape(-1, SIZE)
    return rows.mT @ rows, rows.mT @ residuals[mine].reshape(-1)


def _with_knowledge(
    problem: _Problem,
    cameras: Cameras,
    matrix: Float[Tensor, "p p"],
    gradient: Float[Tensor, "p"],
) -> tuple[Float[Tensor, "p p"], Float[Tensor, "p"]]:
    """Add what is known besides the pixels: the lens calibration and the stated baseline."""
    free = problem.free
    if problem.information is not None:
        change = _lens(cameras) - _lens(problem.start)
        information = problem.information * free[:, LENS, None] * free[:, None, LENS]
        padded = [torch.nn.functional.pad(block, (0, 7, 0, 7)) for block in information]
        matrix = matrix + torch.block_diag(*padded)
        pull = (information @ change.unsqueeze(-1)).squeeze(-1)
        gradient = gradient + torch.nn.functional.pad(pull, (0, 7)).reshape(-1)
    if problem.options.baseline is not None:
        baseline = problem.options.baseline
        row = _baseline_gradient(cameras, baseline.first, baseline.second) * free.reshape(-1)
        row = row / (BASELINE_SIGMA * baseline.metres)
        matrix = matrix + torch.outer(row, row)
        gradient = gradient + row * _baseline_residual(cameras, baseline)
    return matrix, gradient


def _lens(cameras: Cameras) -> Float[Tensor, "c 9"]:
    k = cameras.matrix
    pinhole = torch.stack((k[:, 0, 0], k[:, 1, 1], k[:, 0, 2], k[:, 1, 2]), dim=-1)
    return torch.cat((pinhole, cameras.distortion), dim=-1)


def _baseline_residual(cameras: Cameras, baseline: Baseline) -> float:
    centres = cameras.centres_world
    length = float((centres[baseline.second] - centres[baseline.first]).norm())
    return (length / baseline.metres - 1.0) / BASELINE_SIGMA


def _baseline_gradient(cameras: Cameras, first: int, second: int) -> Float[Tensor, "p"]:
    """Derivative of the distance between two centres -R^T t by all camera parameters."""
    centres = cameras.centres_world
    direction = torch.nn.functional.normalize(centres[second] - centres[first], dim=0)
    gradient = torch.zeros(len(cameras), SIZE, dtype=centres.dtype)
    for index, sign in ((first, -1.0), (second, 1.0)):
        turned = cameras.rotation[index] @ direction * -sign
        gradient[index, 9:12] = torch.linalg.cross(turned, cameras.translation[index])
        gradient[index, 12:15] = turned
    return gradient.reshape(-1)


def _damped(matrix: Float[Tensor, "*b d d"], damping: float) -> Float[Tensor, "*b d d"]:
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    return matrix + torch.diag_embed(damping * diagonal + 1e-12)


def _reduced(
    normal: _Normal, free: Bool[Tensor, "c 16"], damping: float
) -> tuple[Float[Tensor, "p p"], Float[Tensor, "b d q"]]:
    """The Schur complement of the bodies; bodies' matrix^-1 [cross | gradient]."""
    right = torch.cat((normal.cross, normal.body_gradient.unsqueeze(-1)), dim=-1)
    eliminated = torch.linalg.solve(_damped(normal.body, damping), right)
    fill = normal.cross.flatten(0, 1).mT @ eliminated[..., :-1].flatten(0, 1)
    fixed = (~free.reshape(-1)).to(fill.dtype)
    return _damped(normal.camera, damping) - fill + torch.diag(fixed), eliminated


def _solve(
    normal: _Normal, free: Bool[Tensor, "c 16"], damping: float
) -> tuple[Float[Tensor, "c 16"], Float[Tensor, "b d"]]:
    """Steps of cameras and bodies that lower the linearised cost most."""
    schur, eliminated = _reduced(normal, free, damping)
    gradient = normal.camera_gradient - torch.einsum("bdp,bd->p", normal.cross, eliminated[..., -1])
    scale = schur.diagonal().clamp(min=1e-30).rsqrt()
    scaled = schur * scale[:, None] * scale
    camera = -torch.linalg.lstsq(scaled, (gradient * scale)[:, None]).solution[:, 0] * scale
    camera = camera * free.reshape(-1)  # rounding must not creep into what is fixed
    body = -(eliminated[..., -1] + eliminated[..., :-1] @ camera)
    return camera.reshape(-1, SIZE), body


def _moved(scene: _Scene, camera: Float[Tensor, "c 16"], body: Float[Tensor, "b d"]) -> _Scene:
    cameras, bodies, delay = scene
    matrix = cameras.matrix.clone()
    matrix[:, [0, 1, 0, 1], [0, 1, 2, 2]] += camera[:, :4]
    moved = replace(
        cameras,
        matrix=matrix,
        distortion=cameras.distortion + camera[:, 4:9],
        rotation=matrix_from_rotvec(camera[:, 9:12]) @ cameras.rotation,
        translation=cameras.translation + camera[:, 12:15],
    )
    rotation = bodies.rotation
    if body.shape[1] == 6:
        rotation = matrix_from_rotvec(body[:, :3]) @ rotation
    moved_bodies = Rigid(rotation, bodies.translation + body[:, -3:])
    return _Scene(moved, moved_bodies, delay + camera[:, DELAY])


def _covariance(problem: _Problem, scene: _Scene) -> Float[Tensor, "p p"]:
    """sigma^2 times the inverse of the reduced normal matrix; unseen directions come out huge."""
    normal = _normal_equations(problem, scene)
    schur, _ = _reduced(normal, problem.free, 1e-12)
    scale = schur.diagonal().clamp(min=1e-30).rsqrt()
    values, vectors = torch.linalg.eigh(schur * scale[:, None] * scale)
    inverse = (vectors / values.clamp(min=1e-15)) @ vectors.mT * scale[:, None] * scale
    free = problem.free.reshape(-1)
    residuals = _residuals(scene, problem.observations)
    weighted = (residuals * _root_weight(problem, residuals)[:, None]).square().sum()
    unknowns = int(free.sum()) + normal.body_gradient.numel()
    variance = weighted / max(residuals.numel() - unknowns, 1)
    return inverse * variance * (free[:, None] & free)


def baseline_sigma(bundle: Bundle, first: int, second: int) -> float:
    """Standard deviation of the distance between two camera centres, metres."""
    gradient = _baseline_gradient(bundle.cameras, first, second)
    return float((gradient @ bundle.covariance @ gradient).clamp(min=0.0).sqrt())
