"""Judge a take: sentences with a cause and a next step, and one grade from stated limits.

Every limit is a constant here and is printed with the report. Image errors are judged as shares of
the image diagonal, so that one limit serves every resolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from muybridge.capture.finding import Finding
from muybridge.capture.take import Take
from muybridge.studio.measures import CameraMeasures, PersonMeasures, TakeMeasures

__all__ = ["CRITERIA", "Criterion", "Diagnosis", "Score", "diagnose", "joint_label"]

Grade = Literal["good", "fair", "poor", "none"]

BIAS_SHARE = 0.003  # of the image diagonal: 6.6 px at 1920 x 1080
LAG_FRAMES, LAG_SIGMAS = 0.35, 4.0
SWAP_SHARE = 0.03  # of the frames
TWO_VIEW_SHARE = 0.25  # of the frames
LOST_SHARE = 0.02  # of the frames without a joint
BLIND_SHARE = 0.6  # a camera that sees less of the joints than this
REJECTED_SHARE = 0.25
BONE_STD_M = 0.02
LOPSIDED = 0.08  # left against right bone length
SLIDE_M = 0.005  # a frame
LONG_SPAN_S = 0.5
ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True)
class Criterion:
    """One figure that decides the grade: at or under `good` is good, over `fair` is poor."""

    key: str
    label: str
    unit: str
    good: float
    fair: float


CRITERIA = (
    Criterion("agreement_m", "Joints agree between cameras within", "m", 0.02, 0.04),
    Criterion("bones_m", "Leg bones keep their length within", "m", 0.015, 0.03),
    Criterion("slide_m", "Feet on the ground slide, a frame", "m", 0.005, 0.015),
    Criterion("lost_share", "Joints that no two cameras saw", "share", 0.03, 0.15),
    Criterion("bias_share", "Worst camera's bias, of its diagonal", "share", BIAS_SHARE, 0.012),
    Criterion("lag_frames", "Worst camera's clock is off by", "frames", LAG_FRAMES, 2.5),
)


@dataclass(frozen=True)
class Score:
    """A criterion with its value (NaN when it could not be measured) and grade."""

    criterion: Criterion
    value: float
    grade: Grade


@dataclass(frozen=True)
class Diagnosis:
    """The verdict: one grade, one sentence, the scores behind it, and all findings by severity."""

    grade: Grade
    sentence: str
    scores: tuple[Score, ...]
    findings: tuple[Finding, ...]


def diagnose(take: Take, measures: TakeMeasures) -> Diagnosis:
    """Judge the figures of a take and add what they say to the findings of the stages."""
    mine = [*_of_take(take, measures)]
    if measures.people:
        mine += [f for camera in measures.cameras for f in _of_camera(camera)]
    for person in measures.people:
        whose = f"{person.name}: " if len(measures.people) > 1 else ""
        mine += list(_of_person(person, whose, take))
    findings = tuple(sorted((*take.findings, *mine), key=lambda f: ORDER[f.severity]))
    scores = _scores(measures)
    grade = _overall(scores, measures)
    return Diagnosis(grade, _sentence(grade, scores, measures), scores, findings)


def joint_label(name: str) -> str:
    """A joint's name as people write it: "left_wrist" and "LeftWrist" are "left wrist"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.replace("_", " ")).lower()


def direction(x_px: float, y_px: float) -> str:
    """Where a bias points in the picture, in words."""
    vertical = "" if abs(y_px) < 0.38 * abs(x_px) else ("lower" if y_px > 0 else "upper")
    horizontal = "" if abs(x_px) < 0.38 * abs(y_px) else ("right" if x_px > 0 else "left")
    if vertical and horizontal:
        return f"to the {vertical} {horizontal}"
    return f"to the {horizontal}" if horizontal else {"lower": "downwards"}.get(vertical, "upwards")


def _of_take(take: Take, measures: TakeMeasures) -> Iterator[Finding]:
    if not measures.people:
        yield Finding(
            "report",
            "error",
            "Nobody was reconstructed: no person was seen by two cameras at the same time.",
            "Look at the pictures below: is the person in view and well lit in at least two "
            "cameras? Run `muybridge detect` again, or give keypoints made elsewhere.",
        )
    if len(take.cameras) == 2:
        yield _note(
            "Two cameras recorded this take: every joint needs both, and an error of one cannot "
            "be told from an error of the other.",
            "Add a third camera if you can.",
        )
    if measures.frame_count == 1:
        yield _note("The take has a single frame: nothing is said of motion.")


def _of_camera(camera: CameraMeasures) -> Iterator[Finding]:
    name, (x, y) = camera.name, camera.bias_px
    size = math.hypot(x, y)
    if size > BIAS_SHARE * camera.diagonal_px:
        yield _warn(
            f"{name} is biased by {size:.0f} px {direction(x, y)}: it has moved since it was "
            "calibrated, or its calibration is off.",
            f"Recalibrate {name}, or run without `--refine off`.",
            name,
        )
    if _lag(camera) > LAG_FRAMES:
        late = "ahead of" if camera.lag_frames > 0 else "behind"
        yield _warn(
            f"{name} is about {abs(camera.lag_frames):.1f} frames {late} the other cameras: its "
            "clock was not matched, or it dropped frames.",
            "Run the synchronisation again and look at the frame rate of this video.",
            name,
        )
    yield from _unheard(camera)


def _unheard(camera: CameraMeasures) -> Iterator[Finding]:
    name = camera.name
    if camera.detected_share < BLIND_SHARE:
        yield _warn(
            f"{name} saw only {_percent(camera.detected_share)} of the joints: the person is out "
            "of its picture, hidden or too small.",
            f"Turn or move {name} so that the whole body stays in view.",
            name,
        )
    elif camera.rejected_share > REJECTED_SHARE:
        yield _warn(
            f"{_percent(camera.rejected_share)} of the detections of {name} were rejected because "
            "they disagree with the other cameras.",
            f"Look at the overlays of {name}: if the dots stand off the body, correct them by "
            "hand in `muybridge view`; if they lie on it, recalibrate.",
            name,
        )


def _warn(sentence: str, advice: str, camera: str | None = None) -> Finding:
    return Finding("report", "warning", sentence, advice, camera)


def _note(sentence: str, advice: str = "") -> Finding:
    return Finding("report", "info", sentence, advice)


def _of_person(person: PersonMeasures, whose: str, take: Take) -> Iterator[Finding]:
    yield from _seldom(person, whose, len(take.cameras))
    yield from _swapped(person, whose)
    yield from _filled(person, whose, take.fps)
    yield from _unsteady(person, whose)
    if person.slide_m > SLIDE_M:
        yield _warn(
            f"{whose}The feet slide {person.slide_m * 1000:.0f} mm a frame while they touch the "
            "ground: a contact was found where there was none, or the ankles are noisy.",
            "Look at the contact bars against the pictures; a camera nearer to the feet helps.",
        )


def _seldom(person: PersonMeasures, whose: str, cameras: int) -> Iterator[Finding]:
    lost = [j for j in person.joints if 1.0 - j.found_share > LOST_SHARE]
    if lost:
        worst = sorted(lost, key=lambda j: j.found_share)
        listed = ", ".join(
            f"{joint_label(j.name)} {_percent(1 - j.found_share)}" for j in worst[:4]
        )
        yield _warn(
            f"{whose}{_count(len(lost), 'joint')} could not be reconstructed in part of the frames "
            f"({listed}): fewer than two cameras agreed.",
            "Add a camera on the hidden side, or correct the detections by hand.",
        )
    thin = [j for j in person.joints if j.two_view_share > TWO_VIEW_SHARE] if cameras > 2 else []
    for joint in sorted(thin, key=lambda j: -j.two_view_share)[:3]:
        yield _note(
            f"{whose}{joint_label(joint.name)} was seen by two cameras only in "
            f"{_percent(joint.two_view_share)} of the frames: an error there cannot be noticed.",
            "Trust it less, or add a camera on that side.",
        )


def _swapped(person: PersonMeasures, whose: str) -> Iterator[Finding]:
    for swap in person.swaps:
        if swap.share <= SWAP_SHARE:
            continue
        yield _warn(
            f"{whose}{swap.camera} exchanges the left and right {joint_label(swap.pair)} in "
            f"{_percent(swap.share)} of the frames.",
            "Run the association again, or correct these frames by hand in `muybridge view`.",
            swap.camera,
        )


def _filled(person: PersonMeasures, whose: str, fps: float) -> Iterator[Finding]:
    if person.unseen:
        yield _note(
            f"{whose}{_list(person.unseen)} only follow the rest of the body: the detector has "
            "no such joints."
        )
    if not person.spans:
        return
    longest = max(person.spans, key=lambda s: s.stop - s.first)
    seconds = (longest.stop - longest.first) / fps
    yield Finding(
        "report",
        "warning" if seconds > LONG_SPAN_S else "info",
        f"{whose}The take has {_count(len(person.spans), 'filled span')}; the longest lasts "
        f"{seconds:.2f} s ({_list(longest.joints)}, from {longest.first / fps:.2f} s): "
        "no two cameras saw these joints then.",
        "Filled joints are guesses between what was seen: check them in the playback.",
    )


def _unsteady(person: PersonMeasures, whose: str) -> Iterator[Finding]:
    loose = sorted((b for b in person.bones if b.std_m > BONE_STD_M), key=lambda b: -b.std_m)
    if loose:
        listed = ", ".join(f"{b.name} {b.std_m * 1000:.0f} mm" for b in loose[:3])
        yield _note(
            f"{whose}Before solving, {_count(len(loose), 'bone')} changed in length over the take "
            f"(one sigma: {listed}): the 2-D detections of these joints are noisy.",
            "The solved skeleton has constant bones; the joints at both ends are less certain.",
        )
    lengths = {b.name: b.mean_m for b in person.bones}
    for name, left in lengths.items():
        right = lengths.get(name.replace("left", "right"), left)
        if name.startswith("left") and abs(left / right - 1.0) > LOPSIDED:
            bone = name.replace("left ", "")
            yield _note(
                f"{whose}The bone from {bone} is {left * 1000:.0f} mm on the left and "
                f"{right * 1000:.0f} mm on the right: a joint is seen aside by most cameras.",
                "A calibration that is off, or loose clothes, are the usual causes.",
            )


def _list(joints: tuple[str, ...]) -> str:
    """Up to three joints by name."""
    more = f" and {len(joints) - 3} more" if len(joints) > 3 else ""
    return ", ".join(joint_label(joint) for joint in joints[:3]) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _scores(measures: TakeMeasures) -> tuple[Score, ...]:
    people = measures.people
    legs = [
        b.std_m
        for p in people
        for b in p.bones
        if ("knee" in b.name and "hip" in b.name) or "ankle" in b.name
    ]
    values = {
        "agreement_m": measures.median_m,
        "bones_m": _worst(legs),
        "slide_m": _worst([p.slide_m for p in people]),
        "lost_share": _worst([1.0 - p.found_share for p in people]),
        "bias_share": _worst([math.hypot(*c.bias_px) / c.diagonal_px for c in measures.cameras]),
        "lag_frames": _worst([_lag(c) for c in measures.cameras]),
    }
    return tuple(Score(c, values[c.key], _grade(c, values[c.key])) for c in CRITERIA)


def _lag(camera: CameraMeasures) -> float:
    """What is left of the lag once it exceeds its own uncertainty, frames."""
    if not math.isfinite(camera.lag_frames):
        return math.nan
    sure = abs(camera.lag_frames) > LAG_SIGMAS * camera.lag_std_frames
    return abs(camera.lag_frames) if sure else 0.0


def _worst(values: list[float]) -> float:
    return max((v for v in values if math.isfinite(v)), default=math.nan)


def _grade(criterion: Criterion, value: float) -> Grade:
    if not math.isfinite(value):
        return "none"
    return "good" if value <= criterion.good else "fair" if value <= criterion.fair else "poor"


def _overall(scores: tuple[Score, ...], measures: TakeMeasures) -> Grade:
    if not measures.people or not math.isfinite(measures.median_m):
        return "none"
    grades = {score.grade for score in scores}
    return "poor" if "poor" in grades else "fair" if "fair" in grades else "good"


def _sentence(grade: Grade, scores: tuple[Score, ...], measures: TakeMeasures) -> str:
    if grade == "none":
        return "Nothing to judge: no joint was reconstructed."
    values = {score.criterion.key: score.value for score in scores}
    parts = [
        f"joints agree within {_px(measures.median_px)} (about {_mm(values['agreement_m'])})",
    ]
    if math.isfinite(values["slide_m"]):
        slides = values["slide_m"] >= 5e-5
        parts.append(
            f"feet slide {_mm(values['slide_m'])} a frame" if slides else "feet stand still"
        )
    if grade != "good":
        parts.append("held back because " + _reasons(grade, scores, values))
    return f"{grade.capitalize()}: {'; '.join(parts)}."


def _reasons(grade: Grade, scores: tuple[Score, ...], values: dict[str, float]) -> str:
    weak = {
        "agreement_m": "the cameras disagree",
        "bones_m": f"leg bones vary by {_mm(values['bones_m'])}",
        "slide_m": "the feet do not stand still",
        "lost_share": f"{_percent(values['lost_share'])} of the joints are missing",
        "bias_share": "a camera is biased",
        "lag_frames": "a camera's clock is off",
    }
    return " and ".join(weak[s.criterion.key] for s in scores if s.grade == grade)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _px(value: float) -> str:
    return f"{value:.1f} px" if value < 1.95 else f"{value:.0f} px"


def _mm(value_m: float) -> str:
    value = value_m * 1000.0
    return f"{value:.1f} mm" if 0.05 <= value < 0.95 else f"{value:.0f} mm"
