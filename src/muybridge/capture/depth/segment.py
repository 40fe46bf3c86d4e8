"""The person in depth pictures: off floor, walls and background, the largest thing that stands.

T frames, C cameras, N points, H rows, W columns. World frame: metres, Y up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy import ndimage
from torch import Tensor

from muybridge.capture.depth.backproject import Grid, backproject, jumps, to_world
from muybridge.capture.depth.contact import Outline, Scan
from muybridge.capture.depth.planes import Room
from muybridge.geometry.camera import Cameras

__all__ = ["Segmenter", "Sight", "gather", "joined", "outline_of", "thinned"]

VOXEL_M = 0.10  # things farther apart than one to two of these are two things
THIN_M = 0.03  # side of the cubes whose points become one
FEWEST = 60  # pixels; less is no person
PART = 15  # pixels; less is no part of one
REACH_M = 1.1  # horizontally from the middle of a person to all parts
OFF_BACKGROUND_M = 0.06
GAP_PX = 7  # unknown pixels this near the person may well be the person
GRID_SIDE = 160  # most grid points of an outline along a side


@dataclass(frozen=True)
class Sight:
    """What was seen of the person in one frame.

    Attributes:
        points: World, metres.
        cameras: Index of the camera that saw each.
        masks: True where a pixel is on the person, a picture a camera.
        depths: The pictures themselves, metres.
    """

    points: Float[Tensor, "n 3"]
    cameras: Int[Tensor, "n"]
    masks: tuple[Bool[Tensor, "h w"], ...]
    depths: tuple[Float[Tensor, "h w"], ...]

    @property
    def found(self) -> bool:
        """Whether there are points enough for a person."""
        return len(self.points) >= FEWEST


@dataclass(frozen=True)
class Segmenter:
    """Knows the room.

    Attributes:
        cameras: Placed in the world.
        grids: Their rays.
        room: Planes of the world.
        background: Depth of the empty scene, a picture a camera, metres; () when not known.
    """

    cameras: Cameras
    grids: tuple[Grid, ...]
    room: Room
    background: tuple[Float[Tensor, "h w"], ...] = ()

    def see(
        self, depths: Sequence[Float[Tensor, "h w"]], last: Float[Tensor, "2"] | None = None
    ) -> Sight:
        """The person in one frame of all cameras.

        Args:
            depths: A picture a camera, metres, NaN where unknown.
            last: Where the person was, x and z, metres; the largest thing when absent.
        """
        pixels, points, owners = [], [], []
        for camera, depth in enumerate(depths):
            world = to_world(backproject(depth, self.grids[camera]), self.cameras.select([camera]))
            free = self.room.inside(world) & ~jumps(depth)
            if self.background:
                behind = self.background[camera].nan_to_num(nan=torch.inf)
                free &= depth < behind - OFF_BACKGROUND_M
            index = free.nonzero()
            pixels.append(index)
            points.append(world[index[:, 0], index[:, 1]])
            owners.append(torch.full((len(index),), camera))
        everything, owner = torch.cat(points), torch.cat(owners)
        chosen = _standing(everything, last)
        masks = []
        for camera, (index, depth) in enumerate(zip(pixels, depths, strict=True)):
            mask = torch.zeros_like(depth, dtype=torch.bool)
            own = index[chosen[owner == camera]]
            mask[own[:, 0], own[:, 1]] = True
            masks.append(mask)
        return Sight(everything[chosen], owner[chosen], tuple(masks), tuple(depths))


def _standing(points: Float[Tensor, "n 3"], last: Float[Tensor, "2"] | None) -> Bool[Tensor, "n"]:
    """Points of the largest connected thing (of those near `last`), and of its nearby parts."""
    none = torch.zeros(len(points), dtype=torch.bool)
    if len(points) < FEWEST:
        return none
    label, count = _things(points)
    sizes = torch.bincount(label, minlength=count)
    centres = torch.zeros(count, 3, dtype=points.dtype).index_add_(0, label, points)
    centres = centres / sizes.clamp(min=1).unsqueeze(-1)
    score = sizes.double()
    if last is not None:
        score = score / (1.0 + ((centres[:, [0, 2]] - last).norm(dim=-1) / 0.5).square())
    main = int(score.argmax())
    near = (centres[:, [0, 2]] - centres[main, [0, 2]]).norm(dim=-1) < REACH_M / 2.0
    keep = near & (sizes >= PART)
    across = (points[:, [0, 2]] - centres[main, [0, 2]]).norm(dim=-1)
    chosen = keep[label] & (across < REACH_M)
    return chosen if int(chosen.sum()) >= FEWEST else none


def _things(points: Float[Tensor, "n 3"]) -> tuple[Int[Tensor, "n"], int]:
    """Number of the connected thing each point belongs to, and how many there are."""
    cell = np.floor(points.numpy() / VOXEL_M).astype(np.int64)
    cell -= cell.min(0)
    limit = np.array([400, 100, 400])  # 40 m, 10 m: points farther off are stray
    cell = np.minimum(cell, limit - 1)
    full = np.zeros(cell.max(0) + 1, dtype=bool)
    full[tuple(cell.T)] = True
    labels, count = ndimage.label(full, structure=np.ones((3, 3, 3)))
    return torch.from_numpy(labels[tuple(cell.T)].astype(np.int64) - 1), int(count)


def thinned(sight: Sight) -> tuple[Float[Tensor, "n 3"], Int[Tensor, "n"]]:
    """One point, the mean, for each small cube and camera that saw it."""
    if not len(sight.points):
        return sight.points, sight.cameras
    cell = (sight.points / THIN_M).floor().long()
    cell = torch.cat((cell - cell.amin(0), sight.cameras.unsqueeze(-1)), -1)
    size = cell.amax(0) + 1
    key = ((cell[:, 0] * size[1] + cell[:, 1]) * size[2] + cell[:, 2]) * size[3] + cell[:, 3]
    _, where, counts = key.unique(return_inverse=True, return_counts=True)
    points = torch.zeros(len(counts), 3, dtype=sight.points.dtype)
    points.index_add_(0, where, sight.points)
    owner = torch.zeros(len(counts), dtype=torch.long)
    owner[where] = sight.cameras
    return points / counts.unsqueeze(-1), owner


def gather(thin: Sequence[tuple[Float[Tensor, "_ 3"], Int[Tensor, "_"]]], cameras: Cameras) -> Scan:
    """The thinned points of all frames, padded to the longest."""
    most = max((len(points) for points, _ in thin), default=0) or 1
    points = torch.zeros(len(thin), most, 3, dtype=torch.float64)
    weights, views = torch.zeros(len(thin), most).double(), torch.zeros_like(points)
    centres = cameras.centres_world
    for frame, (own, owner) in enumerate(thin):
        points[frame, : len(own)], weights[frame, : len(own)] = own, 1.0
        ray = centres[owner] - own
        views[frame, : len(own)] = ray / ray.norm(dim=-1, keepdim=True)
    return Scan(points, weights, views)


def outline_of(sight: Sight, camera: Cameras, index: int, grid: Grid) -> Outline:
    """The outline that camera `index` saw in one frame, for `contact.spill`."""
    height, width = sight.masks[index].shape
    stride = max(1, -(-max(height, width) // GRID_SIDE))
    coarse = grid.normalized[::stride, ::stride].float()
    mask, depth = sight.masks[index], sight.depths[index]
    wide = ndimage.binary_dilation(mask.numpy(), np.ones((GAP_PX, GAP_PX)))
    person = (mask | (torch.from_numpy(wide) & ~depth.isfinite()))[::stride, ::stride]
    if not bool(person.any()):
        person, nearest = torch.ones_like(person), coarse  # nothing seen says nothing
    else:
        row, column = ndimage.distance_transform_edt(
            ~person.numpy(), return_distances=False, return_indices=True
        )
        nearest = coarse[torch.from_numpy(row).long(), torch.from_numpy(column).long()]
    coarse_depth = depth[::stride, ::stride].float()
    return Outline(camera, stride, nearest[None], person[None], coarse_depth[None])


def joined(outlines: Sequence[Outline]) -> Outline:
    """Outlines of one camera, one frame after another."""
    first = outlines[0]
    parts = zip(*((o.nearest, o.person, o.depth) for o in outlines), strict=True)
    return Outline(first.camera, first.stride, *(torch.cat(part) for part in parts))
