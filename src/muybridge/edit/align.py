"""One motion placed so that it goes on where another is: same heading, same place on the floor.

The facing frame of a pose is a turn about the vertical and a point of the floor; height and tilt
are not touched. World frame: metres, Y up, +Z forward.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from muybridge.motion.clip import Clip
from muybridge.motion.facing import placed, wrap, yaw

__all__ = ["continued", "next_place"]


def next_place(clip: Clip) -> tuple[Float[Tensor, ""], Float[Tensor, "2"]]:
    """Heading (radians) and floor point (x, z; metres) one frame after the clip's last.

    The body is taken to move and turn on as from the last frame but one to the last.
    """
    last = clip.root[-1]
    angle = yaw(clip.rotations[-1, 0])
    if len(clip) < 2:
        return angle, last[[0, 2]]
    turned = wrap(angle - yaw(clip.rotations[-2, 0]))
    return angle + turned, (2.0 * last - clip.root[-2])[[0, 2]]


def continued(first: Clip, second: Clip) -> Clip:
    """The second clip moved to begin where the first would have been in its next frame."""
    angle, place = next_place(first)
    return placed(second, 0, angle, place)
