"""Any number of cameras in one frame: pairs, a chain of the best pairs, one bundle adjustment.

C cameras, V instants, N corners. The result's world is camera 0's frame (x right, y down, z
forward, metres); `capture.level` turns it upright.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from torch import Tensor

from muybridge.capture.board import BoardViews
from muybridge.capture.delay import in_film_order, sample_tracks
from muybridge.capture.lens import LensCalibration
from muybridge.capture.rig_report import Loop, RigCalibration, RigOptions, rig_findings
from muybridge.capture.sightings import (
    Sightings,
    adjust_boards,
    choose_poses,
    gather_sightings,
    pose_candidates,
)
from muybridge.capture.stereo import FEWEST_VIEWS, ROUGH, StereoPair, calibrate_pair
from muybridge.errors import InputError
from muybridge.geometry.bundle import (
    PARAMETERS,
    Bundle,
    BundleOptions,
    baseline_sigma,
    free_parameters,
)
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from muybridge.geometry.rotation import rotvec_from_matrix

__all__ = [
    "Loop",
    "RigCalibration",
    "RigOptions",
    "calibrate_rig",
    "cameras_from_lenses",
]

LENS = 9  # lens parameters a camera
GRID = 8  # cells along each side, for coverage
MOST_ROUNDS = 8  # of reading the tracks at better delays
SETTLED_FRAMES = 0.01

Pairs = dict[tuple[int, int], StereoPair]
Freedom = tuple[Bool[Tensor, "c 16"], Float[Tensor, "c 9 9"] | None]


def cameras_from_lenses(lenses: Sequence[LensCalibration]) -> Cameras:
    """Lenses as cameras that all stand at the origin."""
    count = len(lenses)
    return Cameras(
        tuple(lens.camera for lens in lenses),
        torch.tensor([lens.size_px for lens in lenses], dtype=torch.float64),
        torch.stack([lens.matrix for lens in lenses]),
        torch.stack([lens.distortion for lens in lenses]),
        torch.eye(3, dtype=torch.float64).repeat(count, 1, 1),
        torch.zeros(count, 3, dtype=torch.float64),
    )


def calibrate_rig(
    lenses: Sequence[LensCalibration] | Cameras,
    views: Sequence[BoardViews],
    options: RigOptions | None = None,
) -> RigCalibration:
    """Find where all cameras stand from boards that neighbours saw at the same instants.

    Args:
        lenses: One a camera; cameras without a lens calibration of their own (a file) are taken as
            they are, with `RigOptions.lenses` = "fixed" or "refined".
        views: One a camera, in the same order.
        options: What to adjust and when to warn.

    Raises:
        InputError: If there are fewer than two cameras, or cameras that share no views with the
            others.
    References:
        Triggs et al., Bundle adjustment: a modern synthesis, 2000.
    """
    options = options or RigOptions()
    cameras = lenses if isinstance(lenses, Cameras) else cameras_from_lenses(lenses)
    names = tuple(v.camera for v in views)
    assert names == cameras.names, f"views of {names} for lenses of {cameras.names}"
    if len(cameras) < 2:
        raise InputError(
            f"expected two or more cameras, got only {', '.join(names) or 'none'}; "
            "one camera cannot measure depth: add the pictures of another"
        )
    freedom = _freedom(lenses, options)
    film = gather_sightings(views)
    delay = torch.zeros(len(cameras), dtype=torch.float64)
    if options.timing == "simultaneous":
        return _summary(_attempt(cameras, film, freedom, options), cameras, delay, options)
    film = in_film_order(film)
    for _ in range(MOST_ROUNDS):
        attempt = _attempt(cameras, sample_tracks(film, delay), freedom, options)
        delay = delay + attempt.bundle.delay
        if float(attempt.bundle.delay.abs().max()) < SETTLED_FRAMES:
            break
    return _summary(attempt, cameras, delay, options)


class _Attempt(NamedTuple):
    """One adjustment and what led to it."""

    bundle: Bundle
    used: Bool[Tensor, "c v n"]
    sightings: Sightings
    shared: Int64[Tensor, "c c"]
    pairs: Pairs
    chain: tuple[tuple[int, int], ...]


def _attempt(
    cameras: Cameras, sightings: Sightings, freedom: Freedom, options: RigOptions
) -> _Attempt:
    """Pairs, chain and adjustment, from lenses to a rig."""
    sightings = _thinned(sightings, options)
    shared = _shared_views(sightings)
    pairs = _calibrate_pairs(cameras, sightings, shared)
    chain = _chain(cameras.names, shared, pairs)
    placed = _placed(cameras, chain, pairs)
    poses = choose_poses(placed, sightings, pose_candidates(placed, sightings))
    loss = BundleOptions(loss="soft_l1", tolerance=ROUGH)
    bundle, used = adjust_boards(placed, poses, sightings, freedom[0], loss, freedom[1])
    return _Attempt(bundle, used, sightings, shared, pairs, chain)


def _thinned(sightings: Sightings, options: RigOptions) -> Sightings:
    """Keep the instants seen by the most cameras, evenly in time, where there are too many."""
    views, most = sightings.posed.sum(0), options.most_instants
    if int((views > 0).sum()) <= most:
        return sightings.select(range(len(sightings.cameras)), views > 0)
    keep = torch.zeros_like(views, dtype=torch.bool)
    shared = (views > 1).nonzero()[:, 0]
    alone = (views == 1).nonzero()[:, 0]
    first = shared[np.linspace(0, len(shared) - 1, min(most, len(shared))).round()]
    keep[first] = True
    rest = most - int(keep.sum())
    if rest > 0 and len(alone) > 0:
        keep[alone[np.linspace(0, len(alone) - 1, min(rest, len(alone))).round()]] = True
    return sightings.select(range(len(sightings.cameras)), keep)


def _shared_views(sightings: Sightings) -> Int64[Tensor, "c c"]:
    posed = sightings.posed.to(torch.int64)
    return posed @ posed.mT


def _calibrate_pairs(cameras: Cameras, sightings: Sightings, shared: Int64[Tensor, "c c"]) -> Pairs:
    everything = torch.ones(len(sightings.instants), dtype=torch.bool)
    count = len(cameras)
    return {
        (a, b): calibrate_pair(cameras.select((a, b)), sightings.select((a, b), everything))
        for a in range(count)
        for b in range(a + 1, count)
        if int(shared[a, b]) >= FEWEST_VIEWS
    }


def _chain(
    names: Sequence[str], shared: Int64[Tensor, "c c"], pairs: Pairs
) -> tuple[tuple[int, int], ...]:
    """Spanning tree of the pairs with the most shared views, then the least error.

    Returned as (parent, child), parents before children, starting at camera 0.
    """
    count = len(names)
    cost = np.zeros((count, count))
    for (a, b), pair in pairs.items():
        cost[a, b] = 1.0 / (float(shared[a, b]) + 0.5 / (1.0 + pair.rms_px))
    _, part = connected_components(cost, directed=False)
    if part.any():
        _refuse_islands(names, part)
    tree = minimum_spanning_tree(cost).toarray()
    linked = (tree + tree.T) > 0.0
    order, reached = [], [0]
    for parent in reached:  # grows while it is walked
        for child in np.flatnonzero(linked[parent]):
            if int(child) not in reached:
                reached.append(int(child))
                order.append((parent, int(child)))
    return tuple(order)


def _refuse_islands(names: Sequence[str], part: np.ndarray) -> None:
    groups = [
        " and ".join(n for n, p in zip(names, part, strict=True) if p == g)
        for g in range(int(part.max()) + 1)
    ]
    raise InputError(
        "expected every camera to share pictures of the board with another, got groups without a "
        f"common view: {' | '.join(groups)}; film the board where a camera of each group sees it "
        "at the same time"
    )


def _relative(pairs: Pairs, a: int, b: int) -> Rigid:
    """b_from_a."""
    if (a, b) in pairs:
        return pairs[a, b].second_from_first
    return pairs[b, a].second_from_first.inverse()


def _placed(cameras: Cameras, chain: Sequence[tuple[int, int]], pairs: Pairs) -> Cameras:
    """Cameras posed along the chain."""
    poses = {0: Rigid(torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))}
    for parent, child in chain:
        poses[child] = _relative(pairs, parent, child).compose(poses[parent])
    ordered = [poses[c] for c in range(len(cameras))]
    return cameras.with_extrinsics(
        Rigid(
            torch.stack([p.rotation for p in ordered]),
            torch.stack([p.translation for p in ordered]),
        )
    )


def _freedom(lenses: Sequence[LensCalibration] | Cameras, options: RigOptions) -> Freedom:
    """Which parameters may move, and what is known of the lenses from other pictures."""
    free = free_parameters(len(lenses), () if options.lenses == "fixed" else PARAMETERS[:LENS])
    free[1:, -1] = options.timing == "delayed"
    if options.lenses == "fixed" or isinstance(lenses, Cameras):
        return free, None
    moving = torch.stack([lens.covariance.diagonal() > 0.0 for lens in lenses])
    free[:, :LENS] = moving
    if options.lenses == "refined":
        return free, None
    blocks = []
    for lens, mine in zip(lenses, moving, strict=True):
        block = torch.zeros(LENS, LENS, dtype=torch.float64)
        which = mine.nonzero()[:, 0]
        covariance = lens.covariance[which][:, which]
        scale = covariance.diagonal().rsqrt()
        inverse = torch.linalg.inv(covariance * scale[:, None] * scale) * scale[:, None] * scale
        block[which[:, None], which] = inverse * lens.rms_px**2 / 2.0  # variance of a coordinate
        blocks.append(block)
    return free, torch.stack(blocks)


def _summary(
    attempt: _Attempt, start: Cameras, delay: Float[Tensor, "c"], options: RigOptions
) -> RigCalibration:
    bundle, used, sightings, shared, pairs, chain = attempt
    cameras, camera = bundle.cameras, used.nonzero()[:, 0]
    squared = bundle.residuals_px.square().sum(-1)
    count = len(cameras)
    sigma = torch.zeros(count, count, dtype=torch.float64)
    for a in range(count):
        for b in range(a):
            sigma[a, b] = sigma[b, a] = baseline_sigma(bundle, a, b)
    weak = _weak_pairs(cameras, shared, sigma, chain, options)
    rig = RigCalibration(
        cameras=cameras,
        rms_px=bundle.rms_px,
        camera_rms_px=torch.stack([squared[camera == c].mean().sqrt() for c in range(count)]),
        instants=sightings.instants,
        world_from_board=bundle.bodies,
        covariance=bundle.covariance,
        baseline_sigma_m=sigma,
        shared_views=shared,
        pairs=tuple(pairs.values()),
        loops=_loops(cameras.names, pairs, chain),
        weak_pairs=tuple((cameras.names[a], cameras.names[b]) for a, b in weak),
        coverage=_coverage(sightings, cameras.size_px),
        delay_frames=delay,
        dropped=int(sightings.seen.sum()) - int(used.sum()),
        findings=(),
    )
    return replace(rig, findings=tuple(rig_findings(rig, start, options)))


def _loops(
    names: Sequence[str], pairs: Pairs, chain: Sequence[tuple[int, int]]
) -> tuple[Loop, ...]:
    """Close every pair outside the chain through the chain."""
    parent = {child: p for p, child in chain}
    loops = []
    for a, b in pairs:
        if parent.get(a) == b or parent.get(b) == a:
            continue
        way = _way(parent, a, b)
        around = Rigid(torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))
        for start, end in pairwise((*way, a)):
            around = _relative(pairs, start, end).compose(around)
        angle = torch.rad2deg(rotvec_from_matrix(around.rotation).norm())
        gap = around.translation.norm()
        loops.append(Loop(tuple(names[c] for c in way), float(angle), float(gap)))
    return tuple(loops)


def _way(parent: dict[int, int], a: int, b: int) -> tuple[int, ...]:
    """Cameras from a to b along the chain, both included."""
    up = {c: [c] for c in (a, b)}
    for trail in up.values():
        while trail[-1] in parent:
            trail.append(parent[trail[-1]])
    meeting = next(c for c in up[a] if c in up[b])
    down = up[b][: up[b].index(meeting)]
    return (*up[a][: up[a].index(meeting) + 1], *reversed(down))


def _weak_pairs(
    cameras: Cameras,
    shared: Int64[Tensor, "c c"],
    sigma_m: Float[Tensor, "c c"],
    chain: Sequence[tuple[int, int]],
    options: RigOptions,
) -> list[tuple[int, int]]:
    """Links of the chain with few views, and any pair whose distance is loosely known."""
    distance = torch.cdist(cameras.centres_world, cameras.centres_world)
    loose = sigma_m > options.loose_baseline * distance
    links = {(min(link), max(link)) for link in chain}
    few = {link for link in links if int(shared[link]) < options.few_views}
    return sorted(few | {(a, b) for a, b in loose.nonzero().tolist() if a < b})


def _coverage(sightings: Sightings, size_px: Float[Tensor, "c 2"]) -> Float[Tensor, "c"]:
    """Share of an 8 x 8 grid over each picture in which corners were seen."""
    cell = (sightings.points_px / size_px[:, None, None] * GRID).floor().clamp(0, GRID - 1)
    index = (cell[..., 0] * GRID + cell[..., 1]).flatten(1)
    filled = [row[row.isfinite()].unique().numel() for row in index]
    return torch.tensor(filled, dtype=torch.float64) / GRID**2
