"""The unit of a BVH file, which states none: the habits of programs, and a guess by body size.

| unit | who writes it | a standing adult measures |
|---|---|---|
| cm | most programs | 140 to 200 |
| m | research code, GAMES-105 | 1.4 to 2.0 |
| inch | MotionBuilder's and Poser's old libraries | 55 to 80 |
| cmu | the CMU set: (1 / 0.45) inch = 5.6444 cm | 25 to 35 |
"""

from __future__ import annotations

import math
from typing import Literal

from muybridge.motion.humanoid import humanoid
from muybridge.motion.skeleton import Skeleton

__all__ = ["METRES", "Unit", "UnitChoice", "guess_unit"]

Unit = Literal["cm", "m", "inch", "cmu"]
UnitChoice = Literal["auto", "cm", "m", "inch", "cmu"]
METRES: dict[Unit, float] = {"cm": 0.01, "m": 1.0, "inch": 0.0254, "cmu": 0.0254 / 0.45}
GIANT = 5.0  # metres; a figure of this size was not meant in metres
ADULT = 1.7  # metres, the longer of height and span of a body at rest
BODY = ("left_upper_leg", "right_upper_leg", "left_lower_arm", "right_lower_arm")


def guess_unit(skeleton: Skeleton) -> Unit:
    """The unit in which a figure has the size that it should have.

    Below five units metres. Above, a body whose legs and arms are known by name is an adult, in
    whichever of cm, inch and cmu comes nearest to 1.7 m; anything else is centimetres, the habit.
    A toddler of 0.7 m in centimetres is mistaken for an adult in inches: then say the unit.

    Args:
        skeleton: With offsets in the file's unit.
    """
    points = skeleton.rest_positions()
    size = float((points.amax(0) - points.amin(0)).max())
    if 0.0 < size < GIANT:
        return "m"
    if not set(BODY) <= humanoid(skeleton).keys():
        return "cm"
    others: tuple[Unit, ...] = ("cm", "inch", "cmu")
    return min(others, key=lambda unit: abs(math.log(max(size, 1e-9) * METRES[unit] / ADULT)))
