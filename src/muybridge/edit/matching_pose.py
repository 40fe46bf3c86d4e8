"""The poses of a matched motion: recorded frames, smoothed over at jumps, put where the body is.

Poses are seen from the simulation bone, so that a jump to a clip recorded elsewhere changes the
pose only by what the body really does differently.

N frames of the library, T frames shown, J joints. World frame: metres, Y up; radians; seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.edit.features import SimulationBone, turned
from muybridge.edit.inertialize import Offset, State, offset_at_switch, with_offset
from muybridge.edit.library import Library
from muybridge.geometry.rotation import conjugate, multiply, rotvec_from_quaternion
from muybridge.motion.clip import Clip
from muybridge.motion.facing import yaw_quaternion

__all__ = ["Jump", "Poses", "placed_poses", "pose_state", "seen", "shown_poses"]


class Jump(NamedTuple):
    """A change of clip: at frame `at` of what is shown, `left` would have come, `entered` does."""

    at: int
    left: int
    entered: int


class Poses(NamedTuple):
    """Local rotations and places, the root's seen from the bone."""

    rotations: Float[Tensor, "t j 4"]
    places: Float[Tensor, "t k 3"]

    def only(self, rows: slice) -> Poses:
        """Some of the times."""
        return Poses(self.rotations[rows], self.places[rows])


def shown_poses(
    library: Library,
    bone: SimulationBone,
    frames: Int[np.ndarray, "t"],
    bodies: Float[np.ndarray, "t 3"],
    jumps: list[Jump],
    halflife: float,
    name: str,
) -> Clip:
    """The clip that shows some frames with the bone at x, z and an angle of each time."""
    poses = _smoothed(library, bone, torch.from_numpy(frames), jumps, halflife)
    contacts = None if library.contacts is None else library.contacts[torch.from_numpy(frames)]
    return replace(placed_poses(library, poses, bodies, name), contacts=contacts)


def placed_poses(
    library: Library, poses: Poses, bodies: Float[np.ndarray, "t 3"], name: str
) -> Clip:
    """The clip of poses that are seen from a bone at x, z and an angle of each time."""
    x, z, angle = torch.from_numpy(bodies).unbind(-1)
    rotations, places = poses.rotations.clone(), poses.places.clone()
    rotations[:, 0] = multiply(yaw_quaternion(angle), rotations[:, 0])
    floor = turned(places[:, 0, [0, 2]], angle)
    places[:, 0, 0], places[:, 0, 2] = floor[:, 0] + x, floor[:, 1] + z
    moving = places if library.moving else None
    return Clip(library.skeleton, rotations, places[:, 0].clone(), library.fps, name, moving)


def _smoothed(
    library: Library,
    bone: SimulationBone,
    frames: Int[Tensor, "t"],
    jumps: list[Jump],
    halflife: float,
) -> Poses:
    """The poses as they are shown, seen from the bone."""
    raw = seen(library, bone, frames)
    if not jumps:
        return raw
    done = [raw.only(slice(0, jumps[0].at))]
    offset: Offset | None = None
    begun = 0
    for number, jump in enumerate(jumps):
        end = jumps[number + 1].at if number + 1 < len(jumps) else len(frames)
        source = _leaving(library, bone, jump, done[-1], offset, begun, halflife)
        offset = offset_at_switch(source, _entering(library, bone, jump.entered))
        begun = jump.at
        seconds = torch.arange(end - jump.at, dtype=torch.float64) / library.fps
        part = raw.only(slice(jump.at, end))
        done.append(Poses(*with_offset(*part, offset, halflife, seconds)))
    return Poses(*(torch.cat(parts) for parts in zip(*done, strict=True)))


def seen(library: Library, bone: SimulationBone, frames: Int[Tensor, "t"]) -> Poses:
    """Recorded poses seen from the bone."""
    rotations = library.rotations[frames].clone()
    places = library.translations[frames]
    places = (places if library.moving else places[:, :1]).clone()
    angle = bone.angles[frames]
    rotations[:, 0] = multiply(yaw_quaternion(-angle), rotations[:, 0])
    floor = turned(places[:, 0, [0, 2]] - bone.places[frames], -angle)
    places[:, 0, 0], places[:, 0, 2] = floor[:, 0], floor[:, 1]
    return Poses(rotations, places)


def _leaving(
    library: Library,
    bone: SimulationBone,
    jump: Jump,
    before: Poses,
    offset: Offset | None,
    begun: int,
    halflife: float,
) -> State:
    """What would be shown at a jump if there were none, and how it moves."""
    here = seen(library, bone, torch.tensor([jump.left]))
    if offset is not None:
        seconds = torch.tensor([(jump.at - begun) / library.fps], dtype=torch.float64)
        here = Poses(*with_offset(*here, offset, halflife, seconds))
    return pose_state(before.only(slice(-1, None)), here, library.fps)


def _entering(library: Library, bone: SimulationBone, frame: int) -> State:
    """A recorded pose and how it moves."""
    first = frame > 0 and bool(library.owners[frame - 1] == library.owners[frame])
    pair = [frame - 1, frame] if first else [frame, frame + 1]
    both = seen(library, bone, torch.tensor(pair))
    state = pose_state(both.only(slice(0, 1)), both.only(slice(1, 2)), library.fps)
    return state if first else state._replace(rotations=both.rotations[0], places=both.places[0])


def pose_state(before: Poses, now: Poses, fps: float) -> State:
    """The later of two poses, and what it changed by."""
    step = multiply(now.rotations[0], conjugate(before.rotations[0]))
    spins = fps * rotvec_from_quaternion(step)
    speeds = fps * (now.places[0] - before.places[0])
    return State(now.rotations[0], now.places[0], spins, speeds)
