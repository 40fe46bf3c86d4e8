"""A recording of an optical system, from the points to a clip: fill, name, fit.

T frames, M markers. World frame: metres, Y up.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.capture.markers.chain import solve_segments
from muybridge.capture.markers.naming import is_nameless, named
from muybridge.capture.markers.person import missing_for_person, solve_person
from muybridge.errors import InputError
from muybridge.motion.clip import Clip
from muybridge.motion.gaps import Filled, FillOptions, fill_gaps
from muybridge.motion.markers import Markers

__all__ = ["MarkerOptions", "MarkerTake", "solve_markers"]

Body = Literal["auto", "person", "segments"]
FAR = 0.020  # metres: a marker that is usually farther from its place deserves a word


@dataclass(frozen=True)
class MarkerOptions:
    """How to turn markers into a clip.

    Attributes:
        body: "person" fits the human skeleton and needs the labels of a full-body set; "segments"
            finds the rigid segments of whatever was recorded; "auto" takes the person where it can.
        fill: How gaps are filled.
        reference: Labelled markers in a pose that a recording without labels begins with; the
            full-body set in T-pose when None.
    """

    body: Body = "auto"
    fill: FillOptions = field(default_factory=FillOptions)
    reference: Markers | None = None


@dataclass(frozen=True)
class MarkerTake:
    """What became of a recording.

    Attributes:
        clip: The motion.
        body: Which skeleton was fitted.
        markers: The recording without its gaps; markers that were never seen are left out.
        filled: How each gap was filled, in the order of `markers`.
        residual: Distance of each measured marker from its place on the clip, metres; NaN where
            unseen or not used.
        findings: Plain sentences about what deserves attention.
    """

    clip: Clip
    body: Literal["person", "segments"]
    markers: Markers
    filled: Filled
    residual: Float[Tensor, "t m"]
    findings: tuple[Finding, ...]

    def filled_by(self) -> dict[str, int]:
        """Number of gaps by the method that filled them; "open" for those left."""
        return dict(Counter(f.method or "open" for f in self.filled.fillings).most_common())


def solve_markers(markers: Markers, options: MarkerOptions | None = None) -> MarkerTake:
    """Name markers that have no names, fill their gaps and fit a skeleton.

    Args:
        markers: Markers, or nameless points ("*12"); NaN where unseen.
        options: What to fit and how to fill.
    Raises:
        InputError: If nothing was seen, the frame rate is not positive, or no skeleton can be
            fitted to these markers.
    """
    options = options or MarkerOptions()
    if not 0.0 < markers.fps < 1e6:
        raise InputError(
            f"expected a frame rate above 0, got {markers.fps}; correct the rate of the file"
        )
    if not bool(markers.seen.any()):
        raise InputError(
            f"expected markers that are seen somewhere, got none in {len(markers)} frames of "
            f"{len(markers.names)} markers; export the reconstructed points too"
        )
    nameless = is_nameless(markers.names) and options.body != "segments"
    if nameless:
        markers = named(markers, options.reference)
    seen = markers.seen
    known = markers.select(tuple(n for m, n in enumerate(markers.names) if bool(seen[:, m].any())))
    filled = fill_gaps(known.points_world, known.fps, options.fill)
    whole = replace(known, points_world=filled.points, covariance=None, views=None)
    lacking = missing_for_person(whole.names)
    body: Literal["person", "segments"] = "segments" if lacking else "person"
    if options.body != "auto":
        body = options.body
    clip, residual, notes = (_person if body == "person" else _segments)(whole, filled)
    if nameless:
        words = f"the points had no names; {len(whole.names)} markers were found and followed"
        notes = [Finding("markers", "info", words), *notes]
    findings = (*_unseen(markers, known), *_open(whole, filled), *notes)
    if body == "person":  # a segment may be off because its joint wanders, whatever its labels
        findings = (*findings, *_far(whole, residual))
    return MarkerTake(clip, body, whole, filled, residual, findings)


def _person(whole: Markers, filled: Filled) -> tuple[Clip, Tensor, list[Finding]]:
    found = solve_person(whole, filled.std)
    residual = torch.full_like(filled.std, torch.nan)
    used = found.labels
    residual[:, [whole.names.index(name) for name in used]] = found.residual
    unused = [name for name in whole.names if name not in used]
    return found.clip, residual, _unused(unused, "are not part of the full-body set")


def _segments(whole: Markers, filled: Filled) -> tuple[Clip, Tensor, list[Finding]]:
    found = solve_segments(whole)
    lacking = missing_for_person(whole.names)
    notes = [
        Finding(
            "markers",
            "info",
            f"the labels name no whole person (none for {', '.join(lacking)}), so the clip holds "
            f"{len(found.segments)} rigid segments, {len(found.joined)} of them joined;",
            "name the markers as a full-body set does to get a person",
        )
    ] if lacking else []  # fmt: skip
    measured = torch.where(filled.std == 0.0, found.residual, torch.nan)
    return found.clip, measured, notes + _unused(list(found.left_out), "belong to no rigid segment")


def _unused(names: list[str], why: str) -> list[Finding]:
    if not names:
        return []
    return [Finding("markers", "info", f"{len(names)} markers {why}: {_listed(names)}")]


def _unseen(markers: Markers, known: Markers) -> list[Finding]:
    names = [name for name in markers.names if name not in known.names]
    if not names:
        return []
    return [Finding("markers", "info", f"{len(names)} markers were never seen: {_listed(names)}")]


def _open(whole: Markers, filled: Filled) -> list[Finding]:
    """A word about gaps that nothing could fill well."""
    left = [f.gap for f in filled.fillings if f.method is None]
    if not left:
        return []
    longest = max(left, key=len)
    return [
        Finding(
            "markers",
            "warning",
            f"{len(left)} gaps stay open, the longest {len(longest) / whole.fps:.2f} s of "
            f"{whole.names[longest.marker]};",
            "there the skeleton follows the other markers",
        )
    ]


def _far(whole: Markers, residual: Tensor) -> list[Finding]:
    """Markers that sit elsewhere than the skeleton thinks: moved, or under another's name."""
    usual = residual.nanmedian(dim=0).values
    far = [f"{whole.names[m]} ({1e3 * float(usual[m]):.0f} mm)"
           for m in range(len(whole.names)) if float(usual[m]) > FAR]  # fmt: skip
    if not far:
        return []
    return [
        Finding(
            "markers",
            "warning",
            f"{len(far)} markers usually lie more than {1e3 * FAR:.0f} mm off: {_listed(far)};",
            "check their labels and whether they sit firmly",
        )
    ]


def _listed(names: list[str], most: int = 8) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
