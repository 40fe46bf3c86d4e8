"""Where cameras stand, from points of the scene that were measured and marked in their pictures.

C cameras, P points. World frame of the points; metres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

__all__ = ["SceneLocation", "SceneOptions", "locate_from_scene_points"]

FEWEST_POINTS = 4
MOST_SUBSETS = 300
SUBSET = 4  # points of one proposal: three give up to four poses, the fourth picks one


@dataclass(frozen=True)
class SceneOptions:
    """How to place cameras.

    Attributes:
        click_px: How well a careful person clicks, standard deviation in pixels.
        gate: A point that lies farther off than this many click_px (and than this many robust
            standard deviations of the camera's points) is named as wrong.
    """

    click_px: float = 3.0
    gate: float = 4.0


@dataclass(frozen=True)
class SceneLocation:
    """Placed cameras and what each point says.

    Attributes:
        cameras: The given lenses at their places.
        residuals_px: Distance of each clicked and reprojected point; NaN where not clicked.
        residuals_mm: The same at the distance of the point, millimetres.
        agrees: True where a point took part; False where it was wrong or not clicked.
        rms_px: Root mean square of the residuals that agree.
        findings: What the user should know.
    """

    cameras: Cameras
    residuals_px: Float[Tensor, "c p"]
    residuals_mm: Float[Tensor, "c p"]
    agrees: Bool[Tensor, "c p"]
    rms_px: float
    findings: tuple[Finding, ...]


def locate_from_scene_points(
    lenses: Cameras,
    points_world: Float[Tensor, "p 3"],
    points_px: Float[Tensor, "c p 2"],
    options: SceneOptions | None = None,
) -> SceneLocation:
    """Place every camera by the measured points that it sees.

    Poses are proposed from four points each and judged by all (capped error), so that one wrong
    point cannot pull the camera; the best is refined by Levenberg-Marquardt on the points that
    agree with it.

    Args:
        lenses: Intrinsics; their poses are ignored.
        points_world: Measured points, metres.
        points_px: Where each camera shows them; NaN where not clicked.
        options: Gates.

    Raises:
        InputError: If a camera has fewer than four points, or no pose explains four of them.
    References:
        Ke & Roumeliotis, An efficient algebraic solution to the perspective-three-point problem,
        CVPR 2017. Pose2Sim issue 98 (clicks 10-20 cm off).
    """
    options = options or SceneOptions()
    poses = [
        _locate(lenses.select([c]), points_world, points_px[c], options) for c in range(len(lenses))
    ]
    cameras = lenses.with_extrinsics(
        Rigid(torch.stack([p[0] for p in poses]), torch.stack([p[1] for p in poses]))
    )
    residuals = (cameras.project(points_world) - points_px).norm(dim=-1)
    depth = cameras.camera_from_world.apply(points_world.expand(len(cameras), -1, 3))[..., 2]
    focal = cameras.matrix[:, [0, 1], [0, 1]].mean(-1, keepdim=True)
    millimetres = 1000.0 * residuals * depth / focal
    agrees = torch.stack([p[2] for p in poses])
    rms = float(residuals[agrees].square().mean().sqrt())
    findings = tuple(_findings(cameras.names, residuals, millimetres, agrees, rms))
    return SceneLocation(cameras, residuals, millimetres, agrees, rms, findings)


def _locate(
    camera: Cameras,
    points_world: Float[Tensor, "p 3"],
    points_px: Float[Tensor, "p 2"],
    options: SceneOptions,
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3"], Bool[Tensor, "p"]]:
    """Pose of one camera and the points that agree with it."""
    seen = points_px.isfinite().all(-1)
    if int(seen.sum()) < FEWEST_POINTS:
        raise InputError(
            f"expected {FEWEST_POINTS} or more scene points in {camera.names[0]}, got "
            f"{int(seen.sum())}; mark more of the measured points in its picture"
        )
    cap = options.gate * options.click_px
    best, least = None, np.inf
    for pose in _proposals(camera, points_world[seen], points_px[seen]):
        error = _error(camera, pose, points_world, points_px)[seen]
        score = float(error.nan_to_num(cap).clamp(max=cap).square().sum())
        if score < least:
            best, least = pose, score
    if best is None:
        raise InputError(
            f"expected the scene points of {camera.names[0]} to fit one place of the camera, found "
            "none; check that points_world are metres and points_px belong to this picture"
        )
    return _settled(camera, best, points_world, points_px, options)


def _settled(
    camera: Cameras,
    pose: Rigid,
    points_world: Float[Tensor, "p 3"],
    points_px: Float[Tensor, "p 2"],
    options: SceneOptions,
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, "3"], Bool[Tensor, "p"]]:
    """Refine on the points that agree, and judge again: a better pose may take some back in."""
    seen = points_px.isfinite().all(-1)
    agrees = seen
    for _ in range(3):
        error = _error(camera, pose, points_world, points_px)
        spread = min(1.4826 * float(error[seen].nanmedian()), 2.0 * options.click_px)
        agrees = seen & (error < options.gate * max(options.click_px, spread))
        if int(agrees.sum()) < FEWEST_POINTS:
            raise InputError(
                f"expected {FEWEST_POINTS} scene points that agree in {camera.names[0]}, got "
                f"{int(agrees.sum())}; measure and mark the points again, in the same order"
            )
        pose = _refined(camera, pose, points_world[agrees], points_px[agrees])
    return pose.rotation, pose.translation, agrees


def _error(
    camera: Cameras,
    pose: Rigid,
    points_world: Float[Tensor, "p 3"],
    points_px: Float[Tensor, "p 2"],
) -> Float[Tensor, "p"]:
    placed = camera.with_extrinsics(Rigid(pose.rotation[None], pose.translation[None]))
    return (placed.project(points_world)[0] - points_px).norm(dim=-1)


def _proposals(
    camera: Cameras, points_world: Float[Tensor, "p 3"], points_px: Float[Tensor, "p 2"]
) -> Iterator[Rigid]:
    """Poses from subsets of four points, and one from all."""
    flat = camera.normalize(points_px[None])[0].numpy()
    world = points_world.numpy()
    subsets = list(combinations(range(len(world)), SUBSET))
    if len(subsets) > MOST_SUBSETS:
        chosen = np.random.default_rng(0).choice(len(subsets), MOST_SUBSETS, replace=False)
        subsets = [subsets[i] for i in chosen]
    for subset in [*subsets, tuple(range(len(world)))]:
        index = list(subset)
        method = cv2.SOLVEPNP_AP3P if len(index) == SUBSET else cv2.SOLVEPNP_SQPNP
        try:
            found, turns, shifts, _ = cv2.solvePnPGeneric(
                world[index], flat[index], np.eye(3), None, flags=method
            )
        except cv2.error:  # points on one line
            continue
        for turn, shift in zip(turns[:found], shifts[:found], strict=True):
            pose = Rigid(torch.from_numpy(cv2.Rodrigues(turn)[0]), torch.from_numpy(shift.ravel()))
            if bool(pose.translation.isfinite().all()):
                yield pose


def _refined(
    camera: Cameras,
    pose: Rigid,
    points_world: Float[Tensor, "p 3"],
    points_px: Float[Tensor, "p 2"],
) -> Rigid:
    turn, shift = cv2.solvePnPRefineLM(
        points_world.numpy(),
        points_px.numpy(),
        camera.matrix[0].numpy(),
        camera.distortion[0].numpy(),
        cv2.Rodrigues(pose.rotation.numpy())[0],
        pose.translation.numpy()[:, None].copy(),
    )
    return Rigid(torch.from_numpy(cv2.Rodrigues(turn)[0]), torch.from_numpy(shift.ravel().copy()))


def _findings(
    names: tuple[str, ...],
    residuals_px: Float[Tensor, "c p"],
    residuals_mm: Float[Tensor, "c p"],
    agrees: Bool[Tensor, "c p"],
    rms_px: float,
) -> Iterator[Finding]:
    worst = float(residuals_mm[agrees].max())
    yield Finding(
        "calibrate",
        "info",
        f"{len(names)} cameras were placed by measured scene points: {rms_px:.1f} px root mean "
        f"square, {worst:.0f} mm at most.",
    )
    yield from _wrong_points(names, residuals_px, residuals_mm, agrees)
    for c, name in enumerate(names):
        if int(agrees[c].sum()) < FEWEST_POINTS + 2:
            yield Finding(
                "calibrate",
                "warning",
                f"{name} rests on {int(agrees[c].sum())} scene points only.",
                "Mark six or more points, spread over the picture and not all on the floor.",
                name,
            )


def _wrong_points(
    names: tuple[str, ...],
    residuals_px: Float[Tensor, "c p"],
    residuals_mm: Float[Tensor, "c p"],
    agrees: Bool[Tensor, "c p"],
) -> Iterator[Finding]:
    """A point that most cameras find wrong was measured wrongly, else it was marked wrongly."""
    clicked = residuals_px.isfinite()
    wrong = clicked & ~agrees
    for point in wrong.any(0).nonzero()[:, 0].tolist():
        cameras, views = wrong[:, point].nonzero()[:, 0].tolist(), int(clicked[:, point].sum())
        if len(cameras) > 1 and 2 * len(cameras) > views:
            distance = float(residuals_mm[cameras, point].median())
            yield Finding(
                "calibrate",
                "warning",
                f"Scene point {point + 1} lies {distance:.0f} mm off in {len(cameras)} of {views} "
                "cameras: its measured position is wrong; it was left out.",
                f"Measure scene point {point + 1} again.",
            )
            continue
        for c in cameras:
            yield Finding(
                "calibrate",
                "warning",
                f"Scene point {point + 1} is marked {float(residuals_px[c, point]):.0f} px "
                f"({float(residuals_mm[c, point]):.0f} mm) off in {names[c]}; it was left out.",
                f"Mark scene point {point + 1} in the picture of {names[c]} again.",
                names[c],
            )
