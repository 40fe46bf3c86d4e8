"""Names for a recording whose points have none: find a known pose in it and follow from there.

T frames, P points, M markers. World frame: metres, Y up.
"""

from __future__ import annotations

import re

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.markers.label import label, match_pose
from muybridge.capture.markers.sets import FULL_BODY, places
from muybridge.errors import InputError
from muybridge.motion.body import template
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.markers import Markers

__all__ = ["is_nameless", "named", "t_pose"]

NAMELESS = re.compile(
    r"[*\s]*(u|c|p|m|mk|point|traj\w*|track|marker|unlabell?ed|unnamed|unknown)?[ _:*-]*\d+",
    re.IGNORECASE,
)
SHARE = 0.9  # of the labels that must look like numbers
LOOKED_AT = 12  # frames in which the pose is looked for
SECONDS = 3.0  # from the start, where people stand in T-pose


def is_nameless(names: tuple[str, ...]) -> bool:
    """True where the labels are mere numbers: "*12", "point3", "Unlabeled 7"."""
    return sum(bool(NAMELESS.fullmatch(name)) for name in names) >= SHARE * len(names)


def t_pose() -> Markers:
    """The full-body set on an average person who stands in T-pose, as one frame."""
    body = template(HALPE_26)
    joints, offsets = places(body.skeleton, tuple(FULL_BODY), 1.75)
    points = body.skeleton.rest_positions().double()[list(joints)] + offsets
    return Markers(tuple(FULL_BODY), points.unsqueeze(0), 1.0)


def named(points: Markers, reference: Markers | None = None) -> Markers:
    """Give points the names of a reference.

    Args:
        points: Points without meaningful names; tracks may break off and go on elsewhere.
        reference: Labelled markers of the same person in a pose that the recording shows in its
            first three seconds; the frame that shows most of them is used. The full-body set in
            T-pose when None.
    Raises:
        InputError: If no frame shows that pose.
    """
    pose = _best_frame(reference or t_pose())
    names = (reference or t_pose()).names
    world = points.points_world.to(torch.float64)
    seen = world.isfinite().all(-1).sum(1)
    last = min(len(world), max(1, round(SECONDS * points.fps)))
    some = torch.linspace(0, last - 1, min(LOOKED_AT, last)).round().long().unique().tolist()
    found, start = None, 0
    for frame in sorted(some, key=lambda t: (-int(seen[t]), t)):
        try:
            trial = match_pose(pose, world[frame])
        except InputError:
            continue
        if found is None or _known(trial) > _known(found):
            found, start = trial, frame
        if _known(trial) == len(pose):
            break
    if found is None:
        raise InputError(
            f"expected labelled markers, or the pose of the reference ({len(pose)} markers) in the "
            f"first {SECONDS:g} s, got {len(points.names)} nameless points in another pose; start "
            "in a T-pose, label the points, or give a labelled recording of the same markers"
        )
    return label(world, points.fps, names, found, start).markers


def _known(pose: Float[Tensor, "m 3"]) -> int:
    return int(pose.isfinite().all(-1).sum())


def _best_frame(reference: Markers) -> Float[Tensor, "m 3"]:
    """The frame that shows most markers."""
    best = int(reference.seen.sum(1).argmax())
    return reference.points_world[best].to(torch.float64)
