"""Boards on film: cameras that run late, and where a corner was between two frames.

C cameras, V frames, N corners. Cheap cameras started together still expose up to a frame apart; a
board that is moved while it is filmed then seems to be in two places at once. Delays are found
with the poses (`geometry.bundle`), and the corner tracks are read at the delayed time.
"""

from __future__ import annotations

import itertools
from math import gcd

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.sightings import Sightings

__all__ = ["in_film_order", "sample_tracks"]


def in_film_order(sightings: Sightings) -> Sightings:
    """Sort instants by their frame numbers and fill in the missing ones, so that steps are even.

    Instants whose names are no numbers cannot be ordered and are returned as they are.
    """
    if not all(name.isdecimal() for name in sightings.instants) or len(sightings.instants) < 2:
        return sightings
    numbers = [int(name) for name in sightings.instants]
    ordered = sorted(numbers)
    step = gcd(*(b - a for a, b in itertools.pairwise(ordered)))
    if step == 0:
        return sightings
    count = (ordered[-1] - ordered[0]) // step + 1
    names = dict(zip(numbers, sightings.instants, strict=True))
    grid = [ordered[0] + step * i for i in range(count)]
    points = sightings.points_px
    film = torch.full((points.shape[0], count, *points.shape[2:]), torch.nan, dtype=points.dtype)
    film[:, [(number - ordered[0]) // step for number in numbers]] = points
    instants = tuple(names.get(number, str(number)) for number in grid)
    return Sightings(sightings.cameras, sightings.board, instants, film)


def sample_tracks(sightings: Sightings, delay_frames: Float[Tensor, "c"]) -> Sightings:
    """Read every camera's corner tracks at frame v + delay instead of v.

    A cubic Hermite spline runs through the frames; where a track begins or ends its slope is that
    of the nearest two frames, and outside it is NaN.

    Args:
        sightings: In film order.
        delay_frames: One a camera.

    Returns:
        Sightings with the pixels at the delayed times and their velocities, pixels a frame.
    """
    points, velocity = [], []
    for track, delay in zip(sightings.points_px, delay_frames.tolist(), strict=True):
        whole = int(torch.tensor(delay).floor())
        before, start, end, after = (_shifted(track, whole + k) for k in (-1, 0, 1, 2))
        chord = end - start
        slope_start = ((end - before) / 2.0).where(before.isfinite(), chord)
        slope_end = ((after - start) / 2.0).where(after.isfinite(), chord)
        fraction = delay - whole
        if fraction == 0.0:  # a frame itself: needs no neighbour
            backwards = (start - before).nan_to_num(0.0)
            points.append(start)
            velocity.append(slope_start.where(slope_start.isfinite(), backwards))
            continue
        bend, lift = slope_start - chord, slope_end - chord
        f, g = fraction, 1.0 - fraction
        points.append(start + f * chord + f * g * (g * bend - f * lift))
        velocity.append(chord + (1.0 - 4.0 * f + 3.0 * f * f) * bend + (3.0 * f - 2.0) * f * lift)
    return Sightings(
        sightings.cameras,
        sightings.board,
        sightings.instants,
        torch.stack(points),
        torch.stack(velocity),
    )


def _shifted(track: Float[Tensor, "v n 2"], frames: int) -> Float[Tensor, "v n 2"]:
    """The track `frames` later; NaN beyond its ends."""
    moved = torch.full_like(track, torch.nan)
    count = len(track)
    if abs(frames) >= count:
        return moved
    if frames >= 0:
        moved[: count - frames] = track[frames:]
    else:
        moved[-frames:] = track[:frames]
    return moved
