"""Dead blending: cross-fade into a motion from where the old one would have drifted.

The source is needed no longer than inertialisation needs it: its last pose moves on by its
velocity, which dies away with a half-life, and this dead reckoning is cross-faded with the target.
Unlike an offset it cannot bend joints beyond both motions by more than the drift does.

J joints, T frames. Metres, seconds, radians.

References:
    Daniel Holden, Dead blending, 2023.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.align import continued
from muybridge.edit.blend import ease
from muybridge.edit.inertialize import State, extrapolated, state_at
from muybridge.edit.sequence import concatenate, posed, same_skeleton
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import multiply, quaternion_from_rotvec, slerp
from muybridge.motion.clip import Clip

__all__ = ["dead_blend", "drift", "join_dead_blended"]


def drift(
    state: State, seconds: Float[Tensor, "t"], halflife: float
) -> tuple[Float[Tensor, "t j 4"], Float[Tensor, "t k 3"]]:
    """Where a state goes if its velocity dies away:  x(t) = x + v (1 - 2^(-t/h)) h / ln 2.

    Args:
        state: The last pose and how it moves.
        seconds: Times after it.
        halflife: Of the velocity, seconds.
    Returns:
        Local rotations and local positions at these times.
    """
    rate = math.log(2.0) / halflife
    reach = ((1.0 - torch.exp(-rate * seconds)) / rate)[:, None, None]
    start = state.rotations.expand(len(seconds), -1, -1)
    turned = multiply(quaternion_from_rotvec(reach * state.spins), start)
    return turned, state.places + reach * state.speeds


def dead_blend(clip: Clip, source: State, seconds: float = 0.3, halflife: float = 0.1) -> Clip:
    """The clip, begun in the pose and with the velocity of a source that drifts out.

    Args:
        clip: The target; its first frame is the moment of the switch.
        source: What moved until then, in the same world frame.
        seconds: After this time only the target is left.
        halflife: Of the source's velocity, seconds.
    """
    if not (seconds > 0.0 and halflife > 0.0):
        raise InputError(
            f"expected a positive time and half-life, got {seconds:g} s and {halflife:g} s; give "
            "seconds, such as 0.3 and 0.1"
        )
    time = torch.arange(len(clip), dtype=clip.root.dtype) / clip.fps
    weight = ease(time / seconds)
    rotations, places = drift(source, time, halflife)
    mixed = slerp(rotations, clip.rotations, weight.unsqueeze(-1))
    done = (weight >= 1.0)[:, None, None]
    return posed(
        clip,
        torch.where(done, clip.rotations, mixed),
        torch.lerp(places, clip.local_translations(), weight[:, None, None]),
    )


def join_dead_blended(
    first: Clip, second: Clip, seconds: float = 0.3, halflife: float = 0.1
) -> Clip:
    """Two clips one after the other; the first drifts on while the second is faded in.

    Args:
        first: Plays to its end.
        second: The same skeleton and frame rate; it continues the first on the floor.
        seconds: After this time only the second is left.
        halflife: Of the first clip's last velocity, seconds.
    Raises:
        InputError: If skeletons or frame rates differ, or a pose is missing.
    """
    for clip in (first, second):
        refuse_missing(clip)
    second = continued(first, same_skeleton(second, first))
    source = extrapolated(state_at(first, -1), 1.0 / first.fps)
    return concatenate(first, dead_blend(second, source, seconds, halflife))
