"""From a pose a frame to few keys: the fewest that stay within an error that is stated.

Each joint gets keys of its own, on its own frames. Between two frames that are made keys, with the
velocities of the motion there, the curve is known; so the error of every possible segment can be
tabulated, and the fewest segments that reach from the first frame to the last, none off by more
than a tolerance, are a shortest path. How much of the error each joint may use is then searched:
its angle times the length of what hangs from it, scaled by one factor for all, the largest with
which the whole body, measured in the world, keeps to the error.

Legend: t frames, j tracks, a lengths of segments, n components of a value.

References:
    Schneider, An algorithm for automatically fitting digitized curves, Graphics Gems, 1990.
    Lim & Thalmann, Key-posture extraction out of human motion data, 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.edit.curves.rotvec import jacobian_inverse
from muybridge.edit.key_fit import basis, fitted, frame_velocities
from muybridge.edit.key_motion import evaluate
from muybridge.edit.key_segments import steps
from muybridge.edit.keyed import KeyedClip, Way
from muybridge.errors import InputError
from muybridge.geometry.rotation import geodesic_angle, unroll
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip

__all__ = ["Reduction", "key_clip", "reduction", "uniform_keys"]

LENGTHS = (*range(1, 17), 18, 21, 24, 28, 32, 37, 43, 49, 56, 64, 74, 85, 98, 112, 128)  # frames
SAMPLES = 16  # frames at which a longer segment is compared
SEARCH = 9  # halvings of the range of the factor
RANGE = (2.0**-6, 2.0**3)  # of the factor
REPAIRS = 12  # rounds in which keys are added where an angle is too large
STILL = 1e-9  # radians or metres by which a track that does not move may move
LEAST = 1e-3  # metres that hang from a joint at least


@dataclass(frozen=True)
class Reduction:
    """What keys save and what they cost.

    Attributes:
        keys: Number of keys of all tracks.
        poses: Number of values they replace: frames times tracks that are not end sites.
        error: Largest distance of any joint from where it was, metres.
        rms: Root mean square of these distances, metres.
        angle: Largest angle between a joint's local rotations, radians.
    """

    keys: int
    poses: int
    error: float
    rms: float
    angle: float


def reduction(clip: Clip, keyed: KeyedClip) -> Reduction:
    """Measure keys against the clip they were made from."""
    again = evaluate(keyed)
    apart = (forward_clip(again).positions - forward_clip(clip).positions).norm(dim=-1)
    angle = geodesic_angle(again.rotations, clip.rotations)
    tracks = sum(not tip for tip in clip.skeleton.end_sites) + 1
    tracks += 0 if clip.translations is None else len(clip.skeleton) - 1
    return Reduction(
        keyed.count(),
        len(clip) * tracks,
        float(apart.max()),
        float(apart.square().mean().sqrt()),
        float(angle.max()),
    )


def key_clip(
    clip: Clip, error: float = 0.002, angle: float = radians(1.0), way: Way = "smooth"
) -> KeyedClip:
    """Few keys that play as the clip does, within an error.

    Args:
        clip: All poses known.
        error: How far any joint may be from where it was, metres, in any frame.
        angle: How far any joint's local rotation may be off, radians.
        way: "smooth" for curves with fitted velocities, "linear" for slerp.
    Raises:
        InputError: If poses are missing or the limits cannot be used.
    """
    _check(clip, error, angle, way)
    tables = _tables(clip, way)
    reach = _reach(clip)
    best = _keyed(clip, tables, [0.0] * len(tables), way)
    low, high = RANGE
    for _ in range(SEARCH):
        factor = (low * high) ** 0.5
        limits: list[Tensor | float] = [factor * error] * len(tables)
        limits[0] = (factor * error / reach).clamp_max(angle)
        found = _within_angle(clip, tables, limits, angle, way)
        measured = reduction(clip, found)
        if measured.error <= error and measured.angle <= angle:
            low, best = factor, min(best, found, key=KeyedClip.count)
        else:
            high = factor
    return best


def uniform_keys(clip: Clip, step: int, way: Way = "smooth") -> KeyedClip:
    """A key every so many frames and on the last: what key reduction is measured against.

    Joints that never move get one key, as everywhere. Velocities are fitted as in `key_clip`.

    Args:
        clip: All poses known.
        step: Frames from key to key.
        way: "smooth" or "linear".
    """
    _check(clip, 1.0, 1.0, way)
    if step < 1:
        raise InputError(f"expected at least one frame from key to key, got {step}; give 1 or more")
    tables = _tables(clip, way, ())
    every = torch.arange(len(clip)) % step == 0
    every[-1] = True
    keys = [every.unsqueeze(-1) & (table.still > STILL) for table in tables]
    for marks in keys:
        marks[0] = True
    return _from_keys(clip, tables, keys, way)


def _check(clip: Clip, error: float, angle: float, way: Way) -> None:
    if way not in ("smooth", "linear"):
        raise InputError(f"expected the way smooth or linear, got {way!r}; choose one")
    if not error > 0.0 or not angle > 0.0:
        raise InputError(
            f"expected limits above 0, got {error:g} m and {angle:g} rad; give what may be lost"
        )
    parts = (clip.rotations, clip.root, clip.local_translations())
    lost = torch.stack([~torch.isfinite(part).flatten(1).all(1) for part in parts]).any(0)
    if len(clip) == 0 or bool(lost.any()):
        raise InputError(
            f"expected a clip whose poses are all known, got {int(lost.sum())} of {len(clip)} "
            "frames without; fill the gaps or cut them off first"
        )


class _Table(NamedTuple):
    """Tracks of one kind, and the error of every segment that could be one of theirs.

    Attributes:
        values: Rotations or positions.
        costs: Error of the segment of each length that begins at each frame; infinite past the end.
        still: Largest step from the first value.
    """

    values: Float[Tensor, "t j n"]
    costs: Float[Tensor, "a t j"]
    still: Float[Tensor, "j"]


def _tables(clip: Clip, way: Way, lengths: tuple[int, ...] = LENGTHS) -> list[_Table]:
    """Of the rotations, of the root's path and, where joints move, of their places."""
    rotations = unroll(torch.nn.functional.normalize(clip.rotations.double(), dim=-1))
    kinds = [rotations, clip.root.double().unsqueeze(1)]
    if clip.translations is not None:
        kinds.append(clip.local_translations().double())
    return [
        _Table(
            values,
            _costs(values, clip.fps, way, lengths),
            steps(values[:1].expand_as(values), values).norm(dim=-1).amax(0),
        )
        for values in kinds
    ]


def _costs(
    values: Float[Tensor, "t j n"], fps: float, way: Way, lengths: tuple[int, ...]
) -> Float[Tensor, "a t j"]:
    """Error of every segment, in radians or metres, compared at all of its frames or at some."""
    velocities = frame_velocities(values, fps)
    costs = values.new_full((len(lengths), *values.shape[:2]), float("inf"))
    for row, length in zip(costs, lengths, strict=True):
        if length >= len(values):
            break
        starts = len(values) - length
        start, end = values[:starts], values[length:]
        turn = steps(start, end)
        leave, arrive = velocities[:starts] / fps, velocities[length:] / fps
        if values.shape[-1] == 4:
            arrive = (jacobian_inverse(turn) @ arrive.unsqueeze(-1)).squeeze(-1)
        worst = torch.zeros_like(row[:starts])
        for frame in _compared(length):
            wanted = steps(start, values[frame : frame + starts])
            share, left, right = basis(torch.tensor(frame / length, dtype=values.dtype))
            if way == "linear":
                found = frame / length * turn
            else:
                found = share * turn + length * (left * leave + right * arrive)
            worst = torch.maximum(worst, (found - wanted).norm(dim=-1))
        row[:starts] = worst
    return costs


def _compared(length: int) -> list[int]:
    """Frames inside a segment at which its error is taken."""
    inside = np.linspace(1, length - 1, min(length - 1, SAMPLES)).round().astype(int)
    return sorted(set(inside.tolist()))


def _keyed(clip: Clip, tables: list[_Table], limits: list[Tensor | float], way: Way) -> KeyedClip:
    keys = [_shortest(table, limit) for table, limit in zip(tables, limits, strict=True)]
    return _from_keys(clip, tables, keys, way)


def _within_angle(
    clip: Clip, tables: list[_Table], limits: list[Tensor | float], angle: float, way: Way
) -> KeyedClip:
    """Keys by the limits, and one more in every segment whose rotation is still off by too much.

    A long segment is compared at some frames only, and least squares may make a frame worse.
    """
    keys = [_shortest(table, limit) for table, limit in zip(tables, limits, strict=True)]
    for _ in range(REPAIRS):
        found = _from_keys(clip, tables, keys, way)
        off = geodesic_angle(evaluate(found).rotations, clip.rotations)
        if not bool((off > angle).any()):
            break
        keys[0] = keys[0] | _worst(off, keys[0]) & (off > angle)
    return found


def _worst(off: Float[Tensor, "t j"], keys: Bool[Tensor, "t j"]) -> Bool[Tensor, "t j"]:
    """The worst frame of each segment of each track."""
    segments = keys.long().cumsum(0) - 1
    most = torch.zeros_like(off).scatter_reduce(0, segments, off, "amax", include_self=False)
    return off == most.gather(0, segments)


def _shortest(table: _Table, limit: Tensor | float) -> Bool[Tensor, "t j"]:
    """Frames to make keys of: the fewest, and among these the least error.

    Walks over the end frame of the path; each step looks at all lengths and tracks at once.
    """
    costs, (frames, tracks) = table.costs.numpy(), table.values.shape[:2]
    most = np.broadcast_to(np.asarray(limit), (tracks,)).astype(float)
    scaled = costs / np.maximum(most, 1e-300)
    scaled = np.where(
        (costs <= most) | (costs == 0.0), 1.0 + 1e-6 * np.minimum(scaled, 1.0), np.inf
    )
    lengths = np.array(LENGTHS)
    total = np.zeros((frames, tracks))
    came = np.zeros((frames, tracks), dtype=np.int64)
    for frame in range(1, frames):
        fits = lengths[lengths <= frame]
        starts = frame - fits
        sums = total[starts] + scaled[np.arange(len(fits)), starts]
        choice = sums.argmin(0)
        total[frame] = sums[choice, np.arange(tracks)]
        came[frame] = starts[choice]
    keys = np.zeros((frames, tracks), dtype=bool)
    at, columns = np.full(tracks, frames - 1), np.arange(tracks)
    while at.any():
        keys[at, columns] = True
        at = came[at, columns]
    keys[:, (table.still.numpy() <= np.maximum(most, STILL))] = False
    keys[0] = True
    return torch.from_numpy(keys)


def _from_keys(
    clip: Clip, tables: list[_Table], keys: list[Bool[Tensor, "t j"]], way: Way
) -> KeyedClip:
    tracks = [
        fitted(table.values, marks, clip.fps, way)
        for table, marks in zip(tables, keys, strict=True)
    ]
    return KeyedClip(
        clip.skeleton,
        tracks[0],
        tracks[1][0],
        clip.fps,
        len(clip),
        clip.name,
        tracks[2] if len(tracks) > 2 else None,
        clip.position_std,
        clip.contacts,
        clip.filled,
        clip.captions,
    )


def _reach(clip: Clip) -> Float[Tensor, "j"]:
    """How far what hangs from each joint ever is from it, metres: what its angle moves by."""
    positions = forward_clip(clip).positions
    reach = torch.full((len(clip.skeleton),), LEAST, dtype=torch.float64)
    for joint in range(len(clip.skeleton)):
        above = clip.skeleton.parents[joint]
        while above >= 0:
            far = (positions[:, joint] - positions[:, above]).norm(dim=-1).max()
            reach[above] = torch.maximum(reach[above], far)
            above = clip.skeleton.parents[above]
    return reach
