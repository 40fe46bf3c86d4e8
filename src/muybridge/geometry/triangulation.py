"""Points from several calibrated views: linear, refined, and robust to wrong views.

C cameras, N points, S subsets of views, K components of a symmetric 3 x 3 system (6 + 3).

What is done differently from the textbook: the tensors keep N last and are handled in pieces that
fit the cache, every subset of views is solved at once in closed form from sums of per-view normal
equations, and the search over subsets is skipped for points whose full solution provably wins.
All work is in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb, cos, radians
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.robust import robust_weight

__all__ = [
    "Triangulation",
    "TriangulationOptions",
    "refine_points",
    "reprojection_px",
    "triangulate",
    "triangulate_linear",
    "triangulate_soft",
]

EXHAUSTIVE_CAMERAS = 8  # above it only pairs and the full set are tried
SOFT_STEPS = 6
PIECE = 1 << 18  # elements of the largest intermediate tensor, S x C x N: stays in the cache


@dataclass(frozen=True)
class TriangulationOptions:
    """How `triangulate` decides.

    Attributes:
        gate_px: A view agrees with a point when its reprojection error is below this, pixels.
        sigma_px: Standard deviation of a detection of confidence 1, pixels per axis; scales the
            covariance only.
        steps: Gauss-Newton steps after the search; each one asks again which views agree.
        min_parallax_deg: Points whose agreeing rays all run closer to one line become NaN.
    """

    gate_px: float = 12.0
    sigma_px: float = 2.0
    steps: int = 3
    min_parallax_deg: float = 0.5


class Triangulation(NamedTuple):
    """What `triangulate` found for each of the points.

    Attributes:
        points_world: Positions, metres; NaN where fewer than two views agree or the rays are
            parallel.
        covariance: Of the positions, square metres; NaN where they are.
        views: How many views agree; 0 where the point is NaN.
        error_px: Distance of each detection from the reprojected point, undistorted pixels; NaN
            where either is missing.
    """

    points_world: Float[Tensor, "*n 3"]
    covariance: Float[Tensor, "*n 3 3"]
    views: Float[Tensor, "*n"]
    error_px: Float[Tensor, "c *n"]


class _Views(NamedTuple):
    """One piece of points, N last. Unseen views have weight 0 and ray 0."""

    ray: Float[Tensor, "2 c n"]  # undistorted x/z, y/z
    weight: Float[Tensor, "c n"]
    rotation: Float[Tensor, "c 3 3"]
    translation: Float[Tensor, "c 3"]
    focal: Float[Tensor, "2 c"]  # pixels


def triangulate_linear(
    points_px: Float[Tensor, "c *n 2"],
    cameras: Cameras,
    confidence: Float[Tensor, "c *n"] | None = None,
) -> Float[Tensor, "*n 3"]:
    """Triangulate by weighted linear least squares (DLT) on homogeneous coordinates.

    Solves  min_|X|=1  sum_c w_c |f_c (x_c x [R_c t_c] X)|^2  by the smallest singular vector, x_c
    undistorted and normalised, f_c the focal length in pixels.

    Args:
        points_px: Detected points, pixels; NaN where unseen.
        cameras: One camera per view; world frame, metres.
        confidence: Weight of a view's squared error, >= 0; 0 drops the view. 1 when absent.
    Returns:
        Points in the world frame, metres; NaN where fewer than two views remain.
    Raises:
        InputError: If the number of views differs from the number of cameras.
    References:
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., section 12.2.
    """
    _check(points_px, cameras)
    views = _prepare(points_px.flatten(1, -2), cameras, _flat(confidence))
    extrinsics = torch.cat((views.rotation, views.translation.unsqueeze(-1)), -1)
    first, second, third = extrinsics[:, None].unbind(-2)
    u, v = views.ray.unsqueeze(-1)
    fx, fy = views.focal[..., None, None]
    root = views.weight.sqrt().unsqueeze(-1)
    rows = torch.stack((root * fx * (u * third - first), root * fy * (v * third - second)))
    _, _, vt = torch.linalg.svd(rows.permute(2, 0, 1, 3).flatten(1, 2), full_matrices=False)
    points = vt[:, 3, :3] / vt[:, 3, 3:]
    enough = (views.weight > 0.0).sum(0) >= 2
    return torch.where(enough.unsqueeze(-1), points, torch.nan).reshape(*points_px.shape[1:-1], 3)


def triangulate(
    points_px: Float[Tensor, "c *n 2"],
    cameras: Cameras,
    confidence: Float[Tensor, "c *n"] | None = None,
    options: TriangulationOptions | None = None,
) -> Triangulation:
    """Triangulate each point from the views that agree with one another.

    Every subset of two or more views proposes a point; the proposal with the smallest
    sum_c w_c min(r_c^2, gate^2) wins (MSAC), and Gauss-Newton steps on the reprojection error of
    the agreeing views refine it. Points are independent of one another.

    Args:
        points_px: Detected points, pixels; NaN where unseen.
        cameras: One camera per view; world frame, metres.
        confidence: Weight of a view's squared error, >= 0; 0 drops the view. 1 when absent. A
            detection's standard deviation is taken to be sigma_px / sqrt(confidence).
        options: Gate, noise and number of steps.
    Raises:
        InputError: If the number of views differs from the number of cameras, or is one.
    References:
        Torr & Zisserman, MLESAC, Computer Vision and Image Understanding 78(1), 2000 (MSAC).
        Hartley & Zisserman, Multiple View Geometry, 2nd ed., sections 12.2 and 5.1.3 (covariance).
    """
    _check(points_px, cameras)
    options = options or TriangulationOptions()
    flat, weights = points_px.flatten(1, -2), _flat(confidence)
    count, shape = flat.shape[1], points_px.shape[1:-1]
    out = Triangulation(
        flat.new_empty(count, 3),
        flat.new_empty(count, 3, 3),
        flat.new_empty(count),
        flat.new_empty(len(cameras), count),
    )
    size = max(1, PIECE // (len(cameras) * len(_subsets(len(cameras)))))
    for start in range(0, count, 8 * size):
        cut = slice(start, start + 8 * size)
        views = _prepare(flat[:, cut], cameras, None if weights is None else weights[:, cut])
        piece = _triangulate_piece(views, options, size)
        for whole, part in zip(out[:3], piece[:3], strict=True):
            whole[cut] = part
        out.error_px[:, cut] = piece.error_px
    return Triangulation(
        out.points_world.reshape(*shape, 3),
        out.covariance.reshape(*shape, 3, 3),
        out.views.reshape(shape),
        out.error_px.reshape(len(cameras), *shape),
    )


def refine_points(
    points_world: Float[Tensor, "*n 3"],
    points_px: Float[Tensor, "c *n 2"],
    cameras: Cameras,
    weight: Float[Tensor, "c *n"],
    steps: int = 3,
) -> Float[Tensor, "*n 3"]:
    """Gauss-Newton on the weighted squared reprojection error, weights held.

    Args:
        points_world: Start, metres; NaN stays NaN.
        points_px: Detected points, pixels; NaN where unseen.
        cameras: One camera per view; world frame, metres.
        weight: Weight of each squared error, for instance of `robust_weight`.
        steps: How many.
    """
    views = _prepare(points_px.flatten(1, -2), cameras, weight.flatten(1))
    points = points_world.reshape(-1, 3).mT
    for _ in range(steps):
        points = points + _gauss_newton(points, views, views.weight)[0]
    return points.mT.reshape(points_world.shape)


def triangulate_soft(
    points_px: Float[Tensor, "c *n 2"],
    cameras: Cameras,
    confidence: Float[Tensor, "c *n"],
    loss_px: float = 10.0,
    gate_px: float = 30.0,
) -> Float[Tensor, "*n 3"]:
    """Triangulate with all views, doubtful ones with less weight (Cauchy loss), frame by frame.

    Where views carry systematic errors this predicts unseen cameras better than leaving views out:
    the errors of several views average, and no view drops in and out from frame to frame.

    Args:
        points_px: Detected points, pixels; NaN where unseen.
        cameras: One camera per view; world frame, metres.
        confidence: Weight of a view's squared error, >= 0; 0 drops the view.
        loss_px: Error at which a view has lost half its weight, pixels.
        gate_px: Gate of the consensus that starts the search, pixels.
    Returns:
        Points, metres; NaN where fewer than two views are seen.
    """
    _check(points_px, cameras)
    views = _prepare(points_px.flatten(1, -2), cameras, confidence.flatten(1))
    size = max(1, PIECE // (len(cameras) * len(_subsets(len(cameras)))))
    points = _propose(views, gate_px**2, size)
    for _ in range(SOFT_STEPS):
        robust = robust_weight(_error2_px(points, views).sqrt(), loss_px, "cauchy")
        step, _ = _gauss_newton(points, views, views.weight * robust)
        points = torch.where(step.isfinite(), points + step, points)
    enough = (views.weight > 0.0).sum(0) >= 2
    return torch.where(enough, points, torch.nan).mT.reshape(*points_px.shape[1:-1], 3)


def reprojection_px(
    points_world: Float[Tensor, "*n 3"], points_px: Float[Tensor, "c *n 2"], cameras: Cameras
) -> Float[Tensor, "c *n"]:
    """Distance of each detection from the reprojected point, undistorted pixels; NaN if missing."""
    views = _prepare(points_px.flatten(1, -2), cameras, None)
    error = _error2_px(points_world.reshape(-1, 3).mT, views).sqrt()
    seen = points_px.isfinite().all(-1)
    return torch.where(seen, error.reshape(seen.shape), torch.nan)


# -- pieces of N points -----------------------------------------------------------------------


def _check(points_px: Tensor, cameras: Cameras) -> None:
    if len(points_px) != len(cameras):
        raise InputError(
            f"expected points of {len(cameras)} cameras, got {len(points_px)} views; "
            "give each view its camera"
        )
    if len(cameras) < 2:
        raise InputError("expected at least two cameras, got one; depth needs a second view")


def _flat(confidence: Float[Tensor, "c *n"] | None) -> Float[Tensor, "c m"] | None:
    return None if confidence is None else confidence.flatten(1)


def _prepare(
    points_px: Float[Tensor, "c n 2"], cameras: Cameras, weight: Float[Tensor, "c n"] | None
) -> _Views:
    ray = cameras.normalize(points_px)
    seen = ray.isfinite().all(-1)
    if weight is None:
        weight = torch.ones_like(ray[..., 0])
    return _Views(
        torch.where(seen.unsqueeze(-1), ray, 0.0).permute(2, 0, 1).contiguous(),
        torch.where(seen, weight.nan_to_num(0.0), 0.0),
        cameras.rotation,
        cameras.translation,
        torch.stack((cameras.matrix[:, 0, 0], cameras.matrix[:, 1, 1])),
    )


def _subsets(cameras: int) -> list[tuple[int, ...]]:
    """Sets of two or more views; the full set first."""
    sizes = range(2, cameras) if cameras <= EXHAUSTIVE_CAMERAS else range(2, 3)
    smaller = [s for size in sizes for s in combinations(range(cameras), size)]
    assert len(smaller) >= comb(cameras, 2) - 1, "every pair of views is tried"
    return [tuple(range(cameras)), *smaller]


def _membership(cameras: int) -> Float[Tensor, "s c"]:
    rows = [[float(c in subset) for c in range(cameras)] for subset in _subsets(cameras)]
    return torch.tensor(rows, dtype=torch.float64)


def _solve_symmetric(
    system: Float[Tensor, "9 *n"],
) -> tuple[Float[Tensor, "3 *n"], Float[Tensor, "6 *n"]]:
    """Solution and inverse of symmetric 3 x 3 systems (xx xy xz yy yz zz | right-hand side)."""
    a, b, c, d, e, f, p, q, r = system.unbind(0)
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    inverse = torch.stack((aa, bb, cc, dd, ee, ff)) / (a * aa + b * bb + c * cc)
    aa, bb, cc, dd, ee, ff = inverse.unbind(0)
    solution = (aa * p + bb * q + cc * r, bb * p + dd * q + ee * r, cc * p + ee * q + ff * r)
    return torch.stack(solution), inverse


def _normal_equations(
    rows: Float[Tensor, "2 3 c n"], right: Float[Tensor, "2 c n"], weight: Float[Tensor, "c n"]
) -> Float[Tensor, "9 c n"]:
    """Each view's part of sum w a a^T (six entries) and of sum w a b (three)."""
    weighted = weight * rows
    upper = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    parts = [(weighted[:, i] * rows[:, j]).sum(0) for i, j in upper]
    return torch.stack([*parts, *((weighted[:, i] * right).sum(0) for i in range(3))])


def _linear_system(views: _Views) -> Float[Tensor, "9 c n"]:
    """Normal equations of x_c x (R_c X + t_c) = 0 for X, inhomogeneous, in pixels times depth."""
    rotation = views.rotation.permute(1, 2, 0).unsqueeze(-1)  # row, column, camera, point
    translation = views.translation.mT.unsqueeze(-1)
    focal = views.focal.unsqueeze(-1)
    rows = focal.unsqueeze(1) * (views.ray.unsqueeze(1) * rotation[2] - rotation[:2])
    right = focal * (translation[:2] - views.ray * translation[2])
    return _normal_equations(rows, right, views.weight)


def _points_camera(points: Float[Tensor, "3 *n"], views: _Views) -> Float[Tensor, "3 c *n"]:
    flat = points.flatten(1)
    moved = views.rotation.transpose(0, 1) @ flat + views.translation.mT.unsqueeze(-1)
    return moved.reshape(3, len(views.rotation), *points.shape[1:])


def _error2_px(points: Float[Tensor, "3 *n"], views: _Views) -> Float[Tensor, "c *n"]:
    """Squared reprojection error, pixels squared; infinite behind a camera."""
    x, y, z = _points_camera(points, views)
    shape = (2, z.shape[0], *(1,) * (z.ndim - 2), z.shape[-1])
    ray, focal = views.ray.reshape(shape), views.focal.reshape(2, -1, *(1,) * (z.ndim - 1))
    inverse = 1.0 / z
    error2 = (focal[0] * (x * inverse - ray[0])).square()
    error2 = error2 + (focal[1] * (y * inverse - ray[1])).square()
    return torch.where(z > 0.0, error2, torch.inf)


def _gauss_newton(
    points: Float[Tensor, "3 n"], views: _Views, weight: Float[Tensor, "c n"]
) -> tuple[Float[Tensor, "3 n"], Float[Tensor, "6 n"]]:
    """One step, metres, and the inverse of the normal matrix, square metres per square pixel."""
    x, y, z = _points_camera(points, views)
    predicted = torch.stack((x, y)) / z
    rotation = views.rotation.permute(1, 2, 0).unsqueeze(-1)
    scale = views.focal.unsqueeze(-1) / z
    rows = scale.unsqueeze(1) * (rotation[:2] - predicted.unsqueeze(1) * rotation[2])
    right = views.focal.unsqueeze(-1) * (views.ray - predicted)
    return _solve_symmetric(_normal_equations(rows, right, weight).sum(1))


def _propose(views: _Views, gate2: float, size: int) -> Float[Tensor, "3 n"]:
    """The best of the points that the subsets of views propose."""
    system = _linear_system(views)
    best, _ = _solve_symmetric(system.sum(1))
    cost = _msac(_error2_px(best, views), views.weight, gate2)
    # One rejected view of full weight costs gate^2: a cheaper full solution cannot be beaten.
    smallest = torch.where(views.weight > 0.0, views.weight, torch.inf).amin(0)
    hard = (~(cost <= gate2 * smallest)).nonzero().squeeze(1)
    members = _membership(len(views.rotation))
    for part in hard.split(size):
        best[:, part] = _search(_take(views, part), system[..., part], members, gate2)
    return best


def _take(views: _Views, index: Tensor) -> _Views:
    return views._replace(ray=views.ray[..., index], weight=views.weight[..., index])


def _msac(
    error2: Float[Tensor, "c *n"], weight: Float[Tensor, "c *#n"], gate2: float
) -> Float[Tensor, "*n"]:
    return (weight * error2.nan_to_num(gate2).clamp(max=gate2)).sum(0)


def _search(
    views: _Views, system: Float[Tensor, "9 c n"], members: Float[Tensor, "s c"], gate2: float
) -> Float[Tensor, "3 n"]:
    proposals, _ = _solve_symmetric(members @ system)
    cost = _msac(_error2_px(proposals, views), views.weight.unsqueeze(1), gate2)
    seen = (views.weight > 0.0).to(members)
    cost = torch.where(members @ seen >= 2.0, cost, torch.inf)
    winner = cost.argmin(0).expand(3, 1, -1)
    return proposals.gather(1, winner).squeeze(1)


def _widest_cosine(
    points: Float[Tensor, "3 n"], views: _Views, agree: Bool[Tensor, "c n"]
) -> Float[Tensor, "n"]:
    """Cosine of the angle between the two agreeing rays nearest to a right angle.

    Rays that point at each other (cameras face to face) fix depth no better than parallel ones.
    """
    centres = -(views.rotation.mT @ views.translation.unsqueeze(-1))
    ray = points - centres  # c 3 n
    ray = ray / ray.norm(dim=1, keepdim=True)
    smallest = torch.ones_like(points[0])
    for a, b in combinations(range(len(centres)), 2):
        both = agree[a] & agree[b]
        smallest = torch.where(
            both, torch.minimum(smallest, (ray[a] * ray[b]).sum(0).abs()), smallest
        )
    return smallest


def _triangulate_piece(views: _Views, options: TriangulationOptions, size: int) -> Triangulation:
    gate2 = options.gate_px**2
    seen = views.weight > 0.0
    points = _propose(views, gate2, size)
    for _ in range(options.steps):
        agree = (_error2_px(points, views) < gate2) & seen
        step, _ = _gauss_newton(points, views, views.weight * agree)
        points = torch.where(step.isfinite(), points + step, points)
    error2 = _error2_px(points, views)
    agree = (error2 < gate2) & seen
    _, inverse = _gauss_newton(points, views, views.weight * agree)
    narrow = _widest_cosine(points, views, agree) > cos(radians(options.min_parallax_deg))
    valid = (agree.sum(0) >= 2) & ~narrow
    full = inverse[[0, 1, 2, 1, 3, 4, 2, 4, 5]].mT.unflatten(-1, (3, 3))
    return Triangulation(
        torch.where(valid, points, torch.nan).mT,
        torch.where(valid[:, None, None], options.sigma_px**2 * full, torch.nan),
        torch.where(valid, agree.sum(0).to(points), 0.0),
        torch.where(seen & valid, error2.sqrt(), torch.nan),
    )
