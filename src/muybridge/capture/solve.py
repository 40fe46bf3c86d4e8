"""From markers to a clip: one skeleton with constant bones, limits, planted feet, no pops.

T frames, M markers, J joints. World frame: metres, Y up.

The order of the work: measure the bones; a first pose of every frame in closed form; windows of
Levenberg-Marquardt over all their frames at once; find the contacts in the smooth motion; fit again
with the feet planted; clamp what is left beyond the joint limits. Short gaps are bridged by the
smoothness alone, in long ones the pose is carried from the last sight to the next; both are marked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.bones import Measures, measure, place_landmarks
from muybridge.capture.fill import despike, gap_lengths, interpolate
from muybridge.capture.finding import Finding
from muybridge.capture.fit import ROBUST, Problem, fit, pose_of, position_std
from muybridge.capture.solve_report import report
from muybridge.capture.start import State, first_pose
from muybridge.capture.threads import one_thread
from muybridge.errors import InputError
from muybridge.geometry.rotation import rotate, slerp, unroll
from muybridge.motion.body import Body, evidence, stature_from_spans, template
from muybridge.motion.clip import Clip
from muybridge.motion.contacts import anchors, detect, floor_height, settled
from muybridge.motion.jacobian import joint_angles, rotation_from_angles
from muybridge.motion.markers import Markers

__all__ = ["Solution", "SolveOptions", "solve", "solve_take"]

HINT_STD = 0.05  # metres: how loosely a long gap is held to the straight line between its ends
CALM = 0.25  # seconds: neighbourhood in which the first guess of a hinge axis is averaged
TRUST = (30.0, 10.0, ROBUST)  # whitened distances, see `Problem.belief`
SMALLEST, TALLEST = 0.4, 3.0  # metres
SLOWEST_FPS, FASTEST_FPS = 1.0, 10_000.0  # between them lies every camera that films motion
SMOOTHEST = 1e6  # nothing moves any more
CHUNK = 4096  # frames
PIN_STD = 0.0005  # metres: how firmly a foot is planted
LIFT_STD = 0.010  # metres: the same for its height, since ankles rise while the toes stand


@dataclass(frozen=True)
class SolveOptions:
    """How to fit the skeleton.

    Attributes:
        smoothness: 1 treats everyday accelerations as ordinary; more is smoother. In physical
            units, so that the frame rate does not matter.
        lock_contacts: Plant feet that stand on the ground.
        joint_limits: Keep joints within human ranges.
        symmetric: Give left and right bones one length when they are nearly alike.
        stature: Body height, metres, for the bones that no marker shows; estimated when None.
        marker_std: Standard deviation of a marker coordinate, metres, added to its covariance;
            estimated from the spread of the bone lengths when None.
        long_gap: Gaps longer than this, seconds, are held rather than bridged.
        iterations: At most so many linear solves in each of the two passes.
        window: Seconds solved at once; longer takes are cut into overlapping windows.
    """

    smoothness: float = 1.0
    lock_contacts: bool = True
    joint_limits: bool = True
    symmetric: bool = True
    stature: float | None = None
    marker_std: float | None = None
    long_gap: float = 0.5
    iterations: int = 10
    window: float = 10.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.smoothness <= SMOOTHEST:
            raise InputError(
                f"expected a smoothness between 0 and {SMOOTHEST:g}, got {self.smoothness:g}; 1 is "
                "usual, 0 follows the markers"
            )


@dataclass(frozen=True)
class Solution:
    """A clip and what there is to say about it.

    Attributes:
        clip: The motion.
        body: The fitted skeleton with the places of the markers.
        measures: Bone lengths and noise.
        residual: Distance of each of `body.markers` to its place on the body, metres; NaN unseen.
        floor: Height of the floor, metres.
        findings: Plain sentences about gaps, markers and bones.
    """

    clip: Clip
    body: Body
    measures: Measures
    residual: Float[Tensor, "t m"]
    floor: float
    findings: tuple[Finding, ...]


def solve(markers: Markers, options: SolveOptions | None = None) -> Clip:
    """Fit the human skeleton to markers named as in `motion.keypoints`; see `solve_take`."""
    return solve_take(markers, options).clip


@one_thread()
def solve_take(markers: Markers, options: SolveOptions | None = None) -> Solution:
    """Fit the human skeleton to markers and say how it went.

    Args:
        markers: Triangulated joints or optical markers with the names of COCO_17, BODY_25 or
            HALPE_26; others are ignored and reported. NaN where unseen.
        options: Defaults suit full-body takes of any frame rate.
    Returns:
        A clip as long as the markers, at their frame rate. Frames and joints that no marker shows
        are in `clip.filled`.
    Raises:
        InputError: If nothing was seen, hips or shoulders are missing, or numbers make no sense.
    """
    options = options or SolveOptions()
    _check(markers)
    known = template(markers.names)
    used = _clean(markers.select(known.markers))
    measures = measure(used, options.symmetric)
    _check_size(measures)
    noise = options.marker_std or measures.noise
    body = template(used.names, measures.spans, options.stature)
    body = place_landmarks(body, used, torch.tensor(noise, dtype=torch.float64))
    problem, state = _start(body, used, noise, options)
    for belief in TRUST:  # believe everybody first, so that no good marker is left behind
        state = _windows(replace(problem, belief=belief), state, options)
    contacts, floor = _contacts(body, state, used, options)
    if options.lock_contacts and bool(contacts.any()):
        problem = _plant(problem, state, contacts)
        state = _windows(problem, state, options)
    if options.joint_limits:
        state = _clamp(body, state)
    contacts = settled(pose_of(body, state).positions, contacts, used.fps)
    clip = _clip(problem, state, used, contacts, options)
    residual = _residual(body, state, used)
    findings = report(markers, clip, measures, residual, options.long_gap)
    return Solution(clip, body, measures, residual, floor, findings)


def _check(markers: Markers) -> None:
    """Refuse what cannot be solved, with a reason."""
    if not SLOWEST_FPS <= markers.fps <= FASTEST_FPS:
        raise InputError(
            f"expected a frame rate of {SLOWEST_FPS:g} to {FASTEST_FPS:g}, got {markers.fps:g}; "
            "correct the rate"
        )
    if bool(markers.points_world.isinf().any()):
        raise InputError(
            "expected finite marker positions or NaN where unseen, got infinity; "
            "check the triangulation"
        )
    if not bool(markers.seen.any()):
        raise InputError(
            f"expected markers that are seen somewhere, got none in {len(markers)} frames of "
            f"{len(markers.names)} markers; check detection and calibration"
        )


def _check_size(measures: Measures) -> None:
    """Catch millimetres and centimetres."""
    stature = stature_from_spans(measures.spans)
    if stature is None or not SMALLEST < stature < TALLEST:
        raise InputError(
            f"expected a person between {SMALLEST} and {TALLEST} m tall, got bones of one of "
            f"{stature:.3g} m; give the markers in metres"
        )


def _clean(markers: Markers) -> Markers:
    """Float64, and every component NaN where one is."""
    points = markers.points_world.to(torch.float64)
    points = torch.where(markers.seen.unsqueeze(-1), points, torch.nan)
    covariance = None if markers.covariance is None else markers.covariance.to(torch.float64)
    return replace(markers, points_world=points, covariance=covariance)


def _whitening(markers: Markers, noise: float) -> Float[Tensor, "t m 3 3"]:
    """W with W^T W = (covariance + noise^2 I)^-1; zero where unseen."""
    eye = torch.eye(3, dtype=torch.float64)
    seen = markers.seen[..., None, None]
    if markers.covariance is None:
        return torch.where(seen, eye / noise, 0.0)
    parts = markers.covariance.split(CHUNK)  # several temporaries of this size would add up
    inverse = torch.cat([_inverse_root(part, noise) for part in parts])
    return torch.where(seen, inverse, 0.0)


def _inverse_root(covariance: Float[Tensor, "t m 3 3"], noise: float) -> Float[Tensor, "t m 3 3"]:
    """Inverse of the Cholesky factor of covariance + noise^2 I; an unknown covariance is zero."""
    eye = torch.eye(3, dtype=covariance.dtype)
    usable = covariance.isfinite().all(-1).all(-1)[..., None, None]
    total = torch.where(usable, (covariance + covariance.mT) / 2.0, 0.0) + noise**2 * eye
    factor = torch.linalg.cholesky(total)
    return torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)


def _bridge(markers: Markers) -> Float[Tensor, "t m 3"]:
    """Marker positions without gaps or spikes, for the first guess; never taken as measured."""
    points = despike(markers.points_world, markers.fps)
    hips = points[:, [markers.names.index("left_hip"), markers.names.index("right_hip")]]
    carrier = interpolate(hips, torch.zeros_like(hips[:, 0])).mean(1)
    return interpolate(points, carrier)


def _start(
    body: Body, markers: Markers, noise: float, options: SolveOptions
) -> tuple[Problem, State]:
    """The problem of the whole take and its first pose."""
    bridged = _bridge(markers)
    whitening = _whitening(markers, noise)
    held = gap_lengths(markers.seen) > options.long_gap * markers.fps
    held &= bridged.isfinite().all(-1)
    hint = torch.eye(3, dtype=torch.float64) / HINT_STD
    problem = Problem(
        body=body,
        fps=markers.fps,
        targets=torch.where(held.unsqueeze(-1), bridged, markers.points_world),
        whitening=torch.where(held[..., None, None], hint, whitening),
        point_joints=body.marker_joints,
        point_offsets=body.marker_offsets,
        robust=torch.ones(len(body.markers), dtype=torch.bool),
        smoothness=options.smoothness,
        limits=options.joint_limits,
    )
    return problem, first_pose(body, bridged, calm=round(CALM * markers.fps))


def _cuts(count: int, window: int, pad: int) -> list[tuple[int, int]]:
    """Overlapping windows [start, stop) that cover all frames; the overlap is 2 pad."""
    if count <= window + 2 * pad:
        return [(0, count)]
    starts = range(0, count - pad, window)
    return [(max(0, s - pad), min(count, s + window + pad)) for s in starts]


def _windows(problem: Problem, state: State, options: SolveOptions) -> State:
    """Fit window after window and blend the overlaps; time linear in the length, memory flat."""
    count, pad = len(state.root), max(3, round(0.5 * problem.fps))
    rotations, root, done = state.rotations.clone(), state.root.clone(), 0
    for start, stop in _cuts(count, max(4 * pad, round(options.window * problem.fps)), pad):
        part = State(state.rotations[start:stop], state.root[start:stop])
        new = fit(problem.frames(start, stop), part, options.iterations)
        shared = done - start if done else 0
        if shared:
            share = torch.linspace(0.0, 1.0, shared, dtype=torch.float64)
            old = rotations[start:done]
            blend = slerp(old, new.rotations[:shared], share.unsqueeze(-1).expand(old.shape[:2]))
            new.rotations[:shared] = blend
            new.root[:shared] = torch.lerp(root[start:done], new.root[:shared], share.unsqueeze(-1))
        rotations[start:stop], root[start:stop], done = new.rotations, new.root, stop
    return State(rotations, root)


def _contact_joints(body: Body) -> tuple[tuple[str, str], ...]:
    """Pairs of joints that may stand: ankles, and the balls of the feet where they are seen."""
    ankles = ("LeftFoot", "RightFoot")
    free = body.skeleton.index("LeftFoot") in body.freedoms.joints
    return (ankles, ("LeftToeBase", "RightToeBase")) if free else (ankles,)


def _contacts(
    body: Body, state: State, markers: Markers, options: SolveOptions
) -> tuple[Bool[Tensor, "t j"], float]:
    """Who stands when, and the height of the floor, metres."""
    positions = pose_of(body, state).positions
    held = gap_lengths(evidence(body.markers, markers.seen)) > options.long_gap * markers.fps
    contacts = torch.zeros(positions.shape[:2], dtype=torch.bool)
    floors = []
    for pair in _contact_joints(body):
        index = [body.skeleton.index(name) for name in pair]
        feet = positions[:, index]
        rest = floor_height(feet, torch.zeros(2, dtype=feet.dtype))
        found = detect(feet, markers.fps, rest.expand(2))
        contacts[:, index] = found & ~held[:, index]
        floors.append(float(rest) - body.clearance(pair[0]))
    return contacts, sum(floors) / len(floors)


def _plant(problem: Problem, state: State, contacts: Bool[Tensor, "t j"]) -> Problem:
    """Add a target for each standing joint: its mean place during the contact."""
    joints = [j for j in range(contacts.shape[1]) if bool(contacts[:, j].any())]
    standing = contacts[:, joints]
    feet = pose_of(problem.body, state).positions[:, joints]
    targets = anchors(feet, standing)
    firm = torch.tensor([PIN_STD, LIFT_STD, PIN_STD], dtype=feet.dtype).reciprocal()
    pins = standing.to(feet.dtype)[..., None, None] * torch.diag(firm)
    return replace(
        problem,
        targets=torch.cat((problem.targets, targets), dim=1),
        whitening=torch.cat((problem.whitening, pins), dim=1),
        point_joints=(*problem.point_joints, *joints),
        point_offsets=torch.cat((problem.point_offsets, torch.zeros(len(joints), 3).double())),
        robust=torch.cat((problem.robust, torch.zeros(len(joints), dtype=torch.bool))),
    )


def _clamp(body: Body, state: State) -> State:
    """Bring what the soft limits let through back to the limit."""
    turning = list(body.turning)
    axes, rotations = body.axes[turning], state.rotations.clone()
    angles = joint_angles(rotations[:, turning], axes)
    inside = angles.clamp(body.lower[turning], body.upper[turning])
    clamped = rotation_from_angles(inside, axes)
    beyond = (angles != inside).any(-1, keepdim=True)
    rotations[:, turning] = torch.where(beyond, clamped, rotations[:, turning])
    return State(rotations, state.root)


def _std(problem: Problem, state: State, options: SolveOptions) -> Float[Tensor, "t j"]:
    """Uncertainty of the joints, window by window."""
    count, pad = len(state.root), max(3, round(0.5 * problem.fps))
    std = torch.zeros(state.rotations.shape[:2], dtype=torch.float64)
    for start, stop in _cuts(count, max(4 * pad, round(options.window * problem.fps)), pad):
        part = State(state.rotations[start:stop], state.root[start:stop])
        new = position_std(problem.frames(start, stop), part)
        inner = start + (pad if start else 0)
        std[inner:stop] = new[inner - start :]
    return std


def _clip(
    problem: Problem,
    state: State,
    markers: Markers,
    contacts: Bool[Tensor, "t j"],
    options: SolveOptions,
) -> Clip:
    """The result as the artefact that everything else reads."""
    return Clip(
        skeleton=problem.body.skeleton,
        rotations=unroll(state.rotations),
        root=state.root,
        fps=markers.fps,
        position_std=_std(problem, state, options),
        contacts=contacts,
        filled=~evidence(problem.body.markers, markers.seen),
    )


def _residual(body: Body, state: State, markers: Markers) -> Float[Tensor, "t m"]:
    """Distance of each marker to its place on the body, metres."""
    pose, owners = pose_of(body, state), list(body.marker_joints)
    places = pose.positions[:, owners] + rotate(pose.orientations[:, owners], body.marker_offsets)
    return (places - markers.points_world).norm(dim=-1)
