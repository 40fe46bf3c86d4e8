"""Rigid segments among labelled markers, found by their names and by distances that do not change.

T frames, M markers. World frame: metres, NaN where unseen.

References:
    Kirk, O'Brien & Forsyth, Skeletal parameter estimation from optical motion capture data, CVPR
    2005 (segments by the spread of distances).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.markers import Markers

__all__ = ["Segment", "distance_spread", "find_segments"]

RIGID = 0.006  # metres: distances within a segment vary less, skin and all
NAMED = 0.015  # metres: the same where the labels say that the markers belong together
TOGETHER = 10  # frames in which two markers must both be seen
STEM = re.compile(r"[ _-]*(?:marker|mk|m)?[ _-]*\d+$", re.IGNORECASE)


class Segment(NamedTuple):
    """Markers that move as one rigid body."""

    name: str
    markers: tuple[int, ...]


def distance_spread(points: Float[Tensor, "t m 3"]) -> Float[Tensor, "m m"]:
    """Robust standard deviation of all distances over time, metres; infinite if never together."""
    spread = torch.full((points.shape[1],) * 2, torch.inf, dtype=points.dtype)
    for first in range(points.shape[1]):
        distance = (points[:, first:] - points[:, [first]]).norm(dim=-1)
        middle = distance.nanmedian(dim=0).values
        deviation = 1.4826 * (distance - middle).abs().nanmedian(dim=0).values
        enough = distance.isfinite().sum(0) >= TOGETHER
        spread[first, first:] = torch.where(enough, deviation, torch.inf)
    spread = torch.minimum(spread, spread.mT)
    return spread.fill_diagonal_(0.0)


def find_segments(markers: Markers) -> tuple[Segment, ...]:
    """Groups of at least three markers that move as rigid bodies, in the order of their markers.

    Labels that share a stem ("ArmL1", "ArmL2", "ArmL3"; "Foot_Marker1") are one segment if their
    distances allow it; the other markers are grouped by their distances alone.

    Raises:
        InputError: If there is no such group.
    """
    spread = distance_spread(markers.points_world.to(torch.float64))
    found = _named(markers.names, spread)
    taken = {m for segment in found for m in segment.markers}
    rest = [m for m in range(len(markers.names)) if m not in taken]
    found += _clustered(markers.names, rest, spread)
    if not found:
        raise InputError(
            "expected three markers that keep their distances (a rigid segment), or the labels of "
            f"a full-body set (LASI, LKNE, ...), got {len(markers.names)} markers without either; "
            "put three markers on each segment or name them"
        )
    return tuple(sorted(found, key=lambda segment: segment.markers))


def _named(names: tuple[str, ...], spread: Tensor) -> list[Segment]:
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        stem = STEM.sub("", name)
        if stem and stem != name:
            groups.setdefault(stem, []).append(index)
    return [
        Segment(stem.split(":")[-1], tuple(group))
        for stem, group in groups.items()
        if len(group) >= 3 and float(spread[group][:, group].max()) < NAMED
    ]


def _clustered(names: tuple[str, ...], rest: list[int], spread: Tensor) -> list[Segment]:
    if len(rest) < 3:
        return []
    table: np.ndarray = spread[rest][:, rest].clamp_max(1e3).numpy()
    groups = fcluster(linkage(squareform(table, checks=False), "complete"), RIGID, "distance")
    found = []
    for label in sorted(set(groups.tolist())):
        group = [m for m, own in zip(rest, groups, strict=True) if own == label]
        if len(group) >= 3:
            found.append(Segment(f"{names[group[0]].split(':')[-1]}_segment", tuple(group)))
    return found
