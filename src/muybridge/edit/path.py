"""Path fitting: bend a walk along another line on the floor.

The path of the root, its sway filtered out, is a curve with a length and a direction at every
moment. Each pose is taken relative to its place on that curve and set down at the same length of
the new one: the body sways and turns about the new path as it did about the old.

T frames. World frame: metres, Y up; floor points are (x, z).

References:
    Gleicher, Motion path editing, I3D 2001.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.spline import spline
from muybridge.edit.feet import foot_contacts
from muybridge.edit.pin import pin
from muybridge.edit.sequence import posed
from muybridge.edit.smooth import SmoothOptions, smoothed
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import multiply, rotate
from muybridge.motion.clip import Clip
from muybridge.motion.facing import unwrap, yaw_quaternion

__all__ = ["PathOptions", "Track", "along_path", "curve_through", "path_of"]

SWAY = 0.5  # Hz: slower is where a walk goes, faster is how the body sways about it
FINE = 200  # samples a segment, from which lengths of curves are measured
SHORTEST = 0.3  # metres
LONGEST = 1.75  # times its stride: farther, hips would have to come down by over a third of a leg
SLOW = 0.1  # of the mean speed: a body that stands has no direction


class Track(NamedTuple):
    """A curve on the floor, sampled.

    Attributes:
        points: x and z, metres.
        lengths: Way from the first point, metres; does not fall.
        angles: Direction, radians about +Y from +Z, without jumps.
    """

    points: Float[Tensor, "n 2"]
    lengths: Float[Tensor, "n"]
    angles: Float[Tensor, "n"]


@dataclass(frozen=True)
class PathOptions:
    """How a walk is laid along a path.

    Attributes:
        fit: Stretch the walk so that it ends where the path ends; otherwise strides keep their
            length, and the walk stops on the way or goes straight on at the end.
        feet: Pin the feet where they stood before.
    """

    fit: bool = False
    feet: bool = True


def along_path(
    clip: Clip, points: Float[Tensor, "p 2"], options: PathOptions | None = None
) -> Clip:
    """The clip walked along a smooth curve through points of the floor.

    Args:
        clip: Something that travels.
        points: x and z, metres, at least two; the walk begins at the first.
        options: Length and feet.
    Raises:
        InputError: If the clip does not travel, the points are too few, or feet are to be pinned
            farther apart than legs reach.
    """
    options = options or PathOptions()
    refuse_missing(clip)
    old, new = path_of(clip), curve_through(points)
    scale = _stretch(old, new, options.feet) if options.fit else 1.0
    place, angle = _at(new, scale * old.lengths)
    turn = yaw_quaternion(angle - old.angles)
    up = clip.root * clip.root.new_tensor([0.0, 1.0, 0.0])
    root = _level(place) + rotate(turn, clip.root - up - _level(old.points)) + up
    rotations, places = clip.rotations.clone(), clip.local_translations()
    rotations[:, 0] = multiply(turn, clip.rotations[:, 0])
    bent = posed(clip, rotations, torch.cat((root[:, None], places[:, 1:]), dim=1))
    if not options.feet:
        return bent
    contacts = foot_contacts(clip) if clip.contacts is None else clip.contacts
    return replace(pin(bent, contacts), contacts=clip.contacts)


def _stretch(old: Track, new: Track, feet: bool) -> float:
    """How many times as long strides become so that the walk ends where the path ends."""
    has, wanted = float(old.lengths[-1]), float(new.lengths[-1])
    if feet and wanted > LONGEST * has:
        raise InputError(
            f"expected a path of at most {LONGEST * has:.1f} m, as far as legs can stride, got "
            f"{wanted:.1f} m for a walk of {has:.1f} m; repeat the walk first with `muybridge edit "
            "loop --times`, or leave --fit"
        )
    return wanted / has


def path_of(clip: Clip) -> Track:
    """Where a clip goes: the root's floor path without the body's sway.

    Raises:
        InputError: If it goes nowhere.
    """
    floor = clip.root[:, [0, 2]]
    cutoff = min(SWAY, 0.4 * clip.fps)
    line = smoothed(floor, clip.fps, SmoothOptions("gaussian", cutoff))
    steps = line.diff(dim=0)
    way = steps.norm(dim=-1)
    if float(way.sum()) < SHORTEST:
        raise InputError(
            f"expected a motion that travels, got one that moves {float(way.sum()):.2f} m; choose "
            "a walk or a run"
        )
    direction = torch.cat((steps[:1], steps)) + torch.cat((steps, steps[-1:]))
    speed = direction.norm(dim=-1)
    moving = (speed > SLOW * speed.mean()).numpy()
    angles = torch.atan2(direction[:, 0], direction[:, 1])
    frames, known = np.arange(len(angles)), unwrap(angles[torch.from_numpy(moving)])
    angles = torch.from_numpy(np.interp(frames, frames[moving], known.numpy()))
    return Track(line, torch.cat((way.new_zeros(1), way.cumsum(0))), angles)


def curve_through(points: Float[Tensor, "p 2"]) -> Track:
    """The natural cubic spline through points, by the length of its chords, finely sampled."""
    chords = points.diff(dim=0).norm(dim=-1)
    points = points[torch.cat((torch.ones(1, dtype=torch.bool), chords > 1e-6))]
    if len(points) < 2:
        raise InputError(
            f"expected at least two different points, got {len(points)}; write [[0, 0], [1, 3]]"
        )
    chords = points.diff(dim=0).norm(dim=-1)
    knots = torch.cat((chords.new_zeros(1), chords.cumsum(0)))
    curve = spline(knots, points)
    at = torch.linspace(0.0, float(knots[-1]), FINE * len(chords) + 1, dtype=points.dtype)
    line = curve(at)
    slope = torch.gradient(line, dim=0)[0]
    way = line.diff(dim=0).norm(dim=-1)
    angles = unwrap(torch.atan2(slope[:, 0], slope[:, 1]))
    return Track(line, torch.cat((way.new_zeros(1), way.cumsum(0))), angles)


def _at(
    track: Track, lengths: Float[Tensor, "t"]
) -> tuple[Float[Tensor, "t 2"], Float[Tensor, "t"]]:
    """Places and directions after so many metres; straight on beyond the end."""
    known, asked = track.lengths.numpy(), lengths.detach().numpy()
    columns = (*track.points.T.numpy(), track.angles.numpy())
    x, z, angle = (torch.from_numpy(np.interp(asked, known, c)) for c in columns)
    beyond = (lengths - track.lengths[-1]).clamp(min=0.0)
    end = track.angles[-1]
    return torch.stack((x + beyond * end.sin(), z + beyond * end.cos()), dim=-1), angle


def _level(points: Float[Tensor, "t 2"]) -> Float[Tensor, "t 3"]:
    x, z = points.unbind(-1)
    return torch.stack((x, torch.zeros_like(x), z), dim=-1)
