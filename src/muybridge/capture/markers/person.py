"""From labelled markers of a full-body set to a person's skeleton in motion.

T frames, M markers, J joints, F calibration frames. World frame: metres, Y up.

The order of the work: bones by the distances between markers; joint centres near the markers give a
first pose; then, on some frames of the take, poses (Levenberg-Marquardt) and the person's measures
(bone offsets and marker places, one linear least-squares problem) are found in turn, so that joint
centres end where the motion says they are; last all frames are fitted with the measures held. The
measures are held to our template by priors, because some could move together unnoticed.

References:
    Loper, Mahmood & Black, MoSh: motion and shape capture from sparse markers, ACM ToG 33(6), 2014
    (places of markers, body and pose together).
    Andersen et al., Identifiability and kinematic parameter optimisation from marker trajectories,
    Journal of Biomechanics 43(10), 2010.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.bones import measure
from muybridge.capture.fit import Problem, fit, pose_of
from muybridge.capture.markers.sets import FULL_BODY, NEEDED, known_markers, places
from muybridge.capture.start import State, first_pose
from muybridge.capture.threads import one_thread
from muybridge.errors import InputError
from muybridge.geometry.rotation import (
    matrix_from_quaternion,
    nearest_rotation,
    rotate,
    slerp,
    unroll,
)
from muybridge.motion.body import Body, stature_from_spans, template
from muybridge.motion.clip import Clip
from muybridge.motion.contacts import detect, floor_height
from muybridge.motion.jacobian import Freedoms
from muybridge.motion.keypoints import HALPE_26
from muybridge.motion.markers import Markers

__all__ = ["Person", "PersonOptions", "missing_for_person", "solve_person"]

CALIBRATION_FRAMES = 50
ROUNDS = 10
MARKER_STD = 0.002  # metres: noise of an optical marker and of the skin under it
PLACE_STD = 0.010  # metres: how far a marker may sit from where the set says
FARTHEST = 0.050  # metres: farther off it is another marker, or has another's label
BONE_STD = 0.020  # metres: how far a joint may lie from its first estimate
HAND = 50.0  # degrees that a wrist may bend either way
BELIEFS = (30.0, 10.0)  # whitened distances, see `Problem.belief`


@dataclass(frozen=True)
class PersonOptions:
    """How to fit.

    Attributes:
        smoothness: 1 treats everyday accelerations as ordinary; more is smoother.
        joint_limits: Keep joints within human ranges.
        window: Seconds solved at once.
    """

    smoothness: float = 0.2
    joint_limits: bool = True
    window: float = 5.0


@dataclass(frozen=True)
class Person:
    """A clip and what there is to say about it.

    Attributes:
        clip: The motion.
        body: The fitted skeleton with the places of the markers.
        residual: Distance of each of `body.markers` to its place on the body, metres; NaN where it
            was not measured.
        labels: What the recording calls each of `body.markers`.
    """

    clip: Clip
    body: Body
    residual: Float[Tensor, "t m"]
    labels: tuple[str, ...]


def missing_for_person(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Markers that a person needs and these labels lack; empty when a person can be fitted."""
    found = known_markers(labels)
    return tuple(" or ".join(group) for group in NEEDED if not any(n in found for n in group))


@one_thread()
def solve_person(
    markers: Markers,
    std: Float[Tensor, "t m"] | None = None,
    options: PersonOptions | None = None,
) -> Person:
    """Fit the human skeleton to the markers of a full-body set.

    Args:
        markers: Labelled, gaps filled as far as possible; labels that the set does not know are
            left out.
        std: Expected error of each position beyond that of a seen marker, metres: 0 where it was
            seen; NaN counts as unseen.
        options: Defaults suit laboratories.
    Raises:
        InputError: If pelvis or shoulders have no markers, or no frame shows them together.
    """
    options = options or PersonOptions()
    lacking = missing_for_person(markers.names)
    if lacking:
        raise InputError(
            f"expected markers on pelvis and shoulders, got none called {', '.join(lacking)}; "
            "rename them, or solve segments instead"
        )
    found = known_markers(markers.names)
    index = list(found.values())
    points = markers.points_world[:, index].to(torch.float64)
    doubt = torch.zeros(points.shape[:2], dtype=torch.float64) if std is None else std[:, index]
    take = _Take(tuple(found), points, doubt, markers.fps)
    body, state = _first(take)
    body, state = _calibrated(body, state, take)
    for belief in BELIEFS:
        state = _windows(_problem(body, take, options, belief), state, options.window)
    return _person(body, state, take, tuple(markers.names[k] for k in index))


class _Take(NamedTuple):
    """Markers of the set over time."""

    names: tuple[str, ...]
    points: Tensor  # (t, m, 3)
    std: Tensor  # (t, m)
    fps: float

    def frames(self, pick: Tensor) -> _Take:
        return self._replace(points=self.points[pick], std=self.std[pick])


def _landmarks(take: _Take, stature: float) -> Markers:
    """Rough joint centres from the markers, under the names that the template knows."""
    rough = template(HALPE_26, {}, stature)
    joints, offsets = places(rough.skeleton, take.names, stature)
    where = {name: take.points[:, k] for k, name in enumerate(take.names)}
    rest = _rest(rough)
    place = {
        n: rest[j] + offsets[k] for k, (n, j) in enumerate(zip(take.names, joints, strict=True))
    }
    pelvis = _carried(where, place, [n for n in take.names if n[1:] in ("FWT", "BWT")])
    chest = _carried(
        where, place, [n for n in take.names if n[1:] == "SHO" or FULL_BODY[n].joint == "Spine1"]
    )
    centre: dict[str, Tensor] = {}
    for side, letter in (("left", "L"), ("right", "R")):
        limb = _Limb(rough, rest, where, place, side, letter)
        centre[f"{side}_hip"] = pelvis.at(limb.rest("UpLeg"))
        centre[f"{side}_shoulder"] = limb.near("SHO", "Arm", chest)
        for part, name, joint in (("knee", "KNE", "Leg"), ("ankle", "ANK", "Foot")):
            if f"{letter}{name}" in where:
                centre[f"{side}_{part}"] = limb.near(name, joint, pelvis)
        bar = [where[f"{letter}{n}"] for n in ("WRA", "WRB") if f"{letter}{n}" in where]
        if bar:
            centre[f"{side}_wrist"] = torch.stack(bar).mean(0)
        if f"{letter}ELB" in where:
            centre[f"{side}_elbow"] = limb.elbow(chest)
    return Markers(tuple(centre), torch.stack(list(centre.values()), dim=1), take.fps)


class _Limb(NamedTuple):
    """One side of the body: markers, and where they and the joints are at rest."""

    body: Body
    joints: Tensor  # (j, 3) at rest
    where: dict[str, Tensor]
    place: dict[str, Tensor]
    side: str
    letter: str

    def rest(self, joint: str) -> Tensor:
        return self.joints[self.body.skeleton.index(f"{self.side.capitalize()}{joint}")]

    def near(self, marker: str, joint: str, base: _Carried) -> Tensor:
        """The joint next to a marker, by the offset between them in a carried frame."""
        name = f"{self.letter}{marker}"
        return self.where[name] + base.turned(self.rest(joint) - self.place[name])

    def elbow(self, chest: _Carried) -> Tensor:
        """Inward of its marker along the hinge axis, which the bar across the wrist shows."""
        elbow, letter = self.where[f"{self.letter}ELB"], self.letter
        if not {f"{letter}WRA", f"{letter}WRB"} <= set(self.where):
            return elbow
        first, second = self.where[f"{letter}WRA"], self.where[f"{letter}WRB"]
        along = (first + second) / 2.0 - elbow
        sign = 1.0 if letter == "L" else -1.0
        axis = sign * torch.linalg.cross(first - second, along)
        inward = (self.rest("ForeArm") - self.place[f"{letter}ELB"]).norm()
        return elbow - inward * axis / axis.norm(dim=-1, keepdim=True)


class _Carried(NamedTuple):
    """A rigid cluster in each frame: rotation and translation from the rest pose."""

    rotation: Tensor  # (t, 3, 3)
    translation: Tensor  # (t, 3)

    def at(self, point: Tensor) -> Tensor:
        return self.translation + self.turned(point)

    def turned(self, vector: Tensor) -> Tensor:
        return self.rotation @ vector


def _carried(where: dict[str, Tensor], place: dict[str, Tensor], names: list[str]) -> _Carried:
    """Least-squares rigid motion of a cluster from the template's rest pose, frame by frame."""
    world = torch.stack([where[n] for n in names], dim=1)
    rest = torch.stack([place[n] for n in names])
    source, target = rest.mean(0), world.mean(1)
    rotation = nearest_rotation((world - target[:, None]).mT.nan_to_num() @ (rest - source))
    return _Carried(rotation, target - rotation @ source)


def _rest(body: Body) -> Float[Tensor, "j 3"]:
    """Joint positions of the template at rest, soles on y = 0, metres."""
    positions = [body.skeleton.offsets[0]]
    for joint, parent in enumerate(body.skeleton.parents[1:], start=1):
        positions.append(positions[parent] + body.skeleton.offsets[joint])
    return torch.stack(positions)


def _stature(take: _Take) -> float:
    """Body height that explains the distances between markers along the limbs and the trunk."""
    body = template(HALPE_26, {}, 1.0)
    joints, offsets = places(body.skeleton, take.names, 1.0)
    rest = _rest(body)[list(joints)] + offsets
    ratios = []
    for a, b in (("KNE", "ANK"), ("ELB", "WRB"), ("FWT", "KNE"), ("SHO", "ELB"), ("SHO", "FWT")):
        for side in "LR":
            if {f"{side}{a}", f"{side}{b}"} <= set(take.names):
                i, j = take.names.index(f"{side}{a}"), take.names.index(f"{side}{b}")
                length = (take.points[:, i] - take.points[:, j]).norm(dim=-1).nanmedian()
                ratios.append(length / (rest[i] - rest[j]).norm())
    if not ratios:
        raise InputError(
            "expected markers along the limbs (KNE and ANK, ELB and WRB), got none seen together; "
            "label them"
        )
    return float(torch.stack(ratios).nanmedian())


def _first(take: _Take) -> tuple[Body, State]:
    """The template in the person's size, dressed with the set, and a first pose."""
    stature = _stature(take)
    if not 0.4 < stature < 3.0:
        raise InputError(
            f"expected a person between 0.4 and 3 m tall, got {stature:.3g} m; check the unit"
        )
    landmarks = _landmarks(take, stature)
    known = landmarks.points_world.isfinite().all(-1)
    hips = [landmarks.names.index(n) for n in landmarks.names if "hip" in n or "shoulder" in n]
    if not bool(known[:, hips].all(1).any()):
        raise InputError(
            "expected pelvis and shoulders together in at least one frame, got none; "
            "use more of the take or fill its gaps"
        )
    spans = measure(landmarks).spans
    stature = stature_from_spans(spans) or stature
    bare = template(HALPE_26 if "LTOE" in take.names else landmarks.names, spans, stature)
    body = _dressed(bare, take.names, stature)
    held = _held(landmarks.points_world)
    return body, first_pose(template(landmarks.names, spans, stature), held)


def _held(points: Float[Tensor, "t m 3"]) -> Float[Tensor, "t m 3"]:
    """Gaps closed by the nearest known frame, for a first guess only."""
    known = points.isfinite().all(-1)
    frames = torch.arange(len(points)).unsqueeze(1).expand_as(known)
    last = torch.where(known, frames, -1).cummax(0).values
    ahead = torch.where(known, frames, len(points)).flip(0).cummin(0).values.flip(0)
    use_last = (last >= 0) & ((ahead >= len(points)) | (frames - last <= ahead - frames))
    nearest = torch.where(use_last, last, ahead).clamp(0, len(points) - 1)
    return points.gather(0, nearest.unsqueeze(-1).expand_as(points))


def _dressed(body: Body, names: tuple[str, ...], stature: float) -> Body:
    """The same body explaining the markers of the set; wrists turn where the hand is marked."""
    joints, offsets = places(body.skeleton, names, stature)
    hands = [body.skeleton.index(f"{'Left' if n[0] == 'L' else 'Right'}Hand")
             for n in names if n[1:] == "FIN"]  # fmt: skip
    free = body.freedoms
    axes = torch.eye(3, dtype=torch.float64)[1:].repeat(len(hands), 1)
    freedoms = Freedoms(
        (*free.joints, *(j for hand in hands for j in (hand, hand))),
        torch.cat((free.axes, axes)),
    )
    lower, upper, prior = body.lower.clone(), body.upper.clone(), body.prior_std.clone()
    axis = body.axes.clone()
    for hand in hands:
        bend = torch.deg2rad(torch.tensor([0.0, HAND, HAND], dtype=torch.float64))
        lower[hand], upper[hand], prior[hand] = -bend, bend, torch.pi / 6.0
        axis[hand] = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    return replace(
        body, markers=names, marker_joints=joints, marker_offsets=offsets, freedoms=freedoms,
        axes=axis, lower=lower, upper=upper, prior_std=prior,
    )  # fmt: skip


def _problem(body: Body, take: _Take, options: PersonOptions, belief: float) -> Problem:
    known = take.points.isfinite().all(-1) & take.std.isfinite()
    std = (take.std.nan_to_num(0.0).square() + MARKER_STD**2).sqrt()
    eye = torch.eye(3, dtype=torch.float64)
    return Problem(
        body=body,
        fps=take.fps,
        targets=take.points,
        whitening=torch.where(known[..., None, None], eye / std[..., None, None], 0.0),
        point_joints=body.marker_joints,
        point_offsets=body.marker_offsets,
        robust=torch.ones(len(body.markers), dtype=torch.bool),
        belief=belief,
        smoothness=options.smoothness,
        limits=options.joint_limits,
    )


def _calibrated(body: Body, state: State, take: _Take) -> tuple[Body, State]:
    """The body with the person's own bones and marker places, and the first pose on it."""
    seen = (take.points.isfinite().all(-1) & (take.std == 0.0)).double().mean(1)
    good = (seen >= seen.quantile(0.5).clamp_max(1.0)).nonzero().squeeze(-1)
    pick = good[torch.linspace(0, len(good) - 1, min(CALIBRATION_FRAMES, len(good))).round().long()]
    frames, prior = take.frames(pick), body
    part = State(state.rotations[pick], state.root[pick])
    still = PersonOptions(smoothness=0.0)
    for turn in range(ROUNDS):
        belief = 100.0 if turn < 3 else 20.0
        part = fit(_problem(body, frames, still, belief), part, iterations=6)
        body, root = _measured(body, prior, part, frames, belief)
        part = State(part.rotations, root)
    return body, state


def _measured(
    body: Body, prior: Body, state: State, take: _Take, belief: float
) -> tuple[Body, Float[Tensor, "f 3"]]:
    """Bone offsets, marker places and root paths that explain the markers best, turns held.

    x_m(t) = r(t) + sum over the chain of R_parent(t) b_j + R_own(t) o_m is linear in r, b and o.
    """
    pose = pose_of(body, state)
    frames, count, bones = len(state.root), len(body.markers), len(body.skeleton)
    matrices = matrix_from_quaternion(pose.orientations)
    owners = list(body.marker_joints)
    points = pose.positions[:, owners] + rotate(pose.orientations[:, owners], body.marker_offsets)
    gap = take.points - points
    known = gap.isfinite().all(-1) & take.std.isfinite()
    distance = torch.where(known, gap.norm(dim=-1) / MARKER_STD, 0.0)
    weight = known.double() * belief**2 / (belief**2 + distance.square()) / MARKER_STD
    design = torch.zeros(frames, count, 3, 3 * (bones + count), dtype=torch.float64)
    for m, joint in enumerate(body.marker_joints):
        design[:, m, :, 3 * (bones + m) : 3 * (bones + m) + 3] = matrices[:, joint]
        while joint > 0:
            parent = body.skeleton.parents[joint]
            design[:, m, :, 3 * joint : 3 * joint + 3] = matrices[:, parent]
            joint = parent
    rows = weight[..., None, None] * design
    right = weight.unsqueeze(-1) * gap.nan_to_num(0.0)
    ones = weight[..., None, None] * torch.eye(3, dtype=torch.float64)
    total = weight.square().sum(1).clamp_min(1e-9)  # eliminates the root of each frame
    mean_rows = (ones.mT @ rows).sum(1) / total[:, None, None]
    mean_right = (ones.mT @ right.unsqueeze(-1)).sum(1).squeeze(-1) / total[:, None]
    rows = rows - weight[..., None, None] * mean_rows.unsqueeze(1)
    right = right - weight.unsqueeze(-1) * mean_right.unsqueeze(1)
    flat = rows.reshape(-1, rows.shape[-1])
    pull = torch.cat(
        (torch.full((3 * bones,), BONE_STD**-2), torch.full((3 * count,), PLACE_STD**-2))
    ).double()
    drift = torch.cat(
        (prior.skeleton.offsets - body.skeleton.offsets, prior.marker_offsets - body.marker_offsets)
    ).flatten()
    normal = flat.mT @ flat + torch.diag(pull)
    step = torch.linalg.solve(normal, flat.mT @ right.reshape(-1) + pull * drift)
    root = state.root + mean_right - (mean_rows @ step)
    change = step.unflatten(0, (-1, 3))
    change[0] = 0.0
    skeleton = replace(body.skeleton, offsets=body.skeleton.offsets + change[:bones])
    moved = body.marker_offsets + change[bones:] - prior.marker_offsets
    far = moved.norm(dim=-1, keepdim=True) / FARTHEST
    offsets = prior.marker_offsets + moved / far.clamp_min(1.0)
    return replace(body, skeleton=skeleton, marker_offsets=offsets), root


def _windows(problem: Problem, state: State, seconds: float) -> State:
    """Fit overlapping windows one after the other; overlaps are blended."""
    count, pad = len(state.root), max(3, round(0.25 * problem.fps))
    size = max(4 * pad, round(seconds * problem.fps))
    rotations, root, done = state.rotations.clone(), state.root.clone(), 0
    for first in range(0, count, size):
        start, stop = max(0, first - pad), min(count, first + size + pad)
        if done and done >= count:
            break
        new = fit(problem.frames(start, stop), State(rotations[start:stop], root[start:stop]), 12)
        shared = max(0, done - start)
        share = torch.linspace(0.0, 1.0, shared, dtype=torch.float64).unsqueeze(-1)
        mixed = new.rotations.clone()
        mixed[:shared] = slerp(
            rotations[start:done], new.rotations[:shared], share.expand(shared, mixed.shape[1])
        )
        path = new.root.clone()
        path[:shared] = torch.lerp(root[start:done], path[:shared], share)
        rotations[start:stop], root[start:stop], done = mixed, path, stop
    return State(rotations, root)


def _shown(body: Body, measured: Bool[Tensor, "t m"]) -> Bool[Tensor, "t j"]:
    """True where a joint has a measured marker: on its own bone, or else on one beyond it."""
    parents, owners = body.skeleton.parents, body.marker_joints
    shown = torch.zeros(len(measured), len(parents), dtype=torch.bool)
    for joint in reversed(range(len(parents))):
        own = [m for m, owner in enumerate(owners) if owner == joint]
        if own:
            shown[:, joint] = measured[:, own].any(1)
        else:
            beyond = [child for child, parent in enumerate(parents) if parent == joint]
            shown[:, joint] = shown[:, beyond].any(1)
    for joint, parent in enumerate(parents):  # what ends a measured bone is measured with it
        if parent >= 0 and joint not in body.turning:
            shown[:, joint] |= shown[:, parent]
    return shown


def _person(body: Body, state: State, take: _Take, labels: tuple[str, ...]) -> Person:
    pose, owners = pose_of(body, state), list(body.marker_joints)
    places_world = pose.positions[:, owners] + rotate(
        pose.orientations[:, owners], body.marker_offsets
    )
    residual = (places_world - take.points).norm(dim=-1)
    measured = take.std == 0.0
    feet = [body.skeleton.index(n) for n in ("LeftToeBase", "RightToeBase")]
    rest = floor_height(pose.positions[:, feet], torch.zeros(2, dtype=torch.float64))
    contacts = torch.zeros(pose.positions.shape[:2], dtype=torch.bool)
    contacts[:, feet] = detect(pose.positions[:, feet], take.fps, rest.expand(2))
    filled = ~_shown(body, measured)
    clip = Clip(
        body.skeleton, unroll(state.rotations), state.root, take.fps, "markers",
        contacts=contacts, filled=filled,
    )  # fmt: skip
    return Person(clip, body, torch.where(measured, residual, torch.nan), labels)
