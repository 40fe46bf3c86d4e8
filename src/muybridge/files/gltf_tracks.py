"""Animation tracks of glTF: their keys, their interpolation, and one frame grid for all.

T frames, K keys, N components.

References:
    Khronos Group, glTF 2.0 Specification, 2021, section 3.11 and appendix C.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64

from muybridge.errors import InputError
from muybridge.geometry.rotation import matrix_from_quaternion, slerp

__all__ = ["Track", "frame_grid", "sample", "trs_matrices"]

RATES = (24.0, 25.0, 30.0, 50.0, 60.0, 100.0, 120.0, 240.0)  # frames/s that programs export
SLOWEST = 10.0  # frames/s; keys further apart are poses to blend, not frames
MOST_FRAMES = 10_000_000
KEY = 1e-3  # part of a key spacing within which a time is that of the key: float32 is no grid
COMPONENTS = {"translation": 3, "rotation": 4, "scale": 3}


class Track(NamedTuple):
    """Keys of one property of one node."""

    node: int
    path: str  # translation, rotation or scale
    interpolation: str
    times: Float64[np.ndarray, "k"]  # seconds
    values: Float64[np.ndarray, "n c"]  # one row a key; three (in, value, out) for CUBICSPLINE


def frame_grid(
    tracks: list[Track], fps: Any, frames: Any
) -> tuple[Float64[np.ndarray, "t"], float]:
    """Times of the frames, seconds, and the frame rate.

    The rate is the file's own statement; else the one at which every key falls on a frame: that of
    the commonest key spacing, then the usual ones; else 60.
    """
    for track in tracks:
        _check(track)
    keys = np.unique(np.concatenate([track.times for track in tracks]))
    start, span = keys[0], keys[-1] - keys[0]
    stated = isinstance(fps, int | float) and np.isfinite(fps) and 0.0 < fps < 1e6
    rate = float(fps) if stated else _rate(keys - start)
    count = round(span * rate) + 1
    if stated and isinstance(frames, int) and abs(frames - count) <= 1:
        count = frames
    if not 0 < count <= MOST_FRAMES:
        raise InputError(f"expected at most {MOST_FRAMES} frames, got {count}; check the key times")
    return start + np.arange(count) / rate, rate


def _rate(keys: Float64[np.ndarray, "k"]) -> float:
    gaps = np.diff(keys)
    gaps = gaps[gaps > 1e-4]
    guesses = list(RATES)
    if len(gaps):
        rate = 1.0 / float(np.median(gaps))
        whole = float(round(rate))
        guesses.insert(0, whole if abs(rate - whole) < 2e-3 * rate else rate)
    for guess in guesses:
        frames = keys * guess
        if guess >= SLOWEST and np.abs(frames - np.rint(frames)).max() < 0.02:
            return guess
    return 60.0


def _check(track: Track) -> None:
    rows = len(track.times) * (3 if track.interpolation == "CUBICSPLINE" else 1)
    wanted = (rows, COMPONENTS[track.path])
    if track.interpolation not in ("LINEAR", "STEP", "CUBICSPLINE") or track.values.shape != wanted:
        raise InputError(
            f"expected {wanted} numbers for a {track.interpolation} {track.path} track, got "
            f"{track.values.shape}; export again"
        )
    if len(track.times) > 1 and not (np.diff(track.times) > 0.0).all():
        raise InputError("expected key times that increase, got others; export again")


def sample(track: Track, times: Float64[np.ndarray, "t"]) -> Float64[np.ndarray, "t c"]:
    """Values of a track at any times; before the first key the first, after the last the last."""
    keys, values = track.times, track.values
    cubic = track.interpolation == "CUBICSPLINE"
    if len(keys) == 1:
        return np.repeat(values[1:2] if cubic else values, len(times), axis=0)
    low = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 2)
    width = keys[low + 1] - keys[low]
    part = np.clip((times - keys[low]) / width, 0.0, 1.0)
    near = np.rint(part)
    part = np.where(np.abs(part - near) < KEY, near, part)
    if track.interpolation == "STEP":
        return values[np.where(part >= 1.0, low + 1, low)]
    part = part[:, None]
    if cubic:
        return _hermite(values, low, width[:, None], part)
    if track.path != "rotation":
        return (1.0 - part) * values[low] + part * values[low + 1]
    a, b = (
        torch.nn.functional.normalize(torch.from_numpy(values[i]), dim=-1) for i in (low, low + 1)
    )
    return slerp(a, b, torch.from_numpy(part[:, 0])).numpy()


def _hermite(values: Any, low: Any, width: Any, s: Any) -> Float64[np.ndarray, "t c"]:
    start, leave = values[3 * low + 1], width * values[3 * low + 2]
    end, arrive = values[3 * low + 4], width * values[3 * low + 3]
    return (
        (2 * s**3 - 3 * s**2 + 1) * start
        + (s**3 - 2 * s**2 + s) * leave
        + (3 * s**2 - 2 * s**3) * end
        + (s**3 - s**2) * arrive
    )


def trs_matrices(
    translation: Float64[np.ndarray, "#t 3"],
    rotation: Float64[np.ndarray, "#t 4"],
    scale: Float64[np.ndarray, "#t 3"],
    frames: int,
) -> Float64[np.ndarray, "frames 4 4"]:
    """Affine matrices T R S; rotations are normalised first."""
    norms = np.linalg.norm(rotation, axis=-1, keepdims=True)
    if not (norms > 1e-6).all():
        raise InputError("expected unit quaternions, got one of length zero; export again")
    turn = matrix_from_quaternion(torch.from_numpy(rotation / norms)).numpy()
    matrices = np.zeros((frames, 4, 4))
    matrices[:, :3, :3] = turn * scale[:, None, :]
    matrices[:, :3, 3] = translation
    matrices[:, 3, 3] = 1.0
    return matrices
