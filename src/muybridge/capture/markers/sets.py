"""Where the markers of a full-body set sit on a human body, and the names they go by.

M markers. A place is told by the bone that carries the marker, how far along the bone, and an
offset from there in the axes of the T-pose (x left, y up, z forward), in fractions of the stature.
So the same table dresses our template and any other humanoid skeleton.

The set is the one of 41 markers that many gait laboratories and the CMU collection used: head 4,
trunk 5, arms 7 each, pelvis 4, legs 7 each. Plug-in Gait and Helen Hayes sets are parts of it
under other names (`ALIASES`). The offsets are our estimate of where skin over the named bone lies;
the solver corrects them for every person.

References:
    Davis et al., A gait analysis data collection and reduction technique, Human Movement Science
    10, 1991 (the set of the lower body).
    CMU Graphics Lab motion capture database, mocap.cs.cmu.edu (the 41 names).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.motion.skeleton import Skeleton

__all__ = ["ALIASES", "FULL_BODY", "NEEDED", "Place", "known_markers", "places", "segments"]


class Place(NamedTuple):
    """Where a marker sits: bone (`motion.body` names), share of its length, offset in statures."""

    joint: str
    end: str
    along: float
    offset: tuple[float, float, float]


_MIDDLE = {
    "C7": Place("Spine1", "Neck", 0.93, (0.0, 0.0, -0.042)),
    "T10": Place("Spine1", "Neck", -0.05, (0.0, 0.0, -0.064)),
    "CLAV": Place("Spine1", "Neck", 0.72, (0.0, 0.0, 0.052)),
    "STRN": Place("Spine1", "Neck", 0.20, (0.0, 0.0, 0.070)),
    "RBAC": Place("Spine1", "Neck", 0.45, (-0.045, 0.0, -0.062)),
}
_LEFT = {
    "LFHD": Place("Head", "Head_end", 0.65, (0.038, 0.0, 0.050)),
    "LBHD": Place("Head", "Head_end", 0.65, (0.038, 0.0, -0.046)),
    "LSHO": Place("LeftShoulder", "LeftArm", 0.95, (0.0, 0.030, 0.0)),
    "LUPA": Place("LeftArm", "LeftForeArm", 0.50, (0.0, 0.020, -0.016)),
    "LELB": Place("LeftArm", "LeftForeArm", 1.0, (0.0, 0.022, 0.0)),
    "LFRM": Place("LeftForeArm", "LeftHand", 0.50, (0.0, 0.018, 0.012)),
    "LWRA": Place("LeftForeArm", "LeftHand", 1.0, (0.0, 0.003, 0.020)),
    "LWRB": Place("LeftForeArm", "LeftHand", 1.0, (0.0, 0.003, -0.020)),
    "LFIN": Place("LeftHand", "LeftHand_end", 0.48, (0.0, 0.012, 0.004)),
    "LFWT": Place("Hips", "LeftUpLeg", 1.35, (0.0, 0.045, 0.052)),
    "LBWT": Place("Hips", "LeftUpLeg", 0.55, (0.0, 0.050, -0.060)),
    "LTHI": Place("LeftUpLeg", "LeftLeg", 0.55, (0.040, 0.0, 0.008)),
    "LKNE": Place("LeftUpLeg", "LeftLeg", 1.0, (0.032, 0.0, 0.0)),
    "LSHN": Place("LeftLeg", "LeftFoot", 0.45, (0.026, 0.0, 0.016)),
    "LANK": Place("LeftLeg", "LeftFoot", 1.0, (0.023, 0.0, -0.003)),
    "LHEE": Place("LeftFoot", "LeftToeBase", 0.0, (0.0, -0.022, -0.032)),
    "LTOE": Place("LeftFoot", "LeftToeBase", 1.0, (-0.004, 0.006, 0.0)),
    "LMT5": Place("LeftFoot", "LeftToeBase", 0.85, (0.026, 0.0, 0.0)),
}


def _mirrored(place: Place) -> Place:
    x, y, z = place.offset
    return Place(
        place.joint.replace("Left", "Right"),
        place.end.replace("Left", "Right"),
        place.along,
        (-x, y, z),
    )


FULL_BODY: dict[str, Place] = {
    **_MIDDLE,
    **_LEFT,
    **{f"R{name[1:]}": _mirrored(place) for name, place in _LEFT.items()},
}
_OTHER = {
    "FHD": ("FHEAD", "HEADF", "FRONTHEAD"), "BHD": ("BHEAD", "HEADB", "BACKHEAD"),
    "SHO": ("SHLD", "SHOULDER", "ACR", "ACROMION", "SAE"), "UPA": ("UPARM", "UA", "UPPERARM"),
    "ELB": ("ELBOW", "ELBL", "EPICL", "HLE"), "FRM": ("FRA", "FARM", "FOREARM"),
    "WRA": ("WRI", "WRISTIN", "WRTHUMB", "RSP", "STYLR"),
    "WRB": ("WRO", "WRISTOUT", "WRPINKY", "USP", "STYLU"),
    "FIN": ("HAND", "FINGER", "FNG", "HM2"), "FWT": ("ASI", "ASIS", "IAS"),
    "BWT": ("PSI", "PSIS", "IPS"), "THI": ("THIGH", "THY"),
    "KNE": ("KNEE", "KNEL", "FLE"), "SHN": ("TIB", "SHANK", "SHIN"),
    "ANK": ("ANKLE", "ANKL", "FAL", "LM", "LMAL"), "HEE": ("HEEL", "FCC", "CAL", "HEL"),
    "TOE": ("FM2", "MT2", "TOES"), "MT5": ("FM5", "5MT", "MTP5"),
}  # fmt: skip
ALIASES: dict[str, str] = {
    **{f"{side}{other}": f"{side}{own}" for own, words in _OTHER.items() for other in words
       for side in "LR"},
    **{f"{other}{side}": f"{side}{own}" for own, words in _OTHER.items() for other in (own, *words)
       for side in "LR"},
    **{f"{word}{other}": f"{word[0]}{own}" for own, words in _OTHER.items() for other in words
       for word in ("LEFT", "RIGHT")},
    "CV7": "C7", "TV10": "T10", "SJN": "CLAV", "SXS": "STRN", "STERNUM": "STRN", "XIPH": "STRN",
    "STER": "CLAV", "JUGULAR": "CLAV", "RBAK": "RBAC", "BACK": "RBAC",
}  # fmt: skip
# Markers without which the trunk and the long bones cannot be placed.
NEEDED: tuple[tuple[str, ...], ...] = (
    ("LFWT",), ("RFWT",), ("LBWT", "RBWT"), ("LSHO",), ("RSHO",),
)  # fmt: skip


def known_markers(labels: Sequence[str]) -> dict[str, int]:
    """Index of each marker of `FULL_BODY` among labels, whatever prefix and spelling they have.

    "Subject:LASI", "l_asis" and "LFWT" are one marker; of two labels for one the first counts.
    """
    found: dict[str, int] = {}
    for index, label in enumerate(labels):
        plain = re.sub(r"[^A-Z0-9]", "", label.split(":")[-1].upper())
        name = plain if plain in FULL_BODY else ALIASES.get(plain)
        if name is not None:
            found.setdefault(name, index)
    return {name: found[name] for name in FULL_BODY if name in found}


def places(
    skeleton: Skeleton, names: Sequence[str], stature: float
) -> tuple[tuple[int, ...], Float[Tensor, "m 3"]]:
    """Joint and offset in its frame, metres, of markers on our template's skeleton in T-pose."""
    rest = skeleton.rest_positions().double()
    joints, offsets = [], []
    for name in names:
        place = FULL_BODY[name]
        joint, end = skeleton.index(place.joint), skeleton.index(place.end)
        bone = rest[end] - rest[joint]
        joints.append(joint)
        offsets.append(place.along * bone + stature * bone.new_tensor(place.offset))
    return tuple(joints), torch.stack(offsets)


def segments(names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Indices of markers that share a bone, in groups of at least two."""
    by_joint: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        if name in FULL_BODY:
            by_joint.setdefault(FULL_BODY[name].joint, []).append(index)
    return tuple(tuple(group) for group in by_joint.values() if len(group) > 1)
