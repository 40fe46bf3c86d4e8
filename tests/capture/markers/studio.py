"""What cameras around a marked walker would see: spots without names, with noise and faults.

C cameras, T frames, N spots. Pixels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.motion.markers import Markers
from tests.rigs import ring


@dataclass(frozen=True)
class Faults:
    """Noise (pixels), share of spots hidden, false spots a picture, and runs of occlusion.

    Attributes:
        hidden: Share of (camera, marker, frame) that is not seen, at random.
        false: Spots of nothing in each picture.
        occluded: Occlusions of a marker in all cameras, each `seconds` long.
        seconds: Their length.
    """

    sigma_px: float = 0.5
    hidden: float = 0.15
    false: int = 3
    occluded: int = 0
    seconds: float = 0.2
    seed: int = 0


def eight(points: Tensor) -> Cameras:
    """Eight cameras of 5 megapixels (12.5 mm lens), 5 m around the middle of the path."""
    middle = points.reshape(-1, 3).mean(0)
    cameras = ring(8, radius=5.0, height=2.4)
    matrix = cameras.matrix.clone()
    matrix[:, 0, 0] = matrix[:, 1, 1] = 2270.0
    matrix[:, 0, 2], matrix[:, 1, 2] = 1215.5, 1023.5
    size = torch.tensor([2432.0, 2048.0], dtype=torch.float64).expand(8, 2)
    cameras = replace(cameras, matrix=matrix, size_px=size)
    moved = cameras.centres_world + middle * torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    translation = -(cameras.rotation @ moved.unsqueeze(-1)).squeeze(-1)
    return replace(cameras, translation=translation)


def film(markers: Markers, cameras: Cameras, faults: Faults) -> tuple[Tensor, Tensor]:
    """Shuffled spots (C, T, N, 2) and whose they are (C, T, N); -1 for nobody's, NaN pads."""
    generator = torch.Generator().manual_seed(faults.seed)
    clean = cameras.project(markers.points_world)
    shape = clean.shape[:3]
    spots = clean + faults.sigma_px * torch.randn(
        clean.shape, generator=generator, dtype=torch.float64
    )
    gone = torch.rand(shape, generator=generator) < faults.hidden
    length = round(faults.seconds * markers.fps)
    for _ in range(faults.occluded):
        marker = int(torch.randint(shape[2], (1,), generator=generator))
        start = int(torch.randint(5, max(6, shape[1] - length), (1,), generator=generator))
        gone[:, start : start + length, marker] = True
    spots[gone] = torch.nan
    who = torch.arange(shape[2]).expand(shape).clone()
    who[gone] = -2
    size = cameras.size_px[:, None, None]
    box = torch.rand(*shape[:2], faults.false, 2, generator=generator, dtype=torch.float64)
    spots = torch.cat((spots, box * size), dim=2)
    who = torch.cat((who, torch.full((*shape[:2], faults.false), -1)), dim=2)
    order = torch.rand(who.shape, generator=generator).argsort(-1)
    return spots.gather(2, order.unsqueeze(-1).expand_as(spots)), who.gather(2, order)


def owners(shown: Tensor, who: Tensor) -> Tensor:
    """Marker that most of a point's spots belong to (T, P); -1 where they disagree or are false."""
    frames, points, cameras = shown.shape
    result = torch.full((frames, points), -1)
    camera, frame = torch.arange(cameras).expand_as(shown), torch.arange(frames)[:, None, None]
    owner = torch.where(shown >= 0, who[camera, frame, shown.clamp_min(0)], -3)
    for marker in owner.unique().tolist():
        share = (owner == marker).sum(-1) / (owner != -3).sum(-1).clamp_min(1)
        if marker >= 0:
            result[share > 0.5] = marker
    return result
