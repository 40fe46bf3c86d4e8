"""One camera's lens from its views of a board: focal length, centre, distortion, and how sure.

V views, N corners. Board frame as in `Board`; camera frame x right, y down, z forward; metres.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.board import BoardViews, select_views, spread_views
from muybridge.capture.finding import Finding
from muybridge.errors import InputError
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec
from muybridge.geometry.zhang import PlaneFit, calibrate_plane, evaluate_plane, homographies

__all__ = ["SOURCE_DOCUMENT_LENS", "LensCalibration", "LensOptions", "calibrate_lens", "coverage"]

FEWEST_VIEWS = 3
BAD_CORNERS = 0.1  # of a view; with more the view itself is bad
COVERAGE_CELLS = 8  # along each side of the picture
OPENCV_FIXED = {
    "k1": cv2.CALIB_FIX_K1,
    "k2": cv2.CALIB_FIX_K2,
    "k3": cv2.CALIB_FIX_K3,
    "p1": cv2.CALIB_ZERO_TANGENT_DIST,
    "p2": cv2.CALIB_ZERO_TANGENT_DIST,
    "cx": cv2.CALIB_FIX_PRINCIPAL_POINT,
    "cy": cv2.CALIB_FIX_PRINCIPAL_POINT,
}


@dataclass(frozen=True)
class LensOptions:
    """How `calibrate_lens` works.

    Attributes:
        solver: "own" is Zhang's start and Levenberg-Marquardt, "opencv" is calibrateCamera; they
            agree to 1e-6 on the same corners.
        fixed: Parameters held, from fx fy cx cy k1 k2 p1 p2 k3: cx, cy at the picture's centre,
            distortion at 0.
        most_views: Views to use, those that differ most; None for all.
        fewest_corners: A view with fewer is not used.
        robust: Leave out views and corners that do not fit the others, and distortion terms that
            fold the picture.
        outlier: How many times the usual misfit of a view makes it an outlier.
        outlier_px: Nothing below this is an outlier.
    """

    solver: Literal["own", "opencv"] = "own"
    fixed: tuple[str, ...] = ()
    most_views: int | None = 60
    fewest_corners: int = 8
    robust: bool = True
    outlier: float = 3.0
    outlier_px: float = 0.3


SOURCE_DOCUMENT_LENS = LensOptions("opencv", (), None, 4, robust=False)


@dataclass(frozen=True)
class LensCalibration:
    """What `calibrate_lens` found.

    Attributes:
        camera: Camera name.
        size_px: Width and height of its pictures.
        matrix: Intrinsics K, pixels.
        distortion: k1 k2 p1 p2 k3, OpenCV's order.
        rms_px: Root mean square distance of detected and reprojected corners over used views.
        instants: Names of the views that were used, in order (a subset of the given ones).
        view_rms_px: The same figure for each used view.
        rotation: camera_from_board of each used view.
        translation: camera_from_board of each used view, metres.
        covariance: Of fx fy cx cy k1 k2 p1 p2 k3, in this order; a row and column of zeros where a
            parameter was held fixed.
        coverage: Fraction of an 8 x 8 grid over the picture in which corners were seen.
        findings: What the user should know.
    """

    camera: str
    size_px: tuple[int, int]
    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, "5"]
    rms_px: float
    instants: tuple[str, ...]
    view_rms_px: Float[Tensor, "v"]
    rotation: Float[Tensor, "v 3 3"]
    translation: Float[Tensor, "v 3"]
    covariance: Float[Tensor, "9 9"]
    coverage: float
    findings: tuple[Finding, ...] = ()

    @property
    def camera_from_board(self) -> Rigid:
        """Poses of the board in the used views."""
        return Rigid(self.rotation, self.translation)

    @property
    def focal_sigma_px(self) -> Float[Tensor, "2"]:
        """Standard deviation of fx and fy, pixels."""
        return self.covariance.diagonal()[:2].clamp(min=0.0).sqrt()

    @property
    def centre_sigma_px(self) -> Float[Tensor, "2"]:
        """Standard deviation of the principal point, pixels."""
        return self.covariance.diagonal()[2:4].clamp(min=0.0).sqrt()


def calibrate_lens(views: BoardViews, options: LensOptions | None = None) -> LensCalibration:
    """Find focal lengths, principal point and distortion from views of a board.

    Args:
        views: Corners of one board in several poses, as `find_views` gives.
        options: See `LensOptions`; SOURCE_DOCUMENT_LENS is the recipe of the source document
            (calibrateCamera with all corners and no flags).
    Raises:
        InputError: If fewer than three views show enough corners.
    References:
        Zhang, A flexible new technique for camera calibration, IEEE TPAMI 22(11), 2000.
    """
    options = options or LensOptions()
    enough = (~views.points_px.isnan().any(-1)).sum(-1) >= options.fewest_corners
    if int(enough.sum()) < FEWEST_VIEWS:
        raise InputError(
            f"expected at least {FEWEST_VIEWS} pictures of {views.camera} with "
            f"{options.fewest_corners} corners of the board, got {int(enough.sum())}; film the "
            "board in 10 or more tilted poses"
        )
    usable = select_views(views, enough.nonzero().squeeze(-1))
    spread = spread_views(usable, options.most_views or len(usable))
    used, fit, notes = (
        _robust_fit(spread, options) if options.robust else _plain_fit(spread, options)
    )
    lens = LensCalibration(
        views.camera,
        views.size_px,
        fit.matrix,
        fit.distortion,
        fit.rms_px,
        used.instants,
        fit.view_rms_px,
        fit.rotation,
        fit.translation,
        fit.covariance,
        coverage(used),
    )
    return replace(lens, findings=(*notes, *_findings(lens)))


def coverage(views: BoardViews) -> float:
    """Fraction of an 8 x 8 grid over the picture in which a corner was seen."""
    points = views.points_px[~views.points_px.isnan().any(-1)]
    cell = (points / points.new_tensor(views.size_px) * COVERAGE_CELLS).floor()
    cell = cell.clamp(0, COVERAGE_CELLS - 1).long()
    return len((cell[:, 0] * COVERAGE_CELLS + cell[:, 1]).unique()) / COVERAGE_CELLS**2


# -- fitting --------------------------------------------------------------------------------------

Fitted = tuple[BoardViews, PlaneFit, tuple[Finding, ...]]


def _fit(views: BoardViews, options: LensOptions) -> PlaneFit:
    plane = views.board.corners_board()[:, :2]
    if options.solver == "opencv":
        return _opencv_fit(views, options)
    return calibrate_plane(plane, views.points_px, views.size_px, fixed=options.fixed)


def _opencv_fit(views: BoardViews, options: LensOptions) -> PlaneFit:
    board, points = views.board.corners_board().numpy(), views.points_px.numpy()
    seen = [~np.isnan(view).any(-1) for view in points]
    flags = 0
    for name in options.fixed:
        flags |= OPENCV_FIXED[name]
    _, matrix, distortion, turns, shifts = cv2.calibrateCamera(
        [board[s].astype(np.float32) for s in seen],
        [view[s].astype(np.float32) for view, s in zip(points, seen, strict=True)],
        views.size_px,
        None,
        None,
        flags=flags,
    )
    turn, shift = (torch.tensor(np.stack(x).reshape(-1, 3)) for x in (turns, shifts))
    return evaluate_plane(
        views.board.corners_board()[:, :2],
        views.points_px,
        torch.from_numpy(matrix),
        torch.from_numpy(distortion.ravel()[:5].copy()),
        Rigid(matrix_from_rotvec(turn), shift),
        fixed=options.fixed,
    )


def _plain_fit(views: BoardViews, options: LensOptions) -> Fitted:
    return views, _fit(views, options), ()


def _robust_fit(views: BoardViews, options: LensOptions) -> Fitted:
    """Fit, leaving out what does not fit: false detections, corners, views, distortion terms."""
    views, false = _without_false_boards(views, options)
    views, lost = _without_bad_corners(views, options)
    views, fit, dropped = _without_bad_views(views, options)
    fit, simpler = _unfolded(views, fit, options)
    return views, fit, (*false, *lost, *dropped, *simpler)


def _left_out(views: BoardViews, index: int, rms_px: float, usual_px: float) -> Finding:
    return Finding(
        "calibrate",
        "warning",
        f"Picture {views.instants[index]} of {views.camera} fits to {rms_px:.2f} px only, the "
        f"others to {usual_px:.2f} px; it was left out.",
        "Look at it: motion blur, a bent board or a wrong detection are the usual causes.",
        views.camera,
    )


def _without_false_boards(
    views: BoardViews, options: LensOptions
) -> tuple[BoardViews, tuple[Finding, ...]]:
    """Drop views that no plane explains; one such view can spoil the fit of all others.

    A homography knows nothing of distortion, so that the limit is wide.
    """
    plane = views.board.corners_board()[:, :2]
    homogeneous = torch.cat((plane, torch.ones_like(plane[:, :1])), dim=-1)
    image = homogeneous @ homographies(plane, views.points_px).mT
    misfit = image[..., :2] / image[..., 2:] - views.points_px
    rms = misfit.square().sum(-1).nanmean(-1).sqrt()
    usual = float(rms.median())
    good = rms <= max(2.0 * options.outlier * usual, 10.0 * options.outlier_px)
    if bool(good.all()) or int(good.sum()) < FEWEST_VIEWS:
        return views, ()
    bad = (~good).nonzero().squeeze(-1).tolist()
    notes = tuple(_left_out(views, i, float(rms[i]), usual) for i in bad)
    return select_views(views, good.nonzero().squeeze(-1)), notes


def _without_bad_corners(
    views: BoardViews, options: LensOptions
) -> tuple[BoardViews, tuple[Finding, ...]]:
    """Forget single corners far from where the lens puts them, in views that are good else."""
    distance = _fit(views, options).residual_px.norm(dim=-1)
    limit = max(2.0 * options.outlier * float(distance.nanmedian()), 2.0 * options.outlier_px)
    bad, seen = distance > limit, ~distance.isnan()
    few = bad.sum(-1) <= BAD_CORNERS * seen.sum(-1)
    enough = (seen & ~bad).sum(-1) >= options.fewest_corners
    bad &= (few & enough).unsqueeze(-1)
    if not bool(bad.any()):
        return views, ()
    count = int(bad.sum())
    note = Finding(
        "calibrate",
        "info",
        f"{count} corner{'s' if count > 1 else ''} of {views.camera} lay more than {limit:.2f} px "
        f"from where the lens puts {'them' if count > 1 else 'it'}, and did not count.",
        camera=views.camera,
    )
    return replace(views, points_px=views.points_px.masked_fill(bad.unsqueeze(-1), torch.nan)), (
        note,
    )


def _without_bad_views(views: BoardViews, options: LensOptions) -> Fitted:
    """Drop the worst view, fit again, until the worst is like the others; a third at most."""
    notes: list[Finding] = []
    for _ in range(len(views) // 3 + 1):
        fit = _fit(views, options)
        rms = fit.view_rms_px
        worst, usual = int(rms.argmax()), float(rms.median())
        limit = max(options.outlier * usual, options.outlier_px)
        if float(rms[worst]) <= limit or len(views) <= FEWEST_VIEWS:
            return views, fit, tuple(notes)
        notes.append(_left_out(views, worst, float(rms[worst]), usual))
        keep = torch.arange(len(views)) != worst
        views = select_views(views, keep.nonzero().squeeze(-1))
    return views, _fit(views, options), tuple(notes)


def _unfolded(
    views: BoardViews, fit: PlaneFit, options: LensOptions
) -> tuple[PlaneFit, tuple[Finding, ...]]:
    """Hold k3, then k2, at zero while the distortion folds the picture back within its borders."""
    names = [name for name in ("k3", "k2", "k1") if name not in options.fixed]
    held: tuple[str, ...] = ()
    while folds(fit.matrix, fit.distortion, views.size_px) and names:
        held = (*held, names.pop(0))
        fit = _fit(views, replace(options, fixed=(*options.fixed, *held)))
    if not held:
        return fit, ()
    note = Finding(
        "calibrate",
        "warning",
        f"The views of {views.camera} do not tell the distortion near the picture's border; "
        f"{' and '.join(held)} {'was' if len(held) == 1 else 'were'} held at 0.",
        "Move the board into the corners of the picture.",
        views.camera,
    )
    return fit, (note,)


def folds(
    matrix: Float[Tensor, "3 3"], distortion: Float[Tensor, "5"], size_px: tuple[int, int]
) -> bool:
    """Whether two directions land on the same pixel of the picture (the radial map turns back)."""
    corners = torch.tensor(
        [[x, y] for x in (0.0, size_px[0] - 1.0) for y in (0.0, size_px[1] - 1.0)],
        dtype=matrix.dtype,
    )
    focal = matrix.diagonal()[:2]
    border = float(((corners - matrix[:2, 2]) / focal).norm(dim=-1).max())
    r = torch.linspace(0.0, 3.0 * border, 600, dtype=matrix.dtype)
    k1, k2, _, _, k3 = distortion.unbind()
    r2 = r * r
    reached = r * (1.0 + r2 * (k1 + r2 * (k2 + r2 * k3)))
    falls = (reached.diff() <= 0.0).nonzero()
    return bool(len(falls)) and float(reached[: int(falls[0]) + 1].max()) < border


# -- findings -------------------------------------------------------------------------------------


def _findings(lens: LensCalibration) -> Iterator[Finding]:
    name, count = lens.camera, len(lens.instants)
    focal = lens.matrix.diagonal()[:2]
    sigma = float((lens.focal_sigma_px / focal).max())

    def say(severity: Literal["info", "warning", "error"], sentence: str, advice: str) -> Finding:
        return Finding("calibrate", severity, sentence, advice, name)

    yield say(
        "info",
        f"{name}: {count} pictures of the board agree to {lens.rms_px:.2f} px; focal length "
        f"{float(focal.mean()):.1f} px, sure to {100 * sigma:.2g} %; "
        f"the board covered {100 * lens.coverage:.0f} % of the picture.",
        "",
    )
    tilt = _tilt_deg(lens.rotation)
    if sigma > 0.01:
        views = f"only {count} pictures" if count < 10 else f"{count} pictures"
        flat = f", all nearly parallel (within {tilt:.0f} degrees)" if tilt < 20.0 else ""
        yield say(
            "warning" if sigma < 0.1 else "error",
            f"{name} has {views}{flat}: its focal length is uncertain by {100 * sigma:.2g} %.",
            "Add pictures with the board tilted by 30 to 45 degrees in several directions.",
        )
    if lens.coverage < 0.4:
        yield say(
            "warning",
            f"The board covered only {100 * lens.coverage:.0f} % of {name}'s picture; the "
            "distortion elsewhere is a guess.",
            "Move the board into the corners of the picture.",
        )
    if lens.rms_px > 1.0:
        yield say(
            "warning",
            f"The board fits {name} to {lens.rms_px:.1f} px only, good pictures to 0.2 px.",
            "Use a flat board, hold it still, and switch off autofocus and stabilisation.",
        )
    stretch = float(focal[0] / focal[1])
    if abs(stretch - 1.0) > max(0.03, 5.0 * sigma):
        yield say(
            "warning",
            f"The pixels of {name} are {stretch:.3f} times as high as wide.",
            "Check that the video was not stretched after filming.",
        )


def _tilt_deg(rotation: Float[Tensor, "v 3 3"]) -> float:
    """Largest angle between the board's normals in any two views, degrees."""
    normals = rotation[..., 2]
    return math.degrees(math.acos(min(1.0, float((normals @ normals.mT).min()))))
