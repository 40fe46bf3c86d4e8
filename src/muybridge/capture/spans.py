"""Long takes: clocks measured in short spans, then joined by a line with jumps.

C cameras, W spans. A span is a stretch of frames of every camera that should show the same time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.clock import Clocks, Dropped
from muybridge.capture.timefit import Fit

__all__ = ["Span", "clocks_of_spans", "plan_spans"]

WHOLE_TAKE_FRAMES = 1200  # shorter takes are fitted in one piece
SPAN_FRAMES = 240
SPANS = 16  # at most
NEXT_REACH = 20  # offsets tried around that of the neighbouring span
JUMP_FRAMES = 0.8  # a step between spans larger than this is a jump, not noise


@dataclass(frozen=True)
class Span:
    """Frames starts[c] .. starts[c] + length of each camera; shifts up to `reach` are searched."""

    starts: tuple[int, ...]
    length: int
    reach: int
    whole: bool = False


@runtime_checkable
class SpanFitter(Protocol):
    """Fits clocks to one span."""

    def fit_span(self, span: Span) -> Fit | None:
        """Clocks counted from the span's own frame 0."""
        ...


def plan_spans(frames: int, cameras: int, reach: int) -> list[Span]:
    """The whole take if it is short, else evenly spread spans, the middle one first."""
    if frames <= WHOLE_TAKE_FRAMES:
        return [Span((0,) * cameras, frames, reach, whole=True)]
    length = SPAN_FRAMES + 2 * reach
    count = min(SPANS, frames // SPAN_FRAMES)
    starts = torch.linspace(0, frames - length, count).long().tolist()
    middle = count // 2
    order = starts[middle:] + starts[:middle][::-1]
    return [Span((start,) * cameras, length, reach) for start in order]


@dataclass(frozen=True)
class _Measured:
    """Offsets (frames of camera 0) found in the span around frame `middle` of camera 0."""

    middle: float
    offsets: Float[Tensor, "c"]
    std: Float[Tensor, "c"]


def clocks_of_spans(spans: list[Span], fitter: SpanFitter) -> Fit | None:
    """Clocks of a long take: offsets of spread spans, a line through them, jumps between them.

    The middle span is searched in full; its neighbours near what was found there, and so on
    outwards, so that a large drift is followed. Between two spans that differ by a jump more spans
    are put until the jump is bracketed, and then found to the frame.
    """
    measured: list[_Measured] = []
    for span in spans:
        if measured:
            nearest = min(measured, key=lambda m: abs(m.middle - _middle(span)))
            span = _around(_middle(span), nearest.offsets)
        found = _measure(span, fitter)
        if found is not None:
            measured.append(found[0])
            names = found[1]
    if not measured:
        return None
    measured.sort(key=lambda m: m.middle)
    jumps: list[Dropped] = []
    for before, after in _steps(measured):
        jumps += _locate(before, after, names, fitter)
    return _line(measured, names, tuple(jumps))


def _middle(span: Span) -> float:
    return span.starts[0] + 0.5 * span.length


def _around(middle: float, offsets: Tensor) -> Span:
    """A span that shows the time around frame `middle` of camera 0, as far as is known."""
    length = SPAN_FRAMES + 2 * NEXT_REACH
    first = middle - 0.5 * length
    return Span(tuple(round(first - float(o)) for o in offsets), length, NEXT_REACH)


def _measure(span: Span, fitter: SpanFitter) -> tuple[_Measured, tuple[str, ...]] | None:
    fit = fitter.fit_span(span)
    if fit is None:
        return None
    starts = torch.tensor(span.starts, dtype=torch.float64)
    offsets = fit.clocks.offsets_frames + starts[0] - starts
    zero = torch.zeros(1, dtype=torch.float64)
    std = torch.cat((zero, fit.std[: len(offsets) - 1]))
    return _Measured(_middle(span), offsets, std), fit.clocks.cameras


def _slope(measured: list[_Measured]) -> Tensor:
    """Median rate of change of each camera's offset per frame."""
    pairs = pairwise(measured)
    rates = [(b.offsets - a.offsets) / (b.middle - a.middle) for a, b in pairs]
    return torch.stack(rates).median(0).values if rates else torch.zeros_like(measured[0].offsets)


def _steps(measured: list[_Measured]) -> list[tuple[_Measured, _Measured]]:
    """Neighbours whose offsets differ by more than drift and noise."""
    slope = _slope(measured)
    result = []
    for a, b in pairwise(measured):
        step = (b.offsets - a.offsets - slope * (b.middle - a.middle)).abs()
        noise = 3.0 * (a.std.square() + b.std.square()).sqrt()
        if bool((step > noise.clamp_min(JUMP_FRAMES)).any()):
            result.append((a, b))
    return result


def _locate(
    before: _Measured, after: _Measured, names: tuple[str, ...], fitter: SpanFitter
) -> list[Dropped]:
    """Bisect to a bracket of one span, then fit the jump inside it."""
    while after.middle - before.middle > SPAN_FRAMES:
        middle = 0.5 * (before.middle + after.middle)
        found = _measure(_around(middle, before.offsets), fitter)
        if found is None:
            break
        here = found[0]
        near_before = (here.offsets - before.offsets).abs().max()
        near_after = (here.offsets - after.offsets).abs().max()
        before, after = (here, after) if near_before < near_after else (before, here)
    length = int(after.middle - before.middle) + SPAN_FRAMES
    first = 0.5 * (before.middle + after.middle - length)
    starts = tuple(round(first - float(o)) for o in before.offsets)
    fit = fitter.fit_span(Span(starts, length, NEXT_REACH, whole=True))
    if fit is not None and fit.clocks.dropped:
        start_of = dict(zip(names, starts, strict=True))
        return [replace(j, frame=j.frame + start_of[j.camera]) for j in fit.clocks.dropped]
    middle = 0.5 * (before.middle + after.middle)
    counts = (after.offsets - before.offsets).round()
    return [
        Dropped(name, round(middle - float(before.offsets[c])), int(counts[c]))
        for c, name in enumerate(names)
        if counts[c]
    ]


def _jumped(jumps: tuple[Dropped, ...], name: str, frame: float) -> int:
    return sum(j.count for j in jumps if j.camera == name and j.frame <= frame)


def _line(measured: list[_Measured], names: tuple[str, ...], jumps: tuple[Dropped, ...]) -> Fit:
    """Offset and drift of each camera by least squares over the spans, the jumps taken off."""
    offsets, drifts, stds = [], [], []
    for c, name in enumerate(names):
        frame = torch.tensor([m.middle - float(m.offsets[c]) for m in measured]).double()
        steady = torch.stack([m.offsets[c] for m in measured])
        for w, m in enumerate(measured):
            steady[w] += _jumped(jumps, names[0], m.middle)
            steady[w] -= _jumped(jumps, name, float(frame[w]))
        offset, drift, std = _regress(frame, steady)
        offsets.append(offset)
        drifts.append(drift)
        stds.append(torch.maximum(std, measured[0].std[c] / len(measured) ** 0.5))
    clocks = Clocks(names, torch.stack(offsets), torch.stack(drifts), jumps)
    return Fit(clocks, torch.stack(stds)[1:], float("nan"))


def _regress(frame: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Offset at frame 0, drift (0 unless clear) and the standard deviation of the offset."""
    centred = frame - frame.mean()
    spread = centred.square().sum().clamp_min(1e-9)
    zero = torch.zeros((), dtype=torch.float64)
    drift = (centred * offset).sum() / spread if len(frame) > 3 else zero
    rest = offset - offset.mean() - drift * centred
    noise = (rest.square().sum() / max(len(frame) - 2, 1)).sqrt()
    gained = drift.abs() * (frame.max() - frame.min())
    if float(gained) < 1.0 or float(drift.abs()) < 4.0 * float(noise / spread.sqrt()):
        return offset.median(), zero, noise / len(frame) ** 0.5
    at_zero = offset.mean() - drift * frame.mean()
    return at_zero, drift, noise * (1.0 / len(frame) + frame.mean() ** 2 / spread).sqrt()
