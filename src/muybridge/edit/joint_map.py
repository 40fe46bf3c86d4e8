"""Which joint of one skeleton moves which of another.

Parts of the body are known by the names of many programs (`motion.humanoid`), everything else
(fingers, props) by equal names without prefix and case. A map of one's own goes before both:
{"joint of the target": "joint of the source"}, or for joints whose part cannot be told by their
names {"part": ["joint of the target", "joint of the source"]}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from muybridge.errors import InputError
from muybridge.motion.humanoid import PARTS, humanoid, plain_name
from muybridge.motion.skeleton import Skeleton

__all__ = ["NEEDED", "Pair", "joint_map", "read_map"]

Pair = str | tuple[str, str]
NEEDED = tuple(
    f"{side}_{limb}"
    for side in ("left", "right")
    for limb in ("upper_leg", "lower_leg", "foot", "upper_arm", "lower_arm")
)


def joint_map(
    source: Skeleton, target: Skeleton, own: Mapping[str, Pair] | None = None
) -> tuple[dict[str, int], dict[str, int]]:
    """Parts of the source and of the target under common names, as far as both have them.

    A pair of one's own map, or of equal names, that is no part of the body is called
    "joint:<target's name>".

    Args:
        source: The skeleton that moves.
        target: The skeleton that is to move likewise.
        own: Target joint or part -> source joint or part.
    Raises:
        InputError: If a name of `own` is unknown, or legs and arms do not match.
    """
    parts = humanoid(source), humanoid(target)
    for name, other in (own or {}).items():
        name_t, name_s = (name, other) if isinstance(other, str) else other
        joint_t, joint_s = _joint(target, parts[1], name_t), _joint(source, parts[0], name_s)
        common = _common(name, joint_s, joint_t, parts)
        parts[1][common], parts[0][common] = joint_t, joint_s
    _check(parts, source, target)
    taken = [set(p.values()) for p in parts]
    spelled = {
        plain_name(name): joint
        for joint, name in enumerate(source.names)
        if joint not in taken[0] and not source.end_sites[joint]
    }
    for joint, name in enumerate(target.names):
        plain = plain_name(name)
        if joint not in taken[1] and not target.end_sites[joint] and plain in spelled:
            parts[0][f"joint:{name}"], parts[1][f"joint:{name}"] = spelled[plain], joint
    return parts


def _common(
    name: str, joint_s: int, joint_t: int, parts: tuple[Mapping[str, int], Mapping[str, int]]
) -> str:
    """The part that a pair of the map is: said, or known of the target's or the source's joint."""
    if name in PARTS:
        return name
    for joint, known in zip((joint_t, joint_s), reversed(parts), strict=True):
        found = [part for part, j in known.items() if j == joint]
        if found:
            return found[0]
    return f"joint:{name}"


def _check(
    parts: tuple[Mapping[str, int], Mapping[str, int]], source: Skeleton, target: Skeleton
) -> None:
    for skeleton, found, who in ((source, parts[0], "source"), (target, parts[1], "target")):
        missing = [name for name in NEEDED if name not in found]
        if missing:
            raise InputError(
                f"expected legs and arms in the {who} skeleton, got no {missing[0]} among "
                f"{', '.join(skeleton.names[:8])}{'...' if len(skeleton) > 8 else ''}; name them "
                f'in a JSON file for --map, such as {{"{missing[0]}": ["Bone12", "Bone7"]}}'
            )


def _joint(skeleton: Skeleton, parts: Mapping[str, int], name: str) -> int:
    if name in skeleton.names:
        return skeleton.names.index(name)
    if name in parts:
        return parts[name]
    raise InputError(
        f"expected joints or parts of the body in the map, got {name!r}, which is none of "
        f"{', '.join(skeleton.names[:8])}{'...' if len(skeleton) > 8 else ''}; check the spelling"
    )


def read_map(path: Path) -> dict[str, Pair]:
    """Read a JSON object of names, see above.

    Raises:
        InputError: If the file is not such an object.
    """
    advice = 'write {"joint of the target": "joint of the source"}'
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"expected a JSON file with joint names, got {path} ({error}); {advice}"
        ) from None
    own: dict[str, Pair] = {}
    for name, other in words.items() if isinstance(words, dict) else [("", None)]:
        match other:
            case str():
                own[name] = other
            case [str(target), str(source)] if name in PARTS:
                own[name] = (target, source)
            case _:
                raise InputError(
                    f"expected a JSON object of names in {path}, got {str(words)[:60]}; {advice}"
                )
    return own
