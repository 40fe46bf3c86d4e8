"""BVH motion files (Biovision Hierarchy).

What differs from most readers and writers:
- every joint may have its own channels: any order, any of the six, none at all;
- a root position channel REPLACES the root's offset, as in Blender (`offsets="add"` for files made
  for the other habit); the writer always writes a zero root offset, on which all programs agree;
- names are made safe for three.js (":" silently kills its playback), with a map to the originals;
- reading and writing keep the channels: `BvhFile` holds the numbers of the file, and
  `bvh_from_clip(clip, like=file)` picks the angles nearest to them;
- a file never holds NaN: a clip with gaps is refused, not filled in silence.

T frames, J joints, N channels. BVH states no unit; "cm" is the habit and the default, and "auto"
guesses by the size of the body (`bvh_unit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from numpy.typing import NDArray

from muybridge.errors import InputError
from muybridge.files.bvh_channels import (
    HINGE,
    Layout,
    angles_from_quaternions,
    columns_of,
    gather,
    order_of,
    quaternions_from_channels,
)
from muybridge.files.bvh_text import (
    Hierarchy,
    format_frame_time,
    format_hierarchy,
    read_hierarchy,
    read_motion_header,
)
from muybridge.files.bvh_unit import METRES, Unit, UnitChoice, guess_unit
from muybridge.files.decimals import format_table, parse_numbers
from muybridge.files.disk import read_bytes, write_parts
from muybridge.files.missing import refuse_missing
from muybridge.files.names import safe_names
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton

__all__ = [
    "BvhFile", "Unit", "UnitChoice", "bvh_from_clip", "read_bvh", "write_bvh", "write_bvh_file",
]  # fmt: skip

POSITIONS = ("Xposition", "Yposition", "Zposition")
ROTATIONS = ("Zrotation", "Xrotation", "Yrotation")  # pitch in the middle: turning never locks
STILL = 1e-9  # metres; a joint that moves less in its parent's frame needs no position channels


@dataclass(frozen=True)
class BvhFile:
    """A BVH file: its tree and its numbers.

    Attributes:
        skeleton: Offsets in metres; names as `names` of `read_bvh` asked.
        channels: Channel names of each joint, in the file's order; none for end sites.
        values: The numbers of the MOTION block: degrees, and positions in the file's unit.
        fps: Frames a second.
        unit: Unit of the positions.
        source_names: Joint names as they stand in the file; with `skeleton.names` the name map.
        offsets: Whether position channels replace a joint's offset or add to it.
        name: The file's stem.
    """

    skeleton: Skeleton
    channels: Layout
    values: Float64[np.ndarray, "t n"]
    fps: float
    unit: Unit = "cm"
    source_names: tuple[str, ...] = ()
    offsets: Literal["replace", "add"] = "replace"
    name: str = "clip"

    @cached_property
    def clip(self) -> Clip:
        """The motion in metres and quaternions; computed when first asked for."""
        columns = columns_of(self.channels, "position")
        sliding = bool((columns[1:] >= 0).any())
        local = self._local(columns if sliding else columns[:1])
        return Clip(
            self.skeleton,
            torch.from_numpy(quaternions_from_channels(self.values, self.channels)),
            torch.from_numpy(local[:, 0].copy()),
            self.fps,
            self.name,
            torch.from_numpy(local) if sliding else None,
        )

    def _local(self, columns: NDArray[np.intp]) -> Float64[np.ndarray, "t j 3"]:
        """Places of the first joints in their parents' frames, metres."""
        moved = METRES[self.unit] * gather(self.values, columns)
        rest = self.skeleton.offsets[: len(columns)].numpy()
        if self.offsets == "add":
            moved += rest
        return np.where(columns >= 0, moved, rest)


def read_bvh(
    path: Path,
    unit: UnitChoice = "cm",
    *,
    offsets: Literal["replace", "add"] = "replace",
    names: Literal["safe", "keep"] = "safe",
) -> BvhFile:
    """Read a BVH file; `.clip` of the result is the motion in metres.

    End sites become joints called "<parent>_end".

    Args:
        path: The file.
        unit: Unit of its positions and offsets; "auto" guesses by the size of the body, see
            `bvh_unit.guess_unit`, and `BvhFile.unit` says what was taken.
        offsets: Position channels "replace" a joint's OFFSET (Blender, most files) or "add" to it.
        names: "safe" replaces white space and []:./ in names and numbers repeated ones; "keep"
            takes them as they are.
    Raises:
        InputError: If the file is malformed or holds fewer or more numbers than it announces.
    """
    text = read_bytes(path, "BVH")
    try:
        tree, start = read_hierarchy(text)
        motion = read_motion_header(text, start)
        numbers = parse_numbers(text, motion.start)
        width = sum(len(channels) for channels in tree.channels)
        if width == 0 or len(numbers) != motion.frame_count * width:
            raise InputError(
                f"expected {motion.frame_count} frames of {width} numbers, got {len(numbers)} "
                "numbers in all; the file is cut short or its frame count is wrong"
            )
        chosen = safe_names(tree.names) if names == "safe" else tuple(tree.names)
        skeleton = _skeleton(tree, chosen, 1.0)
        known: Unit = guess_unit(skeleton) if unit == "auto" else unit
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return BvhFile(
        _skeleton(tree, chosen, METRES[known]),
        tree.layout,
        numbers.reshape(motion.frame_count, width),
        motion.fps,
        known,
        tuple(tree.names),
        offsets,
        Path(path).stem,
    )


def _skeleton(tree: Hierarchy, names: tuple[str, ...], metres: float) -> Skeleton:
    """The joints of a file, whose unit is so many metres long."""
    offsets = metres * torch.tensor(tree.offsets, dtype=torch.float64)
    return Skeleton(names, tuple(tree.parents), offsets, tuple(tree.end_sites))


def write_bvh(path: Path, clip: Clip, unit: Unit = "cm", *, like: BvhFile | None = None) -> None:
    """Write a clip as BVH, whole or not at all; see `bvh_from_clip` for what becomes of it.

    Raises:
        InputError: If the clip has missing values (NaN): fill or cut them first.
    """
    write_bvh_file(path, bvh_from_clip(clip, unit, like=like))


def write_bvh_file(path: Path, file: BvhFile, *, decimals: int = 6) -> None:
    """Write channels as they are, with a zero root offset, whole or not at all.

    Args:
        path: Where to.
        file: Made by `read_bvh` or `bvh_from_clip`.
        decimals: Of every number; six are 5e-7 degrees.
    """
    if not 1e-6 < file.fps < 1e6:
        raise InputError(
            f"expected 1e-6 to 1e6 frames a second for BVH, got {file.fps:g}; correct the rate"
        )
    if file.offsets == "add" or not set(POSITIONS) <= set(file.channels[0]):
        file = bvh_from_clip(file.clip, file.unit, like=file)
    scaled = file.skeleton.offsets / METRES[file.unit]
    scaled[0] = 0.0
    tree = Hierarchy(
        list(safe_names(file.skeleton.names)),
        list(file.skeleton.parents),
        [(x, y, z) for x, y, z in scaled.tolist()],
        list(file.channels),
        list(file.skeleton.end_sites),
    )
    head = (
        f"{format_hierarchy(tree)}MOTION\nFrames: {len(file.values)}\n"
        f"Frame Time: {format_frame_time(file.fps)}\n"
    )
    write_parts(path, chain((head.encode(),), format_table(file.values, decimals)))


def bvh_from_clip(clip: Clip, unit: Unit = "cm", *, like: BvhFile | None = None) -> BvhFile:
    """Euler channels of a clip.

    Joints come in depth-first order, as BVH needs them. A joint whose place in its parent's frame
    moves gets position channels; an end site that moves or turns becomes a joint.

    Args:
        clip: Complete: no NaN.
        unit: Unit of the positions.
        like: Take each joint's channels (by its name) from this file, and where it has the same
            joints and length, those of all equal angles that lie nearest to its own. Otherwise
            order ZXY, and angles that run without jumps.
    Raises:
        InputError: If the clip has missing values.
    """
    refuse_missing(clip)
    clip, same = _depth_first(clip), False
    moving = _moving(clip)
    skeleton = _tips(clip, moving)
    layout = _layout(skeleton, moving, like)
    near = None
    if like is not None and like.skeleton.names == skeleton.names:
        same = len(like.values) == len(clip)
        near = gather(like.values, columns_of(like.channels, "rotation")) if same else None
    angles = angles_from_quaternions(clip.rotations.double().numpy(), layout, near)
    layout = _complete(layout, angles, skeleton)
    values = np.empty((len(clip), sum(len(channels) for channels in layout)))
    columns = columns_of(layout, "rotation")
    values[:, columns[columns >= 0]] = angles[:, columns >= 0]
    for joint, places in enumerate(columns_of(layout, "position")):
        if (places >= 0).any():
            local = _path(clip, joint) / METRES[unit]
            values[:, places[places >= 0]] = local[:, places >= 0]
    return BvhFile(skeleton, layout, values, clip.fps, unit, skeleton.names, "replace", clip.name)


def _path(clip: Clip, joint: int) -> Float64[np.ndarray, "t 3"]:
    """Places of a joint in its parent's frame, metres."""
    if joint == 0:
        return clip.root.double().numpy()
    if clip.translations is None:
        return np.tile(clip.skeleton.offsets[joint].double().numpy(), (len(clip), 1))
    return clip.translations[:, joint].double().numpy()


def _moving(clip: Clip) -> NDArray[np.bool_]:
    """Which joints do not stay at their offsets."""
    offsets = clip.skeleton.offsets.double().numpy()
    if clip.translations is None:
        rest = [np.abs(clip.root.double().numpy() - offsets[0]).max(), *[0.0] * (len(offsets) - 1)]
        return np.array(rest) > STILL
    local = clip.local_translations().double().numpy()
    return np.abs(local - offsets).max(axis=(0, 2)) > STILL


def _depth_first(clip: Clip) -> Clip:
    """The clip with its joints in the order in which a BVH file lists them."""
    skeleton, order, stack = clip.skeleton, [], [0]
    while stack:
        order.append(stack.pop())
        stack.extend(reversed(skeleton.children(order[-1])))
    if order == sorted(order):
        return clip
    place = {joint: k for k, joint in enumerate(order)}
    sorted_skeleton = Skeleton(
        tuple(skeleton.names[j] for j in order),
        tuple(place.get(skeleton.parents[j], -1) for j in order),
        skeleton.offsets[order],
        tuple(skeleton.end_sites[j] for j in order),
    )
    moved = None if clip.translations is None else clip.translations[:, order]
    return Clip(sorted_skeleton, clip.rotations[:, order], clip.root, clip.fps, clip.name, moved)


def _tips(clip: Clip, moving: np.ndarray) -> Skeleton:
    """The skeleton, with those end sites that are still, unturned and childless."""
    turned = (clip.rotations[..., :3].abs() > HINGE).any(-1).any(0).tolist()
    skeleton = clip.skeleton
    flags = tuple(
        end and not moving[j] and not turned[j] and j not in skeleton.parents and j > 0
        for j, end in enumerate(skeleton.end_sites)
    )
    return Skeleton(skeleton.names, skeleton.parents, skeleton.offsets, flags)


def _layout(skeleton: Skeleton, moving: np.ndarray, like: BvhFile | None) -> Layout:
    known = {} if like is None else dict(zip(like.skeleton.names, like.channels, strict=True))
    layout = []
    for joint, name in enumerate(skeleton.names):
        channels = () if skeleton.end_sites[joint] else known.get(name, ROTATIONS)
        if joint == 0 or moving[joint]:
            channels = (*(p for p in POSITIONS if p not in channels), *channels)
        layout.append(channels)
    return tuple(layout)


def _complete(layout: Layout, angles: np.ndarray, skeleton: Skeleton) -> Layout:
    """Add the rotation channels that a joint lacks and turns about."""
    complete = []
    for joint, channels in enumerate(layout):
        wanted = [f"{a.upper()}rotation" for a in order_of(channels)]
        missing = [c for c in wanted if c not in channels]
        if missing and not skeleton.end_sites[joint]:
            lacking = angles[:, joint][:, [wanted.index(c) for c in missing]]
            if np.abs(np.radians(lacking)).max() > HINGE:
                channels = (*channels, *missing)
        complete.append(channels)
    return tuple(complete)
