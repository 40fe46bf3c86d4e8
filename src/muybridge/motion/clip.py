"""The clip: the one artefact that every part of muybridge makes, changes, reads or writes.

T frames, J joints. World frame: metres, right-handed, Y up, +Z forward. Quaternions (x, y, z, w).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.skeleton import Skeleton

__all__ = ["Caption", "Clip"]


@dataclass(frozen=True)
class Caption:
    """Words about a span of a clip; `start` and `end` in seconds from the first frame."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Clip:
    """A skeleton in motion.

    Attributes:
        skeleton: The J joints.
        rotations: Local rotation of each joint in its parent's frame; the root's in the world's.
        root: World position of the root joint, metres.
        fps: Frames a second.
        name: Shown to people and used for file names.
        translations: Local joint positions in the parent's frame where they move (BVH files with
            six channels on every joint); replaces `skeleton.offsets` for all joints but the root.
        position_std: One-sigma uncertainty of each joint's world position, metres.
        contacts: True where a joint touches the ground.
        filled: True where a joint was interpolated or predicted because no sensor saw it.
        captions: Words with time spans.
    """

    skeleton: Skeleton
    rotations: Float[Tensor, "t j 4"]
    root: Float[Tensor, "t 3"]
    fps: float
    name: str = "clip"
    translations: Float[Tensor, "t j 3"] | None = None
    position_std: Float[Tensor, "t j"] | None = None
    contacts: Bool[Tensor, "t j"] | None = None
    filled: Bool[Tensor, "t j"] | None = None
    captions: tuple[Caption, ...] = ()

    def __post_init__(self) -> None:
        if self.rotations.shape[:2] != (len(self.root), len(self.skeleton)):
            raise InputError(
                f"expected rotations of {len(self.root)} frames and {len(self.skeleton)} joints, "
                f"got {tuple(self.rotations.shape[:2])}; match the skeleton and the root path"
            )
        if not self.fps > 0.0:
            raise InputError(f"expected a positive frame rate, got {self.fps}; give frames/second")

    def __len__(self) -> int:
        return len(self.root)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return len(self) / self.fps

    def frames(self, start: int, stop: int) -> Clip:
        """The frames [start, stop) with everything that belongs to them."""
        cut = slice(start, stop)

        def part(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[cut]

        first, last = start / self.fps, stop / self.fps
        captions = tuple(
            Caption(c.text, max(c.start, first) - first, min(c.end, last) - first)
            for c in self.captions
            if c.start < last and c.end > first
        )
        return replace(
            self,
            rotations=self.rotations[cut],
            root=self.root[cut],
            translations=part(self.translations),
            position_std=part(self.position_std),
            contacts=part(self.contacts),
            filled=part(self.filled),
            captions=captions,
        )

    def local_translations(self) -> Float[Tensor, "t j 3"]:
        """Position of each joint in its parent's frame, metres; the root's is its world path."""
        local = self.translations
        if local is None:
            local = self.skeleton.offsets.to(self.root).expand(len(self), -1, -1)
        return torch.cat((self.root.unsqueeze(1), local[:, 1:]), dim=1)
