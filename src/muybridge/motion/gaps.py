"""Filling the gaps of point trajectories: every gap by the method that fills its like best.

T frames, M markers. World frame: metres, Y up; NaN where unseen.

What is done differently from a rule such as "splines below 0.2 s": for each gap, gaps of the same
length are cut out of the seen parts of the same marker and filled by each method; the best one
fills the gap, and its error there is the uncertainty of what is filled. A spline wins where a gap
is short or nobody else is near, the rigid body where three mates share a segment, the local model
(`gaps_space.local`) nearly everywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion import gaps_space, gaps_time
from muybridge.motion.gaps_space import Prediction

__all__ = ["FillOptions", "Filled", "Filling", "Gap", "Method", "fill_gaps", "find_gaps"]

Method = Literal["linear", "cubic", "rigid", "low_rank", "local"]
SHORT = 0.2  # seconds: up to here a spline is a good fill even without trials
EDGE = 3  # frames on either side of a gap in which donors must be seen too
TRIALS = 32  # gaps cut out for comparison
CAUTION = 1.15  # by so much a fill that knows only time must be better than one that looks around
ENOUGH = 0.6  # share of a marker's seen frames in which its donors must be seen as well
LEAST_FRAMES = 12  # from which a spatial model may be learned
LEAST_DONORS = 3


@dataclass(frozen=True)
class Gap:
    """Frames [start, stop) in which a marker is not seen."""

    marker: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Filling:
    """A gap, how it was filled and how well such gaps are filled.

    Attributes:
        gap: Which.
        method: None where it was left open.
        std: Root mean square error of the method on trial gaps of this length, metres; NaN where
            there was no place for a trial.
    """

    gap: Gap
    method: Method | None
    std: float


@dataclass(frozen=True)
class FillOptions:
    """How to fill.

    Attributes:
        method: "auto" decides gap by gap by trials; any other name is used wherever it can be.
        most_std: Gaps whose expected error is larger than this, metres, stay open.
        ends: Fill also before a marker's first sight and after its last.
    """

    method: Method | Literal["auto"] = "auto"
    most_std: float = 0.05
    ends: bool = True

    def __post_init__(self) -> None:
        if not self.most_std > 0.0:
            raise InputError(
                f"expected a largest error above 0 m, got {self.most_std}; 0.05 is usual"
            )


@dataclass(frozen=True)
class Filled:
    """Trajectories without (most of) their gaps.

    Attributes:
        points: Positions, metres; NaN where a gap stayed open or a marker was never seen.
        std: Expected error of what was filled, metres; 0 where the marker was seen, NaN unknown.
        fillings: One for each gap.
    """

    points: Float[Tensor, "t m 3"]
    std: Float[Tensor, "t m"]
    fillings: tuple[Filling, ...]


def find_gaps(seen: Bool[Tensor, "t m"]) -> tuple[Gap, ...]:
    """All gaps of markers that are seen at least once, marker by marker."""
    gaps = []
    for marker in range(seen.shape[1]):
        hidden = ~seen[:, marker]
        if bool(hidden.all()):
            continue
        padded = torch.nn.functional.pad(hidden.long(), (1, 1))
        change = padded.diff()
        starts, stops = ((change == sign).nonzero().squeeze(-1).tolist() for sign in (1, -1))
        gaps += [Gap(marker, a, b) for a, b in zip(starts, stops, strict=True)]
    return tuple(gaps)


def fill_gaps(
    points: Float[Tensor, "t m 3"],
    fps: float,
    options: FillOptions | None = None,
    only: Sequence[Gap] | None = None,
) -> Filled:
    """Fill what is missing in marker trajectories.

    Args:
        points: World frame, metres; NaN where unseen.
        fps: Frames a second.
        options: Method and bounds.
        only: Fill these gaps (of `find_gaps`) and leave the others alone; all when None.
    Raises:
        InputError: If the frame rate is not positive or a position is infinite.
    References:
        Gloersen & Federolf, Predicting missing marker trajectories in human motion data using
        marker intercorrelations, PLoS ONE 11(3), 2016.
    """
    options = options or FillOptions()
    _check(points, fps)
    points = points.to(torch.float64)
    seen = points.isfinite().all(-1)
    work = _Work(torch.where(seen.unsqueeze(-1), points, torch.nan), seen, fps, options)
    gaps = find_gaps(seen) if only is None else tuple(only)
    found = {gap: work.fill(gap) for gap in sorted(gaps, key=len)}
    return Filled(work.points, work.std, tuple(found[gap] for gap in gaps))


def _check(points: Tensor, fps: float) -> None:
    if not 0.0 < fps < float("inf"):
        raise InputError(f"expected a positive frame rate, got {fps}; correct the rate")
    if bool(points.isinf().any()):
        raise InputError("expected finite positions or NaN where unseen, got infinity; mend them")


class _Work:
    """The trajectories as they become fuller, and the models that were learned on the way."""

    def __init__(
        self,
        points: Float[Tensor, "t m 3"],
        seen: Bool[Tensor, "t m"],
        fps: float,
        options: FillOptions,
    ) -> None:
        self.points = points.clone()
        self.seen = seen
        self.std = torch.where(seen, 0.0, torch.nan).to(torch.float64)
        self.fps = fps
        self.options = options
        self.models: dict[tuple[int, tuple[int, ...]], dict[Method, Prediction]] = {}

    def fill(self, gap: Gap) -> Filling:
        """Fill one gap, or leave it open."""
        at_end = gap.start == 0 or gap.stop == len(self.points)
        if at_end and not self.options.ends:
            return Filling(gap, None, torch.nan)
        models = self._models(gap)
        method, std = self._choose(gap, models, at_end)
        if method is None or std > self.options.most_std:
            return Filling(gap, None, std)
        track = torch.where(self.seen[:, gap.marker, None], self.points[:, gap.marker], torch.nan)
        new = _filled(track, models.get(method), method, (gap.start, gap.stop), self.fps)
        self.points[gap.start : gap.stop, gap.marker] = new
        self.std[gap.start : gap.stop, gap.marker] = std
        return Filling(gap, method, std)

    def _choose(
        self, gap: Gap, models: dict[Method, Prediction], at_end: bool
    ) -> tuple[Method | None, float]:
        """The method with the least error on trial gaps, and that error, metres."""
        wanted = self.options.method
        alone: tuple[Method, ...] = ("linear",) if at_end else ("cubic",)
        if not models and not at_end:
            alone = ("cubic", "linear")
        names: list[Method] = [*models, *alone]
        if wanted != "auto":
            names = [wanted] if wanted in (*models, "cubic", "linear") else ["linear"]
        known = self.seen[:, gap.marker]
        spans = _trials(known, len(gap), at_end)
        track = torch.where(known.unsqueeze(-1), self.points[:, gap.marker], torch.nan)
        errors = {
            name: _trial_error(track, models.get(name), name, spans, self.fps) for name in names
        }
        tried = {name: error for name, error in errors.items() if error == error}
        if tried:
            best = min(tried, key=lambda n: tried[n] * (1.0 if n in models else CAUTION))
            return best, tried[best]
        if wanted != "auto" or models:
            return (names[0] if wanted != "auto" else next(reversed(models))), torch.nan
        return ("cubic" if len(gap) <= SHORT * self.fps and not at_end else None), torch.nan

    def _models(self, gap: Gap) -> dict[Method, Prediction]:
        """What the other markers say about this one."""
        donors = self._donors(gap)
        if len(donors) < LEAST_DONORS:
            return {}
        key = (gap.marker, tuple(donors))
        if key not in self.models:
            self.models[key] = self._learn(gap.marker, donors)
        return self.models[key]

    def _learn(self, marker: int, donors: list[int]) -> dict[Method, Prediction]:
        target = torch.where(self.seen[:, marker, None], self.points[:, marker], torch.nan)
        others = self.points[:, donors]
        wanted = self.options.method
        found: dict[Method, Prediction] = {}
        if wanted in ("auto", "rigid"):
            body = gaps_space.rigid(target, others)
            found |= {} if body is None else {"rigid": body}
        if wanted in ("auto", "local"):
            doubt = self.std[:, donors].nan_to_num(0.0).square().mean(0).sqrt()
            found["local"] = gaps_space.local(target, others, doubt)
        if wanted == "low_rank":
            found["low_rank"] = gaps_space.low_rank(target, others)
        return found

    def _donors(self, gap: Gap) -> list[int]:
        """Markers known around the gap, and together with the target in enough other frames."""
        first, last = max(0, gap.start - EDGE), gap.stop + EDGE
        known = self.points.isfinite().all(-1)
        usable = known[first:last].all(0)
        usable[gap.marker] = False
        donors = usable.nonzero().squeeze(-1).tolist()
        own = self.seen[:, gap.marker]
        donors = [d for d in donors if int((own & known[:, d]).sum()) >= LEAST_FRAMES]
        least = max(LEAST_FRAMES, ENOUGH * int(own.sum()))
        while len(donors) > LEAST_DONORS:
            together = own & known[:, donors].all(1)
            if int(together.sum()) >= least:
                break
            missing = (own.unsqueeze(1) & ~known[:, donors]).sum(0)
            donors.pop(int(missing.argmax()))
        together = own & known[:, donors].all(1)
        return donors if int(together.sum()) >= LEAST_FRAMES else []


def _trials(known: Bool[Tensor, "t"], length: int, at_end: bool) -> list[tuple[int, int]]:
    """Places for gaps of this length in the seen part of a track, evenly spread.

    Next to each there is something to start from; at an end of the take on one side only.
    """
    room = length + (EDGE if at_end else 2 * EDGE)
    if len(known) < room:
        return []
    free = known.unfold(0, room, 1).all(-1).nonzero().squeeze(-1)
    if not len(free):
        return []
    pick = torch.linspace(0, len(free) - 1, min(TRIALS, len(free))).round().long().unique()
    return [(int(free[k]) + EDGE, int(free[k]) + EDGE + length) for k in pick]


def _trial_error(
    track: Float[Tensor, "t 3"],
    model: Prediction | None,
    method: Method,
    spans: Sequence[tuple[int, int]],
    fps: float,
) -> float:
    """Root mean square error of a method on trial gaps, metres; NaN where none could be filled."""
    squares = []
    for start, stop in spans:
        if model is None:
            # The methods never look inside [start, stop): nothing need be hidden.
            gap = _filled(track, None, method, (start, stop), fps) - track[start:stop]
        else:
            rest = model.held_out
            gap = gaps_time.bridge(rest, start, stop, fps) - rest[start:stop]
        squares.append(gap.square().sum(-1))
    if not squares:
        return torch.nan
    return float(torch.cat(squares).nanmean().sqrt())


def _filled(
    track: Float[Tensor, "t 3"],
    model: Prediction | None,
    method: Method,
    span: tuple[int, int],
    fps: float,
) -> Float[Tensor, "g 3"]:
    """Positions inside a gap, metres."""
    start, stop = span
    if model is None:
        return (gaps_time.cubic if method == "cubic" else gaps_time.linear)(track, start, stop)
    rest = gaps_time.bridge(model.residual, start, stop, fps)
    cut = slice(start, stop)
    return model.points[cut] + (model.axes[cut] @ rest.unsqueeze(-1)).squeeze(-1)
