"""Who is who: people followed in 3-D from frame to frame, each camera's detections given to them.

C cameras, T frames, P person slots, J joints, K people. Errors are metres: the distance between a
detection and a person's projected joint, times the joint's depth. NumPy, since every frame calls
SciPy's assignment on small arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

from muybridge.geometry.camera import Cameras
from muybridge.geometry.epipolar import intersect_rays
from muybridge.motion.keypoints import Keypoints

__all__ = ["NOBODY", "Person", "Scene", "Sight", "follow_in_space", "mirrored_joints"]

NOBODY = -1
CLIP_M = 0.3  # a joint farther off than this is only wrong, not more wrong
SOFT_M = 0.05  # error at which a view of a joint counts half
GATE_M = 0.2  # mean clipped error up to which a detection may be a person's
BIRTH_M = 0.1  # mean error up to which detections of two cameras start a person
LOST_GATE_M = 0.6  # gate of a person who has been lost for long
LOST_SPEED = 0.01  # metres that the gate widens per lost frame
MEMORY_SECONDS = 1.5  # a person may be lost for so long and still be the same
MIN_JOINTS = 4  # shared joints needed to compare anything
SAME_PLACE_M = 0.25  # two people cannot stand so close
BODY_SIZE_M = (0.35, 2.8)  # extent of a plausible body
CHUNK_FRAMES = 2048  # prepared at once; bounds the memory of an hour's take
GAIN = 0.6  # share of the difference to the prediction that a new sight brings
VELOCITY_GAIN = 0.3


def mirrored_joints(joints: tuple[str, ...]) -> Int[np.ndarray, "j"]:
    """Index of each joint's left/right twin; its own where it has none."""

    def twin(name: str) -> str:
        if name.startswith("left_"):
            return "right_" + name.removeprefix("left_")
        if name.startswith("right_"):
            return "left_" + name.removeprefix("right_")
        return name

    where = {name: i for i, name in enumerate(joints)}
    return np.array([where.get(twin(name), i) for i, name in enumerate(joints)])


@dataclass(frozen=True)
class Scene:
    """The detections of a stretch of frames, ready to be compared with points in space.

    Attributes:
        first: Frame of the take with which the stretch begins.
        flat: Undistorted normalised image points (T, C, P, J, 2); NaN where unseen.
        weight: Confidence (T, C, P, J); 0 where unseen.
        rotation: camera_from_world (C, 3, 3).
        translation: camera_from_world (C, 3), metres.
        centres: Optical centres (C, 3), world, metres.
        mirror: Left/right twin of each joint.
        memory: Frames for which a lost person is remembered.
    """

    first: int
    flat: Float[np.ndarray, "t c p j 2"]
    weight: Float[np.ndarray, "t c p j"]
    rotation: Float[np.ndarray, "c 3 3"]
    translation: Float[np.ndarray, "c 3"]
    centres: Float[np.ndarray, "c 3"]
    mirror: Int[np.ndarray, "j"]
    memory: int

    @classmethod
    def of(
        cls, keypoints: Keypoints, cameras: Cameras, min_confidence: float, frames: slice
    ) -> Scene:
        """What these cameras saw; detections below `min_confidence` are left out."""
        points, weight = keypoints.points_px[:, frames], keypoints.confidence[:, frames]
        seen = points.isfinite().all(-1) & (weight > 0.0) & (weight >= min_confidence)
        pixels = torch.where(seen.unsqueeze(-1), points, torch.nan).double()
        weight = torch.where(seen, weight, 0.0).double()
        return cls(
            frames.start,
            cameras.normalize(pixels).transpose(0, 1).contiguous().numpy(),
            weight.transpose(0, 1).contiguous().numpy(),
            cameras.rotation.numpy(),
            cameras.translation.numpy(),
            cameras.centres_world.numpy(),
            mirrored_joints(keypoints.joints),
            max(2, round(MEMORY_SECONDS * keypoints.fps)),
        )

    def project(
        self, points: Float[np.ndarray, "k j 3"]
    ) -> tuple[Float[np.ndarray, "c k j 2"], Float[np.ndarray, "c k j"]]:
        """Normalised image points and depths of world points in every camera."""
        in_camera = np.einsum("cab,kjb->ckja", self.rotation, points)
        in_camera = in_camera + self.translation[:, None, None]
        depth = in_camera[..., 2]
        depth = np.where(depth > 0.05, depth, np.nan)
        return in_camera[..., :2] / depth[..., None], depth

    def intersect(
        self, flat: Float[np.ndarray, "n c j 2"], weight: Float[np.ndarray, "n c j"]
    ) -> Float[np.ndarray, "n j 3"]:
        """Points where the rays of C views meet; NaN where fewer than two see the joint."""
        rays_camera = np.concatenate((flat, np.ones_like(flat[..., :1])), axis=-1)
        rays = np.einsum("cab,ncja->njcb", self.rotation, rays_camera)
        points = intersect_rays(
            torch.from_numpy(self.centres),
            torch.from_numpy(rays),
            torch.from_numpy(np.ascontiguousarray(weight.swapaxes(1, 2))),
        )
        return points.numpy()


class Sight(NamedTuple):
    """All detections of one frame."""

    t: int
    flat: Float[np.ndarray, "c p j 2"]
    weight: Float[np.ndarray, "c p j"]


@dataclass(eq=False)
class Person:
    """One person as far as known.

    Attributes:
        slots: Slot of the person in each camera and frame (C, T), `NOBODY` where unseen.
        points: Joints in the world, metres (J, 3); NaN for joints never seen.
        velocity: Of the whole body, metres per frame.
        last: Latest frame in which any camera saw the person.
    """

    slots: Int[np.ndarray, "c t"]
    points: Float[np.ndarray, "j 3"]
    velocity: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    last: int = 0

    def predicted(self, frame: int) -> Float[np.ndarray, "j 3"]:
        """Joints at a later frame, moving on as a whole and slowing down while unseen."""
        age = frame - self.last
        return self.points + self.velocity * (1.0 - 0.9**age) / 0.1


def follow_in_space(keypoints: Keypoints, cameras: Cameras, min_confidence: float) -> list[Person]:
    """Give every detection to a person, frame by frame; one pass over the take.

    Each camera's detections are assigned to the predicted people (Hungarian, clipped joint errors,
    the better of the two left/right labellings); the people are triangulated anew from the views
    they got; detections that are left over start new people where two cameras agree.
    """
    people: list[Person] = []
    shape = (len(cameras), keypoints.frame_count)
    for start in range(0, keypoints.frame_count, CHUNK_FRAMES):
        frames = slice(start, min(start + CHUNK_FRAMES, keypoints.frame_count))
        scene = Scene.of(keypoints, cameras, min_confidence, frames)
        for t in range(frames.start, frames.stop):
            flat, weight = scene.flat[t - start], scene.weight[t - start]
            present = (weight > 0.0).sum(-1) >= MIN_JOINTS
            if not present.any():
                continue
            alive = [person for person in people if t - person.last <= scene.memory]
            if alive:
                _assign(scene, Sight(t, flat, weight), alive, present)
            if (present.any(1)).sum() >= 2:
                people += _births(scene, Sight(t, flat, weight), present, alive, shape)
    return people


def _errors(
    detected: Float[np.ndarray, "c p j 2"],
    expected: Float[np.ndarray, "c k j 2"],
    depth: Float[np.ndarray, "c k j"],
) -> tuple[Float[np.ndarray, "c p k"], Int[np.ndarray, "c p k"]]:
    """Mean clipped error in metres, infinite where too few joints are shared; and how many are."""
    difference = detected[:, :, None] - expected[:, None]
    error = np.hypot(difference[..., 0], difference[..., 1]) * depth[:, None]
    shared = np.isfinite(error)
    count = shared.sum(-1)
    total = np.minimum(np.where(shared, error, 0.0), CLIP_M).sum(-1)
    return np.where(count >= MIN_JOINTS, total / np.maximum(count, 1), np.inf), count


def _either_side(
    scene: Scene,
    detected: Float[np.ndarray, "c p j 2"],
    points: Float[np.ndarray, "k j 3"],
) -> tuple[Float[np.ndarray, "c p k"], Bool[np.ndarray, "c p k"]]:
    """Errors under the better left/right labelling, and where that is the exchanged one."""
    expected, depth = scene.project(points)
    straight, _ = _errors(detected, expected, depth)
    mirrored, _ = _errors(detected[:, :, scene.mirror], expected, depth)
    with np.errstate(invalid="ignore"):
        swapped = mirrored < 0.8 * straight
    return np.where(swapped, mirrored, straight), swapped


def _assign(
    scene: Scene, sight: Sight, people: list[Person], free: Bool[np.ndarray, "c p"]
) -> None:
    """Give a frame's detections to the people and bring them up to date; `free` loses these."""
    t = sight.t
    points = np.stack([person.predicted(t) for person in people])
    error, swapped = _either_side(scene, sight.flat, points)
    lost = np.array([t - person.last - 1 for person in people])
    gate = np.minimum(GATE_M + LOST_SPEED * lost, LOST_GATE_M)
    cameras, _, joints = sight.weight.shape
    flat = np.full((len(people), cameras, joints, 2), np.nan)
    weight = np.zeros((len(people), cameras, joints))
    slots = np.full((len(people), cameras), NOBODY)
    for c in range(cameras):
        cost = np.where(error[c] <= np.minimum(gate, 0.95 * CLIP_M), error[c] - 1.0, 0.0)
        for p, k in zip(*linear_sum_assignment(cost), strict=True):
            if cost[p, k] < 0.0:
                order = scene.mirror if swapped[c, p, k] else slice(None)
                flat[k, c], weight[k, c] = sight.flat[c, p][order], sight.weight[c, p][order]
                slots[k, c] = p
    found = _triangulate(scene, flat, weight, slots)
    for k, person in enumerate(people):
        views = np.flatnonzero(slots[k] != NOBODY)
        if len(views) == 0:
            continue
        free[views, slots[k, views]] = False
        person.slots[views, t] = slots[k, views]
        if len(views) == 1:
            found[k] = _slid(scene, points[k], flat[k, views[0]], int(views[0]))
        _update(person, t, points[k], found[k])


def _triangulate(
    scene: Scene,
    flat: Float[np.ndarray, "k c j 2"],
    weight: Float[np.ndarray, "k c j"],
    slots: Int[np.ndarray, "k c"],
) -> Float[np.ndarray, "k j 3"]:
    """Joints of all people from their views; views that do not fit are taken away again."""
    expected, depth = scene.project(scene.intersect(flat, weight))
    difference = flat.swapaxes(0, 1) - expected
    error = np.hypot(difference[..., 0], difference[..., 1]) * depth  # C K J
    soft = 1.0 / (1.0 + np.square(np.nan_to_num(error, nan=0.0) / SOFT_M))
    points = scene.intersect(flat, weight * soft.swapaxes(0, 1))
    clipped = np.minimum(np.nan_to_num(error, nan=0.0), CLIP_M)
    count = np.isfinite(error).sum(-1)
    mean = clipped.sum(-1) / np.maximum(count, 1)  # C K
    wrong = (mean.T > GATE_M) & (count.T >= MIN_JOINTS)
    slots[wrong] = NOBODY
    weight[wrong] = 0.0
    return scene.intersect(flat, weight) if wrong.any() else points


def _slid(
    scene: Scene, points: Float[np.ndarray, "j 3"], flat: Float[np.ndarray, "j 2"], camera: int
) -> Float[np.ndarray, "j 3"]:
    """The predicted body moved across one camera's line of sight to where that camera sees it."""
    expected, depth = scene.project(points[None])
    move = (flat - expected[camera, 0]) * depth[camera, 0][:, None]
    known = np.isfinite(move).all(-1)
    if not known.any():
        return points
    across = np.append(np.median(move[known], axis=0), 0.0)
    return points + scene.rotation[camera].T @ across


def _update(
    person: Person, t: int, predicted: Float[np.ndarray, "j 3"], found: Float[np.ndarray, "j 3"]
) -> None:
    """Blend what was found into the person's joints and velocity."""
    difference = found - predicted
    size = np.linalg.norm(difference, axis=-1)
    known = np.isfinite(size)
    near = known & (size < 2.0 * CLIP_M)
    if near.any():
        body = np.median(difference[near], axis=0)
        person.velocity = person.velocity + VELOCITY_GAIN * body / (t - person.last)
    else:
        body = np.zeros(3)
    moved = np.where(near[:, None], predicted + GAIN * difference, predicted + GAIN * body)
    person.points = np.where((known & np.isnan(predicted[:, 0]))[:, None], found, moved)
    person.last = t


def _births(
    scene: Scene,
    sight: Sight,
    free: Bool[np.ndarray, "c p"],
    alive: list[Person],
    shape: tuple[int, int],
) -> list[Person]:
    """New people from detections that nobody owns: best supported first, no detection twice."""
    born: list[Person] = []
    while (free.any(1)).sum() >= 2:
        others = [p.points for p in (*alive, *born) if p.last == sight.t]
        best = _best_hypothesis(scene, sight, free, others)
        if best is None:
            break
        slots, points = best
        person = Person(np.full(shape, NOBODY), points, last=sight.t)
        views = np.flatnonzero(slots != NOBODY)
        person.slots[views, sight.t] = slots[views]
        free[views, slots[views]] = False
        born.append(person)
    return born


def _best_hypothesis(
    scene: Scene, sight: Sight, free: Bool[np.ndarray, "c p"], others: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Slots (C,) and joints (J, 3) of the person that most cameras, then the best error, back."""
    points = _pair_points(scene, sight, free)
    if points is None:
        return None
    detected = np.where(free[..., None, None], sight.flat, np.nan)
    error, _ = _either_side(scene, detected, points)  # C P N
    slot = error.argmin(1)
    error = error.min(1)  # C N
    backed = error < BIRTH_M
    score = backed.sum(0) - np.where(backed, error, 0.0).sum(0) / np.maximum(backed.sum(0), 1)
    score[(backed.sum(0) < 2) | ~_plausible(points, others)] = -np.inf
    best = int(score.argmax())
    if not np.isfinite(score[best]):
        return None
    return np.where(backed[:, best], slot[:, best], NOBODY), points[best]


def _pair_points(
    scene: Scene, sight: Sight, free: Bool[np.ndarray, "c p"]
) -> Float[np.ndarray, "n j 3"] | None:
    """Joints of every pair of free detections in two cameras, in both left/right labellings."""
    chosen = [
        (a, p, b, q, mirrored)
        for a, b in combinations(range(len(free)), 2)
        for p in np.flatnonzero(free[a])
        for q in np.flatnonzero(free[b])
        for mirrored in (False, True)
    ]
    if not chosen:
        return None
    cameras, _, joints = sight.weight.shape
    flat = np.full((len(chosen), cameras, joints, 2), np.nan)
    weight = np.zeros((len(chosen), cameras, joints))
    for n, (a, p, b, q, mirrored) in enumerate(chosen):
        order = scene.mirror if mirrored else slice(None)
        flat[n, a], weight[n, a] = sight.flat[a, p], sight.weight[a, p]
        flat[n, b], weight[n, b] = sight.flat[b, q][order], sight.weight[b, q][order]
    return scene.intersect(flat, weight)


def _plausible(
    points: Float[np.ndarray, "n j 3"], others: list[np.ndarray]
) -> Bool[np.ndarray, "n"]:
    """True for bodies of human size that do not stand inside somebody else."""
    known = np.isfinite(points).all(-1)
    low = np.where(known[..., None], points, np.inf).min(1)
    high = np.where(known[..., None], points, -np.inf).max(1)
    size = (high - low).max(-1)
    good = (known.sum(1) >= MIN_JOINTS) & (size > BODY_SIZE_M[0]) & (size < BODY_SIZE_M[1])
    for other in others:
        apart = np.linalg.norm(points - other, axis=-1)
        shared = np.isfinite(apart)
        mean = np.where(shared, apart, 0.0).sum(1) / np.maximum(shared.sum(1), 1)
        good &= (shared.sum(1) < MIN_JOINTS) | (mean > SAME_PLACE_M)
    return good
