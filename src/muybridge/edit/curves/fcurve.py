"""Animation curves as animators draw them: keys with handles, an interpolation each, like Blender.

A segment with handles is a Bezier curve in the plane of time and value. To find the value at a
time, first the parameter u with x(u) = time is solved for. Handles that reach past the other key
are shortened to it; then the curve never turns back in time.

Legend: k keys, t query times.

References:
    Blender 4.5 manual, Animation, F-curves (keys, interpolation, easing, extrapolation).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.edit.curves.easing import Direction, Easing, Spring, ease
from muybridge.edit.curves.extrapolation import Beyond, beyond_keys, folded
from muybridge.edit.curves.knots import check_keys, segment_of
from muybridge.errors import InputError

__all__ = ["FCurve", "Interpolation", "automatic_handles"]

Interpolation = Literal["constant", "linear", "bezier"] | Easing
PLAIN = ("constant", "linear", "bezier")
STEPS = 60  # of bisection and Newton together; Newton alone takes about six
TINY = 1e-12  # stands for a change of 0, to which a swing has no ratio


@dataclass(frozen=True)
class FCurve:
    """One animated number.

    Attributes:
        times: Key times (frames or seconds; handles use the same unit).
        values: Value at each key.
        left: Handle before each key: time and value.
        right: Handle after each key: time and value.
        interpolation: How to go from each key to the next; one word for all or one a key.
        direction: Of easings, likewise.
        overshoot: Of the easing "back".
        amplitude: Of "elastic", in units of the value; 0 for a damped swing.
        period: Of "elastic", in units of time; 0 for the usual part of the segment.
        before: What comes before the first key.
        after: What comes after the last.
    """

    times: Float[Tensor, "k"]
    values: Float[Tensor, "k"]
    left: Float[Tensor, "k 2"]
    right: Float[Tensor, "k 2"]
    interpolation: Interpolation | tuple[Interpolation, ...] = "bezier"
    direction: Direction | tuple[Direction, ...] = "auto"
    overshoot: float = 1.70158
    amplitude: float = 0.0
    period: float = 0.0
    before: Beyond = field(default="constant", kw_only=True)
    after: Beyond = field(default="constant", kw_only=True)

    def __post_init__(self) -> None:
        check_keys(self.times, self.values, 1, "F-curve")
        check_keys(self.times, self.left, 1, "F-curve")
        check_keys(self.times, self.right, 1, "F-curve")
        known = (*PLAIN, *get_args(Easing))
        for word in self._words(self.interpolation):
            if word not in known:
                raise InputError(
                    f"expected an interpolation of {', '.join(known)}, got {word!r}; choose one"
                )

    def _words(self, words: str | tuple[str, ...]) -> tuple[str, ...]:
        """One word a key."""
        each = (words,) * len(self.times) if isinstance(words, str) else words
        if len(each) != len(self.times):
            raise InputError(
                f"expected one word for all keys or one a key, got {len(each)} for "
                f"{len(self.times)} keys; give each key its own"
            )
        return each

    def __call__(self, times: Float[Tensor, "t"]) -> Float[Tensor, "t"]:
        """Values at any times; differentiable in values and handles."""
        span = (float(self.times[0].detach()), float(self.times[-1].detach()))
        where = folded(times, span, self.before, self.after)
        ends = torch.stack((self.values[0], self.values[-1]))
        return beyond_keys(self._inside, where, ends, self._end_slopes())

    def _inside(self, times: Tensor) -> Tensor:
        if len(self.times) == 1:
            return self.values.expand(len(times))
        segment = segment_of(self.times, times)
        result = torch.zeros_like(times)
        kinds = list(
            zip(self._words(self.interpolation), self._words(self.direction), strict=True)
        )[:-1]
        for kind in sorted(set(kinds)):
            of_kind = torch.tensor([k == kind for k in kinds])
            at = torch.nonzero(of_kind[segment]).flatten()
            if len(at):
                part = self._segment(kind, segment[at], times[at])
                result = result.index_put((at,), part)
        return torch.where(times >= self.times[-1], self.values[-1], result)

    def _segment(self, kind: tuple[str, str], index: Tensor, times: Tensor) -> Tensor:
        """Values inside segments of one kind."""
        name, direction = kind
        start, change = self.values[index], self.values[index + 1] - self.values[index]
        if name == "constant":
            return start
        if name == "bezier":
            return self._bezier(index, times)
        width = self.times[index + 1] - self.times[index]
        part = (times - self.times[index]) / width
        if name == "linear":
            return start + change * part
        moved = torch.where(change == 0.0, torch.full_like(change, TINY), change)
        spring = Spring(self.overshoot, self.amplitude / moved, self.period / width)
        return start + moved * ease(part, name, direction, spring)  # type: ignore[arg-type]

    def _bezier(self, index: Tensor, times: Tensor) -> Tensor:
        knots = torch.stack((self.times, self.values), dim=-1)
        a, d = knots[index], knots[index + 1]
        out, back = self.right[index] - a, self.left[index + 1] - d
        width = d[:, :1] - a[:, :1]
        points = torch.stack((a, a + _within(out, width), d + _within(back, width), d))
        u = _parameter(points[..., 0] - a[:, 0], times - a[:, 0])
        return _cubic(points[..., 1], u)

    def _end_slopes(self) -> Tensor:
        """Slope before the first and after the last key: that of the segment or of the handle."""
        if len(self.times) == 1:
            return torch.zeros_like(self.values).expand(2)
        kinds, rows = self._words(self.interpolation), (self.left[0], self.right[-1])
        slopes = []
        for at, step, handle in zip((0, -1), (1, -1), rows, strict=True):
            away = handle - torch.stack((self.times[at], self.values[at]))
            run, rise = away[0], away[1]
            if kinds[at] == "linear":
                run = self.times[at + step] - self.times[at]
                rise = self.values[at + step] - self.values[at]
            flat = kinds[at] == "constant" or float(run.detach()) == 0.0
            slopes.append(torch.zeros_like(rise) if flat else rise / run)
        return torch.stack(slopes)


def _within(handle: Float[Tensor, "t 2"], width: Float[Tensor, "t 1"]) -> Float[Tensor, "t 2"]:
    """The handle, shortened where it is longer in time than its segment."""
    reach = handle[:, :1].abs()
    return torch.where(reach > width, handle * (width / reach.clamp_min(TINY)), handle)


def _cubic(points: Float[Tensor, "4 t"], u: Float[Tensor, "t"]) -> Float[Tensor, "t"]:
    a, b, c, d = points
    v = 1.0 - u
    return v * v * v * a + 3.0 * u * v * v * b + 3.0 * u * u * v * c + u * u * u * d


def _speed(points: Float[Tensor, "4 t"], u: Float[Tensor, "t"]) -> Float[Tensor, "t"]:
    a, b, c, d = points
    v = 1.0 - u
    return 3.0 * (v * v * (b - a) + 2.0 * u * v * (c - b) + u * u * (d - c))


def _parameter(points: Float[Tensor, "4 t"], x: Float[Tensor, "t"]) -> Float[Tensor, "t"]:
    """u with x(u) = x: Newton's method kept inside a bracket, then one step that autograd sees."""
    with torch.no_grad():
        low, high = torch.zeros_like(x), torch.ones_like(x)
        u = (x / points[3]).clamp(0.0, 1.0)
        for _ in range(STEPS):
            miss = _cubic(points, u) - x
            low, high = torch.where(miss < 0.0, u, low), torch.where(miss > 0.0, u, high)
            step = u - miss / _speed(points, u).clamp_min(TINY)
            inside = (step > low) & (step < high)
            new = torch.where(miss == 0.0, u, torch.where(inside, step, 0.5 * (low + high)))
            if bool(((new - u).abs() <= 1e-16).all()):
                break
            u = new
    return u - (_cubic(points, u) - x) / _speed(points, u).clamp_min(TINY)


def automatic_handles(
    times: Float[Tensor, "k"], slopes: Float[Tensor, "k"], values: Float[Tensor, "k"]
) -> tuple[Float[Tensor, "k 2"], Float[Tensor, "k 2"]]:
    """Left and right handles at a third of the way with given slopes: exactly a cubic Hermite."""
    check_keys(times, values, 2, "F-curve")
    third = times.diff() / 3.0
    before = torch.cat((third[:1], third))
    after = torch.cat((third, third[-1:]))
    left = torch.stack((times - before, values - before * slopes), dim=-1)
    return left, torch.stack((times + after, values + after * slopes), dim=-1)
