"""Boards held before one camera, or moved amid an arc of cameras; what the cameras see of them.

C cameras, V instants, N corners. World frame: metres, Y up; the board moves about the origin.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from muybridge.capture.board import Board, BoardViews
from muybridge.capture.corners import find_corners
from muybridge.capture.lens import LensCalibration
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import matrix_from_rotvec
from tests.render_board import render_board

CHESSBOARD = Board("chessboard", 9, 6, 0.06)


def arc(
    count: int = 4,
    size: tuple[int, int] = (960, 720),
    radius: float = 2.2,
    spread_deg: float = 66.0,
    raised: float = 0.0,
) -> Cameras:
    """Cameras in front of the board, level, at different heights, with lenses of their own."""
    angles = torch.linspace(-0.5, 0.5, count, dtype=torch.float64) * math.radians(spread_deg)
    ups = [raised + (0.5 if raised == 0.0 else 0.1) * (-1) ** c + 0.1 * c for c in range(count)]
    heights = torch.tensor(ups, dtype=torch.float64)
    centres = torch.stack((radius * angles.sin(), heights, radius * angles.cos()), -1)
    forward = torch.nn.functional.normalize(-centres, dim=-1)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    rotation = torch.stack((right, torch.linalg.cross(forward, right), forward), dim=1)
    matrix = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    for c in range(count):
        matrix[c, 0, 0], matrix[c, 1, 1] = 1.2 * size[0] + 15.0 * c, 1.2 * size[0] + 13.0 * c
        matrix[c, 0, 2], matrix[c, 1, 2] = size[0] / 2 + 4.0 * c - 6.0, size[1] / 2 - 3.0 * c
    lens = torch.tensor([-0.12, 0.06, 0.0006, -0.0004, 0.0], dtype=torch.float64)
    return Cameras(
        tuple(f"cam{c + 1}" for c in range(count)),
        torch.tensor([size] * count, dtype=torch.float64),
        matrix,
        lens.repeat(count, 1),
        rotation,
        -(rotation @ centres.unsqueeze(-1)).squeeze(-1),
    )


def one_camera(focal: float = 620.0) -> Cameras:
    """A 640 x 480 camera at the origin that looks along +Z, with a strong lens."""
    return Cameras(
        ("a",),
        torch.tensor([[640.0, 480.0]]).double(),
        torch.tensor([[[focal, 0, 322], [0, focal * 1.002, 236], [0, 0, 1]]]).double(),
        torch.tensor([[-0.25, 0.08, 0.001, -0.001, 0.02]]).double(),
        torch.eye(3).double()[None],
        torch.zeros(1, 3).double(),
    )


def held_poses(board: Board, count: int, tilt_deg: float, seed: int) -> list[Rigid]:
    """The board held before `one_camera`, about half a metre away, tilted about all axes."""
    random = np.random.default_rng(seed)
    poses = []
    for _ in range(count):
        angles = random.uniform(-tilt_deg, tilt_deg, 3)
        rotation = torch.tensor(Rotation.from_euler("xyz", angles, degrees=True).as_matrix())
        depth = random.uniform(0.45, 0.65)
        centre = torch.tensor([random.uniform(-0.2, 0.2), random.uniform(-0.13, 0.13), 1.0])
        shift = depth * centre.double() - rotation @ board.corners_board().mean(0)
        poses.append(Rigid(rotation, shift))
    return poses


def poses(count: int, board: Board = CHESSBOARD, seed: int = 0) -> Rigid:
    """world_from_board: the board's face towards the arc, tilted by up to some 35 degrees."""
    generator = torch.Generator().manual_seed(seed)
    turn = (torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5) * torch.tensor(
        [1.1, 1.1, 0.8]
    )
    shift = (torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5) * torch.tensor(
        [0.8, 0.5, 0.6]
    )
    return posed(turn, shift, board)


def posed(turn: torch.Tensor, shift: torch.Tensor, board: Board) -> Rigid:
    """Boards whose middle lies at `shift`, turned by rotation vectors from facing +Z."""
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))  # x right, y down
    rotation = matrix_from_rotvec(turn.double()) @ facing
    middle = board.corners_board().mean(0)
    return Rigid(rotation, shift.double() - (rotation @ middle[:, None])[..., 0])


def waved(count: int, board: Board = CHESSBOARD, shift_frames: float = 0.0) -> Rigid:
    """A board waved smoothly before the cameras, read `shift_frames` later."""
    time = (torch.arange(count, dtype=torch.float64) + shift_frames)[:, None]
    rate = torch.tensor([[0.21, 0.16, 0.27]], dtype=torch.float64)
    turn = 0.5 * torch.sin(time * rate + torch.tensor([[0.3, 1.7, 0.9]]))
    shift = torch.tensor([[0.3, 0.2, 0.25]]) * torch.sin(time * rate.flip(-1) * 0.9)
    return posed(turn, shift, board)


def corners_of(board: Board, world_from_board: Rigid) -> torch.Tensor:
    """Corners in the world: [v n 3]."""
    count = len(world_from_board.translation)
    return world_from_board.apply(board.corners_board().expand(count, -1, 3))


def seen_views(
    cameras: Cameras,
    world_from_board: Rigid | Sequence[Rigid],
    board: Board = CHESSBOARD,
    noise_px: float = 0.0,
    seed: int = 0,
) -> list[BoardViews]:
    """Projected corners with noise; one pose list for all cameras, or one a camera."""
    generator = torch.Generator().manual_seed(seed)
    views = []
    for c, name in enumerate(cameras.names):
        mine = world_from_board if isinstance(world_from_board, Rigid) else world_from_board[c]
        points = cameras.select([c]).project(corners_of(board, mine))[0]
        points += noise_px * torch.randn(points.shape, generator=generator, dtype=torch.float64)
        inside = ((points >= 0.0) & (points < cameras.size_px[c])).all(-1, keepdim=True)
        points = points.where(inside, torch.full_like(points, torch.nan))
        size = (int(cameras.size_px[c, 0]), int(cameras.size_px[c, 1]))
        views.append(BoardViews(name, size, board, tuple(map(str, range(len(points)))), points))
    return views


def rendered_views(
    cameras: Cameras, world_from_board: Rigid, board: Board = CHESSBOARD
) -> list[BoardViews]:
    """Corners that our detector finds in rendered pictures."""
    views = []
    for c, name in enumerate(cameras.names):
        found = {}
        for v in range(len(world_from_board.translation)):
            pose = Rigid(world_from_board.rotation[v], world_from_board.translation[v])
            picture = render_board(board, cameras, c, pose, seed=31 * v + c)
            corners = find_corners(picture, board)
            if corners is not None:
                found[str(v)] = corners
        size = (int(cameras.size_px[c, 0]), int(cameras.size_px[c, 1]))
        views.append(
            BoardViews(name, size, board, tuple(found), torch.stack(tuple(found.values())))
        )
    return views


def true_lenses(cameras: Cameras, focal_sigma_px: float = 1.0) -> list[LensCalibration]:
    """The true lenses as if they had been calibrated."""
    sigma = torch.tensor([focal_sigma_px] * 4 + [1e-3, 1e-2, 1e-4, 1e-4, 0.0]).double()
    none = torch.zeros(0, dtype=torch.float64)
    return [
        LensCalibration(
            name,
            (int(cameras.size_px[c, 0]), int(cameras.size_px[c, 1])),
            cameras.matrix[c],
            cameras.distortion[c],
            0.1,
            (),
            none,
            torch.zeros(0, 3, 3).double(),
            torch.zeros(0, 3).double(),
            torch.diag(sigma.square()),
            0.5,
        )
        for c, name in enumerate(cameras.names)
    ]


def turn_deg(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest angle between rotation matrices, degrees."""
    trace = (a.mT @ b).diagonal(dim1=-2, dim2=-1).sum(-1)
    return float(torch.rad2deg(((trace - 1.0) / 2.0).clamp(-1.0, 1.0).acos()).max())
