"""Left/right swaps of one person: found by continuity in time and agreement between cameras.

C cameras, T frames, J joints, G groups of joints that swap together (arms, legs, face), N pairs of
twin joints in a group. The state of a camera, frame and group is 0 (as detected) or 1 (exchanged).

The states of all cameras minimise one energy,
    sum over frames, pairs of cameras:  disagreement(a, b) of the labelling s_a xor s_b
  + sum over cameras, frames:           jump(t, t + 1) of the labelling s_t xor s_{t+1}
  + prior for every exchanged state,
by exact dynamic programming over one camera's chain with the others fixed, in turns. Detectors
mistake single parts, or a whole person for their mirror image; so the face, whose joints lie too
close to decide alone, is expected to follow where arms and legs are both exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.epipolar import epipolar_pair, signed_distance_px, world_rays
from muybridge.motion.keypoints import Keypoints

__all__ = ["GROUPS", "Repair", "SwapOptions", "exchange", "repair_swaps", "shortest_states"]

CHUNK_FRAMES = 4096  # turned into rays at once; bounds the memory of an hour's take
GROUPS = {
    "arms": ("shoulder", "elbow", "wrist"),
    "legs": ("hip", "knee", "ankle", "heel", "big_toe", "small_toe"),
    "face": ("eye", "ear"),
}


@dataclass(frozen=True)
class SwapOptions:
    """When to believe in a swap.

    Attributes:
        min_scale_px: Least distance that counts as one unit; otherwise it is measured.
        prior: Units that a swapped frame must save.
        switch: Units that going in or out of a swapped stretch must save.
        sweeps: Most turns over all cameras.
        min_confidence: Joints below this have no say.
    """

    min_scale_px: float = 2.0
    prior: float = 4.0
    switch: float = 0.5
    sweeps: int = 6
    min_confidence: float = 0.2


@dataclass(frozen=True)
class Repair:
    """Repaired keypoints.

    Attributes:
        keypoints: Left and right exchanged where they had been swapped.
        swapped: Where that was, per group of `GROUPS`.
        findings: One sentence per camera with swaps.
    """

    keypoints: Keypoints
    swapped: Bool[Tensor, "c t g"]
    findings: tuple[Finding, ...]


def repair_swaps(
    keypoints: Keypoints, cameras: Cameras, options: SwapOptions | None = None
) -> Repair:
    """Find and undo left/right swaps of arms, legs and face, each on its own.

    Joints that a person corrected by hand are never exchanged.

    Args:
        keypoints: One person (P = 1), synchronised.
        cameras: Calibrated cameras in the same order.
        options: See `SwapOptions`.
    Raises:
        InputError: If there is more than one person.
    """
    options = options or SwapOptions()
    if keypoints.points_px.shape[2] != 1:
        raise InputError(
            f"expected the keypoints of one person, got {keypoints.points_px.shape[2]} slots; "
            "associate people first"
        )
    cameras_n, frames = keypoints.points_px.shape[:2]
    swapped = torch.zeros(cameras_n, frames, len(GROUPS), dtype=torch.bool)
    for g, group in enumerate(GROUPS):
        twins = twins_of(keypoints.joints, group)
        if twins:
            whole = swapped[..., :g].all(-1) & (g == len(GROUPS) - 1)
            swapped[..., g] = _states(keypoints, cameras, twins, whole, options)
    repaired = exchange(keypoints, swapped)
    return Repair(repaired, swapped, _findings(keypoints.cameras, swapped))


def twins_of(joints: tuple[str, ...], group: str) -> list[tuple[int, int]]:
    """Indices of (left, right) of every joint of the group that both exist."""
    where = {name: i for i, name in enumerate(joints)}
    names = ((f"left_{part}", f"right_{part}") for part in GROUPS[group])
    return [(where[a], where[b]) for a, b in names if a in where and b in where]


def exchange(keypoints: Keypoints, swapped: Bool[Tensor, "c t g"]) -> Keypoints:
    """Exchange left and right of the groups where `swapped`; corrected joints stay."""
    points, confidence = keypoints.points_px.clone(), keypoints.confidence.clone()
    for g, group in enumerate(GROUPS):
        for twins in map(list, twins_of(keypoints.joints, group)):
            here = swapped[..., g, None].expand(points.shape[:3])
            if keypoints.corrected is not None:
                here = here & ~keypoints.corrected[..., twins].any(-1)
            points[..., twins, :] = _turned(points[..., twins, :], here[..., None, None], -2)
            confidence[..., twins] = _turned(confidence[..., twins], here[..., None], -1)
    return replace(keypoints, points_px=points, confidence=confidence)


def _turned(values: Tensor, where: Tensor, dim: int) -> Tensor:
    return torch.where(where, values.flip(dim), values)


def _states(
    keypoints: Keypoints,
    cameras: Cameras,
    twins: list[tuple[int, int]],
    expected: Bool[Tensor, "c t"],
    options: SwapOptions,
) -> Bool[Tensor, "c t"]:
    """Best states of one group in all cameras and frames; `expected` ones cost nothing extra."""
    index = torch.tensor(twins)  # N 2
    points = keypoints.points_px[:, :, 0][:, :, index].double()  # C T N 2(left, right) 2(x, y)
    weak = keypoints.confidence[:, :, 0][:, :, index] < options.min_confidence
    points = torch.where(weak.unsqueeze(-1), torch.nan, points)
    between = _between_views(points, cameras, options)
    along = _along_time(points, options)
    count = len(cameras)
    usual = expected.numpy().astype(np.int64)
    state = usual.copy()
    for _ in range(options.sweeps):
        before = state.copy()
        for c in range(count):
            unary = np.zeros((points.shape[1], 2))
            unary[np.arange(len(unary)), 1 - usual[c]] += options.prior
            for other in {*range(count)} - {c}:
                unary += _given(between[min(c, other), max(c, other)], state[other])
            state[c] = shortest_states(unary, along[c], options.switch)
        if (state == before).all():
            break
    return torch.from_numpy(state).bool()


def _compared(
    equal_px: Float[Tensor, "c t n 2"], opposite_px: Float[Tensor, "c t n 2"], options: SwapOptions
) -> Float[np.ndarray, "c t 2"]:
    """Cost of the two labellings: Cauchy's log(1 + (d / scale)^2), summed over the joints.

    The scale is the usual distance under the better labelling, so that the noise of a detector or
    the bias of a calibration is told from a swap; unknown joints decide nothing.
    """
    known = equal_px.isfinite() & opposite_px.isfinite()
    smaller = torch.where(known, torch.minimum(equal_px, opposite_px), torch.nan)
    scale = smaller.flatten(1).nanmedian(1).values.nan_to_num(0.0).clamp_min(options.min_scale_px)
    cost = [
        ((d / scale[:, None, None, None]).square().log1p() * known).nan_to_num(0.0).sum((-1, -2))
        for d in (equal_px, opposite_px)
    ]
    return torch.stack(cost, dim=-1).numpy()


def _between_views(
    points: Float[Tensor, "c t n 2 2"], cameras: Cameras, options: SwapOptions
) -> dict[tuple[int, int], Float[np.ndarray, "t 2"]]:
    """Disagreement of each pair of cameras for equal and for opposite labelling."""
    keys = list(combinations(range(len(cameras)), 2))
    if not keys:
        return {}
    pairs = {(a, b): epipolar_pair(cameras, a, b) for a, b in keys}
    equal: list[Tensor] = []
    opposite: list[Tensor] = []
    for part in points.split(CHUNK_FRAMES, dim=1):
        rays = world_rays(cameras, part)
        for result, other in ((equal, rays), (opposite, rays.flip(-2))):
            apart = [signed_distance_px(rays[a], other[b], pair) for (a, b), pair in pairs.items()]
            result.append(torch.stack(apart).abs())
    costs = _compared(torch.cat(equal, dim=1), torch.cat(opposite, dim=1), options)
    return dict(zip(keys, costs, strict=True))


def _along_time(
    points: Float[Tensor, "c t n 2 2"], options: SwapOptions
) -> Float[np.ndarray, "c s 2"]:
    """Cost of the step from each frame to the next for equal and for changed labelling."""
    before, after = points[:, :-1], points[:, 1:]
    equal = (after - before).norm(dim=-1)
    changed = (after.flip(-2) - before).norm(dim=-1)
    return _compared(equal, changed, options)


def _given(cost: Float[np.ndarray, "t 2"], other: np.ndarray) -> Float[np.ndarray, "t 2"]:
    """Cost of states 0 and 1 of this camera when the other camera's are known."""
    return np.where(other[:, None] == 1, cost[:, ::-1], cost)


def shortest_states(
    unary: Float[np.ndarray, "t 2"], step: Float[np.ndarray, "s 2"], switch: float
) -> np.ndarray:
    """Cheapest states of a chain (Viterbi): step costs by equal or changed state."""
    frames = len(unary)
    stay, change = step[:, 0], step[:, 1] + switch
    from_other = np.zeros((frames, 2), dtype=np.int64)
    a, b = float(unary[0, 0]), float(unary[0, 1])
    for t in range(1, frames):
        s, x = float(stay[t - 1]), float(change[t - 1])
        from_other[t] = (b + x < a + s, a + x < b + s)
        a, b = min(a + s, b + x) + float(unary[t, 0]), min(b + s, a + x) + float(unary[t, 1])
    state = np.zeros(frames, dtype=np.int64)
    state[-1] = int(b < a)
    for t in range(frames - 1, 0, -1):
        state[t - 1] = state[t] ^ from_other[t, state[t]]
    return state


def _findings(names: tuple[str, ...], swapped: Bool[Tensor, "c t g"]) -> tuple[Finding, ...]:
    found = []
    for name, frames in zip(names, swapped, strict=True):
        parts = [
            f"{part} in {int(count)} frame(s)"
            for part, count in zip(GROUPS, frames.sum(0), strict=True)
            if count
        ]
        if parts:
            sentence = f"{name} had left and right swapped ({', '.join(parts)}); exchanged back."
            found.append(Finding("associate", "info", sentence, camera=name))
    return tuple(found)
