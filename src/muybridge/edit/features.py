"""What motion matching compares: 27 numbers a frame, seen from where the character stands.

The character stands on its simulation bone: the point of the floor below the hips and the way the
body faces, both smoothed in time so that steps and swaying hips do not show. In its frame lie

    left foot, right foot (positions, 3 + 3), left foot, right foot, hips (velocities, 3 + 3 + 3),
    and the bone's own positions (x, z) and directions (x, z) 1/3, 2/3 and 1 second later (6 + 6).

Each group is brought to the same size: less the mean, by the mean of its columns' standard
deviations, times a weight.

N frames, F = 27 features. World frame: metres, Y up, +Z forward; seconds.

References:
    Clavet, Motion matching and the road to next-gen animation, GDC 2016.
    Holden et al., Learned motion matching, SIGGRAPH 2020, section 3, and its code (database.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.signal import savgol_filter
from torch import Tensor

from muybridge.edit.library import Library
from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate
from muybridge.motion.clip import Clip
from muybridge.motion.facing import heading, wrap, yaw_quaternion
from muybridge.motion.humanoid import humanoid

__all__ = [
    "GROUPS",
    "HORIZONS",
    "FeatureScale",
    "SimulationBone",
    "ahead",
    "bone_steps",
    "features",
    "scale_of",
    "searchable",
    "simulation_bone",
    "turned",
]

HORIZONS = (20.0 / 60.0, 40.0 / 60.0, 60.0 / 60.0)  # seconds
GROUPS: tuple[tuple[str, int, float], ...] = (
    ("left foot position", 3, 0.75),
    ("right foot position", 3, 0.75),
    ("left foot velocity", 3, 1.0),
    ("right foot velocity", 3, 1.0),
    ("hip velocity", 3, 1.0),
    ("trajectory positions", 6, 1.0),
    ("trajectory directions", 6, 1.5),
)  # name, columns, weight
SMOOTH = (31.0 / 60.0, 61.0 / 60.0)  # seconds about each frame, of place and of direction
LAST = 20.0 / 60.0  # seconds before a clip's end into which nothing jumps


class SimulationBone(NamedTuple):
    """Where the character stands and looks, in the world of each clip.

    Attributes:
        places: x and z, metres.
        angles: Radians about +Y, without jumps within a clip.
        speeds: Rate of the place in the bone's own frame, metres/second.
        spins: Rate of the angle, radians/second.
    """

    places: Float[Tensor, "n 2"]
    angles: Float[Tensor, "n"]
    speeds: Float[Tensor, "n 2"]
    spins: Float[Tensor, "n"]


@dataclass(frozen=True)
class FeatureScale:
    """What makes features comparable: (f - mean) / size.

    Attributes:
        mean: Of each column.
        size: Of each column: its group's mean standard deviation over its weight.
    """

    mean: Float[Tensor, "f"]
    size: Float[Tensor, "f"]

    def apply(self, raw: Float[Tensor, "*n f"]) -> Float[Tensor, "*n f"]:
        """Features without unit."""
        return (raw - self.mean) / self.size


def turned(vectors: Float[Tensor, "*b 2"], angle: Float[Tensor, "*#b"]) -> Float[Tensor, "*b 2"]:
    """Floor vectors (x, z) turned about +Y."""
    x, z = vectors.unbind(-1)
    c, s = angle.cos(), angle.sin()
    return torch.stack((c * x + s * z, c * z - s * x), dim=-1)


def simulation_bone(library: Library) -> SimulationBone:
    """The bone of every frame."""
    bones = [_bone(clip) for clip in library.clips]
    return SimulationBone(*(torch.cat(values) for values in zip(*bones, strict=True)))


def _bone(clip: Clip) -> SimulationBone:
    places = _smoothed(clip.root[:, [0, 2]], SMOOTH[0] * clip.fps)
    facing = heading(clip)
    looks = torch.stack((facing.sin(), facing.cos()), dim=-1)
    x, z = _smoothed(looks, SMOOTH[1] * clip.fps).unbind(-1)
    angles = facing + wrap(torch.atan2(x, z) - facing)
    speeds = turned(_rate(places, clip.fps), -angles)
    return SimulationBone(places, angles, speeds, _rate(angles, clip.fps))


def _smoothed(values: Float[Tensor, "t n"], frames: float) -> Float[Tensor, "t n"]:
    """Savitzky-Golay filter of third order over about so many frames."""
    count = min(2 * round((frames - 1.0) / 2.0) + 1, len(values) - (len(values) + 1) % 2)
    if count <= 3:
        return values
    return torch.from_numpy(savgol_filter(values.numpy(), count, 3, axis=0, mode="interp"))


def _rate(values: Float[Tensor, "t *n"], fps: float) -> Float[Tensor, "t *n"]:
    """Central differences; one-sided at the ends."""
    if len(values) < 2:
        return torch.zeros_like(values)
    return torch.from_numpy(np.gradient(values.numpy(), 1.0 / fps, axis=0))


def bone_steps(library: Library, bone: SimulationBone) -> Float[np.ndarray, "n 3"]:
    """What the bone moves (x, z in its own frame) and turns to the next frame of its clip.

    After a clip's last frame it goes on as before it.
    """
    moved = turned(bone.places.roll(-1, 0) - bone.places, -bone.angles)
    turn = bone.angles.roll(-1, 0) - bone.angles
    steps = torch.cat((moved, turn.unsqueeze(1)), dim=1)
    before = (torch.arange(len(library)) - 1).clamp(min=0)
    last = (library.left == 0).unsqueeze(1)
    return torch.where(last, steps[before], steps).numpy()


def ahead(library: Library, seconds: float) -> Int[Tensor, "n"]:
    """The frame of the same clip some time after each, or the clip's last."""
    step = torch.full((len(library),), round(seconds * library.fps))
    return torch.arange(len(library)) + torch.minimum(step, library.left)


def searchable(library: Library) -> Bool[Tensor, "n"]:
    """Frames that have enough of their clip before them to be jumped to."""
    return library.left >= round(LAST * library.fps)


def features(library: Library, bone: SimulationBone) -> Float[Tensor, "n 27"]:
    """The 27 numbers of every frame, in metres, metres/second and unit vectors.

    Raises:
        InputError: If the skeleton has no feet.
    """
    skeleton = library.skeleton
    known = humanoid(skeleton)
    if not {"left_foot", "right_foot"} <= set(known):
        raise InputError(
            f"expected a body with a left and a right foot, got the joints "
            f"{', '.join(skeleton.names[:6])}...; name the feet, such as LeftFoot and RightFoot"
        )
    joints = [known[name] for name in ("left_foot", "right_foot", "hips")]
    positions = library.positions[:, joints]
    lengths = [len(clip) for clip in library.clips]
    speeds = torch.cat([_rate(p, library.fps) for p in positions.split(lengths)])
    back = yaw_quaternion(-bone.angles).unsqueeze(1)
    floor = torch.stack((bone.places[:, 0], 0.0 * bone.angles, bone.places[:, 1]), dim=-1)
    seen = rotate(back.expand(-1, 3, 4), positions - floor.unsqueeze(1))
    moving = rotate(back.expand(-1, 3, 4), speeds)
    later = torch.stack([ahead(library, seconds) for seconds in HORIZONS], dim=1)
    places = turned(bone.places[later] - bone.places.unsqueeze(1), -bone.angles.unsqueeze(1))
    angles = bone.angles[later] - bone.angles.unsqueeze(1)
    looks = torch.stack((angles.sin(), angles.cos()), dim=-1)
    return torch.cat([v.flatten(1) for v in (seen[:, :2], moving, places, looks)], dim=1)


def scale_of(raw: Float[Tensor, "n f"]) -> FeatureScale:
    """Mean and size of each column; a group that never changes is left as it is."""
    mean, deviation = raw.mean(0), raw.std(0, correction=0)
    size = torch.empty_like(mean)
    start = 0
    for _, columns, weight in GROUPS:
        group = slice(start, start + columns)
        spread = float(deviation[group].mean())
        size[group] = (spread if spread > 1e-6 else 1.0) / weight
        start += columns
    return FeatureScale(mean, size)
