"""Which point is which marker: names for unlabelled points, frame after frame.

T frames, P points a frame, M markers. World frame: metres; NaN pads the lists of points.

From one frame in which all is known, the markers are followed in time. Three things speak for a
point: it lies where the marker's own motion leads (a constant velocity), it lies where the marker's
neighbours carry it (a rigid motion of those whose distances hardly change; so a marker that comes
back after an occlusion is known again), and its distances to these neighbours are right. The best
assignment of all markers at once is the Hungarian method's, repeated while what was found corrects
what is expected of the mates. Distances are learned on the way, and the whole take is gone through
once more with their medians, on which early mistakes have no say.

References:
    Kuhn, The Hungarian method for the assignment problem, Naval Research Logistics 2, 1955.
    Ringer & Lasenby, A procedure for automatically estimating model parameters in optical motion
    capture, Image and Vision Computing 22(10), 2004 (prediction and tracking of labels).
    Meyer, Kuderer, Mueller & Burgard, Online marker labeling for fully automatic skeleton tracking
    in optical motion capture, ICRA 2014 (initial labels, distances as evidence).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.markers import Markers

__all__ = ["LabelOptions", "Labelled", "label", "match_pose"]

NEVER = 1e6  # cost of what must not be
MATES = 6  # neighbours that carry a marker
SEEN_TWICE = 3  # frames before a marker's own velocity is believed
PATIENCE = 0.5  # seconds after which a hidden marker's mates alone say where it is
LONG = 1_000_000  # frames: since ever
FASTEST = 3.0  # m/s: how fast a marker may be that was seen for the first time
MOST_FRAMES = 2000  # looked at for distances
TURNS = 72  # headings tried when a pose is matched
PASSES = 2
ROUNDS = 3  # of assignment in one frame
NEARNESS = 0.03  # metres of spread that a metre of distance counts for
CONSENSUS = 3  # mates that must agree on a marker that comes back


@dataclass(frozen=True)
class LabelOptions:
    """What is believed about the motion.

    Attributes:
        acceleration: Greatest ordinary acceleration of a marker, m/s^2.
        noise: Error of a point and of the skin, metres.
        skin: Ordinary change of a distance within one segment, metres.
    """

    acceleration: float = 60.0
    noise: float = 0.006
    skin: float = 0.012


@dataclass(frozen=True)
class Labelled:
    """Points with names.

    Attributes:
        markers: Trajectories; NaN where a marker was not found.
        slots: Which point of each frame; -1 where none.
    """

    markers: Markers
    slots: Int[Tensor, "t m"]


def label(
    points: Float[Tensor, "t p 3"],
    fps: float,
    names: tuple[str, ...],
    pose: Float[Tensor, "m 3"],
    frame: int = 0,
    options: LabelOptions | None = None,
) -> Labelled:
    """Follow markers from a frame in which their positions are known, forwards and backwards.

    Args:
        points: Unlabelled points of each frame in any order, ghosts among them; NaN pads.
        fps: Frames a second.
        names: Of the markers.
        pose: Position of each marker in `frame` (from `match_pose` or labelled by hand), metres;
            NaN where it is hidden there.
        frame: The frame of the pose.
        options: Accelerations and errors.
    Raises:
        InputError: If frame rate or frame make no sense, or names and pose do not match.
    """
    options = options or LabelOptions()
    if not 0.0 < fps < 1e6 or not 0 <= frame < max(1, len(points)):
        raise InputError(
            f"expected a positive frame rate and a frame below {len(points)}, got {fps} and "
            f"{frame}; correct them"
        )
    if len(names) != len(pose) or int(pose.isfinite().all(-1).sum()) < 3:
        raise InputError(
            f"expected the places of at least 3 of {len(names)} markers, got "
            f"{int(pose.isfinite().all(-1).sum())} of {len(pose)}; choose a frame that shows more"
        )
    cloud: np.ndarray = points.to(torch.float64).numpy()
    slots = np.full((len(points), len(names)), -1)
    start = pose.to(torch.float64).numpy()
    lengths = None
    for _ in range(PASSES):
        for order in (range(frame, len(points)), range(frame, -1, -1)):
            tracker = _Tracker(start, fps, options, lengths)
            for t in order:
                slots[t] = tracker.step(cloud[t])
        lengths = _lengths(cloud, slots)
    index = torch.from_numpy(slots)
    found = points.to(torch.float64)[torch.arange(len(points)).unsqueeze(1), index.clamp_min(0)]
    found = torch.where((index >= 0).unsqueeze(-1), found, torch.nan)
    return Labelled(Markers(names, found, fps), index)


def _lengths(cloud: np.ndarray, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of all distances between markers and their robust spread, metres; NaN if unknown."""
    places = cloud[np.arange(len(cloud))[:, None], slots.clip(0)]
    places = np.where((slots >= 0)[..., None], places, np.nan)
    some = places[np.linspace(0, len(places) - 1, min(len(places), MOST_FRAMES)).astype(int)]
    distance = torch.from_numpy(np.linalg.norm(some[:, :, None] - some[:, None], axis=-1))
    middle = distance.nanmedian(dim=0).values
    low, high = (distance.nanquantile(q, dim=0) for q in (0.1, 0.9))
    spread = (high - low) / 2.56  # of a normal distribution; wide where a joint lies between
    few = distance.isfinite().sum(0) < 5
    return torch.where(few, torch.nan, middle).numpy(), torch.where(few, torch.nan, spread).numpy()


class _Tracker:
    """What is known of the markers after the frames so far."""

    def __init__(
        self,
        pose: np.ndarray,
        fps: float,
        options: LabelOptions,
        lengths: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:
        count = len(pose)
        self.options, self.fps = options, fps
        self.place = pose.copy()  # best estimate now, seen or not
        self.speed = np.zeros((count, 3))  # metres a frame
        self.age = np.where(np.isfinite(pose).all(1), 0, LONG)  # frames since last seen
        self.streak = np.zeros(count, dtype=int)  # frames seen in a row
        # Row k: where all markers were when k was last seen.
        self.scene = np.repeat(pose[None], count, 0)
        # Distances to all others: mean, sum of squared deviations, count (Welford).
        self.mean = np.linalg.norm(pose[:, None] - pose[None], axis=-1)
        self.square = (0.05 + 0.1 * self.mean) ** 2 / 4.0
        self.number = np.isfinite(self.mean).astype(float)
        if lengths is not None:
            near = 0.03 + 2.0 * lengths[1]  # what the first pass mistook contradicts the pose
            known = np.isfinite(lengths[0]) & (np.abs(lengths[0] - self.mean) < near)
            self.mean = np.where(known, lengths[0], self.mean)
            self.square = np.where(known, LONG * lengths[1] ** 2, self.square)
            self.number = np.where(known, LONG, self.number)

    def step(self, points: np.ndarray) -> np.ndarray:
        """Point of each marker in the next frame; -1 where none."""
        real = np.flatnonzero(np.isfinite(points).all(1))
        slots = np.full(len(self.place), -1)
        guess = self.place + self.speed
        if len(real):
            if not self.streak.any():
                guess = guess + _common_shift(guess, points[real])
            slots = self._assign_by_motion(guess, points, real)
            self._drop_misfits(slots, points)
            for _ in range(2):
                self._assign_by_mates(slots, points, real)
        self._learn(slots, points, guess)
        return slots

    def _mates(self, usable: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each marker the usable ones whose distance to it changes least (m, k), and if so.

        Near ones first: a far mate at a constant distance says little about the direction.
        """
        spread = self._spread() + NEARNESS * self.mean
        spread = np.where(usable & (self.number > 0), spread, np.inf)
        np.fill_diagonal(spread, np.inf)
        best = np.argsort(spread, axis=1, kind="stable")[:, :MATES]
        return best, np.isfinite(np.take_along_axis(spread, best, 1))

    def _spread(self) -> np.ndarray:
        """Standard deviation of all distances, metres."""
        return np.asarray(np.sqrt(self.square / np.maximum(self.number, 1.0)))

    def _wrong(
        self, markers: np.ndarray, spots: np.ndarray, mates: np.ndarray, where: np.ndarray
    ) -> np.ndarray:
        """Error of the distances from spots (m, s, 3) to mates (m, k), in tolerances (m, s, k)."""
        distance = np.linalg.norm(spots[:, :, None] - where[mates][:, None], axis=-1)
        rows = markers[:, None]
        tolerance = self.options.skin + 2.0 * self._spread()[rows, mates]
        return np.asarray(np.abs(distance - self.mean[rows, mates][:, None]) / tolerance[:, None])

    def _assign_by_motion(
        self, guess: np.ndarray, points: np.ndarray, real: np.ndarray
    ) -> np.ndarray:
        """Markers seen just now go on as they moved, and as their mates turn out to move."""
        slots = np.full(len(guess), -1)
        recent = np.flatnonzero((self.age <= 2) & np.isfinite(guess).all(1))
        if not len(recent):
            return slots
        ahead = (self.age[recent] + 1.0) / self.fps
        gate = self.options.noise + 0.5 * self.options.acceleration * ahead**2
        still = self.streak[recent] < SEEN_TWICE  # its velocity is not known yet
        gate = gate + np.where(still, FASTEST / self.fps, 0.0)
        expected, where = guess.copy(), guess.copy()
        every = np.arange(len(guess))
        spots = np.broadcast_to(points[real], (len(guess), len(real), 3))
        for _ in range(ROUNDS):
            away = np.linalg.norm(expected[recent, None] - points[None, real], axis=-1)
            mates, there = self._mates(np.isfinite(where).all(1))
            wrong = np.minimum(self._wrong(every, spots, mates, where) ** 2, 9.0)
            misfit = (wrong * there[:, None]).sum(2) / np.maximum(there.sum(1), 1)[:, None]
            cost = np.where(away < gate[:, None], (away / gate[:, None]) ** 2, NEVER)
            rows, columns = linear_sum_assignment(np.minimum(cost + misfit[recent], NEVER))
            good = away[rows, columns] < gate[rows]
            slots[:] = -1
            slots[recent[rows[good]]] = real[columns[good]]
            found = slots >= 0
            where = guess.copy()
            where[found] = points[slots[found]]
            expected = guess + self._surprise(found, where - guess)
        return slots

    def _surprise(self, found: np.ndarray, shift: np.ndarray) -> np.ndarray:
        """By how much a marker's mates are off their own prediction: the median of their shifts."""
        mates, there = self._mates(found)
        shifts = np.where(there[..., None], shift[mates], np.nan)
        enough = there.sum(1) >= CONSENSUS
        result = np.zeros_like(shift)
        result[enough] = np.nanmedian(shifts[enough], axis=1)
        return result

    def _drop_misfits(self, slots: np.ndarray, points: np.ndarray) -> None:
        """Take back what the mates deny, those with the steadiest distances first of all."""
        found = slots >= 0
        place = np.where(found[:, None], points[slots.clip(0)], np.nan)
        mates, there = self._mates(found)
        every = np.arange(len(slots))
        wrong = self._wrong(every, place[:, None], mates, place)[:, 0] > 2.0
        weight = there / (self._spread()[every[:, None], mates] + self.options.skin) ** 2
        denied = np.where(wrong, weight, 0.0).sum(1) > 0.5 * weight.sum(1)
        slots[found & (there.sum(1) >= 2) & denied] = -1

    def _assign_by_mates(self, slots: np.ndarray, points: np.ndarray, real: np.ndarray) -> None:
        """Markers that are missing are looked for where their mates carry them."""
        found = slots >= 0
        mates, there = self._mates(found)
        missing = np.flatnonzero(~found & (there.sum(1) >= CONSENSUS))
        free = np.setdiff1d(real, slots[found])
        if not len(missing) or not len(free):
            return
        place = np.where(found[:, None], points[slots.clip(0)], np.nan)
        cost = np.full((len(missing), len(free)), NEVER)
        for row, marker in enumerate(missing.tolist()):
            own = mates[marker][there[marker]]
            guess, doubt = self._carried(marker, own, place)
            away = np.linalg.norm(points[free] - guess, axis=-1) / (
                2.0 * self.options.noise + doubt
            )
            own = own[:4]
            wrong = self._wrong(np.array([marker]), points[free][None], own[None], place)[0]
            agree = (wrong < 1.5).mean(1) >= 0.75
            cost[row] = np.where((away < 1.0) & agree, away**2 + (wrong**2).mean(1), NEVER)
        rows, columns = linear_sum_assignment(cost)
        good = cost[rows, columns] < NEVER
        slots[missing[rows[good]]] = free[columns[good]]

    def _carried(
        self, marker: int, mates: np.ndarray, place: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Where the mates' motion since its last sight carries a marker, and how sure that is."""
        before, now = self.scene[marker][mates], place[mates]
        usable = np.isfinite(before).all(1) & np.isfinite(now).all(1)
        before, now, mates = before[usable], now[usable], mates[usable]
        if len(mates) < 3 or not np.isfinite(self.scene[marker][marker]).all():
            return np.full(3, np.nan), 0.0
        spread = self._spread()[marker, mates]
        weight = 1.0 / (spread**2 + self.options.noise**2)
        weight = weight / weight.sum()
        a, b = weight @ before, weight @ now
        u, _, vt = np.linalg.svd(((now - b) * weight[:, None]).T @ (before - a))
        flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
        turn = (u * flip) @ vt
        guess = b + turn @ (self.scene[marker][marker] - a)
        fit = np.linalg.norm((before - a) @ turn.T + b - now, axis=-1)
        hidden = min(self.age[marker] / self.fps, PATIENCE) / PATIENCE
        doubt = 2.0 * float(np.sqrt(weight @ fit**2)) + 0.02 + 0.04 * hidden
        return guess, min(doubt, 0.08)

    def _learn(self, slots: np.ndarray, points: np.ndarray, guess: np.ndarray) -> None:
        """Take over what was found; carry along what was not."""
        found = slots >= 0
        place = np.where(found[:, None], points[slots.clip(0)], np.nan)
        new = np.where(found[:, None], place, guess)
        elapsed = np.minimum(self.age + 1, LONG)
        fresh = found & (self.streak > 0)
        self.speed[fresh] = new[fresh] - self.place[fresh]
        self.speed[found & (self.streak == 0) & (elapsed >= 4)] = 0.0
        self.streak = np.where(found, self.streak + 1, 0)
        self.age = np.where(found, 0, elapsed)
        self.place = new
        mates, there = self._mates(found)
        for marker in np.flatnonzero(~found & (self.age > 2)).tolist():
            carried = self._carried(marker, mates[marker][there[marker]], place)[0]
            if np.isfinite(carried).all():
                self.place[marker], self.speed[marker] = carried, 0.0
        # A ghost lasts a frame or two: where it was must not be remembered.
        self.scene[found & (self.streak >= SEEN_TWICE)] = place[None]
        self._learn_distances(place, found)

    def _learn_distances(self, place: np.ndarray, found: np.ndarray) -> None:
        both = found[:, None] & found[None]
        distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
        first = both & (self.number == 0)
        self.mean[first] = distance[first]
        self.square[first] = (0.05 + 0.1 * distance[first]) ** 2 / 4.0
        both &= self.number < LONG  # medians of the whole take need no more
        self.number[both] += 1.0
        step = distance - self.mean
        self.mean[both] += step[both] / self.number[both]
        self.square[both] += (step * (distance - self.mean))[both]


def _common_shift(places: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """By how much all markers moved together, while no velocity is known yet, metres."""
    shift, known = np.zeros(3), places[np.isfinite(places).all(1)]
    for gate in (0.3, 0.3, 0.2, 0.2, 0.1, 0.1):
        away = np.linalg.norm((known + shift)[:, None] - spots[None], axis=-1)
        rows, columns = linear_sum_assignment(np.minimum(away, gate) ** 2)
        near = away[rows, columns] < gate
        if near.sum() < CONSENSUS:
            return np.zeros(3)
        shift = np.median(spots[columns[near]] - known[rows[near]], axis=0)
    return shift


def match_pose(
    reference: Float[Tensor, "m 3"], points: Float[Tensor, "p 3"], gate: float = 0.10
) -> Float[Tensor, "m 3"]:
    """Find a known pose among the unlabelled points of one frame.

    The person stands as in the reference (a T-pose of the marker set, or a labelled frame of an
    earlier take), anywhere on the floor, facing anywhere, up to a fifth taller or shorter.

    Args:
        reference: Labelled places of the markers, metres, Y up.
        points: Unlabelled points of the frame; NaN is left out.
        gate: Farthest a marker may lie from where the others expect it, metres.
    Returns:
        The place of each marker, NaN where none was found.
    Raises:
        InputError: If fewer than half the markers can be found.
    """
    cloud = points[points.isfinite().all(-1)].to(torch.float64).numpy()
    shape = reference.to(torch.float64).numpy()
    known = np.isfinite(shape).all(1)
    best, cost = np.full(len(shape), -1), np.inf
    if len(cloud) >= 3 and known.sum() >= 3:
        for turn in range(TURNS):
            slots, price = _aligned(shape[known], cloud, 2.0 * np.pi * turn / TURNS, gate)
            if price < cost:
                best[known], cost = slots, price
    if (best >= 0).sum() < 0.5 * len(shape):
        raise InputError(
            f"expected the {len(shape)} markers in the reference pose, found "
            f"{int((best >= 0).sum())} of them among {len(cloud)} points; choose a frame in which "
            "the person stands as in the reference"
        )
    result = np.where((best >= 0)[:, None], cloud[best.clip(0)], np.nan)
    return torch.from_numpy(result)


def _aligned(
    shape: np.ndarray, cloud: np.ndarray, heading: float, gate: float
) -> tuple[np.ndarray, float]:
    """Slots and cost from one heading: rigid alignment first, then each marker after its mates."""
    c, s = np.cos(heading), np.sin(heading)
    turned = shape @ np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]]).T
    moved = turned - np.median(turned, 0) + np.median(cloud, 0)
    moved[:, 1] += cloud[:, 1].min() - moved[:, 1].min()
    wide = 4.0 * gate
    slots = np.full(len(shape), -1)
    for step in range(12):
        away = np.linalg.norm(moved[:, None] - cloud[None], axis=-1)
        rows, columns = linear_sum_assignment(np.minimum(away, wide) ** 2)
        good = away[rows, columns] < wide
        slots = np.full(len(shape), -1)
        slots[rows[good]] = columns[good]
        if good.sum() < 3:
            return slots, np.inf
        source, target = turned[rows[good]], cloud[columns[good]]
        if step < 6:
            moved = _similar(source, target, turned)
        else:
            moved = moved + _smooth(moved, rows[good], target - moved[rows[good]])
        wide = max(gate, 0.8 * wide)
    away = np.linalg.norm(moved - cloud[slots.clip(0)], axis=-1)
    inside = (slots >= 0) & (away < gate)
    return np.where(inside, slots, -1), float(np.where(inside, away / gate, 1.0).__pow__(2).sum())


def _similar(source: np.ndarray, target: np.ndarray, all_points: np.ndarray) -> np.ndarray:
    """Least-squares similarity (scale within a fifth) applied to all points."""
    a, b = source.mean(0), target.mean(0)
    u, s, vt = np.linalg.svd((target - b).T @ (source - a))
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    scale = float((s * flip).sum() / ((source - a) ** 2).sum())
    return np.clip(scale, 0.8, 1.25) * (all_points - a) @ ((u * flip) @ vt).T + b


def _smooth(places: np.ndarray, rows: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Shift of each marker as the mean of its five nearest matched ones."""
    away = np.linalg.norm(places[:, None] - places[rows][None], axis=-1)
    near = np.argsort(away, axis=1, kind="stable")[:, :5]
    weight = np.exp(-((np.take_along_axis(away, near, 1) / 0.2) ** 2))
    total = weight.sum(1, keepdims=True) + 1e-9
    return (weight[..., None] * shift[near]).sum(1) / total
