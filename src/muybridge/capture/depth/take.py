"""From depth pictures to a clip: the order of the work, and what there is to say about it.

T frames, C cameras. World frame: metres, Y up; where the files do not place the camera, the floor
it sees gives the vertical, the origin lies under the camera, and the camera looks along -Z.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.depth.backproject import Grid, backproject, ray_grid, to_world
from muybridge.capture.depth.contact import Outline
from muybridge.capture.depth.icp import Evidence, IcpOptions
from muybridge.capture.depth.planes import Plane, Room, find_room
from muybridge.capture.depth.segment import Segmenter, Sight, gather, joined, outline_of, thinned
from muybridge.capture.depth.track import Progress, Track, landmarks, track
from muybridge.capture.finding import Finding
from muybridge.capture.solve import SolveOptions, solve_take
from muybridge.capture.threads import one_thread
from muybridge.errors import InputError
from muybridge.files.depth import DepthTake
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid
from muybridge.motion.body import evidence as measured_joints
from muybridge.motion.clip import Clip
from muybridge.motion.markers import Markers

__all__ = ["DepthCapture", "DepthOptions", "capture_take", "place_cameras"]

ROOM_FRAMES = 6
ROOM_POINTS = 8000
FEWEST_SHARE = 0.2  # of the frames must show a person
LOST_M = 0.03  # the same of one frame
POOR_FIT_M = 0.02  # mean distance of points to the body beyond which it is no such body


@dataclass(frozen=True)
class DepthOptions:
    """How to work.

    Attributes:
        smoothness: Of the final motion, as in `SolveOptions`.
        background: Depth of the empty scene, a picture a camera, metres; () when there is none.
        icp: Weights of the fit.
    """

    smoothness: float = 1.0
    background: tuple[Float[Tensor, "h w"], ...] = ()
    icp: IcpOptions = field(default_factory=IcpOptions)


@dataclass(frozen=True)
class DepthCapture:
    """A clip from depth pictures.

    Attributes:
        clip: The motion.
        markers: The body's landmarks as fitted to each frame, before smoothing, with covariance.
        track: The capsule body and its poses.
        cameras: As placed in the clip's world.
        room: Floor and walls that were taken away.
        residual_m: Mean distance of the points to the body in each frame, metres.
        findings: What there is to say.
    """

    clip: Clip
    markers: Markers
    track: Track
    cameras: Cameras
    room: Room
    residual_m: Float[Tensor, "t"]
    findings: tuple[Finding, ...]


@one_thread()
def capture_take(
    take: DepthTake, options: DepthOptions | None = None, on_progress: Progress | None = None
) -> DepthCapture:
    """Fit a person to depth pictures.

    Args:
        take: The pictures of one or more cameras.
        options: How to work.
        on_progress: Called with the number of steps done and of all: each frame is looked at, then
            followed.
    Raises:
        InputError: If all depth is unknown or no person is found.
    """
    options = options or DepthOptions()
    grids = tuple(ray_grid(take.cameras.select([c])) for c in range(len(take.cameras)))
    points, up = _sample(take, grids)
    cameras, room = place_cameras(take, points, up)
    segmenter = Segmenter(cameras, grids, room, _background(take, options))
    evidence = _evidence(take, segmenter, on_progress)
    seen = evidence.scan.weights.sum(-1) > 0.0
    if int(seen.sum()) < max(1.0, FEWEST_SHARE * len(take)):
        raise InputError(
            f"expected a person who stands free of walls, got one in {int(seen.sum())} of "
            f"{len(take)} frames; check the units of the depth, or record the empty room too"
        )
    count = len(take)

    def followed(done: int, total: int) -> None:
        if on_progress:
            on_progress(count + done, count + total)

    found = track(evidence, take.fps, _height(room.floor), options.icp, followed)
    markers = landmarks(found, take.fps)
    expected = landmarks(
        found, take.fps, everything=True
    )  # hidden limbs hang, they do not stretch out
    solution = solve_take(expected, SolveOptions(smoothness=options.smoothness))
    unseen = ~measured_joints(markers.names, markers.seen)
    clip = replace(solution.clip, filled=unseen)
    findings = (*_findings(take, found, room), *solution.findings)
    return DepthCapture(clip, markers, found, cameras, room, found.fit.distance, findings)


def _sample(
    take: DepthTake, grids: tuple[Grid, ...]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "3"]]:
    """Some points of some frames in the files' world, and where up is, roughly."""
    frames = torch.linspace(0, len(take) - 1, min(ROOM_FRAMES, len(take))).round().long().unique()
    found = []
    for frame in frames.tolist():
        for index, depth in enumerate(take.frame(frame)):
            world = to_world(backproject(depth, grids[index]), take.cameras.select([index]))
            found.append(world[world.isfinite().all(-1)])
    points = torch.cat(found)
    if len(points) < 1000:
        raise InputError(
            f"expected depth in the pictures, got {len(points)} pixels that are not 0 in "
            f"{len(frames)} frames; check the camera and its range"
        )
    random = torch.Generator().manual_seed(0)
    pick = torch.randint(len(points), (ROOM_POINTS,), generator=random)
    up = torch.tensor([0.0, 1.0 if take.placed else -1.0, 0.0], dtype=torch.float64)
    return points[pick], up


def place_cameras(
    take: DepthTake, points: Float[Tensor, "n 3"], up: Float[Tensor, "3"]
) -> tuple[Cameras, Room]:
    """Cameras and room in a world with Y up; the floor is its ground where nothing else says so.

    Args:
        take: Whose cameras may not be placed yet.
        points: Of the scene, in the files' world, metres.
        up: Roughly up there.
    """
    room = find_room(points, up)
    if take.placed:
        return take.cameras, room
    normal = room.floor.normal if room.floor else up
    offset = room.floor.offset if room.floor else 0.0
    right = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    right = right - (right @ normal) * normal
    right = right / right.norm()
    turn = torch.stack((right, normal, torch.linalg.cross(right, normal)))  # world_from_camera
    shift = torch.tensor([0.0, -offset, 0.0], dtype=torch.float64)
    world_from_camera = Rigid(turn[None], shift[None])
    cameras = take.cameras.with_extrinsics(world_from_camera.inverse())
    return cameras, Room(
        None if room.floor is None else _moved(room.floor, turn, shift),
        tuple(_moved(wall, turn, shift) for wall in room.walls),
    )


def _moved(plane: Plane, turn: Float[Tensor, "3 3"], shift: Float[Tensor, "3"]) -> Plane:
    normal = turn @ plane.normal
    return replace(plane, normal=normal, offset=plane.offset + float(normal @ shift))


def _height(floor: Plane | None) -> float | None:
    """Of the floor above the world's origin, metres."""
    return None if floor is None else floor.offset / float(floor.normal[1])


def _background(take: DepthTake, options: DepthOptions) -> tuple[Float[Tensor, "h w"], ...]:
    sizes = [stream.size_px[::-1] for stream in take.streams]
    given = [tuple(picture.shape) for picture in options.background]
    if options.background and given != sizes:
        raise InputError(
            f"expected the empty room in pictures of {sizes} rows and columns, got {given}; record "
            "it with the same cameras"
        )
    return options.background


def _evidence(take: DepthTake, segmenter: Segmenter, on_progress: Progress | None) -> Evidence:
    """Points and outlines of every frame; pictures are held one frame at a time."""
    points, outlines = [], []
    last: Tensor | None = None
    for frame in range(len(take)):
        sight = segmenter.see(take.frame(frame), last)
        points.append(thinned(sight))
        outlines.append(list(_outlines(sight, segmenter)))
        if sight.found:
            last = sight.points.mean(0)[[0, 2]]
        if on_progress:
            on_progress(frame + 1, 2 * len(take))
    by_camera = zip(*outlines, strict=True)
    return Evidence(gather(points, segmenter.cameras), tuple(joined(list(o)) for o in by_camera))


def _outlines(sight: Sight, segmenter: Segmenter) -> Iterator[Outline]:
    for index, grid in enumerate(segmenter.grids):
        yield outline_of(sight, segmenter.cameras.select([index]), index, grid)


def _findings(take: DepthTake, found: Track, room: Room) -> Iterator[Finding]:
    """What the user should know."""
    yield Finding(
        "depth",
        "info",
        "depth capture has been tried on synthetic pictures only, never yet on a real camera's",
        "compare the result with the pictures before relying on it",
    )
    if room.floor is None:
        yield Finding(
            "depth", "warning", "no floor was found, so that the vertical is the camera's",
            "hold the camera so that it sees the floor",
        )  # fmt: skip
    missing = int((~found.seen).sum())
    if missing:
        yield Finding(
            "depth", "warning", f"no person was found in {missing} of {len(take)} frames",
            "those frames are filled in",
        )  # fmt: skip
    lost = found.seen & (found.fit.distance > LOST_M)
    if bool(lost.any()):
        yield Finding(
            "depth", "warning",
            f"the body is more than {1e3 * LOST_M:.0f} mm off its points in {int(lost.sum())} "
            f"frames, first in frame {int(lost.nonzero()[0])}",
            "look at those frames; something else may have been taken for the person",
        )  # fmt: skip
    distance = float(found.fit.distance[found.seen].mean())
    far = distance > POOR_FIT_M
    yield Finding(
        "depth", "warning" if far else "info",
        f"points lie {1e3 * distance:.0f} mm from the fitted body on average",
        "check the units of the depth and that one person is alone" if far else "",
    )  # fmt: skip
