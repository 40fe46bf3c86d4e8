"""The report of a take: one page that opens offline, and the same figures as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from muybridge.atomic import write_text
from muybridge.capture.take import Take
from muybridge.studio import sections
from muybridge.studio.diagnosis import Diagnosis, diagnose
from muybridge.studio.measures import TakeMeasures, measure
from muybridge.studio.pictures import take_pictures
from muybridge.studio.playback import playback
from muybridge.studio.strip import contact_strip

__all__ = ["SCHEMA", "report_json", "write_report"]

SCHEMA = "muybridge.report/1"
SCRIPTS = ("decode.js", "scene.js", "views.js", "plots.js", "main.js")


def write_report(take: Take, folder: Path) -> None:
    """Write `report.html` and `report.json` into the folder; each is whole or absent.

    Args:
        take: What was captured; any number of people, with or without videos.
        folder: Made if absent.
    """
    measures = measure(take)
    diagnosis = diagnose(take, measures)
    write_text(folder / "report.json", report_json(take, measures, diagnosis))
    write_text(folder / "report.html", _html(take, measures, diagnosis))


def report_json(take: Take, measures: TakeMeasures, diagnosis: Diagnosis) -> str:
    """All figures and findings; SI units are in the names, what is not known is null."""
    report = {
        "schema": SCHEMA,
        "name": take.name,
        "fps_hz": take.fps,
        "frame_count": measures.frame_count,
        "duration_s": measures.frame_count / take.fps,
        "grade": diagnosis.grade,
        "verdict": diagnosis.sentence,
        "criteria": [
            asdict(s.criterion) | {"value": s.value, "grade": s.grade} for s in diagnosis.scores
        ],
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "px": "residuals less the detector's constant offsets; raw_px leaves these in",
        "median_px": measures.median_px,
        "median_raw_px": measures.median_raw_px,
        "median_m": measures.median_m,
        "cameras": [asdict(camera) for camera in measures.cameras],
        "people": [asdict(person) for person in measures.people],
        "stage_seconds_s": take.seconds,
    }
    return json.dumps(_finite(report), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """The same with null for every number that is not finite."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _html(take: Take, measures: TakeMeasures, diagnosis: Diagnosis) -> str:
    count = measures.frame_count
    data = playback(take, take_pictures(take, count), count)
    main = take.people[0] if take.people else None
    return Template(_page("report.html")).substitute(
        title=escape(take.name),
        facts=escape(_facts(take, measures)),
        grade=diagnosis.grade,
        sentence=sections.sentence(diagnosis),
        scores=sections.scores(diagnosis),
        findings_title=sections.findings_title(diagnosis),
        findings=sections.findings(diagnosis.findings),
        strip=contact_strip(main, float(data["floor_m"])),
        tables=sections.tables(take, measures),
        method=sections.method(take, len(data["frames"]), count),
        footer=sections.footer(take),
        css=_page("report.css"),
        script="\n".join(_page(name) for name in SCRIPTS),
        data=_embedded(data),
    )


def _page(name: str) -> str:
    return resources.files("muybridge.studio").joinpath("page", name).read_text(encoding="utf-8")


def _embedded(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(_finite(data), allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _facts(take: Take, measures: TakeMeasures) -> str:
    people = len(take.people)
    return " · ".join(
        (
            f"{len(take.cameras)} cameras",
            "1 person" if people == 1 else f"{people} people",
            f"{measures.frame_count} frames at {take.fps:g} a second",
            f"{measures.frame_count / take.fps:.2f} s",
        )
    )
