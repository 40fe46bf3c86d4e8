"""Calibrate one camera from views of a plane: Zhang's closed form, then Levenberg-Marquardt.

    min  sum_v sum_n | project(K, k, R_v p_n + t_v) - x_vn |^2

What this one does differently: all views are solved at once; poses are eliminated by the Schur
complement, so that each step solves a 9 x 9 system; Jacobians are analytic, so the covariance of
the lens falls out of the last step. The start is the best of three: Zhang's closed form, the same
with the principal point at the centre of the picture (it needs fewer and less tilted views), and a
plain guess.

V views, N points of the plane. Plane coordinates: metres; pixels as in `Cameras`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.geometry.camera import distort, distortion_basis, distortion_jacobian
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec

__all__ = [
    "PARAMETERS",
    "PlaneFit",
    "calibrate_plane",
    "evaluate_plane",
    "homographies",
    "poses_of_plane",
]

PARAMETERS = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3")
NEAREST = 1e-6  # depths below this, in the plane's unit, are taken as this
LARGEST_DAMPING = 1e12
TOLERANCE = 1e-14  # relative fall of the cost at which the search has arrived


class Lens(NamedTuple):
    """Intrinsics as numbers to be moved: fx fy cx cy and k1 k2 p1 p2 k3."""

    pinhole: Float[Tensor, "4"]
    distortion: Float[Tensor, "5"]

    @property
    def matrix(self) -> Float[Tensor, "3 3"]:
        """K."""
        fx, fy, cx, cy = self.pinhole.unbind()
        zero, one = torch.zeros_like(fx), torch.ones_like(fx)
        return torch.stack((fx, zero, cx, zero, fy, cy, zero, zero, one)).unflatten(0, (3, 3))


@dataclass(frozen=True)
class PlaneFit:
    """The lens, and where the plane stood in every view.

    Attributes:
        matrix: K, pixels.
        distortion: k1 k2 p1 p2 k3.
        rotation: camera_from_plane of each view.
        translation: camera_from_plane of each view, the plane's unit.
        residual_px: Reprojected minus observed, pixels; NaN where unseen.
        covariance: Of `PARAMETERS`, from the Jacobian and the residuals; zeros where held fixed.
        steps: Levenberg-Marquardt steps taken.
    """

    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, "5"]
    rotation: Float[Tensor, "v 3 3"]
    translation: Float[Tensor, "v 3"]
    residual_px: Float[Tensor, "v n 2"]
    covariance: Float[Tensor, "9 9"]
    steps: int

    @property
    def rms_px(self) -> float:
        """Root mean square distance over all seen points, pixels (OpenCV's definition)."""
        return float(self.residual_px.square().sum(-1).nanmean().sqrt())

    @property
    def view_rms_px(self) -> Float[Tensor, "v"]:
        """The same of each view."""
        return self.residual_px.square().sum(-1).nanmean(-1).sqrt()


def _normalising(points: Float[Tensor, "*v n 2"]) -> Float[Tensor, "*v 3 3"]:
    """Similarity that centres the points (NaN ignored) and gives them a mean distance of 1."""
    centre = points.nanmean(-2)
    spread = (points - centre.unsqueeze(-2)).norm(dim=-1).nanmean(-1).clamp(min=1e-12)
    transform = torch.zeros(*centre.shape[:-1], 3, 3, dtype=points.dtype)
    transform[..., 0, 0] = transform[..., 1, 1] = 1.0 / spread
    transform[..., :2, 2] = -centre / spread.unsqueeze(-1)
    transform[..., 2, 2] = 1.0
    return transform


def _homogeneous(points: Float[Tensor, "*v n 2"]) -> Float[Tensor, "*v n 3"]:
    return torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)


def homographies(
    points_plane: Float[Tensor, "n 2"], points_px: Float[Tensor, "v n 2"]
) -> Float[Tensor, "v 3 3"]:
    """The homography plane -> pixels of each view, by the normalised direct linear transform.

    Args:
        points_plane: Points of the plane.
        points_px: The same in each view, pixels; NaN where unseen, at least four seen per view.
    References:
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., algorithm 4.2.
    """
    seen = ~points_px.isnan().any(-1, keepdim=True)
    to_unit, to_unit_px = _normalising(points_plane), _normalising(points_px)
    source = _homogeneous(points_plane) @ to_unit.mT
    target = (_homogeneous(points_px) @ to_unit_px.mT)[..., :2].nan_to_num()
    source = source * seen  # (v, n, 3); rows of unseen points vanish
    zero = torch.zeros_like(source)
    u, v = target[..., :1], target[..., 1:]
    rows = torch.cat(
        (
            torch.cat((source, zero, -u * source), dim=-1),
            torch.cat((zero, source, -v * source), dim=-1),
        ),
        dim=-2,
    )
    unit = torch.linalg.svd(rows, full_matrices=False)[2][:, -1].unflatten(-1, (3, 3))
    return torch.linalg.solve(to_unit_px, unit @ to_unit)


def poses_of_plane(matrix: Float[Tensor, "3 3"], homography: Float[Tensor, "v 3 3"]) -> Rigid:
    """camera_from_plane of each view from its homography, the plane in front of the camera."""
    columns = torch.linalg.solve(matrix, homography)
    scale = 2.0 / columns[..., :2].norm(dim=-2).sum(-1).clamp(min=1e-300)
    sign = torch.where(columns[:, 2, 2] < 0.0, -1.0, 1.0).to(columns.dtype)
    columns = columns * (scale * sign)[:, None, None]
    r1, r2, translation = columns.unbind(-1)
    rough = torch.stack((r1, r2, torch.linalg.cross(r1, r2)), dim=-1)
    u, _, vt = torch.linalg.svd(rough)
    flip = torch.ones_like(r1)
    flip[:, 2] = torch.linalg.det(u @ vt)
    return Rigid(u * flip.unsqueeze(-2) @ vt, translation)


def _conic_rows(homography: Float[Tensor, "v 3 3"]) -> Float[Tensor, "w 5"]:
    """Zhang's equations on B = K^-T K^-1 without skew; unknowns B11 B22 B13 B23 B33."""

    def pair(a: Tensor, b: Tensor) -> Tensor:
        return torch.stack(
            (
                a[:, 0] * b[:, 0],
                a[:, 1] * b[:, 1],
                a[:, 0] * b[:, 2] + a[:, 2] * b[:, 0],
                a[:, 1] * b[:, 2] + a[:, 2] * b[:, 1],
                a[:, 2] * b[:, 2],
            ),
            dim=-1,
        )

    unit = homography / homography.flatten(1).norm(dim=-1)[:, None, None]
    h1, h2 = unit[..., 0], unit[..., 1]
    return torch.cat((pair(h1, h2), pair(h1, h1) - pair(h2, h2)))


def _start_lenses(
    homography: Float[Tensor, "v 3 3"], size_px: tuple[int, int]
) -> Float[Tensor, "s 4"]:
    """Candidates for fx fy cx cy, pixels; those that make no sense are left out."""
    width, height = (float(s) for s in size_px)
    largest = max(width, height)
    middle = homography.new_tensor([(width - 1.0) / 2.0, (height - 1.0) / 2.0])
    to_unit = torch.diag(homography.new_tensor([1.0 / largest, 1.0 / largest, 1.0]))
    to_unit[:2, 2] = -middle / largest
    rows = _conic_rows(to_unit @ homography)
    b11, b22, b13, b23, b33 = torch.linalg.svd(rows, full_matrices=True)[2][-1].unbind()
    scale = b33 - b13 * b13 / b11 - b23 * b23 / b22
    free = torch.stack(((scale / b11).sqrt(), (scale / b22).sqrt(), -b13 / b11, -b23 / b22))
    inverse = torch.linalg.lstsq(rows[:, :2], -rows[:, 4:]).solution[:, 0]
    zero = torch.zeros_like(b11)
    pinned = torch.stack((*inverse.rsqrt().unbind(), zero, zero))
    plain = homography.new_tensor([1.0, 1.0, 0.0, 0.0])
    found = torch.stack((free, pinned, plain))
    focal, centre = found[:, :2], found[:, 2:]
    sane = ((focal > 0.1) & (focal < 30.0)).all(-1) & (centre.abs() < 0.5).all(-1)
    found = found[sane] * largest
    found[:, 2:] += middle
    return found


def _jacobians(
    lens: Lens, pose: Rigid, points: Float[Tensor, "n 3"]
) -> tuple[Float[Tensor, "v n 2"], Float[Tensor, "v n 2 9"], Float[Tensor, "v n 2 6"]]:
    """Pixels; their derivatives by the lens and by each pose (left turn, radians, then shift)."""
    turned = points @ pose.rotation.mT
    x, y, z = (turned + pose.translation.unsqueeze(-2)).unbind(-1)
    z = z.clamp(min=NEAREST)
    normalized = torch.stack((x / z, y / z), dim=-1)
    coefficients = lens.distortion.expand(len(pose.rotation), 5)
    distorted = distort(normalized, coefficients)
    focal = lens.pinhole[:2]
    pixels = focal * distorted + lens.pinhole[2:]
    by_pinhole = torch.cat(
        (torch.diag_embed(distorted), torch.eye(2).to(distorted).expand(*distorted.shape, 2)),
        dim=-1,
    )
    by_lens = torch.cat((by_pinhole, focal[:, None] * distortion_basis(normalized)), dim=-1)
    zero = torch.zeros_like(z)
    by_normal = torch.stack(
        (
            torch.stack((1.0 / z, zero, -x / z**2), dim=-1),
            torch.stack((zero, 1.0 / z, -y / z**2), dim=-1),
        ),
        dim=-2,
    )
    by_point = focal[:, None] * distortion_jacobian(normalized, coefficients) @ by_normal
    by_turn = torch.linalg.cross(turned.unsqueeze(-2).expand_as(by_point), by_point, dim=-1)
    return pixels, by_lens, torch.cat((by_turn, by_point), dim=-1)


class _Normal(NamedTuple):
    """Normal equations in blocks: lens, poses, and what couples them."""

    lens: Float[Tensor, "f f"]
    coupling: Float[Tensor, "v f 6"]
    pose: Float[Tensor, "v 6 6"]
    lens_slope: Float[Tensor, "f"]
    pose_slope: Float[Tensor, "v 6"]

    def damped(self, damping: float) -> _Normal:
        """Marquardt's damping: every diagonal entry grows by the same factor."""

        def grow(block: Tensor) -> Tensor:
            return block + torch.diag_embed(damping * block.diagonal(dim1=-2, dim2=-1) + 1e-300)

        return self._replace(lens=grow(self.lens), pose=grow(self.pose))

    def schur(self) -> tuple[Float[Tensor, "f f"], Float[Tensor, "v 6 f"]]:
        """The system of the lens alone, and pose^-1 coupling^T."""
        folded = torch.linalg.solve(self.pose, self.coupling.mT)
        return self.lens - (self.coupling @ folded).sum(0), folded

    def step(self) -> tuple[Float[Tensor, "f"], Float[Tensor, "v 6"]]:
        """The Newton step of lens and poses."""
        reduced, folded = self.schur()
        right = self.lens_slope - (folded.mT @ self.pose_slope.unsqueeze(-1)).sum(0).squeeze(-1)
        lens = torch.linalg.solve(reduced, -right)
        own = torch.linalg.solve(self.pose, self.pose_slope.unsqueeze(-1)).squeeze(-1)
        return lens, -own - folded @ lens


@dataclass(frozen=True)
class _Problem:
    points: Float[Tensor, "n 3"]
    points_px: Float[Tensor, "v n 2"]
    free: Bool[Tensor, "9"]

    def residual(self, lens: Lens, pose: Rigid) -> Float[Tensor, "v n 2"]:
        camera = pose.apply(self.points.expand(len(pose.rotation), -1, 3))
        normalized = camera[..., :2] / camera[..., 2:].clamp(min=NEAREST)
        distorted = distort(normalized, lens.distortion.expand(len(camera), 5))
        return lens.pinhole[:2] * distorted + lens.pinhole[2:] - self.points_px

    def cost(self, lens: Lens, pose: Rigid) -> float:
        return float(self.residual(lens, pose).square().nansum())

    def normal(self, lens: Lens, pose: Rigid) -> _Normal:
        pixels, by_lens, by_pose = _jacobians(lens, pose, self.points)
        residual = (pixels - self.points_px).flatten(1)
        seen = (~residual.isnan()).unsqueeze(-1)
        residual = residual.nan_to_num().unsqueeze(-1)
        lens_rows = by_lens.flatten(1, 2)[..., self.free] * seen
        pose_rows = by_pose.flatten(1, 2) * seen
        return _Normal(
            (lens_rows.mT @ lens_rows).sum(0),
            lens_rows.mT @ pose_rows,
            pose_rows.mT @ pose_rows,
            (lens_rows.mT @ residual).sum(0).squeeze(-1),
            (pose_rows.mT @ residual).squeeze(-1),
        )

    def moved(self, lens: Lens, pose: Rigid, step: tuple[Tensor, Tensor]) -> tuple[Lens, Rigid]:
        numbers = torch.cat(lens)
        numbers[self.free] += step[0]
        turn = matrix_from_rotvec(step[1][:, :3])
        return (
            Lens(numbers[:4], numbers[4:]),
            Rigid(turn @ pose.rotation, pose.translation + step[1][:, 3:]),
        )


def _start(problem: _Problem, size_px: tuple[int, int]) -> tuple[Lens, Rigid]:
    homography = homographies(problem.points[:, :2], problem.points_px)
    best: tuple[float, Lens, Rigid] | None = None
    for pinhole in _start_lenses(homography, size_px):
        lens = Lens(pinhole, torch.zeros(5, dtype=pinhole.dtype))
        pose = poses_of_plane(lens.matrix, homography)
        cost = problem.cost(lens, pose)
        if best is None or cost < best[0]:
            best = cost, lens, pose
    assert best is not None, "the plain guess is always among the starts"
    return best[1], best[2]


def _refine(problem: _Problem, lens: Lens, pose: Rigid, max_steps: int) -> tuple[Lens, Rigid, int]:
    """Levenberg-Marquardt; a step that does not lower the cost is not taken."""
    cost, damping = problem.cost(lens, pose), 1e-3
    for step in range(max_steps):
        normal = problem.normal(lens, pose)
        while damping < LARGEST_DAMPING:
            trial = problem.moved(lens, pose, normal.damped(damping).step())
            trial_cost = problem.cost(*trial)
            if trial_cost <= cost and bool((trial[0].pinhole[:2] > 0.0).all()):
                break
            damping *= 10.0
        else:
            return lens, pose, step
        fall = (cost - trial_cost) / max(cost, 1e-300)
        (lens, pose), cost, damping = trial, trial_cost, max(damping / 10.0, 1e-12)
        if fall < TOLERANCE:
            return lens, pose, step + 1
    return lens, pose, max_steps


def _covariance(problem: _Problem, lens: Lens, pose: Rigid) -> Float[Tensor, "9 9"]:
    """Inverse of the lens's own system times the variance of a residual."""
    reduced, _ = problem.normal(lens, pose).schur()
    residual = problem.residual(lens, pose)
    count = int((~residual.isnan()).sum())
    unknowns = int(problem.free.sum()) + 6 * len(residual)
    variance = residual.square().nansum() / max(count - unknowns, 1)
    scale = reduced.diagonal().clamp(min=1e-300).rsqrt()
    values, vectors = torch.linalg.eigh(scale[:, None] * reduced * scale)
    inverse = vectors / values.clamp(min=1e-15) @ vectors.mT
    covariance = torch.zeros(9, 9, dtype=reduced.dtype)
    free = problem.free.nonzero().squeeze(-1)
    covariance[free[:, None], free] = variance * scale[:, None] * inverse * scale
    return covariance


def calibrate_plane(
    points_plane: Float[Tensor, "n 2"],
    points_px: Float[Tensor, "v n 2"],
    size_px: tuple[int, int],
    *,
    fixed: tuple[str, ...] = (),
    max_steps: int = 100,
) -> PlaneFit:
    """Fit lens and poses to views of a plane.

    Args:
        points_plane: Points of the plane, in any unit.
        points_px: The same in each view, pixels; NaN where unseen. At least four a view.
        size_px: Width and height of the pictures.
        fixed: Names from `PARAMETERS` to hold: cx and cy at the picture's centre, distortion at 0.
        max_steps: Levenberg-Marquardt steps.
    Raises:
        ValueError: If there is no view, or one with fewer than four points.
    References:
        Zhang, A flexible new technique for camera calibration, IEEE TPAMI 22(11), 2000.
    """
    counts = (~points_px.isnan().any(-1)).sum(-1)
    if len(points_px) == 0 or int(counts.min()) < 4:
        raise ValueError("expected views with at least four points each; drop the others")
    problem = _problem(points_plane, points_px, fixed)
    lens, pose = _start(problem, size_px)
    if not bool(problem.free[2:4].all()):
        middle = (torch.tensor(size_px, dtype=points_px.dtype) - 1.0) / 2.0
        centred = torch.cat((lens.pinhole[:2], middle))
        lens = lens._replace(pinhole=torch.where(problem.free[:4], lens.pinhole, centred))
    lens, pose, steps = _refine(problem, lens, pose, max_steps)
    return _fit(problem, lens, pose, steps)


def evaluate_plane(
    points_plane: Float[Tensor, "n 2"],
    points_px: Float[Tensor, "v n 2"],
    matrix: Float[Tensor, "3 3"],
    distortion: Float[Tensor, "5"],
    pose: Rigid,
    *,
    fixed: tuple[str, ...] = (),
) -> PlaneFit:
    """Residuals and covariance of a lens and poses found by another solver; nothing is moved."""
    pinhole = torch.stack((matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]))
    return _fit(_problem(points_plane, points_px, fixed), Lens(pinhole, distortion), pose, 0)


def _problem(
    points_plane: Float[Tensor, "n 2"], points_px: Float[Tensor, "v n 2"], fixed: tuple[str, ...]
) -> _Problem:
    assert set(fixed) <= set(PARAMETERS), f"{fixed} are not all among {PARAMETERS}"
    flat = torch.cat((points_plane, torch.zeros_like(points_plane[:, :1])), dim=-1)
    return _Problem(flat, points_px, torch.tensor([name not in fixed for name in PARAMETERS]))


def _fit(problem: _Problem, lens: Lens, pose: Rigid, steps: int) -> PlaneFit:
    residual = problem.residual(lens, pose)
    covariance = _covariance(problem, lens, pose)
    return PlaneFit(lens.matrix, lens.distortion, *pose, residual, covariance, steps)
