"""What a stage has to say to the user: one sentence, its cause and the next step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """A plain-language diagnosis.

    Attributes:
        stage: Who says it: inspect, calibrate, detect, sync, associate, reconstruct, solve.
        severity: "info" is good to know, "warning" costs accuracy, "error" makes a result unusable.
        sentence: What was seen, with its number and its unit, and the likely cause.
        advice: What to do next; empty when nothing need be done.
        camera: The camera concerned, if one.
    """

    stage: str
    severity: Literal["info", "warning", "error"]
    sentence: str
    advice: str = ""
    camera: str | None = None
