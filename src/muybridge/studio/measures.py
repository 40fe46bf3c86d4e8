"""What can be measured on a take: residuals, views, bones, feet, spans that were filled.

C cameras, T frames, J triangulated joints, K joints of the solved skeleton, B bones. Residuals are
detection minus projection of the triangulated joint, pixels, less what the detector is known to add
to that joint in that camera all through the take; figures called "raw" leave that in. Nothing here
judges: see `diagnosis`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.capture.take import PersonTake, Take
from muybridge.geometry.camera import Cameras
from muybridge.motion.kinematics import forward_clip
from muybridge.studio.systematic import Systematic, fit_systematic

__all__ = [
    "BONES", "Bone", "CameraMeasures", "JointMeasures", "PersonMeasures", "Residuals", "Span",
    "Swap", "TakeMeasures", "measure", "residuals",
]  # fmt: skip

SAMPLES = 12_000  # frames used for residuals; more would only cost time
SWAP_GAIN = 0.8  # exchanged detections must lessen the error at least to this share
SWAP_APART = 0.015  # of the image diagonal: nearer joints cannot be told apart

BONES = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
)


@dataclass(frozen=True)
class Residuals:
    """One person's residuals at some frames.

    Attributes:
        frames: Which frames of the take.
        points_world: Triangulated joints there, metres.
        residuals_px: Detection minus projection, less the detector's constant offset; NaN where a
            view is missing.
        raw_px: The same with the offset left in.
        speeds_px: Movement of the projection, pixels a frame.
        metres_per_px: Depth over focal length: what a pixel means at the joint.
        rejected: True where the triangulation did without a detection.
    """

    frames: tuple[int, ...]
    points_world: Float[Tensor, "t j 3"]
    residuals_px: Float[Tensor, "c t j 2"]
    raw_px: Float[Tensor, "c t j 2"]
    speeds_px: Float[Tensor, "c t j 2"]
    metres_per_px: Float[Tensor, "c t j"]
    rejected: Bool[Tensor, "c t j"]

    @property
    def lengths_px(self) -> Float[Tensor, "c t j"]:
        """Length of each residual, pixels."""
        return self.residuals_px.norm(dim=-1)

    @property
    def lengths_m(self) -> Float[Tensor, "c t j"]:
        """Length of each residual at the joint's distance, metres."""
        return self.lengths_px * self.metres_per_px


@dataclass(frozen=True)
class CameraMeasures:
    """One camera over all people; NaN where it saw nobody."""

    name: str
    diagonal_px: float
    detected_share: float  # of the joints that were triangulated
    median_px: float
    mean_px: float
    median_raw_px: float
    mean_raw_px: float
    median_m: float
    bias_px: tuple[float, float]  # right, down
    rejected_share: float
    lag_frames: float  # what synchronisation has left over
    lag_std_frames: float
    offset_frames: float  # what synchronisation has found


@dataclass(frozen=True)
class JointMeasures:
    """One triangulated joint of one person."""

    name: str
    std_m: float  # mean one-sigma uncertainty
    median_m: float  # of the residuals
    mean_views: float
    found_share: float  # of the frames
    two_view_share: float  # of the frames where it was found


@dataclass(frozen=True)
class Bone:
    """Length of a bone between triangulated joints; the solved one is constant."""

    name: str
    mean_m: float
    std_m: float


@dataclass(frozen=True)
class Span:
    """Frames [first, stop) in which joints were filled in, seen by nobody."""

    joints: tuple[str, ...]
    first: int
    stop: int


@dataclass(frozen=True)
class Swap:
    """A left/right pair that one camera shows exchanged in a share of its frames."""

    camera: str
    pair: str
    share: float


@dataclass(frozen=True)
class PersonMeasures:
    """One person of the take; lengths in metres."""

    name: str
    joints: tuple[JointMeasures, ...]
    bones: tuple[Bone, ...]
    spans: tuple[Span, ...]
    unseen: tuple[str, ...]  # solved joints that were filled in every frame
    swaps: tuple[Swap, ...]
    found_share: float
    median_px: float
    median_raw_px: float
    median_m: float
    slide_m: float  # a frame: 95th percentile of the feet in contact
    contact_share: float  # of the frames
    acceleration_m_s2: float  # median over the solved joints


@dataclass(frozen=True)
class TakeMeasures:
    """All figures of a take."""

    frame_count: int
    median_px: float
    median_raw_px: float
    median_m: float
    cameras: tuple[CameraMeasures, ...]
    people: tuple[PersonMeasures, ...]


def measure(take: Take) -> TakeMeasures:
    """All figures of a take; pure."""
    found = [residuals(person, take) for person in take.people]
    lengths = [r.lengths_px.flatten() for r in found]
    raw = [r.raw_px.norm(dim=-1).flatten() for r in found]
    return TakeMeasures(
        frame_count=max((len(p.clip) for p in take.people), default=_filmed(take)),
        median_px=_median(torch.cat(lengths)) if lengths else float("nan"),
        median_raw_px=_median(torch.cat(raw)) if raw else float("nan"),
        median_m=_median(torch.cat([r.lengths_m.flatten() for r in found]))
        if found
        else float("nan"),
        cameras=_cameras(take, found),
        people=tuple(
            _person(person, r, take.cameras) for person, r in zip(take.people, found, strict=True)
        ),
    )


def _filmed(take: Take) -> int:
    return max((video.frame_count for video in take.videos if video is not None), default=0)


def residuals(person: PersonTake, take: Take, samples: int = SAMPLES) -> Residuals:
    """Compare a person of the take with projections, at no more than `samples` frames."""
    markers, cameras = person.markers, take.cameras
    frames = torch.arange(0, len(markers), max(1, -(-len(markers) // samples)))
    order = [person.keypoints.joints.index(name) for name in markers.names]
    detected = person.keypoints.points_px[:, frames, 0][:, :, order]
    points = markers.points_world[frames]
    projected = cameras.project(points)
    last = max(len(markers) - 1, 0)
    after, before = (frames + 1).clamp(max=last), (frames - 1).clamp(min=0)
    moved = cameras.project(markers.points_world[after]) - cameras.project(
        markers.points_world[before]
    )
    elapsed = (after - before).clamp(min=1).to(points)
    raw = detected - projected
    difference = raw - _offsets(person, take, frames, order)
    depth = cameras.camera_from_world.apply(points.flatten(0, 1).expand(len(cameras), -1, 3))
    focal = cameras.matrix.diagonal(dim1=-2, dim2=-1)[:, :2].mean(-1)
    scale = depth[..., 2].unflatten(-1, points.shape[:2]) / focal[:, None, None]
    views = None if markers.views is None else markers.views[frames]
    return Residuals(
        tuple(frames.tolist()),
        points,
        difference,
        raw,
        moved / elapsed[:, None, None],
        scale,
        _rejected(difference.norm(dim=-1), views),
    )


def _offsets(
    person: PersonTake, take: Take, frames: Tensor, order: list[int]
) -> Float[Tensor, "c f k 2"]:
    """What the detector adds; nothing where a person has set the joint by hand."""
    if take.detector_offset_px is None:
        return take.cameras.matrix.new_zeros(len(take.cameras), len(frames), len(order), 2)
    offset = take.detector_offset_px[:, order].unsqueeze(1).expand(-1, len(frames), -1, -1)
    if person.keypoints.corrected is None:
        return offset
    by_hand = person.keypoints.corrected[:, frames, 0][:, :, order]
    return offset.masked_fill(by_hand.unsqueeze(-1), 0.0)


def _rejected(
    lengths_px: Float[Tensor, "c t j"], views: Float[Tensor, "t j"] | None
) -> Bool[Tensor, "c t j"]:
    """The worst views beyond the number that agreed."""
    if views is None:
        return torch.zeros_like(lengths_px, dtype=torch.bool)
    rank = lengths_px.nan_to_num(nan=torch.inf).argsort(0).argsort(0)
    return (rank >= views.nan_to_num().round()) & lengths_px.isfinite()


def _median(values: Float[Tensor, "..."]) -> float:
    known = values[values.isfinite()]
    return float(known.median()) if len(known) else float("nan")


def _mean(values: Tensor) -> float:
    known = values.to(torch.float64)[values.isfinite()]
    return float(known.mean()) if len(known) else float("nan")


def _cameras(take: Take, found: list[Residuals]) -> tuple[CameraMeasures, ...]:
    if not found:
        return tuple(_blind(take, c) for c in range(len(take.cameras)))
    fault = _systematic(take.cameras, found)
    return tuple(_camera(take, c, found, fault) for c in range(len(take.cameras)))


def _systematic(cameras: Cameras, found: list[Residuals]) -> Systematic:
    return fit_systematic(
        cameras,
        torch.cat([r.points_world.flatten(0, 1) for r in found]),
        torch.cat([r.residuals_px.flatten(1, 2) for r in found], 1),
        torch.cat([r.speeds_px.flatten(1, 2) for r in found], 1),
    )


def _blind(take: Take, c: int) -> CameraMeasures:
    nan = float("nan")
    diagonal, offset = float(take.cameras.size_px[c].norm()), float(take.offsets_frames[c])
    return CameraMeasures(
        take.cameras.names[c], diagonal, 0.0, nan, nan, nan, nan, nan, (nan, nan), nan, nan, nan,
        offset,
    )  # fmt: skip


def _camera(take: Take, c: int, found: list[Residuals], fault: Systematic) -> CameraMeasures:
    lengths = torch.cat([r.lengths_px[c].flatten() for r in found])
    known = torch.cat([r.points_world.isfinite().all(-1).flatten() for r in found])
    seen = lengths.isfinite()
    if not bool(seen.any()):
        return _blind(take, c)
    rejected = torch.cat([r.rejected[c].flatten() for r in found])
    raw = torch.cat([r.raw_px[c].norm(dim=-1).flatten() for r in found])
    return CameraMeasures(
        name=take.cameras.names[c],
        diagonal_px=float(take.cameras.size_px[c].norm()),
        detected_share=float(seen.sum() / known.sum().clamp(min=1)),
        median_px=_median(lengths),
        mean_px=_mean(lengths),
        median_raw_px=_median(raw),
        mean_raw_px=_mean(raw),
        median_m=_median(torch.cat([r.lengths_m[c].flatten() for r in found])),
        bias_px=(float(fault.bias_px[c, 0]), float(fault.bias_px[c, 1])),
        rejected_share=float(rejected.sum() / seen.sum()),
        lag_frames=float(fault.lag_frames[c]),
        lag_std_frames=float(fault.lag_std_frames[c]),
        offset_frames=float(take.offsets_frames[c]),
    )


def _person(person: PersonTake, found: Residuals, cameras: Cameras) -> PersonMeasures:
    slide, contact = _feet(person)
    spans = _spans(person)
    return PersonMeasures(
        name=person.name,
        joints=tuple(_joint(person, found, j) for j in range(len(person.markers.names))),
        bones=_bones(person),
        spans=tuple(s for s in spans if s.stop - s.first < len(person.clip)),
        unseen=tuple(j for s in spans if s.stop - s.first >= len(person.clip) for j in s.joints),
        swaps=_swaps(person, found, cameras),
        found_share=_mean(person.markers.seen.to(torch.float64)),
        median_px=_median(found.lengths_px),
        median_raw_px=_median(found.raw_px.norm(dim=-1)),
        median_m=_median(found.lengths_m),
        slide_m=slide,
        contact_share=contact,
        acceleration_m_s2=_acceleration(person),
    )


def _joint(person: PersonTake, found: Residuals, j: int) -> JointMeasures:
    markers = person.markers
    seen = markers.seen[:, j]
    views = person.keypoints.seen[:, :, 0].sum(0)[
        :, person.keypoints.joints.index(markers.names[j])
    ]
    agreed = views.to(torch.float64) if markers.views is None else markers.views[:, j]
    std = markers.position_std
    return JointMeasures(
        name=markers.names[j],
        std_m=float("nan") if std is None else _mean(std[:, j]),
        median_m=_median(found.lengths_m[:, :, j]),
        mean_views=_mean(agreed[seen]),
        found_share=_mean(seen.to(torch.float64)),
        two_view_share=_mean((agreed[seen].round() <= 2.0).to(torch.float64)),
    )


def _bones(person: PersonTake) -> tuple[Bone, ...]:
    names, points = person.markers.names, person.markers.points_world
    bones = []
    for a, b in BONES:
        if a not in names or b not in names:
            continue
        length = (points[:, names.index(a)] - points[:, names.index(b)]).norm(dim=-1)
        known = length[length.isfinite()]
        std = float(known.std()) if len(known) > 1 else float("nan")
        bones.append(Bone(f"{a} to {b}".replace("_", " "), _mean(known), std))
    return tuple(bones)


def _spans(person: PersonTake) -> tuple[Span, ...]:
    """Filled stretches; joints that were filled in the same frames make one span."""
    if person.clip.filled is None:
        return ()
    joints: dict[tuple[int, int], list[str]] = {}
    padded = torch.nn.functional.pad(person.clip.filled.to(torch.int8), (0, 0, 1, 1))
    change = padded.diff(dim=0)
    for j, name in enumerate(person.clip.skeleton.names):
        starts = (change[:, j] == 1).nonzero().squeeze(-1).tolist()
        stops = (change[:, j] == -1).nonzero().squeeze(-1).tolist()
        for first, stop in zip(starts, stops, strict=True):
            joints.setdefault((first, stop), []).append(name)
    return tuple(Span(tuple(names), *frames) for frames, names in sorted(joints.items()))


def _swaps(person: PersonTake, found: Residuals, cameras: Cameras) -> tuple[Swap, ...]:
    names = person.markers.names
    pairs = [n.removeprefix("left_") for n in names if n.startswith("left_")]
    swaps = []
    for pair in (p for p in pairs if f"right_{p}" in names):
        left, right = names.index(f"left_{pair}"), names.index(f"right_{pair}")
        exchanged, comparable = _exchanged(found, cameras, left, right)
        for c, name in enumerate(cameras.names):
            total = int(comparable[c].sum())
            if total and bool(exchanged[c].any()):
                swaps.append(Swap(name, pair, int(exchanged[c].sum()) / total))
    return tuple(swaps)


def _exchanged(
    found: Residuals, cameras: Cameras, left: int, right: int
) -> tuple[Bool[Tensor, "c t"], Bool[Tensor, "c t"]]:
    """Where exchanging the two detections would lessen their error, and where that can be told."""
    apart = cameras.project(found.points_world[:, left]) - cameras.project(
        found.points_world[:, right]
    )
    a, b = found.residuals_px[:, :, left], found.residuals_px[:, :, right]
    straight = a.norm(dim=-1) + b.norm(dim=-1)
    crossed = (b - apart).norm(dim=-1) + (a + apart).norm(dim=-1)
    far = apart.norm(dim=-1) > SWAP_APART * cameras.size_px.norm(dim=-1, keepdim=True)
    comparable = far & straight.isfinite()
    return comparable & (crossed < SWAP_GAIN * straight), comparable


def _feet(person: PersonTake) -> tuple[float, float]:
    """95th percentile of the sliding of joints in contact, metres a frame; share of contact."""
    contacts = person.clip.contacts
    if contacts is None or not bool(contacts.any()) or len(contacts) < 2:
        return float("nan"), 0.0 if contacts is not None else float("nan")
    positions = forward_clip(person.clip).positions
    step = positions.diff(dim=0)[..., [0, 2]].norm(dim=-1)
    held = contacts[1:] & contacts[:-1]
    share = float(contacts.any(-1).to(torch.float64).mean())
    return (float(step[held].quantile(0.95)) if bool(held.any()) else float("nan")), share


def _acceleration(person: PersonTake) -> float:
    if len(person.clip) < 3:
        return float("nan")
    second = forward_clip(person.clip).positions.diff(n=2, dim=0)
    return _median(second.norm(dim=-1)) * person.clip.fps**2
