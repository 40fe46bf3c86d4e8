"""The 41-marker walker: a person whose motion is known, dressed with the full-body set.

T frames, M markers. Metres, Y up. The recorded walk has other proportions, spine and shoulders than
our template; where it is absent a synthetic person of our own proportions walks instead.
"""

from pathlib import Path

import torch

from muybridge.capture.markers.virtual import dressed
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import slerp, unroll
from muybridge.motion.clip import Clip
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.markers import Markers
from tests.model_person import model_person

WALK = Path(__file__).parents[3] / "../shared/data/bvh/games105/walk60.bvh"


def walk(fps: float = 100.0, seconds: float = 3.0) -> Clip:
    """The recorded walk, or the synthetic one, at any frame rate."""
    if not WALK.is_file():
        return model_person(HALPE_26, round(fps * seconds), fps)[0]
    return resampled(read_bvh(WALK, "m").clip, fps, seconds)


def synthetic(frames: int = 90, fps: float = 60.0) -> Clip:
    """A person of our own proportions who walks on the spot."""
    return model_person(HALPE_26, frames, fps)[0]


def resampled(clip: Clip, fps: float, seconds: float) -> Clip:
    """The same motion at another rate: slerp of turns, straight lines of the path."""
    count = round(min(seconds, (len(clip) - 1) / clip.fps) * fps)
    where = torch.arange(count, dtype=torch.float64) * clip.fps / fps
    first = where.floor().long().clamp(max=len(clip) - 2)
    share = where - first
    turns = unroll(clip.rotations)
    return Clip(
        clip.skeleton,
        slerp(turns[first], turns[first + 1], share.unsqueeze(-1).expand(-1, turns.shape[1])),
        torch.lerp(clip.root[first], clip.root[first + 1], share.unsqueeze(-1)),
        fps,
    )


def noisy(markers: Markers, sigma: float, seed: int = 0) -> Markers:
    """The same with normal noise, metres per axis."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(markers.points_world.shape, generator=generator, dtype=torch.float64)
    return Markers(markers.names, markers.points_world + sigma * noise, markers.fps)


def walker(fps: float = 100.0, seconds: float = 3.0, sigma: float = 0.0) -> Markers:
    """The 41 markers of the walk."""
    return noisy(dressed(walk(fps, seconds)), sigma)
