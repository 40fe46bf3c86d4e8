"""Editing keys: move, insert, delete, and say how to go from one to the next.

All functions are pure: they return a new `KeyedClip` and leave the old one as it was, so that
undoing is keeping the old one. A track is named by its joint (its name, its index, or a part such
as left_hand), or by `ROOT_PATH` for the root's position.

Legend: k keys, t frames, j joints.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.rotation import check_rotations
from muybridge.edit.key_motion import evaluate
from muybridge.edit.key_reduction import Reduction, key_clip, reduction, uniform_keys
from muybridge.edit.key_segments import segments_of
from muybridge.edit.keyed import KeyedClip, Track, Way, track_of
from muybridge.errors import InputError
from muybridge.motion.humanoid import part

__all__ = [
    "ROOT_PATH", "KeyedClip", "Reduction", "Track", "Way", "delete_key", "evaluate", "insert_key",
    "key_clip", "key_near", "move_key", "reduction", "set_interpolation", "set_velocity", "track",
    "track_of", "uniform_keys",
]  # fmt: skip

ROOT_PATH = "root path"  # the name of the root's track of positions

Name = str | int


def track(keyed: KeyedClip, name: Name) -> Track:
    """The track of a joint, or the root's path.

    Raises:
        InputError: If there is no such joint.
    """
    return keyed.root if name == ROOT_PATH else keyed.rotations[_joint(keyed, name)]


def key_near(keyed: KeyedClip, name: Name, time: float) -> int:
    """Index of the key nearest to a time, seconds."""
    return int((track(keyed, name).times - time).abs().argmin())


def move_key(
    keyed: KeyedClip,
    name: Name,
    index: int,
    time: float | None = None,
    value: Float[Tensor, "n"] | None = None,
) -> KeyedClip:
    """Move a key in time, or change its value, or both.

    A key that gets a new value gets an automatic velocity: the old one belonged to the old shape.

    Args:
        keyed: Keys.
        name: Joint, or `ROOT_PATH`.
        index: Which key of its track.
        time: Where to, seconds; between the keys before and after.
        value: New unit quaternion (x, y, z, w), or position in metres.
    Raises:
        InputError: If there is no such key, or the time or value cannot be used.
    """
    old = track(keyed, name)
    at = _key(old, index)
    times, values, velocities = old.times.clone(), old.values, old.velocities
    if time is not None:
        _check_time(keyed, old, at, time)
        times[at] = time
    if value is not None:
        values = values.clone()
        values[at] = _value(old, value)
        velocities = velocities.clone()
        velocities[at] = float("nan")
    return _with(keyed, name, replace(old, times=times, values=values, velocities=velocities))


def insert_key(
    keyed: KeyedClip, name: Name, time: float, value: Float[Tensor, "n"] | None = None
) -> KeyedClip:
    """Add a key.

    Without a value it takes the curve's own value and velocity there: the curve hardly changes,
    and a path not at all.

    Args:
        keyed: Keys.
        name: Joint, or `ROOT_PATH`.
        time: Seconds, within the clip and not on a key.
        value: Unit quaternion (x, y, z, w), or position in metres.
    Raises:
        InputError: If the time or value cannot be used.
    """
    old = track(keyed, name)
    end = (keyed.frames - 1) / keyed.fps
    near = float((old.times - time).abs().min())
    if not 0.0 <= time <= end or near < 1e-9:
        raise InputError(
            f"expected the time of a new key between 0 and {end:g} s and not on a key, got "
            f"{time:g} s; choose another time or move the key there"
        )
    at = int((old.times < time).sum())
    new, speed = _value_at(old, time) if value is None else (_value(old, value), None)
    if speed is None:
        speed = torch.full((3,), float("nan"), dtype=old.velocities.dtype)
    here = old.times.new_tensor([time])
    way = old.ways[max(at - 1, 0)]
    grown = Track(
        torch.cat((old.times[:at], here, old.times[at:])),
        torch.cat((old.values[:at], new[None], old.values[at:])),
        torch.cat((old.velocities[:at], speed[None], old.velocities[at:])),
        (*old.ways[:at], way, *old.ways[at:]),
    )
    return _with(keyed, name, grown)


def delete_key(keyed: KeyedClip, name: Name, index: int) -> KeyedClip:
    """Remove a key; the last one of a track stays.

    Raises:
        InputError: If there is no such key, or it is the only one.
    """
    old = track(keyed, name)
    at = _key(old, index)
    if len(old) == 1:
        raise InputError(
            f"expected a track to keep a key, got the order to delete the only one of {name!r}; "
            "move it instead"
        )
    rest = [i for i in range(len(old)) if i != at]
    ways = tuple(old.ways[i] for i in rest)
    thinner = Track(old.times[rest], old.values[rest], old.velocities[rest], ways)
    return _with(keyed, name, thinner)


def set_interpolation(
    keyed: KeyedClip, name: Name, way: Way, index: int | None = None
) -> KeyedClip:
    """Say how to go on from a key, or from all keys of a track.

    Args:
        keyed: Keys.
        name: Joint, or `ROOT_PATH`.
        way: "stepped", "linear" or "smooth".
        index: From which key; None for all.
    Raises:
        InputError: If there is no such way or key.
    """
    if way not in get_args(Way):
        raise InputError(f"expected a way of {', '.join(get_args(Way))}, got {way!r}; choose one")
    old = track(keyed, name)
    only = None if index is None else _key(old, index)
    ways = tuple(way if only in (None, i) else kept for i, kept in enumerate(old.ways))
    return _with(keyed, name, replace(old, ways=ways))


def set_velocity(
    keyed: KeyedClip, name: Name, index: int, velocity: Float[Tensor, "3"] | None
) -> KeyedClip:
    """Give a key its own velocity, or None for an automatic one.

    Args:
        keyed: Keys.
        name: Joint, or `ROOT_PATH`.
        index: Which key.
        velocity: Angular, in the joint's own frame, radians a second; or metres a second.
    """
    old = track(keyed, name)
    velocities = old.velocities.clone()
    velocities[_key(old, index)] = float("nan") if velocity is None else velocity.to(velocities)
    return _with(keyed, name, replace(old, velocities=velocities))


def _joint(keyed: KeyedClip, name: Name) -> int:
    if isinstance(name, str):
        return part(keyed.skeleton, name)
    if not 0 <= name < len(keyed.skeleton):
        raise InputError(
            f"expected a joint from 0 to {len(keyed.skeleton) - 1}, got {name}; count from 0"
        )
    return name


def _key(old: Track, index: int) -> int:
    """Index from the start of the track; negative ones count from the end."""
    if not -len(old) <= index < len(old):
        raise InputError(
            f"expected a key from 0 to {len(old) - 1}, got {index}; this track has {len(old)}"
        )
    return index % len(old)


def _check_time(keyed: KeyedClip, old: Track, at: int, time: float) -> None:
    low = float(old.times[at - 1]) if at else None
    high = float(old.times[at + 1]) if at + 1 < len(old) else None
    end = (keyed.frames - 1) / keyed.fps
    late = time <= low if low is not None else time < 0.0
    early = time >= high if high is not None else time > end + 1e-9
    if late or early or time != time:
        raise InputError(
            f"expected a time between {0.0 if low is None else low:g} and "
            f"{end if high is None else high:g} s, got {time:g}; delete the key in between first"
        )


def _value(old: Track, value: Tensor) -> Tensor:
    if value.shape != old.values.shape[1:]:
        raise InputError(
            f"expected {old.values.shape[1]} numbers for this key, got {tuple(value.shape)}; give "
            "a quaternion to a rotation and x, y, z to a path"
        )
    value = value.to(old.values)
    if old.turns:
        return check_rotations(old.times[:1], value[None], 1, "keyed")[0]
    return value


def _value_at(old: Track, time: float) -> tuple[Tensor, Tensor]:
    """Value and velocity of the curve; only a smooth segment has a velocity to keep."""
    curve, at = segments_of((old,)), old.times.new_tensor([time])
    return curve(at)[0, 0], curve.velocity(at)[0, 0]


def _with(keyed: KeyedClip, name: Name, new: Track) -> KeyedClip:
    if name == ROOT_PATH:
        return replace(keyed, root=new)
    joint = _joint(keyed, name)
    tracks = keyed.rotations
    return replace(keyed, rotations=(*tracks[:joint], new, *tracks[joint + 1 :]))
