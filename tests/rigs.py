"""Small synthetic camera rigs and what they see, for tests and benchmarks.

C cameras, N points. World frame: metres, Y up; the rig looks at a spot one metre above the floor.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import matrix_from_rotvec

SIZE_PX = (1088.0, 1920.0)
FOCAL_PX = 1680.0


def ring(count: int, radius: float = 4.0, height: float = 1.9, distorted: bool = True) -> Cameras:
    """Cameras evenly on a circle, looking inwards, with the lens of the demo footage."""
    rotations, translations = [], []
    target = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    for k in range(count):
        angle = 2.0 * math.pi * k / count + 0.3
        centre = torch.tensor(
            [radius * math.cos(angle), height, radius * math.sin(angle)], dtype=torch.float64
        )
        forward = torch.nn.functional.normalize(target - centre, dim=0)
        up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=0)
        rotation = torch.stack((right, torch.linalg.cross(forward, right), forward))
        rotations.append(rotation)
        translations.append(-rotation @ centre)
    matrix = torch.tensor(
        [[FOCAL_PX, 0.0, 543.5], [0.0, FOCAL_PX, 959.5], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    lens = torch.tensor([-0.047, 0.138, 0.0003, 0.0003, 0.0], dtype=torch.float64) * distorted
    return Cameras(
        tuple(f"cam{k + 1:02d}" for k in range(count)),
        torch.tensor([SIZE_PX] * count, dtype=torch.float64),
        matrix.expand(count, 3, 3).clone(),
        lens.expand(count, 5).clone(),
        torch.stack(rotations),
        torch.stack(translations),
    )


def perturbed(cameras: Cameras, degrees: float, metres: float, seed: int) -> Cameras:
    """The same rig, every camera turned and moved by exactly these amounts, anywhere."""
    generator = torch.Generator().manual_seed(seed)

    def direction() -> Tensor:
        vector = torch.randn(len(cameras), 3, generator=generator, dtype=torch.float64)
        return vector / vector.norm(dim=-1, keepdim=True)

    rotation = matrix_from_rotvec(math.radians(degrees) * direction()) @ cameras.rotation
    centres = cameras.centres_world + metres * direction()
    translation = -(rotation @ centres.unsqueeze(-1)).squeeze(-1)
    return replace(cameras, rotation=rotation, translation=translation)


def scattered(count: int, generator: torch.Generator) -> Tensor:
    """Points in a person-sized box, metres."""
    box = torch.rand(count, 3, generator=generator, dtype=torch.float64)
    return box * torch.tensor([1.6, 1.8, 1.6], dtype=torch.float64) - torch.tensor(
        [0.8, 0.0, 0.8], dtype=torch.float64
    )


def noisy(points_px: Tensor, sigma_px: float, generator: torch.Generator) -> Tensor:
    """Detections with plane normal noise, pixels."""
    noise = torch.randn(points_px.shape, generator=generator, dtype=torch.float64)
    return points_px + sigma_px * noise


def spoilt(
    points_px: Tensor, generator: torch.Generator, outliers: float, size_px: float, missing: float
) -> tuple[Tensor, Tensor]:
    """Detections with gross errors and gaps, and which are gross."""
    shape = points_px.shape[:-1]
    gross = torch.rand(shape, generator=generator, dtype=torch.float64) < outliers
    out = points_px + size_px * gross.unsqueeze(-1) * torch.randn(
        points_px.shape, generator=generator, dtype=torch.float64
    )
    out[torch.rand(shape, generator=generator, dtype=torch.float64) < missing] = torch.nan
    return out, gross
