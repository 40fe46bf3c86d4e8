"""Easing: named ways from 0 to 1, each eased in, out or in and out; the set that Blender offers.

An easing maps a part of a segment, 0 to 1, to a part of its change. `ease` gives the plain curves;
`Spring` holds what back and elastic easings take besides.

References:
    Penner, Programming Macromedia Flash MX, 2002, chapter 7; Blender manual, F-curves, easing type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, pi
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["Direction", "Easing", "Spring", "ease"]

Easing = Literal[
    "sine", "quad", "cubic", "quart", "quint", "expo", "circ", "back", "bounce", "elastic"
]
Direction = Literal["auto", "in", "out", "in-out"]
AUTOMATIC_OUT = ("back", "bounce", "elastic")  # effects that come at the end; others ease in
POWERS = {"quad": 2, "cubic": 3, "quart": 4, "quint": 5}
BOUNCE = 7.5625  # makes the first of four parabolas reach 1 at 1 / 2.75
DOUBLINGS = 10.0  # exponential easing doubles ten times on its way


@dataclass(frozen=True)
class Spring:
    """What the easings back and elastic take besides.

    Attributes:
        overshoot: Of back: how far it draws back first; 1.70158 is a tenth of the change.
        amplitude: Of elastic: size of the swings, as part of the change; below 1 they are damped.
        period: Of elastic: length of a swing, as part of the segment; 0 for 0.3.
    """

    overshoot: float | Float[Tensor, "*t"] = 1.70158
    amplitude: float | Float[Tensor, "*t"] = 0.0
    period: float | Float[Tensor, "*t"] = 0.0


def ease(
    part: Float[Tensor, "*t"],
    easing: Easing,
    direction: Direction = "auto",
    spring: Spring = Spring(),
) -> Float[Tensor, "*t"]:
    """Part of the change after a part of the time.

    Args:
        part: In [0, 1].
        easing: Shape.
        direction: "in" begins slowly, "out" ends slowly, "in-out" both; "auto" is "out" for back,
            bounce and elastic and "in" for the others.
        spring: For back and elastic.
    Raises:
        InputError: If the easing or the direction is unknown.
    """
    if easing not in get_args(Easing) or direction not in get_args(Direction):
        raise InputError(
            f"expected one of the easings {', '.join(get_args(Easing))} and of the directions "
            f"{', '.join(get_args(Direction))}, got {easing!r} and {direction!r}; choose from these"
        )
    if direction == "auto":
        direction = "out" if easing in AUTOMATIC_OUT else "in"
    if easing == "elastic":
        return _elastic(part, direction, spring)
    begin = _beginning(easing, spring if direction != "in-out" else _stronger(spring))
    if direction == "in":
        return begin(part)
    if direction == "out":
        return 1.0 - begin(1.0 - part)
    early = part < 0.5
    first = 0.5 * begin(2.0 * torch.where(early, part, 0.5))
    last = 1.0 - 0.5 * begin(2.0 - 2.0 * torch.where(early, 0.5, part))
    return torch.where(early, first, last)


def _stronger(spring: Spring) -> Spring:
    """Back draws further where it has half the time on either side."""
    return Spring(spring.overshoot * 1.525)


def _beginning(easing: Easing, spring: Spring) -> Callable[[Tensor], Tensor]:
    """The curve eased in."""
    if easing in POWERS:
        return lambda u: u ** POWERS[easing]
    return {
        "sine": lambda u: 1.0 - (0.5 * pi * u).cos(),
        "expo": _exponential,
        "circ": lambda u: 1.0 - (1.0 - u * u).clamp_min(0.0).sqrt(),
        "back": lambda u: u * u * ((spring.overshoot + 1.0) * u - spring.overshoot),
        "bounce": lambda u: 1.0 - _bounce(1.0 - u),
    }[easing]


def _exponential(u: Tensor) -> Tensor:
    """2^(10 (u - 1)), shifted and scaled to begin at 0 and end at 1."""
    least = 2.0**-DOUBLINGS
    return (torch.exp(DOUBLINGS * log(2.0) * (u - 1.0)) - least) / (1.0 - least)


def _bounce(u: Tensor) -> Tensor:
    """Four parabolas, each lower than the one before, that touch 1 from below."""
    value = BOUNCE * u * u
    for start, centre, height in ((1.0, 1.5, 0.75), (2.0, 2.25, 0.9375), (2.5, 2.625, 0.984375)):
        value = torch.where(
            u >= start / 2.75, BOUNCE * (u - centre / 2.75).square() + height, value
        )
    return value


def _elastic(u: Tensor, direction: Direction, spring: Spring) -> Tensor:
    """A swing that dies away by the factor 2^-10 towards the key at rest.

    In: over x = u - 1 in [-1, 0]; out: over x = u; in and out: over x = 2 u - 1, half as high.
    """
    both = direction == "in-out"
    x = u - 1.0 if direction == "in" else 2.0 * u - 1.0 if both else u
    size, usual = _like(spring.amplitude, u), _like(spring.period, u)
    period = torch.where(usual == 0.0, 0.45 if both else 0.3, usual)
    large = size.abs() >= 1.0
    delay = torch.where(
        large, period / (2.0 * pi) * (1.0 / torch.where(large, size, 1.0)).asin(), 0.25 * period
    )
    height = torch.where(large, size, _damped(x, size.abs(), delay))
    wave = (
        height
        * torch.exp(-DOUBLINGS * log(2.0) * x.abs())
        * ((x.abs() + delay) * -2.0 * pi / period).sin()
    )
    value = -wave if direction == "in" else wave + 1.0
    if both:
        value = torch.where(x < 0.0, -0.5 * wave, 0.5 * wave + 1.0)
    return torch.where(u <= 0.0, 0.0, torch.where(u >= 1.0, 1.0, value))


def _like(number: float | Tensor, u: Tensor) -> Tensor:
    return torch.as_tensor(number, dtype=u.dtype).expand_as(u)


def _damped(x: Tensor, size: Tensor, delay: Tensor) -> Tensor:
    """Height 1 at the key itself, so that the curve starts there, and `size` from `delay` on."""
    share = (x.abs() / delay.abs()).clamp_max(1.0)
    return size * share + 1.0 - share
