"""What the solver has to say about a take, in sentences.

T frames, M markers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.bones import Measures
from muybridge.capture.fill import gap_lengths
from muybridge.capture.finding import Finding
from muybridge.motion.body import LANDMARKS
from muybridge.motion.clip import Clip
from muybridge.motion.markers import Markers

__all__ = ["report"]

RIGID_SPREAD = 0.03  # metres: bones that vary more than this are worth a warning
FAR = 0.10  # metres: a marker this far from the body was not believed


def _gap_findings(markers: Markers, long_gap: float) -> list[Finding]:
    """Long gaps by marker, and the frames in which nobody was seen."""
    findings, fps = [], markers.fps
    absent = gap_lengths(markers.seen.any(1, keepdim=True)).squeeze(1) > long_gap * fps
    if bool(absent.any()):
        seconds = float(absent.sum()) / fps
        findings.append(
            Finding(
                "solve",
                "warning",
                f"nobody was seen for {seconds:.1f} s in all; the pose is carried across and "
                "marked as filled",
                "cut these frames, or look at the detections there",
            )
        )
    held = (gap_lengths(markers.seen) > long_gap * fps) & ~absent.unsqueeze(1)
    for name, count in zip(markers.names, held.sum(0).tolist(), strict=True):
        if name in LANDMARKS and count:
            findings.append(
                Finding(
                    "solve",
                    "warning",
                    f"{name} was out of sight for {count / fps:.1f} s in gaps longer than "
                    f"{long_gap:g} s; it is carried along with the hips and marked as filled",
                    "check this joint in the views, or correct it by hand",
                )
            )
    return findings


def _bone_findings(measures: Measures) -> list[Finding]:
    findings = [
        Finding(
            "solve",
            "warning",
            f"the bone to {name} varies by {1000.0 * spread:.0f} mm over the take, a rigid bone "
            "does not; its markers are noisy or biased",
            "check calibration and detections of this limb",
        )
        for name, spread in measures.spread.items()
        if spread > RIGID_SPREAD and name not in ("torso", "shoulders")
    ]
    for left, right in zip(measures.uneven[::2], measures.uneven[1::2], strict=True):
        a, b = 1000.0 * measures.spans[left], 1000.0 * measures.spans[right]
        findings.append(
            Finding(
                "solve",
                "warning",
                f"{left} and {right} measure {a:.0f} and {b:.0f} mm, too different to be averaged",
                "check for swapped sides or a camera with a bias",
            )
        )
    return findings


def report(
    markers: Markers,
    clip: Clip,
    measures: Measures,
    residual: Float[Tensor, "t m"],
    long_gap: float,
) -> tuple[Finding, ...]:
    """Plain sentences about what was ignored, filled, distrusted or uneven.

    Args:
        markers: As given by the user.
        clip: The result.
        measures: Bone lengths and their spread.
        residual: Distance of each used marker to the body, metres; NaN unseen.
        long_gap: Seconds.
    """
    findings = []
    ignored = [name for name in markers.names if name not in LANDMARKS]
    if ignored:
        findings.append(
            Finding("solve", "info", f"the body has no place for the markers {', '.join(ignored)}")
        )
    findings += _gap_findings(markers, long_gap) + _bone_findings(measures)
    seen = ~residual.isnan()
    far = int((residual > FAR).sum())
    if far:
        share = 100.0 * far / int(seen.sum())
        findings.append(
            Finding(
                "solve",
                "info" if share < 5.0 else "warning",
                f"{far} marker samples ({share:.1f} %) lie more than {1000.0 * FAR:.0f} mm from "
                "the body and were given little weight",
            )
        )
    middle = 1000.0 * float(residual[seen].median()) if bool(seen.any()) else float("nan")
    findings.append(
        Finding(
            "solve",
            "info",
            f"half of the markers lie within {middle:.0f} mm of their place on a skeleton with "
            f"constant bones; {100.0 * float(_filled(clip)):.1f} % of the measured joints' "
            "samples are filled",
        )
    )
    return tuple(findings)


def _filled(clip: Clip) -> Tensor:
    """Share of filled samples among the joints that are measured at least once."""
    assert clip.filled is not None, "the solver always says what it filled"
    some = ~clip.filled.all(0)
    return clip.filled[:, some].to(torch.float64).mean()
