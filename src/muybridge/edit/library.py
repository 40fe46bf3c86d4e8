"""A library of clips of one skeleton at one frame rate: what new motion is made from.

N frames of all clips one after the other, J joints. World frame: metres, Y up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.interpolate import CubicSpline
from torch import Tensor

from muybridge.edit.feet import foot_contacts
from muybridge.edit.mirror import mirror
from muybridge.edit.sequence import same_skeleton
from muybridge.errors import InputError
from muybridge.files.convert import read_clip
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import unroll
from muybridge.motion.clip import Clip
from muybridge.motion.humanoid import humanoid
from muybridge.motion.kinematics import forward
from muybridge.motion.skeleton import Skeleton

__all__ = ["Library", "library_from_clips", "read_library", "resampled"]

READABLE = (".bvh", ".glb", ".npz")


@dataclass(frozen=True)
class Library:
    """Clips with the joints of the first, in its order, at one frame rate.

    Attributes:
        clips: At least one.
    """

    clips: tuple[Clip, ...]

    def __len__(self) -> int:
        return sum(len(clip) for clip in self.clips)

    @property
    def skeleton(self) -> Skeleton:
        """That of every clip."""
        return self.clips[0].skeleton

    @property
    def fps(self) -> float:
        """Frames a second of every clip."""
        return self.clips[0].fps

    @cached_property
    def starts(self) -> Int[Tensor, "c"]:
        """Number of each clip's first frame."""
        lengths = torch.tensor([0, *(len(clip) for clip in self.clips)])
        return lengths.cumsum(0)[:-1]

    @cached_property
    def owners(self) -> Int[Tensor, "n"]:
        """Which clip each frame belongs to."""
        lengths = torch.tensor([len(clip) for clip in self.clips])
        return torch.arange(len(self.clips)).repeat_interleave(lengths)

    @cached_property
    def left(self) -> Int[Tensor, "n"]:
        """Frames of the same clip that follow each frame."""
        lengths = torch.tensor([len(clip) for clip in self.clips])
        ends = (self.starts + lengths)[self.owners]
        return ends - 1 - torch.arange(len(self))

    @cached_property
    def rotations(self) -> Float[Tensor, "n j 4"]:
        """Local rotations of all frames."""
        return torch.cat([clip.rotations for clip in self.clips])

    @cached_property
    def translations(self) -> Float[Tensor, "n j 3"]:
        """Local joint positions of all frames, the root's in its clip's world, metres."""
        return torch.cat([clip.local_translations() for clip in self.clips])

    @cached_property
    def positions(self) -> Float[Tensor, "n j 3"]:
        """Joint positions of all frames, each in its clip's world, metres."""
        return forward(self.skeleton, self.rotations, self.translations).positions

    @cached_property
    def contacts(self) -> Bool[Tensor, "n j"] | None:
        """True where a foot stands in its clip; None for bodies without known feet."""
        if not {"left_foot", "right_foot"} & set(humanoid(self.skeleton)):
            return None
        return torch.cat([foot_contacts(clip) for clip in self.clips])

    @property
    def moving(self) -> bool:
        """True where joints slide in their parents' frames (six channels on every joint)."""
        return any(clip.translations is not None for clip in self.clips)


def read_library(folder: Path, fps: float | None = None, mirrored: bool = False) -> Library:
    """All motion files (.bvh, .glb, .npz) of a folder, in the order of their names.

    Args:
        folder: Where they lie; folders within it are not looked into.
        fps: As of `library_from_clips`.
        mirrored: As of `library_from_clips`.

    Raises:
        InputError: If there is none, one is damaged, or skeletons differ.
    """
    if not folder.is_dir():
        raise InputError(
            f"expected a folder of motion files, found none at {folder}; check the path"
        )
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in READABLE and p.is_file())
    if not paths:
        raise InputError(
            f"expected motion files ({', '.join(READABLE)}) in {folder}, found none; "
            "give the folder that holds the clips"
        )
    return library_from_clips([read_clip(path) for path in paths], fps, mirrored)


def library_from_clips(
    clips: Sequence[Clip], fps: float | None = None, mirrored: bool = False
) -> Library:
    """The clips with the first's order of joints, at one frame rate.

    Args:
        clips: Of one skeleton; their joints may come in any order.
        fps: Frames a second; that of the slowest clip by default, so that none is made up.
        mirrored: Add each clip with left and right exchanged.
    Raises:
        InputError: If there is no clip, a clip has gaps, or its skeleton differs from the first's.
    """
    if not clips:
        raise InputError("expected at least one clip, got none; add some")
    fps = min(clip.fps for clip in clips) if fps is None else fps
    even = [resampled(clip, fps) for clip in clips]
    for clip in even:
        refuse_missing(clip)
    alike = [even[0], *(same_skeleton(clip, even[0]) for clip in even[1:])]
    if mirrored:
        alike += [replace(mirror(clip), name=f"{clip.name}_mirrored") for clip in alike]
    return Library(tuple(alike))


def resampled(clip: Clip, fps: float) -> Clip:
    """The clip at another frame rate, by cubic splines through all frames.

    Rotations are splines of unit quaternions (signs continued) brought back to unit length: twice
    differentiable, so that no accelerations appear that were not there.
    """
    if not fps > 0.0:
        raise InputError(f"expected a positive frame rate, got {fps}; give frames/second")
    if abs(clip.fps / fps - 1.0) < 1e-4:
        return replace(clip, fps=fps)
    if len(clip) < 4:
        raise InputError(
            f"expected at least 4 frames to change the rate of {clip.name}, got {len(clip)}; "
            "remove this clip"
        )
    count = int((len(clip) - 1) * fps / clip.fps + 1e-6) + 1

    def at(values: Tensor) -> Tensor:
        spline = CubicSpline(np.arange(len(clip)) / clip.fps, values.numpy())
        return torch.from_numpy(spline(np.arange(count) / fps))

    rotations = torch.nn.functional.normalize(at(unroll(clip.rotations)), dim=-1)
    moved = None if clip.translations is None else at(clip.translations)
    return Clip(
        clip.skeleton, rotations, at(clip.root), fps, clip.name, moved, captions=clip.captions
    )
