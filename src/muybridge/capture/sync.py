"""Synchronise cameras by the motion they film: sub-frame offsets, drift, dropped frames.

C cameras, T frames, P person slots, J joints, W spans of a long take. Camera c's frame t shows the
instant t + offset_c of camera 0.

What this does differently from correlating speeds: the search and the fit use the epipolar
geometry of every joint in every pair of cameras, so no vertical or common motion is needed; biases
of the calibration are taken off (see `capture.offsets`); and an offset that could as well be zero
is reported as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.clock import Clocks, Dropped, onto_one_clock
from muybridge.capture.finding import Finding
from muybridge.capture.jumps import JUMP_COST, find_jumps
from muybridge.capture.offsets import RayTracks, search_offsets, shift_costs, smooth_tracks
from muybridge.capture.spans import Span, clocks_of_spans, plan_spans
from muybridge.capture.timefit import Fit, fit_clocks, mean_cost
from muybridge.capture.tracks import NO_SLOT, body_height_px, follow_people
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.epipolar import epipolar_pair, world_rays
from muybridge.motion.keypoints import Keypoints

__all__ = ["Dropped", "Sync", "SyncOptions", "resample", "synchronise"]

MIN_GAIN = 1.0  # frames over the take below which a drift is not believed
MAX_DRIFT = 0.01  # more is not a clock but something else
FACE = ("nose", "eye", "ear", "head", "neck")
FACE_WEIGHT = 0.2  # these mean different points in different views, more than other joints do
BACKGROUND = 0.6  # people smaller than this share of the most prominent one do not decide
UNKNOWN_FRAMES = 5.0  # an offset less sure than this says nothing


@dataclass(frozen=True)
class SyncOptions:
    """How to look for time offsets.

    Attributes:
        max_offset_frames: Largest offset between any two cameras that is looked for.
        min_confidence: Detections below this are left out.
        smooth_frames: Standard deviation of the smoothing of the 2-D tracks, frames.
        significance: An offset is reported only beyond so many standard deviations ...
        smallest_frames: ... and beyond this many frames; otherwise it is 0.
        min_frames: Frames that two cameras must share.
        jumps: Look for dropped frames.
    """

    max_offset_frames: int = 65
    min_confidence: float = 0.2
    smooth_frames: float = 1.5
    significance: float = 1.5
    smallest_frames: float = 0.25
    min_frames: int = 15
    jumps: bool = True


@dataclass(frozen=True)
class Sync:
    """Clocks of all cameras and how sure they are.

    Attributes:
        cameras: Names.
        offsets_frames: Instant that each camera's frame 0 shows, in frames of camera 0.
        std_frames: Its standard deviation; 0 for camera 0, which is the reference.
        drift: Frames gained per frame; 0 unless clearly there.
        dropped: Frames missing from a video.
        findings: What a user should know.
    """

    cameras: tuple[str, ...]
    offsets_frames: Float[Tensor, "c"]
    std_frames: Float[Tensor, "c"]
    drift: Float[Tensor, "c"]
    dropped: tuple[Dropped, ...]
    findings: tuple[Finding, ...]

    @property
    def clocks(self) -> Clocks:
        """The time maps."""
        return Clocks(self.cameras, self.offsets_frames, self.drift, self.dropped)


def synchronise(keypoints: Keypoints, cameras: Cameras, options: SyncOptions | None = None) -> Sync:
    """Find the time offset of every camera from what it saw.

    The most prominent people of each camera are followed in 2-D; a search over whole frames picks
    the person that fits across cameras and the offsets, a joint least squares refines them, and
    jumps and drift are added where they pay. Works before anyone was associated; call it again on
    the associated person (P = 1) to verify.

    Args:
        keypoints: Detections of all cameras, each on its own clock.
        cameras: Calibrated cameras in the same order.
        options: See `SyncOptions`.
    Raises:
        InputError: If the cameras differ from those of the keypoints.
    """
    options = options or SyncOptions()
    _check(keypoints, cameras)
    count = len(cameras)
    unknown = torch.full((count,), torch.nan, dtype=torch.float64)
    unknown[0] = 0.0
    zero = torch.zeros(count, dtype=torch.float64)
    if count == 1:
        return Sync(keypoints.cameras, zero, zero, zero, (), ())
    tracker = _Tracker(keypoints, cameras, options)
    spans = plan_spans(keypoints.frame_count, count, options.max_offset_frames)
    fitted = tracker.fit_span(spans[0]) if len(spans) == 1 else clocks_of_spans(spans, tracker)
    if fitted is None:
        blind = Finding(
            "sync",
            "warning",
            "No moving person is seen by all cameras at once, so time offsets cannot be measured; "
            "the cameras are taken as synchronous.",
            "Film a person who moves in view of all cameras, or trigger the cameras together.",
        )
        return Sync(keypoints.cameras, zero, unknown, zero, (), (blind,))
    return _judged(fitted, keypoints.frame_count, options)


def resample(keypoints: Keypoints, sync: Sync, max_gap_frames: float = 4.0) -> Keypoints:
    """Every camera's keypoints on camera 0's clock; see `capture.clock.onto_one_clock`."""
    return onto_one_clock(keypoints, sync.clocks, max_gap_frames)


def _check(keypoints: Keypoints, cameras: Cameras) -> None:
    if keypoints.cameras != cameras.names:
        raise InputError(
            f"expected a calibration of the cameras {', '.join(keypoints.cameras)}, got "
            f"{', '.join(cameras.names)}; match the calibration to the keypoints first"
        )


class _Tracker:
    """Turns any stretch of the take into rays of followed people, and fits clocks to it."""

    def __init__(self, keypoints: Keypoints, cameras: Cameras, options: SyncOptions) -> None:
        self.keypoints, self.cameras, self.options = keypoints, cameras, options
        indices = range(len(cameras))
        face = [name.endswith(FACE) for name in keypoints.joints]
        self.trust = torch.where(torch.tensor(face), FACE_WEIGHT, 1.0).double()
        self.pairs = {(a, b): epipolar_pair(cameras, a, b) for a, b in combinations(indices, 2)}

    def people(self, span: Span) -> list[list[tuple[Tensor, Tensor]]]:
        """Per camera, largest first: pixels (T, J, 2) and confidence (T, J) of followed people."""
        result = []
        for c, start in enumerate(span.starts):
            points, confidence = _stretch(self.keypoints, c, start, span.length)
            slots = torch.from_numpy(follow_people(points))
            rows = torch.arange(span.length)
            found = []
            for slot in slots.T:
                weight = confidence[rows, slot.clamp_min(0)]
                weight = weight * (slot != NO_SLOT).unsqueeze(1)
                known = weight >= self.options.min_confidence
                track = points[rows, slot.clamp_min(0)]
                track = torch.where(known.unsqueeze(-1), track, torch.nan)
                smooth = smooth_tracks(track, self.options.smooth_frames)
                found.append((smooth, weight * known * self.trust))
            result.append(_comparable(found))
        return result

    def fit_span(self, span: Span) -> Fit | None:
        """Clocks of this stretch, counted from its own frame 0; None where nobody is seen."""
        people = self.people(span)
        if not all(people):
            return None
        rays = [self._rays(c, [track for track, _ in found]) for c, found in enumerate(people)]
        curves = {
            (a, b): torch.stack(
                [
                    torch.stack([shift_costs(u, v, pair, span.reach) for v in rays[b]])
                    for u in rays[a]
                ]
            )
            for (a, b), pair in self.pairs.items()
        }
        if not all(bool(curve.isfinite().any()) for curve in curves.values()):
            return None
        offsets, chosen = search_offsets(curves, len(rays))
        tracks = RayTracks(
            torch.stack([r[k] for r, k in zip(rays, chosen, strict=True)]),
            torch.stack([found[k][1] for found, k in zip(people, chosen, strict=True)]),
            self.pairs,
        )
        return self._fit(tracks, offsets.double(), span)

    def _rays(self, camera: int, tracks: list[Tensor]) -> Tensor:
        return world_rays(self.cameras.select([camera]), torch.stack(tracks).unsqueeze(0))[0]

    def _fit(self, tracks: RayTracks, offsets: Tensor, span: Span) -> Fit | None:
        instants = torch.arange(span.length, dtype=torch.float64)
        clocks = Clocks(self.keypoints.cameras, offsets, torch.zeros_like(offsets))
        fit = fit_clocks(tracks, clocks, instants)
        if not bool(fit.std.isfinite().all()):
            return None
        if self.options.jumps and span.whole:
            return _best_model(tracks, fit, instants)
        return fit


def _best_model(tracks: RayTracks, fit: Fit, instants: Tensor) -> Fit:
    """Steady clocks, drifting ones, or ones that jump: whichever explains the take best.

    A drift looks like a staircase of jumps and a jump like a drift; each is charged alike.
    """
    jumping = find_jumps(tracks, fit, instants)
    if MAX_DRIFT * len(instants) <= MIN_GAIN:
        return jumping  # too short for any believable drift to show
    every = tuple(range(1, len(tracks.rays)))
    trial = fit_clocks(tracks, fit.clocks, instants, every)
    drift, std = trial.clocks.drift[1:], trial.std[len(every) :]
    gained = drift.abs() * len(instants)
    clear = (gained > MIN_GAIN) & (drift.abs() > 4.0 * std) & (drift.abs() < MAX_DRIFT)
    drifting = tuple(c for c in every if bool(clear[c - 1]))
    if not drifting:
        return jumping
    rated = find_jumps(tracks, fit_clocks(tracks, fit.clocks, instants, drifting), instants)

    def price(model: Fit) -> float:
        charges = len(model.clocks.dropped) + int((model.clocks.drift != 0.0).sum())
        cost = mean_cost(tracks, model.clocks, instants, fit.residual_px)
        return cost * len(instants) + JUMP_COST * charges

    return min(jumping, rated, key=price)


def _stretch(keypoints: Keypoints, camera: int, start: int, length: int) -> tuple[Tensor, Tensor]:
    """Points and confidence of frames start .. start + length; NaN and 0 outside the take."""
    frames = keypoints.frame_count
    low, high = max(start, 0), min(start + length, frames)
    points = keypoints.points_px[camera, low:high].double()
    weight = keypoints.confidence[camera, low:high].double()
    if high - low == length:
        return points, weight
    shape = (length, *weight.shape[1:])
    padded = torch.full((*shape, 2), torch.nan, dtype=torch.float64)
    padded_weight = torch.zeros(shape, dtype=torch.float64)
    if high > low:
        padded[low - start : high - start] = points
        padded_weight[low - start : high - start] = weight
    return padded, padded_weight


def _comparable(found: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
    """Leave out people much smaller than the first: they stand in the background."""
    if len(found) < 2:
        return found
    heights = [float(torch.from_numpy(body_height_px(track.numpy())).sum()) for track, _ in found]
    return [
        pair
        for pair, height in zip(found, heights, strict=True)
        if height > BACKGROUND * heights[0]
    ]


def _judged(fit: Fit, frames: int, options: SyncOptions) -> Sync:
    """Zero what is not significant, and say what was found."""
    clocks = fit.clocks
    count = len(clocks.cameras)
    std = torch.cat((torch.zeros(1, dtype=torch.float64), fit.std[: count - 1]))
    steady = clocks.drift == 0.0
    bound = (options.significance * std).clamp_min(options.smallest_frames)
    is_zero = steady & (clocks.offsets_frames.abs() < bound)
    offsets = torch.where(is_zero, torch.zeros_like(std), clocks.offsets_frames)
    findings: list[Finding] = []
    for c in range(1, count):
        findings += _offset_findings(clocks, c, float(offsets[c]), float(std[c]), frames)
    for jump in clocks.dropped:
        what = "lacks" if jump.count > 0 else "repeats"
        findings.append(
            Finding(
                "sync",
                "warning",
                f"{jump.camera} {what} {abs(jump.count)} frame(s) near its frame {jump.frame}: its "
                "clock jumps there against the other cameras.",
                "Nothing need be done; record to a faster disk to avoid it.",
                jump.camera,
            )
        )
    return Sync(clocks.cameras, offsets, std, clocks.drift, clocks.dropped, tuple(findings))


def _offset_findings(
    clocks: Clocks, camera: int, offset: float, std: float, frames: int
) -> list[Finding]:
    name = clocks.cameras[camera]
    measured = float(clocks.offsets_frames[camera])
    found = []
    if offset == 0.0 and std > UNKNOWN_FRAMES:
        sentence = (
            f"{name}'s clock cannot be told: it shares too little of the person's motion with the "
            f"others, and is taken to run with {clocks.cameras[0]}."
        )
        advice = "Let every camera see the person at the same time as two others."
        found.append(Finding("sync", "warning", sentence, advice, name))
    elif offset == 0.0:
        sentence = (
            f"{name} runs with {clocks.cameras[0]}: the best offset, {measured:+.2f} +- {std:.2f} "
            "frames, is within the noise and is taken as 0."
        )
        found.append(Finding("sync", "info", sentence, camera=name))
    else:
        sense = "later" if offset > 0.0 else "earlier"
        sentence = (
            f"{name} started {abs(offset):.2f} +- {std:.2f} frames {sense} than "
            f"{clocks.cameras[0]}; its keypoints were moved in time."
        )
        found.append(Finding("sync", "info", sentence, camera=name))
    rate = float(clocks.drift[camera])
    if rate:
        sentence = (
            f"{name}'s clock drifts by {100.0 * rate:+.2f} % against {clocks.cameras[0]}, "
            f"{rate * frames:+.1f} frames over the take."
        )
        advice = "Check that both cameras record at the same, constant frame rate."
        found.append(Finding("sync", "warning", sentence, advice, name))
    return found
