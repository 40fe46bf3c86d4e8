"""What the report's page plays: positions, detections, errors and series in a compact form.

T shown frames (a long take is thinned out), C cameras, J triangulated joints, K solved joints.
Numbers travel as base64 little-endian integers in the units named here; the page knows the same.
"""

from __future__ import annotations

import re
from base64 import b64encode
from math import ceil
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.take import PersonTake, Take
from muybridge.motion.keypoints import COCO_PAIRS
from muybridge.motion.kinematics import forward_clip
from muybridge.studio.figure import figure, side_of
from muybridge.studio.measures import residuals
from muybridge.studio.pictures import Pictures

__all__ = ["MISSING", "SHOWN_FRAMES", "floor_m", "nearest_markers", "playback", "shown_frames"]

SHOWN_FRAMES = 2000
DETECTION_BYTES = 1_600_000
MISSING = -32768  # in 16-bit fields
UNKNOWN = 255  # in 8-bit fields
SUBPIXEL = 4  # 16-bit pixels are quarters: pictures up to 8191 px
LEG = (r"hip$|UpLeg$|[Tt]high$", r"knee$|[a-z]Leg$(?<!UpLeg)|[Ss]hin$", r"ankle$|Foot$")
TRACKED = r"ankle$|Foot$|wrist$|Hand$"


def shown_frames(take: Take, frame_count: int) -> tuple[int, ...]:
    """Which frames the page plays: all, or evenly thinned to keep the file small."""
    joints = sum(len(person.markers.names) for person in take.people)
    size = max(1, 4 * len(take.cameras) * joints)
    most = max(50, min(SHOWN_FRAMES, DETECTION_BYTES // size))
    return tuple(range(0, frame_count, max(1, ceil(frame_count / most))))


def playback(take: Take, pictures: Pictures, frame_count: int) -> dict[str, Any]:
    """Everything the page draws, ready for JSON."""
    frames = shown_frames(take, frame_count)
    index = torch.tensor(frames, dtype=torch.long)
    origin = _origin(take)
    return {
        "name": take.name,
        "fps": take.fps,
        "frames": list(frames),
        "frame_count": frame_count,
        "missing": MISSING,
        "unknown": UNKNOWN,
        "subpixel": SUBPIXEL,
        "origin_m": origin.tolist(),
        "floor_m": floor_m(take),
        "cameras": [_camera(take, c) for c in range(len(take.cameras))],
        "people": [_person(person, take, index, origin) for person in take.people],
        "pictures": {"frames": list(pictures.frames), "jpegs": [list(j) for j in pictures.jpegs]},
    }


def floor_m(take: Take) -> float:
    """Height of the ground: where the lowest joints of the feet usually are, metres."""
    lows = [forward_clip(p.clip).positions[..., 1].amin(-1) for p in take.people if len(p.clip)]
    if not lows:
        return 0.0
    low = torch.cat(lows)
    low = low[low.isfinite()]
    lowest = float(low.kthvalue(max(1, len(low) // 20)).values) if len(low) else 0.0
    return 0.0 if abs(lowest) < 0.25 else lowest - 0.04


def _origin(take: Take) -> Float[Tensor, "3"]:
    """A point near the action, so that 16 bits of millimetres reach everything."""
    roots = [p.clip.root for p in take.people if len(p.clip)]
    if not roots:
        return torch.zeros(3, dtype=torch.float64)
    return torch.cat(roots).nan_to_num().median(0).values.to(torch.float64)


def _camera(take: Take, c: int) -> dict[str, Any]:
    cameras, video = take.cameras, take.videos[c]
    width, height = cameras.size_px[c].tolist()
    return {
        "name": cameras.names[c],
        "width": video.width if video else width,
        "height": video.height if video else height,
        "matrix": cameras.matrix[c].flatten().tolist(),
        "distortion": cameras.distortion[c].tolist(),
        "rotation": cameras.rotation[c].flatten().tolist(),
        "translation": cameras.translation[c].tolist(),
    }


def _person(
    person: PersonTake, take: Take, index: Tensor, origin: Float[Tensor, "3"]
) -> dict[str, Any]:
    clip, markers = person.clip, person.markers
    index = index[index < len(clip)]
    pose = forward_clip(clip).positions
    found = residuals(person, take, samples=len(markers) or 1)
    nearest = nearest_markers(pose, person)
    order = [person.keypoints.joints.index(name) for name in markers.names]
    detected = person.keypoints.points_px[:, index, 0][:, :, order]
    names = list(markers.names)
    error_m = found.lengths_m.nanmean(0)[index]
    std = clip.position_std if clip.position_std is not None else markers.position_std
    if std is not None and clip.position_std is None:
        std = std[:, nearest]
    views = markers.views if markers.views is not None else person.keypoints.seen[:, :, 0].sum(0)
    return {
        "name": person.name,
        "count": len(index),
        "joints": list(clip.skeleton.names),
        "capsules": [
            [c.start, c.stop, round(c.start_m, 4), round(c.stop_m, 4), c.side, c.near, c.far]
            for c in figure(clip.skeleton)
        ],
        "points_mm": _shorts((pose[index] - origin) * 1000.0),
        "markers": names,
        "marker_points_mm": _shorts((markers.points_world[index] - origin) * 1000.0),
        "pairs": [
            [names.index(a), names.index(b)] for a, b in COCO_PAIRS if a in names and b in names
        ],
        "detections": _shorts(detected * SUBPIXEL),
        "error_mm": _bytes(error_m[:, nearest] * 1000.0),
        "std_mm": None if std is None else _bytes(std[index] * 1000.0),
        "views": _bytes(views.to(torch.float64)[index][:, nearest]),
        "filled": None if clip.filled is None else _bytes(clip.filled[index].to(torch.float64)),
        "series": _series(person, found.lengths_px, pose, index),
        "contacts": _contacts(person),
        "filled_runs": _filled(person),
    }


def nearest_markers(pose: Float[Tensor, "t k 3"], person: PersonTake) -> list[int]:
    """For each solved joint the marker of the same name, or the one that stays nearest to it."""
    names = [name.lower() for name in person.markers.names]
    some = torch.linspace(0, max(len(pose) - 1, 0), min(len(pose), 50)).round().long()
    apart = (pose[some].unsqueeze(2) - person.markers.points_world[some].unsqueeze(1)).norm(dim=-1)
    distance = apart.nanmean(0).nan_to_num(nan=torch.inf)
    return [
        names.index(name.lower()) if name.lower() in names else int(distance[k].argmin())
        for k, name in enumerate(person.clip.skeleton.names)
    ]


def _shorts(values: Tensor) -> str:
    array = values.to(torch.float64).numpy()
    whole = np.where(np.isfinite(array), np.clip(np.round(array), -32767, 32767), MISSING)
    return b64encode(np.ascontiguousarray(whole.astype("<i2")).tobytes()).decode()


def _bytes(values: Tensor) -> str:
    array = values.to(torch.float64).numpy()
    whole = np.where(np.isfinite(array), np.clip(np.round(array), 0, UNKNOWN - 1), UNKNOWN)
    return b64encode(np.ascontiguousarray(whole.astype(np.uint8)).tobytes()).decode()


def _rounded(values: Tensor, digits: int) -> list[float | None]:
    return [round(v, digits) if np.isfinite(v) else None for v in values.tolist()]


def _series(
    person: PersonTake, lengths_px: Float[Tensor, "c t j"], pose: Tensor, index: Tensor
) -> dict[str, Any]:
    clip, names = person.clip, list(person.clip.skeleton.names)
    speed = torch.zeros(len(clip), dtype=torch.float64)
    if len(clip) > 1:
        steps = clip.root.to(torch.float64).diff(dim=0).norm(dim=-1) * clip.fps
        speed = torch.cat((steps[:1], steps))
    seen = person.keypoints.seen[:, :, 0].sum(0).to(torch.float64)
    views = person.markers.views if person.markers.views is not None else seen
    heights = [n for n in names if re.search(TRACKED, n)]
    return {
        "residual_px": [_rounded(v, 2) for v in lengths_px.nanmean(-1)[:, index]],
        "height_m": {n: _rounded(pose[index, names.index(n), 1], 3) for n in heights[:6]},
        "knee_deg": {
            side: _rounded(angle[index], 1)
            for side in ("left", "right")
            if (angle := _flexion(pose, names, side)) is not None
        },
        "speed_m_s": _rounded(speed[index], 3),
        "views": _rounded(views.to(torch.float64).nanmean(-1)[index], 2),
    }


def _flexion(pose: Tensor, names: list[str], side: str) -> Tensor | None:
    """Knee flexion, degrees: 0 for a straight leg."""
    leg = [j for j, name in enumerate(names) if side_of(name) == side]
    found = [next((j for j in leg if re.search(p, names[j])), None) for p in LEG]
    if None in found:
        return None
    hip, knee, ankle = (pose[:, j] for j in found)
    return torch.rad2deg(
        torch.nn.functional.cosine_similarity(knee - hip, ankle - knee, dim=-1)
        .clamp(-1.0, 1.0)
        .acos()
    )


def _contacts(person: PersonTake) -> dict[str, list[list[int]]]:
    clip = person.clip
    if clip.contacts is None:
        return {}
    touched = [j for j in range(len(clip.skeleton)) if bool(clip.contacts[:, j].any())]
    return {clip.skeleton.names[j]: _runs(clip.contacts[:, j]) for j in touched}


def _filled(person: PersonTake) -> dict[str, list[list[int]]]:
    clip = person.clip
    if clip.filled is None:
        return {}
    some = clip.filled.any(0) & ~clip.filled.all(0)
    filled = some.nonzero().squeeze(-1).tolist()
    return {clip.skeleton.names[j]: _runs(clip.filled[:, j]) for j in filled}


def _runs(flags: Tensor) -> list[list[int]]:
    change = torch.nn.functional.pad(flags.to(torch.int8), (1, 1)).diff()
    starts = (change == 1).nonzero().squeeze(-1).tolist()
    stops = (change == -1).nonzero().squeeze(-1).tolist()
    return [[a, b] for a, b in zip(starts, stops, strict=True)]
