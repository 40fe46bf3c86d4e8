"""A small body in smooth, known motion: no recording is needed."""

import torch

from muybridge.geometry.rotation import quaternion_from_rotvec
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.skeleton import Skeleton

SKELETON = Skeleton(
    ("Hips", "Spine", "LeftArm", "LeftHand", "tip"),
    (-1, 0, 1, 2, 3),
    torch.tensor([[0, 1, 0], [0, 0.3, 0], [0.2, 0.2, 0], [0.3, 0, 0], [0.1, 0, 0]]).double(),
    (False, False, False, False, True),
)


def angles(times: torch.Tensor) -> torch.Tensor:
    """Rotation vectors of the five joints; the spine and the tip are still."""
    slow, fast = (1.7 * times).sin(), (4.1 * times).sin()
    still = torch.zeros_like(times)
    return torch.stack(
        (
            torch.stack((0.1 * slow, 0.4 * times, still), -1),
            torch.stack((still, still, still), -1),
            torch.stack((0.2 * fast, 0.5 * slow, 0.9 * slow), -1),
            torch.stack((still, 0.6 * fast, 0.2 * slow), -1),
            torch.stack((still, still, still), -1),
        ),
        dim=1,
    )


def path(times: torch.Tensor) -> torch.Tensor:
    """Walks ahead while bobbing, metres."""
    return torch.stack((0.05 * (2.0 * times).sin(), 1.0 + 0.03 * (8 * times).cos(), times), -1)


def swing(frames: int = 121, fps: float = 60.0) -> Clip:
    """Two seconds by default, with everything a clip may carry."""
    times = torch.arange(frames, dtype=torch.float64) / fps
    return Clip(
        SKELETON,
        quaternion_from_rotvec(angles(times)),
        path(times),
        fps,
        "swing",
        position_std=torch.rand(frames, 5, dtype=torch.float64),
        contacts=(times[:, None] * torch.arange(1, 6)) % 1.0 < 0.5,
        filled=(times[:, None] * torch.arange(1, 6)) % 1.0 > 0.8,
        captions=(Caption("swings", 0.25, 1.5), Caption("ends", 1.8, frames / fps)),
    )
