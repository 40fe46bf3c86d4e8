"""A first pose without knowing one: many starts at once, and the one that explains the points.

B starts (the batch of the ICP), N points. World frame: metres, Y up.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from muybridge.capture.depth.capsules import CapsuleBody
from muybridge.capture.depth.contact import Scan
from muybridge.capture.depth.icp import Evidence, Fit, IcpOptions, fit_frames
from muybridge.capture.start import State
from muybridge.geometry.rotation import identity_quaternion, multiply, quaternion_from_rotvec
from muybridge.motion.skeleton import Skeleton

__all__ = ["POSES", "Found", "height_of", "search", "starts"]

YAWS = 8
COARSE_POINTS = 250
COARSE_ROUNDS, FINE_ROUNDS, FINALISTS = 8, 12, 6
THICKNESS_M = 0.08  # from the middle of the points that one camera saw to the middle of the body

Turn = tuple[float, float, float]
_DOWN = {"LeftArm": (0.0, 0.0, -1.25), "RightArm": (0.0, 0.0, 1.25)}
POSES: dict[str, dict[str, Turn]] = {
    "at ease": {**_DOWN},
    "arms stretched out": {},
    "left step": {
        **_DOWN, "LeftUpLeg": (-0.45, 0, 0), "RightUpLeg": (0.25, 0, 0), "RightLeg": (0.35, 0, 0),
        "LeftLeg": (0.15, 0, 0),
    },
    "right step": {
        **_DOWN, "RightUpLeg": (-0.45, 0, 0), "LeftUpLeg": (0.25, 0, 0), "LeftLeg": (0.35, 0, 0),
        "RightLeg": (0.15, 0, 0),
    },
    "hands in front": {
        "LeftArm": (0.0, -0.3, -1.1), "RightArm": (0.0, 0.3, 1.1),
        "LeftForeArm": (0.0, -1.4, 0.0), "RightForeArm": (0.0, 1.4, 0.0),
    },
}  # fmt: skip  # rotation vectors, radians


class Found(NamedTuple):
    """Poses of the best starts of one frame, best first, and their costs."""

    state: State
    cost: Float[Tensor, "b"]
    distance: Float[Tensor, "b"]


def height_of(scan: Scan, floor: float | None) -> float:
    """Body height, metres: of the frame in which the points reach highest above the floor."""
    tall = []
    for points, weights in zip(scan.points, scan.weights, strict=True):
        y = points[weights > 0.0, 1]
        if len(y) > 50:
            low = float(y.quantile(0.002)) if floor is None else floor
            tall.append(float(y.quantile(0.998)) - low)
    if not tall:
        return 1.7
    return min(max(float(torch.tensor(tall).quantile(0.9)), 1.0), 2.2)


def starts(body: CapsuleBody, scan: Scan, frame: int) -> State:
    """Every pose of `POSES` in every direction, in the middle of one frame's points."""
    skeleton = body.body.skeleton
    seen = scan.weights[frame] > 0.0
    points, away = scan.points[frame, seen], -scan.views[frame, seen]
    away[:, 1] = 0.0
    middle = (points + THICKNESS_M * away / away.norm(dim=-1, keepdim=True)).mean(0)
    height = float(skeleton.offsets[0, 1] / _stature(skeleton))
    middle[1] = points[:, 1].quantile(0.998) - (1.0 - height) * _stature(skeleton)
    rotations = identity_quaternion(len(POSES), len(skeleton))
    for row, turns in enumerate(POSES.values()):
        for name, rotvec in turns.items():
            vector = torch.tensor(rotvec, dtype=torch.float64)
            rotations[row, skeleton.index(name)] = quaternion_from_rotvec(vector)
    yaw = torch.arange(YAWS, dtype=torch.float64) * (2.0 * math.pi / YAWS)
    turn = quaternion_from_rotvec(torch.stack((0 * yaw, yaw, 0 * yaw), -1))
    rotations = rotations.repeat(YAWS, 1, 1)
    turn = turn.repeat_interleave(len(POSES), 0)
    rotations[:, 0] = multiply(turn, rotations[:, 0])
    return State(rotations, middle.expand(len(rotations), 3).clone())


def _stature(skeleton: Skeleton) -> float:
    """Height of the crown above the soles at rest, metres."""
    up = sum(
        float(skeleton.offsets[skeleton.index(name), 1])
        for name in ("Hips", "Spine", "Spine1", "Neck", "Head", "Head_end")
    )
    return float(up)


def search(
    body: CapsuleBody, evidence: Evidence, frame: int, options: IcpOptions | None = None
) -> Found:
    """Fit one frame from all starts, coarsely; the best ones once more with all points.

    Limits: the person stands or walks roughly upright. A body of capsules looks much the same from
    the front and from behind, so that feet, knees and elbows must tell the way it faces.
    """
    options = options or IcpOptions()
    begin = starts(body, evidence.scan, frame)
    every = _frame(evidence, frame, len(begin.root))
    few = Evidence(_thin(every.scan), every.outlines)
    more = options.share * len(every.scan.points[0]) / len(few.scan.points[0])
    coarse = fit_frames(body, few, begin, _with(options, COARSE_ROUNDS, more))
    best = _distinct(coarse)
    again = State(coarse.state.rotations[best], coarse.state.root[best])
    fine = fit_frames(
        body, _frame(evidence, frame, len(best)), again, _with(options, FINE_ROUNDS, options.share)
    )
    order = fine.cost.argsort()
    state = State(fine.state.rotations[order], fine.state.root[order])
    return Found(state, fine.cost[order], fine.distance[order])


def _frame(evidence: Evidence, frame: int, copies: int) -> Evidence:
    return evidence.frames(torch.full((copies,), frame))


def _with(options: IcpOptions, rounds: int, share: float) -> IcpOptions:
    return replace(options, iterations=rounds, share=share)


def _thin(scan: Scan) -> Scan:
    """Some of the points that count, the same of each copy."""
    known = scan.weights[0].nonzero()[:, 0]
    step = max(1, len(known) // COARSE_POINTS)
    pick = known[::step]
    return Scan(scan.points[:, pick], scan.weights[:, pick], scan.views[:, pick])


def _distinct(fit: Fit) -> Int[Tensor, "f"]:
    """The best starts, no two of nearly the same cost and place."""
    chosen: list[int] = []
    for index in fit.cost.argsort().tolist():
        apart = [
            float((fit.state.rotations[index] - fit.state.rotations[other]).abs().max()) > 0.1
            for other in chosen
        ]
        if all(apart):
            chosen.append(index)
        if len(chosen) == FINALISTS:
            break
    return torch.tensor(chosen)
