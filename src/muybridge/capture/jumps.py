"""Dropped frames: where the clock of one camera jumps against the others.

C cameras, S instants (frames of camera 0), D whole-frame deviations from a steady clock, J joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.capture.clock import Dropped
from muybridge.capture.offsets import RayTracks
from muybridge.capture.timefit import Fit, fit_clocks, mean_cost, unbiased_residual, views_at
from muybridge.geometry.epipolar import signed_distance_px

__all__ = ["deviation_costs", "find_jumps", "steady_path"]

REACH_FRAMES = 10  # deviations tried on either side of the fitted clock
PROPOSE = 0.25  # mean robust cost, summed over frames, that a jump must save to be tried
ACCEPT = 0.8  # and to be believed, after everything was fitted again
SEARCH = (  # frames and counts to add, one table after the other
    ((0,), (-2, -1, 1, 2)),
    ((-6, -3, 3, 6), (0,)),
    ((-3, 0, 3), (-1, 1)),
    ((-2, -1, 1, 2), (0,)),
    ((0,), (-1, 1)),
)


def deviation_costs(
    tracks: RayTracks, fit: Fit, camera: int, instants: Float[Tensor, " s"]
) -> Float[Tensor, "s d"]:
    """Mean robust cost of each instant, were `camera` off by d - REACH_FRAMES frames.

    Deviations count from the camera's clock WITHOUT its jumps; the constant biases are those of
    the present fit, so that frames at another offset stand out. NaN where nothing is comparable.
    """
    now = views_at(tracks, fit.clocks, instants)
    name = fit.clocks.cameras[camera]
    rest_of_jumps = tuple(jump for jump in fit.clocks.dropped if jump.camera != name)
    steady = views_at(tracks, replace(fit.clocks, dropped=rest_of_jumps), instants)
    shift = torch.arange(-REACH_FRAMES, REACH_FRAMES + 1)
    at = torch.arange(len(instants)) - shift.unsqueeze(1)  # D S
    inside = ((at >= 0) & (at < len(instants))).unsqueeze(-1)
    at = at.clamp(0, len(instants) - 1)
    rays, weight = steady.rays[camera][at], steady.weight[camera][at] * inside
    total = torch.zeros(at.shape, dtype=torch.float64)
    count = torch.zeros_like(total)
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
    return torch.where(count > 0.0, total / count.clamp_min(1e-9), torch.nan).T


def steady_path(costs: Float[np.ndarray, "s d"], penalty: float) -> Int[np.ndarray, " s"]:
    """The cheapest path through the costs when every change of column costs `penalty` (Viterbi)."""
    frames, columns = costs.shape
    total = np.zeros(columns)
    source = np.zeros((frames, columns), dtype=np.int64)
    for s in range(frames):
        best = int(total.argmin())
        jump = total[best] + penalty < total
        source[s] = np.where(jump, best, np.arange(columns))
        total = np.where(jump, total[best] + penalty, total) + costs[s]
    path = np.zeros(frames, dtype=np.int64)
    path[-1] = int(total.argmin())
    for s in range(frames - 1, 0, -1):
        path[s - 1] = source[s, path[s]]
    return path


def find_jumps(tracks: RayTracks, fit: Fit, instants: Float[Tensor, " s"]) -> Fit:
    """The fit with the frames that cameras dropped (or showed twice) taken into account.

    The camera whose clock gains most from jumping is refitted with these jumps, as often as that
    pays clearly; otherwise the fit is returned as it came.
    """
    for _ in range(len(tracks.rays)):
        better = _with_jumps(tracks, fit, instants)
        if better is None:
            return fit
        fit = better
    return fit


def _with_jumps(tracks: RayTracks, fit: Fit, instants: Tensor) -> Fit | None:
    """One more camera with jumps, or None."""
    settled = {jump.camera for jump in fit.clocks.dropped}
    options = [c for c, name in enumerate(fit.clocks.cameras) if name not in settled]
    tries = {c: _jumps_of(tracks, fit, c, instants) for c in options}
    camera = max(options, key=lambda c: tries[c][1], default=None)
    if camera is None or tries[camera][1] <= 0.0:
        return None
    problem = _Problem(tracks, instants, fit)
    jumps, best = tries[camera][0], None
    for index in range(len(jumps)):
        for frames, counts in SEARCH:
            best, jumps = problem.refine(jumps, index, frames, counts, best)
    jumps = tuple(jump for jump in jumps if jump.count)
    if best is None or not jumps:
        return None
    return best.fit if (problem.start_cost - best.cost) * len(instants) > ACCEPT else None


class _Trial(NamedTuple):
    cost: float
    fit: Fit


class _Problem:
    """Costs of jumps in one camera, everything else being fitted again for each."""

    def __init__(self, tracks: RayTracks, instants: Tensor, fit: Fit) -> None:
        self.tracks, self.instants, self.start = tracks, instants, fit
        self.start_cost = mean_cost(tracks, fit.clocks, instants, fit.residual_px)

    def trial(self, jumps: tuple[Dropped, ...], near: Fit) -> _Trial:
        moved = replace(near.clocks, dropped=self.start.clocks.dropped + jumps)
        fit = fit_clocks(self.tracks, moved, self.instants, bool(moved.drift.any()))
        cost = mean_cost(self.tracks, fit.clocks, self.instants, self.start.residual_px)
        return _Trial(cost, fit)

    def refine(
        self,
        jumps: tuple[Dropped, ...],
        index: int,
        frames: Sequence[int],
        counts: Sequence[int],
        best: _Trial | None,
    ) -> tuple[_Trial, tuple[Dropped, ...]]:
        """Move one jump by the given frames and counts to where the cost is least."""
        best = best or self.trial(jumps, self.start)
        kept = jumps
        for later in frames:
            for more in counts:
                old = jumps[index]
                new = replace(old, frame=max(old.frame + later, 1), count=old.count + more)
                tried = (*jumps[:index], new, *jumps[index + 1 :])
                trial = self.trial(tried, best.fit)
                if trial.cost < best.cost:
                    best, kept = trial, tried
        return best, kept


def _jumps_of(
    tracks: RayTracks, fit: Fit, camera: int, instants: Tensor
) -> tuple[tuple[Dropped, ...], float]:
    """Jumps on the camera's cheapest path, and what they save after their penalties."""
    costs = deviation_costs(tracks, fit, camera, instants)
    costs = torch.where(costs.isnan(), costs.nanmean(1, keepdim=True), costs).nan_to_num(0.0)
    path = steady_path(costs.numpy(), PROPOSE)
    at = np.flatnonzero(np.diff(path)) + 1
    along = float(costs[torch.arange(len(path)), torch.from_numpy(path)].sum())
    saved = float(costs.sum(0).min()) - along - PROPOSE * len(at)
    name = fit.clocks.cameras[camera]
    frame, _ = fit.clocks.frames_at(camera, instants, tracks.rays.shape[1])
    jumps = [
        Dropped(name, int(frame[s].nan_to_num(0.0).round()), int(path[s] - path[s - 1])) for s in at
    ]
    return tuple(jump for jump in jumps if jump.frame > 0), saved
