"""Dropped frames: where the clock of one camera jumps against the others.

C cameras, S instants (frames of camera 0), D whole-frame deviations from a steady clock, J joints.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.clock import Dropped
from muybridge.capture.offsets import RayTracks
from muybridge.capture.timefit import (
    FIT_STEPS,
    PHASES,
    Fit,
    fit_clocks,
    mean_cost,
    unbiased_residual,
    views_at,
)
from muybridge.geometry.epipolar import signed_distance_px

__all__ = ["JUMP_COST", "deviation_costs", "find_jumps"]

REACH_FRAMES = 10  # deviations tried on either side of the fitted clock
PROPOSE = 0.45  # mean robust cost, summed over frames, that a jump must save to be tried
JUMP_COST = 0.8  # and to be believed, after everything was fitted again
ZERO_COST = 0.1  # of two counts that do equally well, the one that needs no offset besides
TRIAL_STEPS = 4
SEARCH_INSTANTS = 200  # spread over the take; a search over more only takes longer
MOST_JUMPS = 8
MARGIN_FRAMES = 5  # a jump so near the ends of the take cannot be told from noise
TOGETHER_FRAMES = 10  # jumps of one camera nearer than this are one
SEARCH = (  # counts and frames to add to a proposal, one table after the other
    ((0, 1, 2), (-32, -16, 0, 16, 32)),
    ((-2, -1, 1, 2), (0,)),
    ((0,), (-8, -4, 4, 8)),
    ((-1, 0, 1), (-2, 2)),
    ((-1, 0, 1), (-1, 1)),
)


def deviation_costs(
    tracks: RayTracks, fit: Fit, camera: int, instants: Float[Tensor, "s"]
) -> Float[Tensor, "s d"]:
    """Mean robust cost of each instant, were `camera` off by d - REACH_FRAMES frames.

    Deviations count from the present clock, and the constant biases are those of the present fit,
    so that frames at another offset stand out. Instants count by how much is seen at them; NaN
    where nothing is comparable.
    """
    now = views_at(tracks, fit.clocks, instants)
    shift = torch.arange(-REACH_FRAMES, REACH_FRAMES + 1)
    at = torch.arange(len(instants)) - shift.unsqueeze(1)  # D S
    inside = ((at >= 0) & (at < len(instants))).unsqueeze(-1)
    at = at.clamp(0, len(instants) - 1)
    rays, weight = now.rays[camera][at], now.weight[camera][at] * inside
    total = torch.zeros(at.shape, dtype=torch.float64)
    count = torch.zeros_like(total)
    present = torch.zeros(len(instants), dtype=torch.float64)
    for other in range(len(tracks.rays)):
        if other == camera:
            continue
        first, second = min(camera, other), max(camera, other)
        pair = tracks.pairs[first, second]
        base = signed_distance_px(now.rays[first], now.rays[second], pair)
        known = (now.weight[first] * now.weight[second]).sqrt()
        bias = base - unbiased_residual(base, known, fit.residual_px)[0]
        partner = now.rays[other].expand_as(rays)
        ordered = (rays, partner) if camera < other else (partner, rays)
        square = ((signed_distance_px(*ordered, pair) - bias) / (2.0 * fit.residual_px)).square()
        both = (weight * now.weight[other]).sqrt() * square.isfinite()
        total += (both * (square / (1.0 + square)).nan_to_num(0.0)).sum(-1)
        count += both.sum(-1)
        present += known.sum(-1)
    share = present / present.max().clamp_min(1e-9)
    return (torch.where(count > 0.0, total / count.clamp_min(1e-9), torch.nan) * share).T


def find_jumps(tracks: RayTracks, fit: Fit, instants: Float[Tensor, "s"]) -> Fit:
    """The fit with the frames that cameras dropped (or showed twice) taken into account.

    One jump after the other: the best frame and count of every camera are read off the deviation
    costs, the best camera's are refined with everything else fitted again, and kept if that pays.
    """
    for _ in range(MOST_JUMPS):
        better = _with_one_more(tracks, fit, instants)
        if better is None:
            return fit
        fit = better
    return fit


class _Trial(NamedTuple):
    cost: float  # mean robust cost of all instants
    jump: Dropped
    fit: Fit


def _with_one_more(tracks: RayTracks, fit: Fit, instants: Tensor) -> Fit | None:
    """The fit with one more jump, or None."""
    proposals = [
        proposal
        for c in range(len(tracks.rays))
        if (proposal := _proposal(tracks, fit, c, instants)) is not None
    ]
    if not proposals:
        return None
    chosen = instants[:: -(-len(instants) // SEARCH_INSTANTS)]
    start_cost = mean_cost(tracks, fit.clocks, chosen, fit.residual_px)
    drifting = tuple(fit.clocks.drift.nonzero()[:, 0].tolist())

    def trial(jump: Dropped, near: Fit, thorough: bool = False) -> _Trial:
        moved = replace(near.clocks, dropped=_merged(fit.clocks.dropped, jump))
        steps, phases = (FIT_STEPS, PHASES) if thorough else (TRIAL_STEPS, (0.0,))
        fitted = fit_clocks(tracks, moved, chosen, drifting, steps, phases)
        return _Trial(mean_cost(tracks, fitted.clocks, chosen, fit.residual_px), jump, fitted)

    best = trial(max(proposals, key=lambda p: p[0])[1], fit)
    for counts, frames in SEARCH:
        start = best
        for more, later in product(counts, frames):
            old = start.jump
            jump = replace(old, frame=max(old.frame + later, 1), count=old.count + more)
            best = min(best, trial(jump, start.fit), key=lambda t: t.cost)
    near = [replace(best.jump, count=best.jump.count + more) for more in (-1, 0, 1)]
    settled = [trial(jump, best.fit, thorough=True) for jump in near if jump.count]
    best = min(settled, key=lambda t: t.cost * len(instants) + ZERO_COST * _unlike_zero(t.fit))
    if (start_cost - best.cost) * len(instants) < JUMP_COST:
        return None
    return fit_clocks(tracks, best.fit.clocks, instants, drifting)


def _unlike_zero(fit: Fit) -> float:
    """How far the cameras are from having started together, at most one frame for each."""
    return float(fit.clocks.offsets_frames.abs().clamp_max(1.0).sum())


def _proposal(
    tracks: RayTracks, fit: Fit, camera: int, instants: Tensor
) -> tuple[float, Dropped] | None:
    """The single jump of this camera that saves most, with what it saves; None if too little."""
    costs = deviation_costs(tracks, fit, camera, instants)
    costs = torch.where(costs.isnan(), costs.nanmean(1, keepdim=True), costs).nan_to_num(0.0)
    before = costs.cumsum(0)
    whole = before[-1]
    low, early = before.min(1)
    high, late = (whole - before).min(1)
    frame, _ = fit.clocks.frames_at(camera, instants, tracks.rays.shape[1])
    filmed = frame.isfinite() & (frame >= MARGIN_FRAMES)
    filmed &= frame <= tracks.rays.shape[1] - MARGIN_FRAMES
    saved = torch.where(filmed, whole.min() - low - high, -torch.inf)
    at = int(saved.argmax())
    count = int(late[at] - early[at])
    if float(saved[at]) < PROPOSE or count == 0:
        return None
    return float(saved[at]), Dropped(fit.clocks.cameras[camera], round(float(frame[at])) + 1, count)


def _merged(jumps: tuple[Dropped, ...], new: Dropped) -> tuple[Dropped, ...]:
    """The jumps with one more; one that lies close to another is added to it."""
    near = [
        j for j in jumps if j.camera == new.camera and abs(j.frame - new.frame) < TOGETHER_FRAMES
    ]
    rest = tuple(j for j in jumps if j not in near)
    count = new.count + sum(j.count for j in near)
    both = (*rest, replace(new, count=count)) if count else rest
    return tuple(sorted(both, key=lambda j: j.frame))
