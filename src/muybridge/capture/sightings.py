"""One board seen by several cameras at several instants, and its poses.

C cameras, V instants, N corners. Board frame as in `Board`; metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.board import Board, BoardViews
from muybridge.errors import InputError
from muybridge.geometry.bundle import Bundle, BundleOptions, Observations, adjust
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

__all__ = ["Sightings", "adjust_boards", "choose_poses", "gather_sightings", "pose_candidates"]

FEWEST_CORNERS = 5  # of a view that is used; fewer give a pose of no worth
FLATTEST = 0.1  # corners on one line give no pose: least ratio of the spreads across and along
CANDIDATES = 2  # a plane seen in perspective has two poses that look nearly alike


@dataclass(frozen=True)
class Sightings:
    """Where every camera saw every corner at every instant.

    Attributes:
        cameras: Camera names, in order.
        board: The board.
        instants: Names of the instants.
        points_px: Corner pixels; NaN where not seen.
        velocity_px: How they move, pixels a frame, where the views come from a film.
    """

    cameras: tuple[str, ...]
    board: Board
    instants: tuple[str, ...]
    points_px: Float[Tensor, "c v n 2"]
    velocity_px: Float[Tensor, "c v n 2"] | None = None

    @property
    def seen(self) -> Bool[Tensor, "c v n"]:
        """True where a corner was seen."""
        return self.points_px.isfinite().all(-1)

    @property
    def posed(self) -> Bool[Tensor, "c v"]:
        """True where a camera saw enough of the board to know its pose."""
        seen = self.seen
        weight = seen.to(torch.float64).unsqueeze(-1)
        points = self.board.corners_board()[:, :2].expand(*seen.shape, 2)
        count = weight.sum(-2)
        centred = (points - (weight * points).sum(-2, True) / count[..., None].clamp(1)) * weight
        spread = torch.linalg.svdvals(centred)
        return (count[..., 0] >= FEWEST_CORNERS) & (spread[..., 1] > FLATTEST * spread[..., 0])

    def select(self, cameras: Sequence[int], instants: Bool[Tensor, "v"]) -> Sightings:
        """These cameras, and the instants marked True."""
        index = list(cameras)
        kept = tuple(n for n, keep in zip(self.instants, instants.tolist(), strict=True) if keep)
        names = tuple(self.cameras[c] for c in index)
        velocity = None if self.velocity_px is None else self.velocity_px[index][:, instants]
        return Sightings(names, self.board, kept, self.points_px[index][:, instants], velocity)

    def observations(self, used: Bool[Tensor, "c v n"]) -> Observations:
        """The corners marked True, as observations of one body per instant."""
        camera, instant, corner = used.nonzero(as_tuple=True)
        points_board = self.board.corners_board()[corner]
        velocity = None if self.velocity_px is None else self.velocity_px[used]
        return Observations(self.points_px[used], camera, instant, points_board, None, velocity)


def gather_sightings(views: Sequence[BoardViews]) -> Sightings:
    """Put the views of several cameras side by side, by the names of their instants.

    Raises:
        InputError: If the cameras looked at different boards.
    """
    board = views[0].board
    other = [v.camera for v in views if v.board.corner_grid != board.corner_grid]
    if other or len({v.board.square_m for v in views}) > 1:
        raise InputError(
            f"expected one board for all cameras, got another one in {', '.join(other) or 'some'}; "
            "film the same board with every camera"
        )
    instants = tuple(dict.fromkeys(name for v in views for name in v.instants))
    place = {name: i for i, name in enumerate(instants)}
    corners = len(board.corners_board())
    points = torch.full((len(views), len(instants), corners, 2), torch.nan, dtype=torch.float64)
    for row, view in zip(points, views, strict=True):
        row[[place[name] for name in view.instants]] = view.points_px.to(torch.float64)
    return Sightings(tuple(v.camera for v in views), board, instants, points)


def pose_candidates(cameras: Cameras, sightings: Sightings) -> Rigid:
    """Poses of the board by itself in every camera and instant: [c v 2 3 3] and [c v 2 3].

    Returns:
        camera_from_board, the two solutions for a plane, likelier one first; NaN where the board
        was not seen well enough.
    References:
        Collins & Bartoli, Infinitesimal plane-based pose estimation, IJCV 109, 2014.
    """
    posed = sightings.posed
    rotation = torch.full((*posed.shape, CANDIDATES, 3, 3), torch.nan, dtype=torch.float64)
    translation = torch.full((*posed.shape, CANDIDATES, 3), torch.nan, dtype=torch.float64)
    flat = cameras.normalize(sightings.points_px)
    board = sightings.board.corners_board().numpy()
    for c, v in posed.nonzero().tolist():
        seen = sightings.seen[c, v].numpy()
        found, turns, shifts, _ = cv2.solvePnPGeneric(
            board[seen], flat[c, v].numpy()[seen], np.eye(3), None, flags=cv2.SOLVEPNP_IPPE
        )
        for k in range(found):
            rotation[c, v, k] = torch.from_numpy(cv2.Rodrigues(turns[k])[0])
            translation[c, v, k] = torch.from_numpy(shifts[k].ravel())
    return Rigid(rotation, translation)


def choose_poses(cameras: Cameras, sightings: Sightings, candidates: Rigid) -> Rigid:
    """The world_from_board of each instant that agrees best with all cameras; NaN where none does.

    Args:
        cameras: The rig.
        sightings: What it saw.
        candidates: From `pose_candidates`.
    """
    camera_count, instants = candidates.translation.shape[:2]
    to_world = cameras.camera_from_world.inverse()
    spread = Rigid(to_world.rotation[:, None, None], to_world.translation[:, None, None])
    poses = spread.compose(candidates)
    rotation = poses.rotation.transpose(0, 1).flatten(1, 2)  # v, c * 2
    translation = poses.translation.transpose(0, 1).flatten(1, 2)
    corners = Rigid(rotation, translation).apply(
        sightings.board.corners_board().expand(*translation.shape[:2], -1, 3)
    )
    error = (cameras.project(corners) - sightings.points_px[:, :, None]).square().sum(-1)
    unseen = ~sightings.seen[:, :, None].expand_as(error)
    error = error.nan_to_num(torch.inf).clamp(max=1e6).masked_fill(unseen, 0.0).sum((0, -1))
    error = error.masked_fill(translation.isnan().any(-1), torch.inf)
    best = error.argmin(-1)
    row = torch.arange(instants)
    assert error.shape == (instants, camera_count * CANDIDATES), "one score a candidate"
    return Rigid(rotation[row, best], translation[row, best])


def adjust_boards(
    cameras: Cameras,
    world_from_board: Rigid,
    sightings: Sightings,
    free: Bool[Tensor, "c 16"],
    options: BundleOptions,
    lens_information: Float[Tensor, "c 9 9"] | None = None,
) -> tuple[Bundle, Bool[Tensor, "c v n"]]:
    """Bundle adjustment over all corners: robustly first, then by least squares on what agrees.

    Args:
        cameras: Start values.
        world_from_board: Start values, one pose an instant; instants with NaN are left out.
        sightings: What was seen.
        free: Which camera parameters may move.
        options: Of the robust first pass.
        lens_information: See `geometry.bundle.adjust`.

    Returns:
        The second pass, and which corners it used. A corner is dropped when it lies farther off
        than 1 px and than six standard deviations of all corners.
    """
    usable = world_from_board.translation.isfinite().all(-1)
    filler = torch.eye(3, dtype=torch.float64).expand_as(world_from_board.rotation)
    start = Rigid(
        torch.where(usable[:, None, None], world_from_board.rotation, filler),
        world_from_board.translation.nan_to_num(0.0),
    )
    used = sightings.seen & usable[:, None]
    first = adjust(cameras, start, sightings.observations(used), free, options, lens_information)
    distance = first.residuals_px.norm(dim=-1)
    sigma = float(distance.median()) / 1.1774  # of one coordinate, were it Gaussian
    agreeing = used.clone()
    agreeing[used] = distance < max(1.0, 6.0 * sigma)
    second = adjust(
        first.cameras,
        first.bodies,
        sightings.observations(agreeing),
        free,
        BundleOptions(),
        lens_information,
    )
    return second, agreeing
