"""Other skeletons for the tests of retargeting: one turned, split, and with joints dropped."""

import math
from dataclasses import replace

import torch

from muybridge.geometry.rotation import quaternion_from_rotvec, rotate
from muybridge.motion.skeleton import Skeleton


def drooped(skeleton: Skeleton, angle_deg: float = 45.0) -> Skeleton:
    """The rig with its arms turned down at rest: from a T-pose to an A-pose."""
    offsets = skeleton.offsets.clone()
    for side, sign in (("Left", -1.0), ("Right", 1.0)):
        turn = torch.tensor([0.0, 0.0, sign * math.radians(angle_deg)], dtype=offsets.dtype)
        for joint, name in enumerate(skeleton.names):
            if name.startswith(side) and ("ForeArm" in name or "Hand" in name):
                offsets[joint] = rotate(quaternion_from_rotvec(turn), offsets[joint])
    return replace(skeleton, offsets=offsets)


def turned(skeleton: Skeleton, angle: float, axis: str = "y") -> Skeleton:
    """The rig drawn as it looks another way, radians about an axis, the vertical if not told."""
    around = torch.eye(3, dtype=torch.float64)["xyz".index(axis)]
    turn = quaternion_from_rotvec(angle * around)
    return replace(skeleton, offsets=rotate(turn.expand(len(skeleton), 4), skeleton.offsets))


def without(skeleton: Skeleton, *words: str) -> Skeleton:
    """The rig without joints whose names hold one of these words; children move up."""
    kept = [j for j, name in enumerate(skeleton.names) if not any(w in name for w in words)]
    parents, offsets = [], []
    for joint in kept:
        offset, parent = skeleton.offsets[joint].clone(), skeleton.parents[joint]
        while parent >= 0 and parent not in kept:
            offset, parent = offset + skeleton.offsets[parent], skeleton.parents[parent]
        parents.append(kept.index(parent) if parent >= 0 else -1)
        offsets.append(offset)
    return Skeleton(
        tuple(skeleton.names[j] for j in kept),
        tuple(parents),
        torch.stack(offsets),
        tuple(skeleton.end_sites[j] for j in kept),
    )


def split(skeleton: Skeleton, name: str, parts: int) -> Skeleton:
    """The rig with the bone that ends in a joint divided by further joints, "<name>Part1"..."""
    joint = skeleton.index(name)
    names, parents = list(skeleton.names), list(skeleton.parents)
    offsets = list(skeleton.offsets.unbind())
    step = offsets[joint] / parts
    new = [f"{name}Part{k}" for k in range(1, parts)]
    names[joint:joint] = new
    parents = [p + len(new) if p >= joint else p for p in parents]
    parents[joint:joint] = [parents[joint], *range(joint, joint + len(new) - 1)]
    parents[joint + len(new)] = joint + len(new) - 1
    offsets[joint : joint + 1] = [step] * parts
    ends = list(skeleton.end_sites)
    ends[joint:joint] = [False] * len(new)
    return Skeleton(tuple(names), tuple(parents), torch.stack(offsets), tuple(ends))


def rooted(skeleton: Skeleton, name: str = "Armature") -> Skeleton:
    """The rig with one more joint above its root, on the floor."""
    offsets = torch.cat((torch.zeros(1, 3, dtype=torch.float64), skeleton.offsets))
    offsets[1] = torch.tensor([0.0, 0.93, 0.0])
    return Skeleton(
        (name, *skeleton.names),
        (-1, *(p + 1 for p in skeleton.parents)),
        offsets,
        (False, *skeleton.end_sites),
    )


def scaled(skeleton: Skeleton, factor: float, legs: float = 1.0) -> Skeleton:
    """The rig of another size; `legs` is a further factor of thighs and shanks."""
    offsets = factor * skeleton.offsets
    for side in ("Left", "Right"):
        for name in (f"{side}Leg", f"{side}Foot"):
            offsets[skeleton.index(name)] = legs * offsets[skeleton.index(name)]
    return replace(skeleton, offsets=offsets)
