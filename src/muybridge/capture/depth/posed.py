"""Forward kinematics of few frames at a time, by the levels of the tree, as matrices.

`motion.kinematics` walks joint by joint, which suits thousands of frames. Following a person takes
one frame at a time, and then the number of calls is what counts: here nine levels, not 25 joints.

T frames, J joints. World frame: metres.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.start import State
from muybridge.geometry.rotation import matrix_from_quaternion
from muybridge.motion.skeleton import Skeleton

__all__ = ["Posed", "posed"]


class Posed(NamedTuple):
    """World position (metres) and orientation of every joint."""

    positions: Float[Tensor, "t j 3"]
    turns: Float[Tensor, "t j 3 3"]


def posed(skeleton: Skeleton, state: State, offsets: Float[Tensor, "t j 3"] | None = None) -> Posed:
    """World pose of every joint.

    Args:
        skeleton: The tree.
        state: Poses of T frames.
        offsets: Place of each joint in its parent's frame where frames differ in it, metres.
    """
    local = matrix_from_quaternion(state.rotations)
    if offsets is None:
        offsets = skeleton.offsets.expand(len(local), -1, -1)
    turns, places = torch.empty_like(local), torch.empty_like(offsets)
    turns[:, 0], places[:, 0] = local[:, 0], state.root
    for level in skeleton.levels()[1:]:
        parents = [skeleton.parents[joint] for joint in level]
        above = turns[:, parents]
        turns[:, level] = above @ local[:, level]
        places[:, level] = places[:, parents] + (above @ offsets[:, level, :, None])[..., 0]
    return Posed(places, turns)
