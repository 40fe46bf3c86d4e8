"""From a pose a frame to few keys: the fewest that stay within an error that is stated.

Each joint gets keys of its own, on its own frames. Between two frames that are made keys, with the
velocities of the motion there, the curve is known; so the error of every possible segment can be
tabulated, and the fewest segments that reach from the first frame to the last, none off by more
than a tolerance, are a shortest path. How much of the error each joint may use is then searched:
its angle times the length of what hangs from it, scaled by one factor for all. Where the whole
body, measured in the world, still does not keep to the error, the joint to blame gets a key more.

Legend: t frames, j tracks, a lengths of segments, n components of a value.

References:
    Schneider, An algorithm for automatically fitting digitized curves, Graphics Gems, 1990.
    Lim & Thalmann, Key-posture extraction out of human motion data, 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, radians
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
from muybridge.motion.skeleton import Skeleton

__all__ = ["Reduction", "key_clip", "reduction", "uniform_keys"]

LENGTHS = (*range(1, 17), 18, 21, 24, 28, 32, 37, 43, 49, 56, 64, 74, 85, 98, 112, 128)  # frames
SAMPLES = 16  # frames at which a longer segment is compared
FACTORS = (1.6, 1.3, 1.1, 0.9, 0.7, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02)  # tried in this order
FINEST = 1e-6  # metres or radians: less is not reached before every frame is a key
REPAIRS = 12  # rounds in which keys are added where the error is too large
NEAR = 4  # frames on either side that a key mends
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
    tables, reach, most = _tables(clip, way), _reach(clip), _Limits(error, angle, way)
    best: KeyedClip | None = None
    for factor in FACTORS:
        limits: list[Tensor | float] = [factor * error] * len(tables)
        limits[0] = (factor * error / reach).clamp_max(angle)
        found = _repaired(clip, tables, limits, most)
        measured = reduction(clip, found)
        if measured.error > error or measured.angle > angle:
            continue
        if best is not None and found.count() >= best.count():
            break
        best = found
    return _keyed(clip, tables, [0.0] * len(tables), way) if best is None else best


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
    if not (FINEST <= error < inf and FINEST <= angle < inf):
        raise InputError(
            f"expected finite limits above 0, {FINEST:g} m and rad at least, got {error:g} m and "
            f"{angle:g} rad; give what may be lost"
        )
    parts = (clip.rotations, clip.root, clip.local_translations())
    lost = torch.stack([~torch.isfinite(part).flatten(1).all(1) for part in parts]).any(0)
    if len(clip) == 0 or bool(lost.any()):
        raise InputError(
            f"expected a clip whose poses are all known, got {int(lost.sum())} of {len(clip)} "
            "frames without; fill the gaps or cut them off first"
        )


class _Limits(NamedTuple):
    """What may be lost, metres and radians, and the way between keys."""

    error: float
    angle: float
    way: Way


class _Table(NamedTuple):
    """Tracks of one kind, and the error of every segment that could be one of theirs.

    Attributes:
        values: Rotations or positions.
        lengths: Frames of the segments compared.
        costs: Error of the segment of each length that begins at each frame; infinite past the end.
        still: Largest step from the first value.
    """

    values: Float[Tensor, "t j n"]
    lengths: tuple[int, ...]
    costs: Float[Tensor, "a t j"]
    still: Float[Tensor, "j"]


def _tables(clip: Clip, way: Way, lengths: tuple[int, ...] = LENGTHS) -> list[_Table]:
    """Of the rotations, of the root's path and, where joints move, of their places."""
    rotations = unroll(torch.nn.functional.normalize(clip.rotations.double(), dim=-1))
    kinds = [rotations, clip.root.double().unsqueeze(1)]
    whole = len(clip) - 1
    lengths = tuple(sorted({*lengths, whole})) if lengths and whole > 0 else lengths
    if clip.translations is not None:
        kinds.append(clip.local_translations().double())
    tables = []
    for values in kinds:
        still = steps(values[:1].expand_as(values), values).norm(dim=-1).amax(0)
        moving = still > STILL
        costs = values.new_zeros(len(lengths), *values.shape[:2])
        costs[..., moving] = _costs(values[:, moving], clip.fps, way, lengths)
        tables.append(_Table(values, lengths, costs, still))
    return tables


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


def _repaired(
    clip: Clip, tables: list[_Table], limits: list[Tensor | float], most: _Limits
) -> KeyedClip:
    """Keys by the limits, and more where a joint is still off by too much.

    A long segment is compared at some frames only, least squares may make a frame worse, and the
    errors of a chain of joints add up.
    """
    keys = [_shortest(table, limit) for table, limit in zip(tables, limits, strict=True)]
    world = forward_clip(clip).positions
    for _ in range(REPAIRS):
        found = _from_keys(clip, tables, keys, most.way)
        again = evaluate(found)
        off = geodesic_angle(again.rotations, clip.rotations)
        apart = (forward_clip(again).positions - world).norm(dim=-1)
        bad = off > most.angle
        if not bool(bad.any()) and not bool((apart > most.error).any()):
            break
        slid = (again.root - clip.root).norm(dim=-1)
        turned, moved = _blamed(_above(clip.skeleton), world, (off, slid), apart, most.error)
        keys[0] = keys[0] | _worst(off, keys[0]) & bad | turned
        keys[1] = keys[1] | moved.unsqueeze(-1)
    return found


def _blamed(
    above: Bool[Tensor, "j j"],
    world: Float[Tensor, "t j 3"],
    off: tuple[Float[Tensor, "t j"], Float[Tensor, "t"]],
    apart: Float[Tensor, "t j"],
    error: float,
) -> tuple[Bool[Tensor, "t j"], Bool[Tensor, "t"]]:
    """Where a joint is too far from its place, the joint above it that moves it most, or the path.

    Only at frames that are the worst of their neighbourhood: a key mends its surroundings too.
    """
    worst, joint = apart.max(1)
    peak = torch.nn.functional.max_pool1d(worst[None, None], 2 * NEAR + 1, 1, NEAR)[0, 0]
    frames = torch.nonzero((worst > error) & (worst == peak)).flatten()
    at = joint[frames]
    arm = (world[frames] - world[frames, at].unsqueeze(1)).norm(dim=-1)
    share = torch.where(above[at], arm * off[0][frames], 0.0)
    choice = torch.cat((share, off[1][frames].unsqueeze(-1)), dim=1).argmax(1)
    marks = torch.zeros(len(world), world.shape[1] + 1, dtype=torch.bool)
    marks[frames, choice] = True
    return marks[:, :-1], marks[:, -1]


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
    lengths = np.array(table.lengths)
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
    clip: Clip, tables: list[_Table], keys: list[Bool[Tensor, "t _"]], way: Way
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


def _above(skeleton: Skeleton) -> Bool[Tensor, "j j"]:
    """Row of a joint: True for the joints whose rotations move it."""
    above = torch.zeros(len(skeleton), len(skeleton), dtype=torch.bool)
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        above[joint] = above[parent]
        above[joint, parent] = True
    return above


def _reach(clip: Clip) -> Float[Tensor, "j"]:
    """How far what hangs from each joint ever is from it, metres: what its angle moves by."""
    positions, above = forward_clip(clip).positions, _above(clip.skeleton)
    reach = torch.full((len(clip.skeleton),), LEAST, dtype=torch.float64)
    for joint, over in enumerate(above):
        far = (positions[:, over] - positions[:, joint : joint + 1]).norm(dim=-1).amax(0)
        reach[over] = torch.maximum(reach[over], far)
    return reach
