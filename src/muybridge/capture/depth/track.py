"""Poses of a whole take: found in one frame, followed from there, the build fitted on the way.

T frames, D freedoms, M landmarks. World frame: metres, Y up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.depth.capsules import CapsuleBody, capsule_body, rest_shape
from muybridge.capture.depth.icp import (
    Anchor,
    Evidence,
    Fit,
    IcpOptions,
    evaluate,
    fit_frames,
    normal_blocks,
)
from muybridge.capture.depth.search import Found, height_of, search
from muybridge.capture.depth.shape import fit_shape
from muybridge.capture.fit import pose_of
from muybridge.capture.start import State
from muybridge.geometry.rotation import (
    conjugate,
    multiply,
    quaternion_from_rotvec,
    rotate,
    rotvec_from_quaternion,
)
from muybridge.motion.jacobian import point_jacobian
from muybridge.motion.markers import Markers

__all__ = ["Track", "follow", "landmarks", "track"]

ROOT_ACCELERATION = 8.0  # m/s^2
SLACK_M, SLACK_RAD = 0.015, 0.06  # of a pose expected from the two frames before
TRIED = 3  # frames in which a first pose is looked for
SHAPED = 14  # frames that show the build
BATCH = 8  # frames refined at once: their distances to all capsules stay in the cache
SEEN_STD_M = 0.06  # a landmark that the points leave less sure than this was not seen
DEPENDENT = 4.0  # landmarks of one frame share their points: their covariances are this much wider

Progress = Callable[[int, int], None]


class Track(NamedTuple):
    """A body and its pose in every frame.

    Attributes:
        body: The fitted build.
        fit: Poses, their information and the mean distance of the points, metres.
        measured: Information of the points alone.
        seen: True for frames in which a person was found.
        start: Frame from which the others were followed.
    """

    body: CapsuleBody
    fit: Fit
    measured: Float[Tensor, "t d d"]
    seen: Bool[Tensor, "t"]
    start: int


def track(
    evidence: Evidence,
    fps: float,
    floor: float | None,
    options: IcpOptions | None = None,
    on_progress: Progress | None = None,
) -> Track:
    """Fit a person of unknown build in an unknown pose to all frames.

    A first pose is looked for in a few frames and the surest one taken; from there the take is
    followed both ways; frames of different poses then give the build, and with it all frames are
    fitted once more, each from where it was.

    Args:
        evidence: Points and outlines; frames without points are bridged.
        fps: Frames a second.
        floor: Its height, metres, if known.
        options: Weights.
        on_progress: Called with the number of frames followed and of all.
    """
    options = options or IcpOptions()
    seen = evidence.scan.weights.sum(-1) > 0.0
    body = capsule_body(rest_shape(height_of(evidence.scan, floor)))
    start, found = _begin(body, evidence, seen, options)
    first = _at(found.state, 0)
    body = fit_shape(body, evidence.frames(torch.tensor([start])), first, options, 6).body
    fit = follow(body, evidence, start, first, fps, options, on_progress)
    index = _different(fit, seen)
    some = State(fit.state.rotations[index], fit.state.root[index])
    body = fit_shape(body, evidence.frames(index), some, options).body
    final = refine(body, evidence, fit.state, options)
    return Track(body, final, measured(body, evidence, final.state, options), seen, start)


def _begin(
    body: CapsuleBody, evidence: Evidence, seen: Bool[Tensor, "t"], options: IcpOptions
) -> tuple[int, Found]:
    """The frame, of a few, in which the best pose explains its points best."""
    known = seen.nonzero()[:, 0]
    count = min(TRIED, len(known))
    tried = known[torch.linspace(0, len(known) - 1, count).round().long()].unique()
    found = {int(frame): search(body, evidence, int(frame), options) for frame in tried}
    points = evidence.scan.weights.sum(-1)
    best = min(found, key=lambda frame: float(found[frame].cost[0] / points[frame]))
    return best, found[best]


def _at(state: State, index: int) -> State:
    return State(state.rotations[index : index + 1], state.root[index : index + 1])


def _different(fit: Fit, seen: Bool[Tensor, "t"]) -> Tensor:
    """Frames spread over the take, without those that fit badly."""
    usable = (seen & (fit.distance <= fit.distance[seen].quantile(0.8))).nonzero()[:, 0]
    pick = torch.linspace(0, len(usable) - 1, min(SHAPED, len(usable))).round().long()
    return usable[pick.unique()]


def follow(
    body: CapsuleBody,
    evidence: Evidence,
    start: int,
    state: State,
    fps: float,
    options: IcpOptions,
    on_progress: Progress | None = None,
) -> Fit:
    """Every frame from its neighbour's pose and speed, forwards and backwards from `start`."""
    count = len(evidence.scan.points)
    fits: dict[int, Fit] = {}
    for path in (range(start, count), range(start - 1, -1, -1)):
        pose, speed = (state, None) if path.step == 1 else _reversed(fits, start, state)
        for frame in path:
            expected = pose if speed is None else _carried(pose, speed)
            anchor = Anchor(expected, _slack(body, fps, speed is None))
            here = evidence.frames(torch.tensor([frame]))
            fits[frame] = fit_frames(body, here, expected, options, anchor)
            now = fits[frame].state
            speed, pose = _speed(pose, now), now
            if on_progress:
                on_progress(len(fits), count)
    return _stacked([fits[frame] for frame in range(count)])


def _reversed(fits: dict[int, Fit], start: int, state: State) -> tuple[State, State | None]:
    """Pose and speed with which to go backwards."""
    if start + 1 not in fits:
        return state, None
    return fits[start].state, _speed(fits[start + 1].state, fits[start].state)


def _speed(before: State, now: State) -> State:
    """Change from one frame to the next: local turns and the root's step."""
    return State(multiply(conjugate(before.rotations), now.rotations), now.root - before.root)


def _carried(state: State, speed: State) -> State:
    """The pose after most of the last change again: joints that nobody sees come to rest."""
    turn = quaternion_from_rotvec(0.7 * rotvec_from_quaternion(speed.rotations))
    return State(multiply(state.rotations, turn), state.root + speed.root)


def _slack(body: CapsuleBody, fps: float, unsure: bool) -> Float[Tensor, "d"]:
    """How far a pose may be from the expected one: slack, and what acceleration adds in a frame."""
    turns = body.body.agility[list(body.body.freedoms.joints)] / fps**2 + SLACK_RAD
    root = torch.full((3,), ROOT_ACCELERATION / fps**2 + SLACK_M, dtype=turns.dtype)
    return torch.cat((root, turns)) * (5.0 if unsure else 1.0)


def _stacked(fits: Sequence[Fit]) -> Fit:
    state = State(*(torch.cat(part) for part in zip(*(f.state for f in fits), strict=True)))
    rest = (torch.cat(part) for part in zip(*(f[1:] for f in fits), strict=True))
    return Fit(state, *rest)


def refine(
    body: CapsuleBody,
    evidence: Evidence,
    state: State,
    options: IcpOptions,
    anchor: Anchor | None = None,
) -> Fit:
    """Fit every frame once more from its pose, without regard to its neighbours."""
    fits = []
    for index in torch.arange(len(state.root)).split(BATCH):
        part = State(state.rotations[index], state.root[index])
        pull = None
        if anchor is not None:
            expected = State(anchor.state.rotations[index], anchor.state.root[index])
            pull = Anchor(expected, anchor.std)
        fits.append(fit_frames(body, evidence.frames(index), part, options, pull))
    return _stacked(fits)


def measured(
    body: CapsuleBody, evidence: Evidence, state: State, options: IcpOptions
) -> Float[Tensor, "t d d"]:
    """Information of the points and priors alone.

    That a limb does not stick out of the outline says where it is not; taken for a measurement,
    it would make an arm that the body hides look well known.
    """
    blocks = []
    for index in torch.arange(len(state.root)).split(BATCH):
        part = State(state.rotations[index], state.root[index])
        points = Evidence(evidence.scan.frames(index))
        now = evaluate(body, points, part, options, None)
        blocks.append(normal_blocks(body, part, now, options, None)[0])
    return torch.cat(blocks)


def landmarks(found: Track, fps: float, everything: bool = False) -> Markers:
    """The body's landmarks (joints, face, feet) in each frame, with what is known about them.

    Args:
        found: The track.
        fps: Frames a second.
        everything: Keep those that no point shows, too, in frames that show the person: they then
            stand where outline and usual pose have them, and their covariance says so.
    Returns:
        Markers named as in `motion.keypoints`, with covariances; NaN where nothing was seen of
        them.
    """
    body, state = found.body.body, found.fit.state
    pose, owners = pose_of(body, state), list(body.marker_joints)
    points = pose.positions[:, owners] + rotate(pose.orientations[:, owners], body.marker_offsets)
    information = found.fit.information if everything else found.measured
    covariance = torch.cat(list(_covariances(found, points, information)))
    std = (covariance.diagonal(dim1=-2, dim2=-1).sum(-1) / 3.0).sqrt()
    known = ((std < SEEN_STD_M) | everything) & found.seen.unsqueeze(-1)
    return Markers(
        body.markers,
        torch.where(known.unsqueeze(-1), points, torch.nan),
        fps,
        torch.where(known[..., None, None], DEPENDENT * covariance, torch.nan),
    )


def _covariances(
    found: Track, points: Float[Tensor, "t m 3"], information: Float[Tensor, "t d d"]
) -> Iterator[Tensor]:
    """J Sigma J^T of each landmark, some frames at a time."""
    body, state = found.body.body, found.fit.state
    for index in torch.arange(len(points)).split(64):
        part = State(state.rotations[index], state.root[index])
        jacobian = point_jacobian(
            body.skeleton, pose_of(body, part), points[index], body.marker_joints, body.freedoms
        )
        factor = torch.linalg.cholesky(
            information[index] + 1e-6 * torch.eye(len(body.freedoms)).double()
        )
        flat = jacobian.flatten(1, 2)
        spread = torch.linalg.solve_triangular(factor, flat.mT, upper=False)  # (t, d, 3 m)
        spread = spread.unflatten(-1, (-1, 3)).permute(0, 2, 3, 1)
        yield spread @ spread.mT
