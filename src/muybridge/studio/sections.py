"""The parts of the report that are plain HTML: verdict, findings, tables. They need no script."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape

from muybridge.capture.finding import Finding
from muybridge.capture.take import Take
from muybridge.studio.diagnosis import Diagnosis, Score, joint_label
from muybridge.studio.measures import CameraMeasures, PersonMeasures, TakeMeasures

__all__ = [
    "findings", "findings_title", "footer", "method", "scores", "sentence", "tables",
]  # fmt: skip

OPEN_INFOS = 4  # findings that are only good to know, before the rest folds away
UNKNOWN = "\u2013"  # a dash where a figure is not known
WORDS = {"error": "Error", "warning": "Warning", "info": "Good to know"}


def sentence(diagnosis: Diagnosis) -> str:
    """The verdict with its first word marked."""
    head, colon, rest = diagnosis.sentence.partition(":")
    return f"<b>{escape(head)}{colon}</b>{escape(rest)}"


def scores(diagnosis: Diagnosis) -> str:
    """One tile per criterion: value, grade and limit."""
    return "".join(_tile(score) for score in diagnosis.scores)


def _tile(score: Score) -> str:
    criterion = score.criterion
    known = "" if score.grade == "none" else f"{score.grade} · "
    limit = f"good ≤ {quantity(criterion.good, criterion.unit)}"
    return (
        f"<div><dt>{escape(criterion.label)}</dt><dd><span class='dot {score.grade}'></span>"
        f"{quantity(score.value, criterion.unit)}<small>{known}{limit}</small></dd></div>"
    )


def quantity(value: float, unit: str) -> str:
    """A number as people read it: millimetres, per cent, frames; a dash where it is not known."""
    if not math.isfinite(value):
        return UNKNOWN
    if unit == "m":
        return f"{value * 1000:.1f} mm" if value < 0.0995 else f"{value * 1000:.0f} mm"
    if unit == "share":
        return f"{value * 100:.1f} %" if 0.0005 <= value < 0.0995 else f"{value * 100:.0f} %"
    return f"{value:.2g} {unit}"


def findings_title(diagnosis: Diagnosis) -> str:
    """How many findings call for something to be done."""
    calls = sum(f.severity != "info" for f in diagnosis.findings)
    if not diagnosis.findings:
        return "No findings"
    if not calls:
        return "Nothing needs to be done"
    return "One thing to look at" if calls == 1 else f"{calls} things to look at"


def findings(found: Sequence[Finding]) -> str:
    """The findings, worst first; a long tail of minor ones is folded away."""
    if not found:
        return "<p class='note'>Every stage ran without a remark.</p>"
    serious = [f for f in found if f.severity != "info"]
    minor = [f for f in found if f.severity == "info"]
    html = f"<ul>{''.join(map(_finding, (*serious, *minor[:OPEN_INFOS])))}</ul>"
    rest = minor[OPEN_INFOS:]
    if rest:
        items = "".join(map(_finding, rest))
        html += (
            f"<details><summary>{len(rest)} more, good to know</summary><ul>{items}</ul></details>"
        )
    return html


def _finding(finding: Finding) -> str:
    advice = f"<p class='advice'>{_prose(finding.advice)}</p>" if finding.advice else ""
    return (
        f"<li class='{finding.severity}'><span class='tag'>{WORDS[finding.severity]}</span>"
        f"<p>{_prose(finding.sentence)}</p>{advice}</li>"
    )


def _prose(text: str) -> str:
    """Escaped text; what stands in backticks is a command."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def tables(take: Take, measures: TakeMeasures) -> str:
    """Per camera; then per person joints and bones."""
    parts = [_cameras(measures.cameras)]
    for person in measures.people:
        suffix = f" of {person.name}" if len(measures.people) > 1 else ""
        parts.append(f"<div class='pair'>{_joints(person, suffix)}{_bones(person, suffix)}</div>")
    assert len(take.cameras) == len(measures.cameras), "one row a camera"
    return "".join(parts)


def _table(caption: str, heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope='col'>{escape(h)}</th>" for h in heads)
    body = "".join(
        f"<tr><th scope='row'>{escape(row[0])}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll'><table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _number(value: float, digits: int = 1, unit: str = "") -> str:
    return f"{value:.{digits}f}{unit}" if math.isfinite(value) else UNKNOWN


def _signed(value: float, digits: int) -> str:
    shown = round(value, digits) + 0.0 if math.isfinite(value) else math.nan
    return f"{shown:+.{digits}f}" if math.isfinite(shown) and shown else _number(abs(shown), digits)


def _percent(value: float) -> str:
    return f"{value * 100:.0f} %" if math.isfinite(value) else UNKNOWN


def _cameras(cameras: Sequence[CameraMeasures]) -> str:
    heads = (
        "Camera", "Median residual, px", "Mean residual, px", "Raw median, px",
        "Median at the body, mm",
        "Bias right, down, px", "Joints seen", "Rejected", "Offset, frames",
        "Lag left over, frames",
    )  # fmt: skip
    rows = [
        (
            c.name, _number(c.median_px), _number(c.mean_px), _number(c.median_raw_px),
            _number(c.median_m * 1000),
            f"{_signed(c.bias_px[0], 1)}, {_signed(c.bias_px[1], 1)}", _percent(c.detected_share),
            _percent(c.rejected_share), _signed(c.offset_frames, 2),
            f"{_signed(c.lag_frames, 2)} ± {_number(c.lag_std_frames, 2)}",
        )
        for c in cameras
    ]  # fmt: skip
    return _table("Cameras", heads, rows)


def _joints(person: PersonMeasures, suffix: str) -> str:
    heads = ("Joint", "Uncertainty, mm", "Residual, mm", "Views", "Found", "Two views only")
    rows = [
        (
            joint_label(j.name), _number(j.std_m * 1000), _number(j.median_m * 1000),
            _number(j.mean_views), _percent(j.found_share), _percent(j.two_view_share),
        )
        for j in person.joints
    ]  # fmt: skip
    return _table(f"Joints{suffix}", heads, rows)


def _bones(person: PersonMeasures, suffix: str) -> str:
    heads = ("Bone, before solving", "Mean, mm", "One sigma, mm")
    rows = [
        (b.name, _number(b.mean_m * 1000, 0), _number(b.std_m * 1000))
        for b in person.bones
        if math.isfinite(b.mean_m)
    ]
    return _table(f"Bones{suffix}", heads, rows)


def method(take: Take, shown: int, count: int) -> str:
    """What the words and figures mean."""
    thinned = (
        f"<p>The take has {count} frames; this page plays {shown} of them, evenly spaced, to stay "
        "small. The figures are computed from all frames (residuals from at most 12,000).</p>"
        if shown < count
        else ""
    )
    assert take.fps > 0, "a take has a frame rate"
    return (
        "<p>The grade is that of the worst figure at the top of this page; each tile states its "
        "limit. A residual is the distance between a detected joint and the triangulated joint "
        "projected back into the same picture, lens distortion included; in millimetres it is that "
        "distance at the joint's depth. All detections count, rejected ones too. Where "
        "the cameras were refined, what the detector adds to a joint in a camera all through the "
        "take is taken off; raw residuals and the drawn overlays leave it in.</p>"
        "<p>Bias and lag are the constant shifts of single cameras, in space and in time, that "
        "best explain all residuals together once movements of the joints themselves are taken "
        "out. A low residual alone does not prove a good take, for two cameras always agree: "
        "bone lengths and feet are judged for that reason.</p>"
        "<p>Uncertainty is one standard deviation, averaged over the three axes and the take.</p>"
        + thinned
    )


def footer(take: Take) -> str:
    """Wall time of the stages."""
    if not take.seconds:
        return "Made by muybridge."
    listed = " · ".join(f"{escape(name)} {value:.1f} s" for name, value in take.seconds.items())
    return f"Made by muybridge in {sum(take.seconds.values()):.1f} s: {listed}"
