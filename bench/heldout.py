"""The default reconstruction on the demo trial: held-out cameras, bones, and Pose2Sim's numbers.

Detections: the OpenPose BODY_25B JSON that pose2sim==0.6.1 carries, 4 cameras x 100 frames, the
person with the largest box, all 25 keypoints, every detection with a confidence above 0.

Held out: everything is learned on one half of the frames (cameras, detector offsets, bone lengths,
from all four views), then in the other half three cameras reconstruct the person and the fourth is
predicted. "raw" scores its detections as they are; "offset" takes off the constant offsets that the
learned model expects of its detector (learned on the other half as well). Errors are pixels of the
original, distorted picture. Medians over frames and keypoints; nothing is left out.

Other detector: what is wrong with a detector all through the take is in both halves, so a held-out
camera cannot see it. Hence the harder test: cameras refined with one detector's joints predict what
another detector saw in the other half, and the two refinements are compared with one another.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import torch

from muybridge.capture.parity import POSE2SIM_MARKERS
from muybridge.capture.reconstruct import ReconstructOptions, reconstruct, unbias
from muybridge.capture.refine import Refinement, refine_cameras
from muybridge.files.keypoints import load_keypoints
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import align
from muybridge.geometry.rotation import rotvec_from_matrix
from muybridge.motion.keypoints import COCO_17, Keypoints
from muybridge.motion.markers import Markers
from tests.demo import demo_cameras, demo_people, demo_person

MOVENET = Path("out/demo/work/people.npz")
BONES = (("thigh", "hip", "knee"), ("shank", "knee", "ankle"),
         ("upper arm", "shoulder", "elbow"), ("forearm", "elbow", "wrist"))  # fmt: skip
POSE2SIM_MM = "15.6/20.5  28.7/37.0  13.6/19.3  24.9/17.8"


def cut(keypoints: Keypoints, frames: slice) -> Keypoints:
    """Some of the frames."""
    return replace(
        keypoints,
        points_px=keypoints.points_px[:, frames],
        confidence=keypoints.confidence[:, frames],
    )


def heldout(
    test: Keypoints, cameras: Cameras, options: ReconstructOptions
) -> tuple[list[float], list[float]]:
    """Median error of each camera, raw and less its own offsets, pixels."""
    offset = options.offset_px
    if offset is None:
        offset = torch.zeros(len(cameras), len(test.joints), 2, dtype=torch.float64)
    clean = unbias(test, offset)
    raw, less = [], []
    for camera in range(len(cameras)):
        others = [c for c in range(len(cameras)) if c != camera]
        three = test.select_cameras([test.cameras[c] for c in others])
        points = reconstruct(
            three, cameras.select(others), replace(options, offset_px=offset[others])
        ).points_world
        predicted = cameras.select([camera]).project(points)[0]
        for scores, keypoints in ((raw, test), (less, clean)):
            error = (predicted - keypoints.points_px[camera, :, 0]).norm(dim=-1)
            scores.append(float(error.nanmedian()))
    return raw, less


def row(name: str, values: list[float]) -> None:
    """Print four cameras."""
    print(f"{name:58s}" + "  ".join(f"{v:5.1f}" for v in values))


def table(people: Keypoints, given: Cameras, learn: slice, test: slice) -> None:
    """Held-out errors of one split."""
    print(f"\nlearned on frames {learn.start}-{learn.stop - 1}, ", end="")
    print(f"scored on {test.start}-{test.stop - 1}; median px of cam01..04")
    scored = cut(people, test)
    alone = ReconstructOptions(mode="independent", gate_px=15.0)
    row("given calibration, each frame alone (gate 15 px)", heldout(scored, given, alone)[0])
    row("given calibration, default", heldout(scored, given, ReconstructOptions())[0])
    refined = refine_cameras(cut(people, learn), given)
    known = learned(refined)
    row("refined cameras, each frame alone", heldout(scored, refined.cameras, alone)[0])
    plain = heldout(scored, refined.cameras, ReconstructOptions())
    row("refined cameras, default", plain[0])
    raw, less = heldout(scored, refined.cameras, known)
    row("refined cameras, offsets and bone lengths, default: raw", raw)
    row("the same, the scored camera's offsets taken off: offset", less)


def other_detector() -> Keypoints | None:
    """Our own detector's joints of the main person, as `make demo` leaves them."""
    people = load_keypoints(MOVENET) if MOVENET.is_file() else None
    if people is None or people.joints != COCO_17:
        return None
    return replace(
        people, points_px=people.points_px[:, :, :1], confidence=people.confidence[:, :, :1]
    )


def cross(openpose: Keypoints, movenet: Keypoints, given: Cameras) -> None:
    """Refine with one detector, score the other's held-out cameras, in the other half."""
    print("\nthe other detector's held-out cameras, default, no offsets; median px of cam01..04")
    plain, halves = ReconstructOptions(), (slice(0, 50), slice(50, 100))
    pairs = (("MoveNet", movenet, "OpenPose", openpose), ("OpenPose", openpose, "MoveNet", movenet))
    for name, source, scored, target in pairs:
        for learn, test in (halves, halves[::-1]):
            where = f"{scored} {test.start}-{test.stop - 1}"
            part = cut(target, test)
            row(f"given calibration, {where}", heldout(part, given, plain)[0])
            cameras = refine_cameras(cut(source, learn), given).cameras
            row(f"refined with {name}, other half, {where}", heldout(part, cameras, plain)[0])
    print("distance of the cameras, rigidly aligned with scale: mm, degrees of cam01..04")
    ours, theirs = (refine_cameras(k, given).cameras for k in (movenet, openpose))
    for name, a, b in (
        ("MoveNet's from OpenPose's", ours, theirs),
        ("MoveNet's from given", ours, given),
        ("OpenPose's from given", theirs, given),
    ):
        fit = align(a.centres_world, b.centres_world, with_scale=True)
        row(name, (1000.0 * (fit.apply(a.centres_world) - b.centres_world).norm(dim=-1)).tolist())
        turn = rotvec_from_matrix(a.rotation @ fit.rotation.mT @ b.rotation.mT).norm(dim=-1)
        print(f"{'':58s}" + "  ".join(f"{v:5.2f}" for v in turn.rad2deg().tolist()))


def learned(refined: Refinement) -> ReconstructOptions:
    """Options that carry what refinement learned."""
    return ReconstructOptions(offset_px=refined.offset_px, bone_lengths=refined.bone_lengths)


def bones_mm(points: torch.Tensor, joints: tuple[str, ...]) -> str:
    """Standard deviations of bone lengths, right/left."""
    parts = []
    for _, upper, lower in BONES:
        spread = []
        for side in ("right", "left"):
            ends = [points[:, joints.index(f"{side}_{j}")] for j in (upper, lower)]
            spread.append(1000.0 * float((ends[0] - ends[1]).norm(dim=-1).std()))
        parts.append("/".join(f"{s:.1f}" for s in spread))
    return "  ".join(parts)


def quality(name: str, markers: Markers, cameras: Cameras, seen: Keypoints, raw: Keypoints) -> None:
    """Reprojection, bones and acceleration of a whole reconstruction."""
    points = markers.points_world
    image = cameras.project(points)
    errors = [(image - k.points_px[:, :, 0]).norm(dim=-1) for k in (seen, raw)]
    model, plain = (e[e.isfinite()] for e in errors)
    bend = (points[2:] - 2.0 * points[1:-1] + points[:-2]) * markers.fps**2
    print(
        f"{name:34s} valid {float(markers.seen.float().mean()):6.1%}  all-view px median/mean: "
        f"offset {float(model.median()):.2f}/{float(model.mean()):.2f} "
        f"raw {float(plain.median()):.2f}/{float(plain.mean()):.2f}  "
        f"acceleration {float(bend.norm(dim=-1).nanmedian()):.1f} m/s2\n"
        f"{'':34s} bone std, mm: {bones_mm(points, markers.names)}"
    )


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)  # one thread is the fastest on a busy machine, see LOG.md
    people, given = demo_person(), demo_cameras()
    print("asked: held out <= 13 px on every camera (given calibration 15-36)")
    table(people, given, slice(0, 50), slice(50, 100))
    table(people, given, slice(50, 100), slice(0, 50))
    movenet = other_detector()
    if movenet is None:
        print(f"\nno joints of our own detector in {MOVENET}: run `make demo` for the cross test")
    else:
        cross(people, movenet, given)
    started = time.perf_counter()
    refined = refine_cameras(people, given)
    middle = time.perf_counter()
    markers = reconstruct(people, refined.cameras, learned(refined))
    ended = time.perf_counter()
    took = f"refine {middle - started:.2f} s, reconstruct {ended - middle:.2f} s"
    print(f"\nall 100 frames, one thread: {took}")
    print("thigh R/L, shank R/L, upper arm R/L, forearm R/L")
    print(f"{'Pose2Sim 0.10.49 (its own log)':34s} bone std, mm: {POSE2SIM_MM}")
    clean = unbias(people, refined.offset_px)
    quality("default", markers, refined.cameras, clean, people)
    free = replace(learned(refined), bone_std=1e3)
    rubber = reconstruct(people, refined.cameras, free)
    quality("default without bone lengths", rubber, refined.cameras, clean, people)
    loose = replace(free, acceleration_std=1e6)
    single = reconstruct(people, refined.cameras, loose)
    quality("... and without inertia", single, refined.cameras, clean, people)
    like = reconstruct(demo_people(), given, ReconstructOptions(mode="pose2sim"))
    ours = tuple(POSE2SIM_MARKERS[name] for name in like.names)
    spread = bones_mm(like.points_world, ours)
    print(f"{'our repeat of Pose2Sim':34s} bone std, mm: {spread}")
    for finding in refined.findings:
        print(f"[{finding.severity}] {finding.sentence} {finding.advice}")


if __name__ == "__main__":
    main()
