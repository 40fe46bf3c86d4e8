"""Clips as keys: a few poses a joint instead of one a frame, and the curves between them.

Every joint has a track of its own keys. From each key to the next a track holds ("stepped"), goes
straight ("linear": slerp) or smoothly ("smooth": a cubic of the rotation vector, C1). Where a key
has no velocity of its own (NaN) its neighbours give it one, as Catmull and Rom do.

Legend: k keys, t frames, j joints, n components of a value: 4 of a quaternion (x, y, z, w), 3 of a
position in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.edit.curves.knots import check_keys
from muybridge.edit.curves.rotation import check_rotations
from muybridge.errors import InputError
from muybridge.motion.clip import Caption
from muybridge.motion.skeleton import Skeleton

__all__ = ["KeyedClip", "Track", "Way", "track_of"]

Way = Literal["stepped", "linear", "smooth"]
"""How a track goes from a key to the next."""


@dataclass(frozen=True)
class Track:
    """Keys of one joint's rotation, or of one path.

    Attributes:
        times: Key times, seconds from the first frame; increasing.
        values: Rotations as unit quaternions, or positions in metres.
        velocities: At each key: angular in the joint's own frame, radians a second, or metres a
            second; NaN where the neighbours decide.
        ways: From each key to the next; the last key's is kept for when a key is added after it.
    """

    times: Float[Tensor, "k"]
    values: Float[Tensor, "k n"]
    velocities: Float[Tensor, "k 3"]
    ways: tuple[Way, ...]

    def __post_init__(self) -> None:
        check_keys(self.times, self.values, 1, "keyed")
        if self.values.shape[1] == 4:
            check_rotations(self.times, self.values, 1, "keyed")
        if len(self.velocities) != len(self) or len(self.ways) != len(self):
            raise InputError(
                f"expected a velocity and a way a key, got {len(self.velocities)} and "
                f"{len(self.ways)} for {len(self)} keys; give each key its own"
            )
        for way in self.ways:
            if way not in get_args(Way):
                raise InputError(
                    f"expected a way of {', '.join(get_args(Way))}, got {way!r}; choose one"
                )

    def __len__(self) -> int:
        return len(self.times)

    @property
    def turns(self) -> bool:
        """Whether this is a track of rotations."""
        return self.values.shape[1] == 4


def track_of(times: Float[Tensor, "k"], values: Float[Tensor, "k n"], way: Way = "smooth") -> Track:
    """A track with automatic velocities, one way for all keys."""
    automatic = torch.full((len(values), 3), float("nan"), dtype=values.dtype)
    return Track(times, values, automatic, (way,) * len(times))


@dataclass(frozen=True)
class KeyedClip:
    """A clip that can be edited: tracks of keys.

    Attributes:
        skeleton: The joints.
        rotations: One track a joint.
        root: World position of the root joint, metres.
        fps: Frame rate at which it was made and is played, frames a second.
        frames: Number of frames it spans.
        name: Shown to people.
        places: Local joint positions where they move, one track a joint; see `Clip.translations`.
        position_std: Of the frames it was made of, as in `Clip`; likewise the next two.
        contacts: True where a joint touches the ground.
        filled: True where no sensor saw a joint.
        captions: Words with time spans.
    """

    skeleton: Skeleton
    rotations: tuple[Track, ...]
    root: Track
    fps: float
    frames: int
    name: str = "clip"
    places: tuple[Track, ...] | None = None
    position_std: Float[Tensor, "t j"] | None = None
    contacts: Bool[Tensor, "t j"] | None = None
    filled: Bool[Tensor, "t j"] | None = None
    captions: tuple[Caption, ...] = ()

    def __post_init__(self) -> None:
        joints, places = len(self.skeleton), self.places or self.rotations
        if len(self.rotations) != joints or len(places) != joints:
            raise InputError(
                f"expected one track a joint, got {len(self.rotations)} for {joints} joints; give "
                "each joint its track"
            )
        if self.frames < 1 or not self.fps > 0.0:
            raise InputError(
                f"expected at least one frame and a positive rate, got {self.frames} at "
                f"{self.fps}; give frames a second"
            )

    def tracks(self) -> tuple[Track, ...]:
        """All tracks: rotations, the root's path, joint positions."""
        return (*self.rotations, self.root, *(self.places or ()))

    def count(self) -> int:
        """Number of keys of all tracks."""
        return sum(map(len, self.tracks()))

    def grid(self) -> Float[Tensor, "t"]:
        """Times of the frames, seconds."""
        return torch.arange(self.frames, dtype=torch.float64) / self.fps
