"""The person's measures, taken from the take: bone lengths, noise, places of head and foot marks.

T frames, M markers. Metres. A skeleton has one length per bone; the markers of a take have as many
as frames. Their median is the length, their spread is the noise that no covariance confesses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.fit import Problem, fit, pose_of
from muybridge.capture.start import first_pose
from muybridge.errors import InputError
from muybridge.geometry.rigid import align
from muybridge.geometry.rotation import conjugate, rotate
from muybridge.motion.body import SPANS, Body, Span
from muybridge.motion.markers import Markers

__all__ = ["Measures", "measure", "place_landmarks"]

FLOOR_STD = 0.003  # metres: no skeleton of rigid bones and hinges explains a person better
ALIKE = 0.12  # left and right differ by less than this share: they are one length
CALIBRATION_FRAMES = 80


@dataclass(frozen=True)
class Measures:
    """What the tape measure says.

    Attributes:
        spans: Median of each span that is seen, metres; see `body.SPANS`.
        spread: Standard deviation of each span over the take, metres.
        noise: Standard deviation of one coordinate of a marker, metres, from the spread of the
            limbs: a rigid bone whose length varies shows the error of its two ends.
        uneven: Spans whose sides differ too much to be averaged.
    """

    spans: dict[str, float]
    spread: dict[str, float]
    noise: float
    uneven: tuple[str, ...] = ()


def _middle(markers: Markers, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Mid-point of markers (NaN unless all are seen) and its variance."""
    part = markers.select(names)
    std = part.position_std
    variance = torch.zeros_like(part.points_world[..., 0]) if std is None else std.square()
    return part.points_world.mean(1), variance.mean(1) / len(names)


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    order = values.argsort()
    total = weight[order].cumsum(0)
    return values[order][torch.searchsorted(total, total[-1] / 2.0)]


def _span(markers: Markers, span: Span) -> tuple[float, float] | None:
    """Length and spread of one span; None where its ends are never seen together."""
    if not set(span.start + span.end) <= set(markers.names):
        return None
    (start, var_start), (end, var_end) = _middle(markers, span.start), _middle(markers, span.end)
    length = (end - start).norm(dim=-1)
    weight = 1.0 / (var_start + var_end + 0.005**2)
    known = length.isfinite() & weight.isfinite()
    if not bool(known.any()):
        return None
    length, weight = length[known], weight[known]
    middle = _weighted_median(length, weight)
    spread = 1.4826 * _weighted_median((length - middle).abs(), weight)
    return float(middle - spread.square() / middle), float(spread)  # noise lengthens: s^2 / d


def _even_out(spans: dict[str, float], uneven: list[str]) -> dict[str, float]:
    """One length for left and right where they are nearly alike."""
    even = dict(spans)
    for left in [name for name in spans if name.startswith("Left")]:
        right = left.replace("Left", "Right")
        if right not in spans:
            continue
        mean = (spans[left] + spans[right]) / 2.0
        if abs(spans[left] - spans[right]) < ALIKE * mean:
            even[left] = even[right] = mean
        else:
            uneven += [left, right]
    return even


def measure(markers: Markers, symmetric: bool = True) -> Measures:
    """Bone lengths and noise of a take.

    Args:
        markers: Joints over time; NaN where unseen.
        symmetric: Give left and right bones one length when they differ by less than 12 %.
    Raises:
        InputError: If hips and shoulders are never seen together.
    """
    found = {name: _span(markers, span) for name, span in SPANS.items()}
    known = {name: value for name, value in found.items() if value is not None}
    if not {"pelvis", "shoulders", "torso"} <= set(known):
        raise InputError(
            "expected both hips and both shoulders in at least one frame, got none with all four; "
            "use more of the take or better views"
        )
    spread = {name: s for name, (_, s) in known.items()}
    rigid = [s for name, s in spread.items() if name not in ("torso", "shoulders")]
    noise = float(torch.tensor(rigid, dtype=torch.float64).median()) / 2.0**0.5
    uneven: list[str] = []
    spans = {name: length for name, (length, _) in known.items()}
    if symmetric:
        spans = _even_out(spans, uneven)
    return Measures(spans, spread, max(noise, FLOOR_STD), tuple(uneven))


def _shape(body: Body, joint: int, local: Tensor, known: Tensor) -> Tensor:
    """Robust mean place of a joint's own marks, turned back to face as the template's do.

    The marks and the joint's orientation could turn together without any marker noticing; the
    template's head looks ahead with ears and lower eye rims level (the Frankfurt plane), its
    foot stands flat.
    """
    rows = [m for m, j in enumerate(body.marker_joints) if j == joint]
    old = body.marker_offsets[rows]
    seen = known[:, rows].any(0)
    new = torch.where(known[:, rows, None], local[:, rows], torch.nan).nanmedian(dim=0).values
    new = torch.where(seen.unsqueeze(-1), new, old)
    if int(seen.sum()) < 3:
        return new
    turn = align(new[seen], old[seen]).rotation
    centre = new[seen].mean(0)
    return centre + (new - centre) @ turn.mT


def place_landmarks(body: Body, markers: Markers, std: Float[Tensor, ""], rounds: int = 3) -> Body:
    """Find where the marks on head and feet sit, by fitting poses and marks in turn.

    Args:
        body: With measured bones.
        markers: Those of `body.markers`, in that order.
        std: Standard deviation of a marker coordinate, metres.
        rounds: How often to alternate.
    """
    complete = markers.seen.all(1).nonzero().squeeze(-1)
    if not len(complete):
        return body
    pick = torch.linspace(0, len(complete) - 1, min(CALIBRATION_FRAMES, len(complete))).round()
    points = markers.points_world[complete[pick.long()]]
    eye = torch.eye(3, dtype=points.dtype)
    movable = [body.skeleton.index(name) for name in ("Head", "LeftFoot", "RightFoot")]
    state = first_pose(body, points)
    for _ in range(rounds):
        problem = Problem(
            body, markers.fps, points, (eye / std).expand(*points.shape[:2], 3, 3),
            body.marker_joints, body.marker_offsets,
            torch.ones(points.shape[1], dtype=torch.bool), smoothness=0.0,
        )  # fmt: skip
        state = fit(problem, state, iterations=4)
        pose = pose_of(body, state)
        owners = list(body.marker_joints)
        arms = points - pose.positions[:, owners]
        local = rotate(conjugate(pose.orientations[:, owners]), arms)
        offsets = body.marker_offsets.clone()
        for joint in movable:
            rows = [m for m, j in enumerate(body.marker_joints) if j == joint]
            if joint in body.freedoms.joints and rows:
                offsets[rows] = _shape(body, joint, local, points.isfinite().all(-1))
        for row, name in enumerate(body.markers):
            if name == "neck":
                offsets[row] = local[:, row].median(dim=0).values
        body = replace(body, marker_offsets=offsets)
    return body
