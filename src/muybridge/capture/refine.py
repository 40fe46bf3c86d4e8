"""Self-calibration: a moving person is a calibration object that is always there.

C cameras, T frames, J joints, B bones. Cameras and constant detector offsets are adjusted to the
person's own keypoints (`capture.adjustment`). Whether that helps is not asked of the reprojection
error, which any refinement lowers, but of cameras that did not take part: adjusted on the first
half of the take, each camera of the second half is predicted from the others. Even that cannot see
what is wrong with the detector all through the take, so two explanations are tried in turn: a good
calibration that needs small turns, and, only where it predicts much better, cameras that were
knocked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.adjustment import Adjustment, AdjustmentPrior, adjust
from muybridge.capture.finding import Finding
from muybridge.capture.trajectories import bone_pairs
from muybridge.errors import InputError
from muybridge.geometry.camera import Cameras
from muybridge.geometry.triangulation import (
    TriangulationOptions,
    reprojection_px,
    triangulate,
    triangulate_soft,
)
from muybridge.motion.keypoints import Keypoints

__all__ = ["RefineOptions", "Refinement", "heldout_px", "refine_cameras"]

FEWEST_FRAMES = 8
MEASURED_FRAMES = 4000  # of a long take, evenly spread; bounds time and memory
STATURE_PARTS = 0.779  # trunk + thigh + shank of a standing height, Drillis & Contini 1966
BIASED_PX = 5.0
ALIKE_S = 1.0 / 6.0  # a detector's errors stay alike for about so long
CHANCE_SIGMAS = 3.09  # a normal deviate that chance exceeds once in a thousand


@dataclass(frozen=True)
class RefineOptions:
    """How `refine_cameras` works.

    Attributes:
        baseline: Two camera names and the measured distance between them, metres: sets the scale.
        body_height_m: Standing height of the person, metres: sets the scale when no baseline does.
        prior: What is believed beforehand; `focal_relative` there frees the lenses, `alike` is
            set from the frame rate.
        knocked: What is believed of cameras that were moved after calibration.
        most_frames: Frames used, evenly spread; half as many decide whether it helps.
        least_gain: Fraction by which the held-out error must fall for a change to be kept.
        knocked_gain: Fraction by which it must fall further for cameras to count as knocked.
    """

    baseline: tuple[str, str, float] | None = None
    body_height_m: float | None = None
    prior: AdjustmentPrior = field(default_factory=AdjustmentPrior)
    knocked: AdjustmentPrior = field(
        default_factory=lambda: AdjustmentPrior(rotation_deg=5.0, position_m=0.3)
    )
    most_frames: int = 240
    least_gain: float = 0.02
    knocked_gain: float = 0.05


@dataclass(frozen=True)
class Refinement:
    """What self-calibration found.

    Attributes:
        cameras: To be used from here on: refined, or as given when refining did not help.
        accepted: Whether they are refined.
        offset_px: What the detector adds to each joint in each camera, pixels; give it to
            `ReconstructOptions`. Zero where offsets did not help.
        bone_lengths: Median bone lengths, metres, in the order of `trajectories.bone_pairs`.
        before_px: Median reprojection error of each camera as given, all detections, pixels.
        after_px: The same afterwards, offsets taken off.
        heldout_before_px: Median error of each camera predicted from the others, second half of
            the take, pixels; NaN with two cameras.
        heldout_after_px: The same, cameras adjusted on the first half only; this camera's own
            offsets are not taken off.
        moved_m: How far each camera moved, apart from a change of scale of the whole rig.
        moved_std_m: Its standard error; errors of neighbouring frames and constant errors of the
            detector are allowed for.
        turned_deg: How far each camera turned.
        turned_std_deg: Its standard error.
        findings: The same in plain language.
    """

    cameras: Cameras
    accepted: bool
    offset_px: Float[Tensor, "c j 2"]
    bone_lengths: Float[Tensor, "b"]
    before_px: Float[Tensor, "c"]
    after_px: Float[Tensor, "c"]
    heldout_before_px: Float[Tensor, "c"]
    heldout_after_px: Float[Tensor, "c"]
    moved_m: Float[Tensor, "c"]
    moved_std_m: Float[Tensor, "c"]
    turned_deg: Float[Tensor, "c"]
    turned_std_deg: Float[Tensor, "c"]
    findings: tuple[Finding, ...]


class _Views(NamedTuple):
    points_px: Float[Tensor, "c t j 2"]
    weight: Float[Tensor, "c t j"]
    alike: float  # successive frames that count as one

    def frames(self, index: slice | Tensor) -> _Views:
        return self._replace(points_px=self.points_px[:, index], weight=self.weight[:, index])

    def spread(self, most: int) -> _Views:
        """At most so many frames, evenly spread over the take."""
        length = self.points_px.shape[1]
        kept = min(length, most)
        alike = max(1.0, self.alike * kept / length)
        index = torch.linspace(0, length - 1, kept).round().long()
        return self.frames(index)._replace(alike=alike)

    def less(self, offset_px: Float[Tensor, "c j 2"]) -> _Views:
        return self._replace(points_px=self.points_px - offset_px.unsqueeze(1))


def refine_cameras(
    keypoints: Keypoints, cameras: Cameras, options: RefineOptions | None = None
) -> Refinement:
    """Refine the calibration from one person's keypoints, if that helps on unseen frames.

    Args:
        keypoints: One person, all cameras on one clock; pixels.
        cameras: The given calibration, in the order of `keypoints.cameras`: the start, and a weak
            prior that holds position, orientation and (without baseline or height) scale.
        options: Scale, priors, limits.
    Raises:
        InputError: If there are several people, fewer than two cameras, or the baseline names an
            unknown camera.
    References:
        Triggs et al., Bundle adjustment: a modern synthesis, 2000.
        Drillis & Contini, Body segment parameters, 1966 (scale from standing height).
    """
    options = options or RefineOptions()
    keypoints = _thinned(keypoints, MEASURED_FRAMES)
    views = _views(keypoints, cameras)
    length = views.points_px.shape[1]
    used = views.spread(options.most_frames)
    if length < FEWEST_FRAMES or int(((used.weight > 0.0).sum(0) >= 2).sum()) < 50:
        return _unchanged(views, cameras, keypoints, "too little of the person was seen")
    prior, before, after = _cross_validate(views.spread(options.most_frames // 2), cameras, options)
    if prior is None:
        return _unchanged(
            views, cameras, keypoints, "refining did not predict unseen cameras better", before
        )
    final = _adjust(used, _begin(used, cameras), cameras, prior)
    refined = _scaled(final, cameras, keypoints, options)
    return _refinement(views, cameras, refined, keypoints, (before, after))


def _thinned(keypoints: Keypoints, most: int) -> Keypoints:
    """At most so many frames, evenly spread: more say nothing new and an hour fills the memory."""
    length = keypoints.frame_count
    if length <= most:
        return keypoints
    index = torch.linspace(0, length - 1, most).round().long()
    return replace(
        keypoints,
        points_px=keypoints.points_px[:, index],
        confidence=keypoints.confidence[:, index],
        corrected=None if keypoints.corrected is None else keypoints.corrected[:, index],
        fps=keypoints.fps * most / length,
    )


def heldout_px(
    points_px: Float[Tensor, "c t j 2"],
    confidence: Float[Tensor, "c t j"],
    cameras: Cameras,
    offset_px: Float[Tensor, "c j 2"] | None = None,
) -> Float[Tensor, "c t j 2"]:
    """Signed error of each camera's detections against points triangulated from the others.

    Args:
        points_px: Detections, pixels; NaN where unseen.
        confidence: Their weights; 0 drops a detection.
        cameras: At least three.
        offset_px: Detector offsets, taken off the triangulating cameras only.
    Returns:
        Detection minus prediction, pixels; NaN where either is missing.
    """
    clean = points_px if offset_px is None else points_px - offset_px.unsqueeze(1)
    error = torch.full_like(points_px, torch.nan)
    for camera in range(len(cameras)):
        others = [c for c in range(len(cameras)) if c != camera]
        points = triangulate_soft(clean[others], cameras.select(others), confidence[others])
        error[camera] = points_px[camera] - cameras.select([camera]).project(points)[0]
        error[camera][confidence[camera] <= 0.0] = torch.nan
    return error


# -- steps ------------------------------------------------------------------------------------


def _views(keypoints: Keypoints, cameras: Cameras) -> _Views:
    people = keypoints.points_px.shape[2]
    if people != 1:
        raise InputError(
            f"expected the keypoints of one person, got {people} slots; associate people first"
        )
    if len(cameras) != len(keypoints.cameras) or len(cameras) < 2:
        raise InputError(
            f"expected a calibration of the {len(keypoints.cameras)} cameras (two or more), got "
            f"{len(cameras)}; match the cameras by name first"
        )
    weight = torch.where(keypoints.seen, keypoints.confidence, 0.0)[:, :, 0]
    points_px = keypoints.points_px[:, :, 0].to(torch.float64)
    return _Views(points_px, weight.to(torch.float64), max(1.0, ALIKE_S * keypoints.fps))


def _begin(views: _Views, cameras: Cameras) -> Float[Tensor, "t j 3"]:
    """Points to start from, NaN where the views disagree altogether."""
    gate = TriangulationOptions(gate_px=60.0)
    return triangulate(views.points_px, cameras, views.weight, gate).points_world


def _adjust(
    views: _Views, start: Float[Tensor, "t j 3"], cameras: Cameras, prior: AdjustmentPrior
) -> Adjustment:
    prior = replace(prior, alike=views.alike)
    return adjust(views.points_px, views.weight, cameras, start, prior)


def _score(views: _Views, cameras: Cameras, offset_px: Tensor | None = None) -> Float[Tensor, "c"]:
    """Median error of each camera, pixels: held out, or with two cameras their disagreement."""
    if len(cameras) > 2:
        error = heldout_px(views.points_px, views.weight, cameras, offset_px).norm(dim=-1)
    else:
        clean = views if offset_px is None else views.less(offset_px)
        error = _errors(clean, cameras)
    return error.flatten(1).nanmedian(-1).values


def _errors(views: _Views, cameras: Cameras) -> Float[Tensor, "c t j"]:
    points = triangulate_soft(views.points_px, cameras, views.weight)
    error = reprojection_px(points, views.points_px, cameras)
    return torch.where(views.weight > 0.0, error, torch.nan)


def _cross_validate(
    views: _Views, cameras: Cameras, options: RefineOptions
) -> tuple[AdjustmentPrior | None, Float[Tensor, "c"], Float[Tensor, "c"]]:
    """The prior whose adjustment on the first half predicts the second best; None for neither."""
    half = views.points_px.shape[1] // 2
    train, test = views.frames(slice(0, half)), views.frames(slice(half, None))
    before, start = _score(test, cameras), _begin(train, cameras)
    best: AdjustmentPrior | None = None
    after = before
    for belief, gain in (
        (options.prior, options.least_gain),
        (options.knocked, options.knocked_gain),
    ):
        reach = (1.0 - gain) * float(after.mean())
        for prior in _variants(belief, best):
            found = _adjust(train, start, cameras, prior)
            score = _score(test, found.cameras, found.offset_px)
            if float(score.mean()) < reach:
                best, after = prior, score
                reach = (1.0 - options.least_gain) * float(after.mean())
    return best, before, after


def _variants(belief: AdjustmentPrior, best: AdjustmentPrior | None) -> list[AdjustmentPrior]:
    """Without and with detector offsets, unless that has been decided."""
    without = replace(belief, offset_px=None)
    if best is None:
        return [without] if belief == without else [without, belief]
    return [without] if best.offset_px is None else [belief]


# -- scale and report -------------------------------------------------------------------------


def _scaled(
    found: Adjustment, given: Cameras, keypoints: Keypoints, options: RefineOptions
) -> Adjustment:
    """Grow or shrink the refined rig about its centre so that the stated length holds."""
    cameras = found.cameras
    if options.baseline is not None:
        a, b, length = options.baseline
        unknown = [name for name in (a, b) if name not in given.names]
        if unknown:
            raise InputError(
                f"expected a baseline between two of {', '.join(given.names)}, got "
                f"{', '.join(unknown)}; use the cameras' own names"
            )
        pair = cameras.centres_world[[given.names.index(a), given.names.index(b)]]
        scale = length / float((pair[0] - pair[1]).norm())
    elif options.body_height_m is not None:
        scale = options.body_height_m / _stature(found.points_world, keypoints.joints)
    else:
        return found
    hub = cameras.centres_world.mean(0)
    centres = hub + scale * (cameras.centres_world - hub)
    translation = -(cameras.rotation @ centres.unsqueeze(-1)).squeeze(-1)
    return found._replace(
        cameras=replace(cameras, translation=translation),
        points_world=hub + scale * (found.points_world - hub),
    )


def _stature(points: Float[Tensor, "t j 3"], joints: tuple[str, ...]) -> float:
    """Standing height from trunk, thigh and shank, metres."""

    def length(a: str, b: str) -> float:
        if a not in joints or b not in joints:
            raise InputError(
                f"expected the joints {a} and {b} to scale by body height, got "
                f"{', '.join(joints)}; state a baseline instead"
            )
        span = points[:, joints.index(a)] - points[:, joints.index(b)]
        return float(span.norm(dim=-1).nanmedian())

    parts = (("shoulder", "hip"), ("hip", "knee"), ("knee", "ankle"))
    both = sum(length(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in parts)
    return both / 2.0 / STATURE_PARTS


def _bone_lengths(points: Float[Tensor, "t j 3"], joints: tuple[str, ...]) -> Float[Tensor, "b"]:
    pairs = bone_pairs(joints)
    return (points[:, pairs[:, 0]] - points[:, pairs[:, 1]]).norm(dim=-1).nanmedian(0).values


def _refinement(
    views: _Views,
    given: Cameras,
    found: Adjustment,
    keypoints: Keypoints,
    heldout: tuple[Float[Tensor, "c"], Float[Tensor, "c"]],
) -> Refinement:
    cameras = found.cameras
    if len(given) == 2:
        heldout = (heldout[0] + torch.nan, heldout[1] + torch.nan)
    moves = _moves(found)
    before = _errors(views, given).flatten(1).nanmedian(-1).values
    after = _errors(views.less(found.offset_px), cameras).flatten(1).nanmedian(-1).values
    return Refinement(
        cameras,
        True,
        found.offset_px,
        _bone_lengths(found.points_world, keypoints.joints),
        before,
        after,
        heldout[0],
        heldout[1],
        moves.moved_m,
        moves.moved_std_m,
        moves.turned_deg,
        moves.turned_std_deg,
        _findings(_bias_px(views, given), given, (before, after), moves),
    )


class _Moves(NamedTuple):
    """How each camera differs from the given one, and whether chance explains it."""

    turned_deg: Float[Tensor, "c"]
    turned_std_deg: Float[Tensor, "c"]
    turned: Bool[Tensor, "c"]
    moved_m: Float[Tensor, "c"]
    moved_std_m: Float[Tensor, "c"]
    moved: Bool[Tensor, "c"]
    any: bool  # together: which camera it was may be less certain


def _moves(found: Adjustment) -> _Moves:
    own = found.covariance.diagonal(dim1=0, dim2=2).movedim(-1, 0)  # c 6 6
    turn = _against_chance(found.moved[:, :3], own[:, :3, :3])
    shift = _against_chance(found.moved[:, 3:], own[:, 3:, 3:])
    rig = _against_chance(
        found.moved.flatten().unsqueeze(0), found.covariance.flatten(2, 3).flatten(0, 1)[None]
    )
    return _Moves(turn[0].rad2deg(), turn[1].rad2deg(), turn[2], *shift, bool(rig[2]))


def _against_chance(
    move: Float[Tensor, "n k"], covariance: Float[Tensor, "n k k"]
) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"], Bool[Tensor, "n"]]:
    """Length of a move, standard error along it, and whether it is significant.

    References:
        Wilson & Hilferty, The distribution of chi-square, PNAS 17(12), 1931.
    """
    length = move.norm(dim=-1)
    along = (move / length.clamp(min=1e-12).unsqueeze(-1)).unsqueeze(-1)
    std = (along.mT @ covariance @ along).flatten().clamp(min=0.0).sqrt()
    solved = torch.linalg.solve(covariance, move.unsqueeze(-1)).squeeze(-1)
    spread = 2.0 / (9.0 * move.shape[-1])
    limit = move.shape[-1] * (1.0 - spread + CHANCE_SIGMAS * math.sqrt(spread)) ** 3
    return length, std, (move * solved).sum(-1) > limit


def _unchanged(
    views: _Views,
    cameras: Cameras,
    keypoints: Keypoints,
    why: str,
    heldout: Float[Tensor, "c"] | None = None,
) -> Refinement:
    zero = torch.zeros(len(cameras), dtype=torch.float64)
    if heldout is None or len(cameras) == 2:
        heldout = zero + torch.nan
    error = _errors(views, cameras).flatten(1).nanmedian(-1).values
    points = triangulate_soft(views.points_px, cameras, views.weight)
    sentence = f"The given calibration was kept: {why}."
    return Refinement(
        cameras,
        False,
        zero[:, None, None].expand(-1, len(keypoints.joints), 2),
        _bone_lengths(points, keypoints.joints),
        error,
        error,
        heldout,
        heldout,
        zero,
        zero,
        zero,
        zero,
        (Finding("calibrate", "info", sentence),),
    )


def _bias_px(views: _Views, cameras: Cameras) -> Float[Tensor, "c 2"]:
    """Median signed error of each camera against the consensus of all, pixels."""
    gate = TriangulationOptions(gate_px=30.0)
    points = triangulate(views.points_px, cameras, views.weight, gate).points_world
    error = views.points_px - cameras.project(points)
    error = torch.where((views.weight > 0.0).unsqueeze(-1), error, torch.nan)
    return error.flatten(1, 2).nanmedian(1).values


def _findings(
    bias_px: Float[Tensor, "c 2"],
    given: Cameras,
    errors_px: tuple[Tensor, Tensor],
    moves: _Moves,
) -> tuple[Finding, ...]:
    """What is known; that a camera was touched is only one explanation, and is not claimed."""
    listed = []
    size = bias_px.norm(dim=-1)
    worst = int(size.argmax())
    if float(size[worst]) >= BIASED_PX:
        listed.append(_misfit(given.names[worst], bias_px[worst].tolist(), moves.any))
    for c, name in enumerate(given.names):
        before, after = (float(e[c]) for e in errors_px)
        sure = bool(moves.turned[c] | moves.moved[c])
        sentence = (
            f"The person's joints fit {name} better when it is {_move_in_words(moves, c)}: "
            f"{before:.1f} -> {after:.1f} px in the median"
            f"{'' if sure else '; for this camera alone that may be chance'}."
        )
        strong = sure and float(size[c]) >= BIASED_PX
        advice = f"Recalibrate {name} if it was touched." if strong else ""
        severity: Literal["warning", "info"] = "warning" if strong else "info"
        listed.append(Finding("calibrate", severity, sentence, advice, camera=name))
    return tuple(listed)


def _misfit(name: str, bias_px: list[float], sure: bool) -> Finding:
    x, y = bias_px
    told = (
        f"With the given calibration {name} is biased by {math.hypot(x, y):.0f} px "
        f"({x:+.0f} right, {y:+.0f} down) against the other cameras"
    )
    if not sure:
        return Finding("calibrate", "info", f"{told}; that may be chance.", camera=name)
    advice = (
        f"Check that {name} was not touched after calibration, or recalibrate it; the refined "
        "cameras are used meanwhile. A detector that errs alike all through the take looks the "
        "same."
    )
    sentence = f"{told}; the cameras' poses fit the person better when corrected."
    return Finding("calibrate", "warning", sentence, advice, camera=name)


def _move_in_words(moves: _Moves, c: int) -> str:
    move, move_std = 1000.0 * float(moves.moved_m[c]), 1000.0 * float(moves.moved_std_m[c])
    return (
        f"turned by {float(moves.turned_deg[c]):.2f} \u00b1 "
        f"{float(moves.turned_std_deg[c]):.2f} degrees and moved by {move:.0f} \u00b1 "
        f"{move_std:.0f} mm"
    )
