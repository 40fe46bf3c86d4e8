"""Turn a rig upright: a world with Y up, its origin where people move, the floor at 0 if known.

C cameras. A rig calibrated from boards hangs in camera 0's frame; boards do not know where up is.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

__all__ = ["level_by_cameras", "level_by_floor", "moved_world"]

UPRIGHT_PULL = 0.005  # of their mean up: pitch says less of up than roll, (1.5 deg / 20 deg)^2


def moved_world(cameras: Cameras, new_from_old: Rigid) -> Cameras:
    """The same rig in another world frame."""
    old_from_new = new_from_old.inverse()
    return cameras.with_extrinsics(
        cameras.camera_from_world.compose(
            Rigid(
                old_from_new.rotation.expand(len(cameras), 3, 3),
                old_from_new.translation.expand(len(cameras), 3),
            )
        )
    )


def _world(
    up: Float[Tensor, "3"], forward: Float[Tensor, "3"], origin: Float[Tensor, "3"]
) -> Rigid:
    """new_from_old for a frame with Y along `up` and Z along `forward` made level."""
    y = torch.nn.functional.normalize(up, dim=0)
    level = forward - (forward @ y) * y
    if float(level.norm()) < 1e-6:
        level = torch.linalg.cross(y, torch.roll(y, 1))
    z = torch.nn.functional.normalize(level, dim=0)
    rotation = torch.stack((torch.linalg.cross(y, z), y, z))
    return Rigid(rotation, -(rotation @ origin))


def level_by_floor(cameras: Cameras, world_from_board: Rigid) -> tuple[Cameras, Finding]:
    """Put the floor where a board lay: its plane is y = 0, its first corner the origin.

    Z runs along the board's columns (its x axis), X and Z span the floor.

    Args:
        cameras: In any world.
        world_from_board: Pose of the board on the floor in that world.
    """
    normal = world_from_board.rotation[:, 2]
    above = (cameras.centres_world - world_from_board.translation) @ normal
    up = normal if float(above.sum()) > 0.0 else -normal
    frame = _world(up, world_from_board.rotation[:, 0], world_from_board.translation)
    placed = moved_world(cameras, frame)
    below = [
        name
        for name, height in zip(placed.names, placed.centres_world[:, 1].tolist(), strict=True)
        if height < 0.0
    ]
    sentence = "The world's floor (y = 0, Y up) is where the board lay."
    if below:
        return placed, Finding(
            "calibrate",
            "warning",
            f"{sentence[:-1]}, but {', '.join(below)} would then stand below the floor.",
            "Check that the board lay on the floor at the stated instant.",
        )
    return placed, Finding("calibrate", "info", sentence)


def level_by_cameras(cameras: Cameras) -> tuple[Cameras, Finding]:
    """Guess up from the cameras: most are held with a level horizon.

    Up is the direction most nearly at right angles to all cameras' horizontal axes, which holds
    however far they are tilted down; where that leaves it open (all look the same way) it is their
    mean up. The origin is the point nearest to all optical axes, +Z points from it to camera 0.
    """
    across, up = cameras.rotation[:, 0], -cameras.rotation[:, 1]
    mean_up = torch.nn.functional.normalize(up.mean(0), dim=0)
    scatter = across.mT @ across / len(cameras) - UPRIGHT_PULL * torch.outer(mean_up, mean_up)
    direction = torch.linalg.eigh(scatter).eigenvectors[:, 0]
    if float(direction @ mean_up) < 0.0:
        direction = -direction
    centres = cameras.centres_world
    target = _nearest_to_axes(cameras)
    placed = moved_world(cameras, _world(direction, centres[0] - target, target))
    roll = torch.rad2deg((across @ direction).clamp(-1.0, 1.0).asin().abs().max())
    return placed, Finding(
        "calibrate",
        "info" if float(roll) < 8.0 else "warning",
        "Up was guessed from the way the cameras are held (their horizons differ by up to "
        f"{float(roll):.0f} degrees); the height of the floor is not known.",
        "Lay the board on the floor once and state that instant, or give measured scene points.",
    )


def _nearest_to_axes(cameras: Cameras) -> Float[Tensor, "3"]:
    """The point nearest to all optical axes; before the cameras where these are parallel."""
    axis, centres = cameras.rotation[:, 2], cameras.centres_world
    away = torch.eye(3, dtype=torch.float64) - axis[:, :, None] * axis[:, None, :]
    system = away.sum(0)
    spread = float(torch.pdist(centres).max()) if len(centres) > 1 else 1.0
    ahead = centres.mean(0) + 2.0 * max(spread, 0.5) * axis.mean(0)
    if float(torch.linalg.eigvalsh(system)[0]) < 0.02 * len(cameras):
        return ahead
    point = torch.linalg.solve(system, (away @ centres[..., None]).sum(0))[:, 0]
    seen = ((point - centres) * axis).sum(-1)
    return point if bool((seen > 0.0).all()) else ahead
