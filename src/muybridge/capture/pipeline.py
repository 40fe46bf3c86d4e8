"""The whole job: a session in, a take out, stage by stage.

    videos -> crop -> detect -\\
    keypoints --------import---+-> sync -> associate -> refine -> reconstruct -> solve -> export
    calibration -> calibrate -/

Each stage reads files and writes files, so each can be kept when nothing it read has changed
(`capture.stages`). Artefacts that a user wants lie in the out folder, the others in its `work/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from muybridge.atomic import remove_unfinished, write_bytes, write_text
from muybridge.capture.associate import associate
from muybridge.capture.calibrate import CalibrateOptions, calibrate_folder
from muybridge.capture.calibration_folder import open_calibration_folder
from muybridge.capture.crop import crop_video, read_crop, resolve_grid, unfold, write_crop
from muybridge.capture.detect import detect_videos, detection_findings
from muybridge.capture.finding import Finding
from muybridge.capture.inspect import Inspection, inspect_videos
from muybridge.capture.options import CaptureOptions
from muybridge.capture.picture_size import fit_size
from muybridge.capture.reconstruct import ReconstructOptions, reconstruct
from muybridge.capture.refine import RefineOptions, refine_cameras
from muybridge.capture.session import Session
from muybridge.capture.solve import solve_take
from muybridge.capture.stages import Outcome, Workshop
from muybridge.capture.sync import SyncOptions, resample, synchronise
from muybridge.capture.take import Take
from muybridge.capture.take_folder import load_take, person_of
from muybridge.capture.threads import one_thread
from muybridge.capture.trajectories import bone_pairs
from muybridge.errors import InputError
from muybridge.files.bvh import write_bvh
from muybridge.files.c3d import MOST_FRAMES, write_c3d
from muybridge.files.calibration import read_calibration, write_calibration
from muybridge.files.clip import (
    load_clip,
    load_learned,
    load_markers,
    save_clip,
    save_learned,
    save_markers,
)
from muybridge.files.gltf import write_glb
from muybridge.files.keypoints import (
    apply_corrections,
    load_keypoints,
    read_keypoints_folder,
    save_keypoints,
)
from muybridge.files.trc import write_trc
from muybridge.files.video import VideoInfo
from muybridge.lock import locked
from muybridge.motion.keypoints import Keypoints

__all__ = ["CaptureOptions", "Listener", "capture", "load_take"]

TAKE = "take"
SUFFIXES = (".bvh", ".glb", ".trc", ".c3d")


@dataclass(frozen=True)
class Listener:
    """Who is told how the work goes on.

    Attributes:
        started: Called with a stage's name when it is about to run.
        progress: Called with (done, total) by long stages.
        ended: Called with the outcome and what the stage found.
    """

    started: Callable[[str], None] = field(default=lambda _: None)
    progress: Callable[[int, int], None] = field(default=lambda _done, _total: None)
    ended: Callable[[Outcome, Sequence[Finding]], None] = field(default=lambda _o, _f: None)


@dataclass
class _Job:
    """One capture under way: where it reads and writes, and how its stages run."""

    session: Session
    options: CaptureOptions
    listener: Listener
    shop: Workshop

    def path(self, name: str) -> Path:
        return self.shop.work / name

    def stage(
        self,
        name: str,
        inputs: Sequence[Path],
        options: object,
        outputs: Sequence[Path],
        job: Callable[[], Sequence[Finding]],
    ) -> None:
        """Run or keep one stage; its findings are one more artefact."""
        said = self.path(f"findings/{name}.json")

        def work() -> None:
            self.listener.started(name)
            found = job()
            write_text(said, json.dumps([asdict(finding) for finding in found], indent=1))

        outcome = self.shop.run(name, inputs, options, [*outputs, said], work)
        self.listener.ended(outcome, _read_findings(said))


def _read_findings(path: Path) -> tuple[Finding, ...]:
    return tuple(Finding(**fields) for fields in json.loads(path.read_text()))


def capture(
    session: Session,
    folder: Path,
    options: CaptureOptions | None = None,
    listener: Listener | None = None,
) -> Take:
    """Turn a session into a take; stages whose input has not changed are kept.

    Args:
        session: What the user handed over.
        folder: The out folder; made when absent.
        options: See `CaptureOptions`.
        listener: See `Listener`.
    Returns:
        The take; `take.bvh`, `.glb`, `.c3d`, `.trc` and `calibration.yaml` lie in `folder`.
    Raises:
        InputError: If a part of the session is missing or cannot be used.
    """
    options = options or CaptureOptions()
    job = _Job(session, options, listener or Listener(), Workshop(folder))
    if session.calibration is None:
        raise InputError(
            f"expected a calibration in {session.folder / 'calibration'}, found none; put a "
            "calibration file there, or board pictures or videos of every camera"
        )
    session.check_out(folder)
    _check_room(folder)
    with locked(job.path("lock")):
        remove_unfinished(folder, deep=False)
        remove_unfinished(job.shop.work)
        return _capture(job)


def _capture(job: _Job) -> Take:
    """All stages one after the other."""
    options = job.options
    inspection = _inspect(job)
    detected = job.path("keypoints.npz")
    if options.keypoints or inspection is None:
        _import(job, inspection, detected)
        names = load_keypoints(detected).cameras
        _check_views(options, names)
        given = _calibrate(job, names, ())
    else:  # the calibration first: it is quick and may be wrong, detection is slow
        names = tuple(video.name for video in inspection.videos)
        _check_views(options, names)
        given = _calibrate(job, names, inspection.videos)
        _detect(job, inspection, detected)
    fps = load_keypoints(detected).fps
    with one_thread():  # of small matrices, where a second thread only waits
        people = _people(job, detected, given)
        _refine(job, people, given)
        _reconstruct_and_solve(job, people)
    _write_record(job, inspection, names, fps)
    return load_take(job.shop.folder)


def _check_views(options: CaptureOptions, names: Sequence[str]) -> None:
    if options.min_views > len(names):
        raise InputError(
            f"expected --min-views of at most {len(names)}, the number of cameras, got "
            f"{options.min_views}; 2 is usual"
        )


def _check_room(folder: Path) -> None:
    """Make the out folder and prove that it can be written to."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "work" / "room", "x")
    (folder / "work" / "room").unlink()


def _inspect(job: _Job) -> Inspection | None:
    """Probe the videos, cutting a lone four-up video first; None where there are only keypoints."""
    videos = job.session.videos
    if not videos or (job.options.keypoints and len(videos) < 2):
        return None
    if len(videos) == 1:
        videos = _crop(job, videos[0])
    inspection = inspect_videos(videos)
    job.listener.ended(Outcome("inspect", "done", 0.0, ""), inspection.findings)
    return inspection


def _crop(job: _Job, video: Path) -> tuple[Path, ...]:
    grid, folder = job.path("crop.yaml"), job.path("crop")

    def find() -> list[Finding]:
        crop = resolve_grid(video, job.options.grid)
        write_crop(grid, crop)
        sentence = f"{video.name} is a grid of {len(crop.views)} pictures; it is cut into cameras."
        return [Finding("crop", "info", sentence)]

    def cut() -> list[Finding]:
        crop_video(video, read_crop(grid), folder, job.listener.progress)
        return []

    job.stage("grid", [video], job.options.grid, [grid], find)
    targets = tuple(folder / f"{view.name}.mp4" for view in read_crop(grid).views)
    job.stage("crop", [video, grid], None, targets, cut)
    return targets


def _import(job: _Job, inspection: Inspection | None, target: Path) -> None:
    """Keypoints from the user's files."""
    source = job.session.keypoints
    if source is None:
        raise InputError(
            f"expected detections in {job.session.folder / 'keypoints'}, found none; put one "
            "folder of JSON files a camera there, or leave out --keypoints to use the videos"
        )
    fps = job.options.fps or (inspection.fps if inspection else None)

    def read() -> list[Finding]:
        save_keypoints(target, read_keypoints_folder(source, fps))
        return []

    job.stage("import", [source], fps, [target], read)


def _detect(job: _Job, inspection: Inspection, target: Path) -> None:
    """Keypoints from the videos; what an interrupted run had found is used."""
    options = job.options.detection
    videos = [video.path for video in inspection.videos]

    def look() -> list[Finding]:
        detections = detect_videos(
            videos,
            options=options,
            partial_folder=job.path("partial"),
            on_progress=job.listener.progress,
        )
        save_keypoints(target, detections)
        return list(detection_findings(detections, options))

    result_bound = replace(options, workers=1)  # their number changes nothing
    job.stage("detect", videos, result_bound, [target], look)


def _calibrate(job: _Job, names: Sequence[str], videos: Sequence[VideoInfo]) -> Path:
    """The given calibration, in the order of the cameras and fitted to the pictures' sizes.

    Without `videos`, that is for keypoints from files, the pixels are taken to be those of the
    calibration: such files do not say for which picture they hold.
    """
    target, source = job.path("calibration_given.yaml"), job.session.calibration
    assert source is not None, "checked by capture"
    folder, options = source, CalibrateOptions()
    grids = [job.path("crop.yaml")] if len(job.session.videos) == 1 else []
    sizes = [(video.width, video.height) for video in videos]

    def work() -> list[Finding]:
        place = folder
        if grids and not open_calibration_folder(folder).ready:
            place = unfold(folder, read_crop(grids[0]), job.path("boards"), job.listener.progress)
        result = calibrate_folder(place, names, options, job.listener.progress)
        cameras, findings = result.cameras, list(result.findings)
        if videos:
            cameras, fitted = fit_size(cameras, sizes, [video.path for video in videos])
            findings += fitted
        write_calibration(target, cameras)
        return findings

    job.stage("calibrate", [source, *grids], [options, list(names), sizes], [target], work)
    return target


def _people(job: _Job, detected: Path, given: Path) -> Path:
    """Corrections, common clock, identities: one slot a person, the main one first."""
    synced, clock, people = (job.path(n) for n in ("synced.npz", "clock.json", "people.npz"))
    places = (job.session.corrections, job.shop.folder / "corrections.json")
    edits = [path for path in places if path and path.is_file()]  # the session's, the studio's
    clocks, identities = SyncOptions(), job.options.identities

    def on_one_clock() -> list[Finding]:
        keypoints = load_keypoints(detected)
        for path in edits:
            keypoints = apply_corrections(keypoints, path)
        sync = synchronise(keypoints, read_calibration(given), clocks)
        save_keypoints(synced, resample(keypoints, sync))
        write_text(clock, json.dumps({"offsets_frames": sync.offsets_frames.tolist()}))
        return list(sync.findings)

    def who_is_who() -> list[Finding]:
        found = associate(load_keypoints(synced), read_calibration(given), identities)
        save_keypoints(people, _one_slot_each(found.people[: job.options.people]))
        return list(found.findings)

    inputs = [detected, given, *edits]
    job.stage("sync", inputs, clocks, [synced, clock], on_one_clock)
    choice = [identities, job.options.people]
    job.stage("associate", [synced, given], choice, [people], who_is_who)
    return people


def _one_slot_each(people: Sequence[Keypoints]) -> Keypoints:
    """Several people's keypoints as one, slot p for person p."""
    if not people:
        raise InputError(
            "expected a person seen by at least two cameras, found nobody; check that the cameras "
            "look at the same place and that the calibration belongs to them"
        )
    corrected = [p.corrected for p in people if p.corrected is not None]
    return replace(
        people[0],
        points_px=torch.cat([p.points_px for p in people], dim=2),
        confidence=torch.cat([p.confidence for p in people], dim=2),
        corrected=torch.cat(corrected, dim=2) if len(corrected) == len(people) else None,
    )


def _refine(job: _Job, people: Path, given: Path) -> None:
    """Final cameras, and what was learned beside them: detector offsets, bones of person 1."""
    target, learned = job.shop.folder / "calibration.yaml", job.path("refine.npz")
    options = RefineOptions()

    def work() -> list[Finding]:
        cameras, keypoints = read_calibration(given), load_keypoints(people)
        if job.options.refine == "off":
            offset = torch.zeros(len(cameras), len(keypoints.joints), 2, dtype=torch.float64)
            bones = torch.full((len(bone_pairs(keypoints.joints)),), torch.nan, dtype=offset.dtype)
            save_learned(learned, offset, bones)
            write_calibration(target, cameras)
            return []
        refined = refine_cameras(person_of(keypoints, 0), cameras, options)
        save_learned(learned, refined.offset_px, refined.bone_lengths)
        write_calibration(target, refined.cameras)
        return list(refined.findings)

    job.stage("refine", [people, given], [job.options.refine, options], [target, learned], work)


def _reconstruct_and_solve(job: _Job, people: Path) -> None:
    keypoints = load_keypoints(people)
    calibration = job.shop.folder / "calibration.yaml"
    for index in range(keypoints.points_px.shape[2]):
        name = f"person{index + 1}"
        points, clip = job.path(f"{name}_markers.npz"), job.path(f"{name}_clip.npz")
        _one_person(job, index, [people, calibration, job.path("refine.npz")], points, clip)
        stem = TAKE if index == 0 else f"{TAKE}_{name}"
        if clip.stat().st_size:
            _export(job, name, (points, clip), stem, keypoints.frame_count)
    _remove_others(job)


def _remove_others(job: _Job) -> None:
    """Results for people whom an earlier run found and this one did not."""
    stages = {outcome.stage for outcome in job.shop.outcomes}
    for path in job.shop.folder.glob(f"{TAKE}_person*"):
        name = path.stem.removeprefix(f"{TAKE}_")
        if path.suffix in SUFFIXES and f"export_{name}" not in stages:
            path.unlink()


def _one_person(job: _Job, index: int, inputs: Sequence[Path], points: Path, clip: Path) -> None:
    name = f"person{index + 1}"
    how, fitting = ReconstructOptions(), job.options.fitting

    def triangulate() -> list[Finding]:
        people, calibration, learned = inputs
        offset, bones = load_learned(learned)
        told = replace(how, offset_px=offset, bone_lengths=bones if index == 0 else None)
        keypoints = person_of(load_keypoints(people), index)
        markers = reconstruct(keypoints, read_calibration(calibration), told)
        save_markers(points, markers)
        return []

    def fit() -> list[Finding]:
        try:
            solution = solve_take(load_markers(points), fitting)
        except InputError as error:
            if index == 0:
                raise
            write_bytes(clip, b"")  # a person without a clip is known to have none
            return [_unsolved(name, error)]
        save_clip(clip, replace(solution.clip, name=f"{job.session.name}_{name}"))
        return list(solution.findings)

    job.stage(f"reconstruct_{name}", inputs, [index, how], [points], triangulate)
    job.stage(f"solve_{name}", [points], fitting, [clip], fit)


def _unsolved(name: str, error: InputError) -> Finding:
    return Finding(
        "solve",
        "warning",
        f"{name} was seen too little for a skeleton and is left out: {error}.",
        "Film so that at least two cameras see the whole body, or ignore this person.",
    )


def _export(job: _Job, name: str, inputs: tuple[Path, Path], stem: str, frames: int) -> None:
    bvh, glb, trc, c3d = (job.shop.folder / f"{stem}{suffix}" for suffix in SUFFIXES)
    short = frames <= MOST_FRAMES

    def work() -> list[Finding]:
        solved, markers = load_clip(inputs[1]), load_markers(inputs[0])
        write_bvh(bvh, solved)
        write_glb(glb, solved)
        write_trc(trc, markers)
        if short:
            write_c3d(c3d, markers)
            return []
        c3d.unlink(missing_ok=True)  # of an earlier, shorter take
        return [_too_long(c3d, frames)]

    targets = [bvh, glb, trc, *([c3d] if short else [])]
    job.stage(f"export_{name}", inputs, None, targets, work)


def _too_long(path: Path, frames: int) -> Finding:
    return Finding(
        "export",
        "warning",
        f"{path.name} is left out: a C3D file holds at most {MOST_FRAMES} frames, not {frames}.",
        f"{path.stem}.trc holds the same markers.",
    )


def _write_record(
    job: _Job, inspection: Inspection | None, names: Sequence[str], fps: float
) -> None:
    """What a reader of the out folder needs beside the artefacts; nothing is computed again."""
    by_name = {video.name: video for video in inspection.videos} if inspection else {}
    videos = [_plain_video(by_name.get(name)) for name in names]
    findings = [*(inspection.findings if inspection else ())]
    for outcome in job.shop.outcomes:
        findings += _read_findings(job.path(f"findings/{outcome.stage}.json"))
    record = {
        "name": job.session.name,
        "fps": fps,
        "videos": videos,
        "findings": [asdict(finding) for finding in findings],
        "seconds": {outcome.stage: round(outcome.seconds, 4) for outcome in job.shop.outcomes},
        "people": [
            o.stage.removeprefix("export_")
            for o in job.shop.outcomes
            if o.stage.startswith("export_")
        ],
    }
    write_text(job.path("take.json"), json.dumps(record, indent=1))


def _plain_video(video: VideoInfo | None) -> dict[str, object] | None:
    return None if video is None else asdict(video) | {"path": str(video.path.resolve())}
