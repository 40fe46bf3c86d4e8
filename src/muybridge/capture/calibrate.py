"""The calibrate stage: a folder of boards, measured points or a ready calibration -> cameras.

C cameras. The result's world is upright (Y up), metres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from muybridge.capture.board import Board, BoardViews, read_board
from muybridge.capture.board_pictures import PictureCount, Progress, gather_views
from muybridge.capture.calibration_folder import (
    CalibrationFolder,
    Source,
    choose_ready,
    open_calibration_folder,
    plain_name,
    read_scene,
)
from muybridge.capture.corners import describe
from muybridge.capture.finding import Finding
from muybridge.capture.lens import LensCalibration, calibrate_lens
from muybridge.capture.level import level_by_cameras, level_by_floor
from muybridge.capture.picture_size import fit_size
from muybridge.capture.rig import RigOptions, calibrate_rig, cameras_from_lenses
from muybridge.capture.rig_check import check_rig
from muybridge.capture.rig_report import RigCalibration
from muybridge.capture.scene import SceneLocation, locate_from_scene_points
from muybridge.errors import InputError
from muybridge.files.calibration import match_cameras
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

__all__ = [
    "CalibrateOptions",
    "CalibrationResult",
    "CameraRow",
    "calibrate_folder",
    "fit_size",
]

LONGEST_STEP_S = 0.25  # between sampled frames; beyond it the board's path is not known any more
FOCAL_DISAGREES = 0.02
CENTRE_DISAGREES = 0.02  # of the picture's longer side
FLAT_DEG = 25.0  # a single board tilted less than this against the guessed floor lay on it


@dataclass(frozen=True)
class CalibrateOptions:
    """How to calibrate a folder.

    Attributes:
        source: Where the cameras' places come from; "auto" takes a ready file, else boards, else
            measured scene points.
        board: Which board was filmed; board.toml or a search where absent.
        floor_instant: Instant (frame number or picture name) at which the board lay on the floor.
        refine_lenses: Adjust lenses together with places.
        check_lenses: Calibrate lenses from pictures beside a ready file and compare.
        most_frames: Frames of a board video looked at, about.
        metres_per_unit: Of a ready file; 0.001 for millimetres, the format's own unit when None.
    """

    source: Literal["auto", "file", "boards", "scene"] = "auto"
    board: Board | None = None
    floor_instant: str | None = None
    refine_lenses: bool = True
    check_lenses: bool = True
    most_frames: int = 600
    metres_per_unit: float | None = None


@dataclass(frozen=True)
class CameraRow:
    """One line of the table: what is known of a camera, and how well (pixels; None = not known)."""

    name: str
    size_px: tuple[int, int]
    focal_px: float
    focal_sigma_px: float | None
    rms_px: float | None
    views: int | None
    coverage: float | None


@dataclass(frozen=True)
class CalibrationResult:
    """Calibrated cameras and where they come from.

    Attributes:
        cameras: World upright (Y up), metres.
        rms_px: Root mean square distance of seen and reprojected corners or points; None for a
            ready file.
        source: What was used, in words.
        findings: What the user should know.
        table: One row a camera.
        lenses: Lens calibrations, where boards were seen.
        rig: The rig calibration, where the places come from boards; its world is camera 0's frame.
        scene: Where the places come from measured points.
    """

    cameras: Cameras
    rms_px: float | None
    source: str
    findings: tuple[Finding, ...]
    table: tuple[CameraRow, ...]
    lenses: tuple[LensCalibration, ...] = ()
    rig: RigCalibration | None = None
    scene: SceneLocation | None = None


def calibrate_folder(
    folder: Path,
    camera_names: Sequence[str] | None = None,
    options: CalibrateOptions | None = None,
    on_progress: Progress | None = None,
) -> CalibrationResult:
    """Find out what a folder holds and calibrate from it.

    Args:
        folder: See `capture.calibration_folder` for what may lie in it; or a calibration file.
        camera_names: The cameras wanted, in this order and spelling; all that are found otherwise.
        options: What to use and to check.
        on_progress: Called with the number of board pictures done and of all.

    Raises:
        InputError: If nothing in the folder can be used, the cameras are others, fewer than two are
            left, the board was never seen, or cameras share no views.
    """
    options = options or CalibrateOptions()
    content = open_calibration_folder(Path(folder), camera_names)
    ready = (
        choose_ready(content, options.metres_per_unit)
        if options.source in ("auto", "file", "scene")
        else None
    )
    board = options.board or (read_board(content.board) if content.board else None)
    count = PictureCount(on_progress, board, options.most_frames)
    if options.source == "file" and ready is None:
        raise InputError(
            f"expected a calibration file in {folder}, found none that can be read; put one there "
            "or calibrate from boards"
        )
    scene_wanted = options.source == "scene" or (ready is None and not content.rig_sources)
    if scene_wanted and content.scene is not None:
        return _from_scene(content, content.scene, camera_names, ready, count)
    if ready is not None and options.source != "scene":
        return _from_file(content, ready, camera_names, count, options)
    if not content.rig_sources:
        raise InputError(
            f"expected board pictures or videos of every camera in {folder}, found none; film a "
            "board with all cameras at once"
        )
    return _from_boards(content, camera_names, count, options)


def _lenses(content: CalibrationFolder, views: Sequence[BoardViews]) -> list[LensCalibration]:
    return [calibrate_lens(view) for view in views]


def _from_boards(
    content: CalibrationFolder,
    names: Sequence[str] | None,
    count: PictureCount,
    options: CalibrateOptions,
) -> CalibrationResult:
    _check_cameras(names, content.rig_sources, content.path, "board pictures")
    views, findings, step = gather_views(content.rig_sources, count)
    findings += _board_doubts(views[0].board, count.board, content)
    lens_views = views
    if not content.shared:
        _check_cameras(tuple(content.rig_sources), content.lens_sources, content.path, "intrinsics")
        lens_sources = {name: content.lens_sources[name] for name in content.rig_sources}
        lens_views, more, _ = gather_views(lens_sources, count)
        findings += more
    lenses = tuple(_lenses(content, lens_views))
    rig = calibrate_rig(lenses, views, _rig_options(content, count, step, options))
    cameras, levelled = _levelled(rig, options)
    table = tuple(
        CameraRow(
            lens.camera,
            lens.size_px,
            float(cameras.matrix[c, 0, 0]),
            float(rig.focal_sigma_px[c, 0]) or float(lens.focal_sigma_px[0]),
            float(rig.camera_rms_px[c]),
            len(view),
            float(rig.coverage[c]),
        )
        for c, (lens, view) in enumerate(zip(lenses, views, strict=True))
    )
    findings += [*_lens_findings(lenses), *rig.findings, levelled]
    return CalibrationResult(
        cameras, rig.rms_px, f"boards in {content.path}", tuple(findings), table, lenses, rig
    )


def _board_doubts(
    board: Board, described: Board | None, content: CalibrationFolder
) -> list[Finding]:
    """A board without a size gives no metres; one that is symmetric may be seen upside down."""
    if described is None:
        raise InputError(
            f"expected the size of the board's squares, found {describe(board)} in the pictures "
            f"but no board.toml in {content.path}; write one with kind, columns, rows and "
            "square_mm"
        )
    if board.kind == "charuco" or sum(board.corner_grid) % 2:
        return []
    return [
        Finding(
            "calibrate",
            "warning",
            f"The board ({describe(board)}) looks the same after half a turn, so that cameras "
            "which see it the other way up will disagree.",
            "Use a board with an odd and an even number of corners, or a ChArUco board.",
        )
    ]


def _rig_options(
    content: CalibrationFolder, count: PictureCount, step: int, options: CalibrateOptions
) -> RigOptions:
    """Which lenses to trust; delays are looked for in films whose frames lie close enough."""
    film = [count.film[s] for s in content.rig_sources.values() if isinstance(s, Path)]
    rates = {round(fps, 2) for _, fps in film}
    if len(rates) > 1:
        raise InputError(
            f"expected board videos of one frame rate, got {', '.join(map(str, sorted(rates)))} "
            "frames a second; film or convert them at one rate"
        )
    every_s = step / min(rates) if rates else 0.0
    filmed = len(film) == len(content.rig_sources)
    lenses: Literal["fixed", "refined", "prior"] = "refined" if content.shared else "prior"
    return RigOptions(
        lenses=lenses if options.refine_lenses else "fixed",
        timing="delayed" if filmed and every_s <= LONGEST_STEP_S else "simultaneous",
    )


def _check_cameras(
    names: Sequence[str] | None, sources: dict[str, Source], path: Path, what: str
) -> None:
    missing = [name for name in names or () if name not in sources]
    if missing:
        raise InputError(
            f"expected {what} of {', '.join(names or ())} in {path}, got none of "
            f"{', '.join(missing)}; name videos or folders after the cameras"
        )
    if len(sources) < 2:
        raise InputError(
            f"expected {what} of two or more cameras in {path}, got only "
            f"{', '.join(sources) or 'none'}; one camera cannot measure depth"
        )


def _levelled(rig: RigCalibration, options: CalibrateOptions) -> tuple[Cameras, Finding]:
    """Upright by the board on the floor where stated or evident, else by the cameras."""
    index = 0
    if options.floor_instant is not None:
        if options.floor_instant not in rig.instants:
            raise InputError(
                f"expected the board on the floor at instant {options.floor_instant}, got it at "
                f"{', '.join(rig.instants[:12])}; state one of these"
            )
        index = rig.instants.index(options.floor_instant)
    pose = Rigid(rig.world_from_board.rotation[index], rig.world_from_board.translation[index])
    guess = level_by_cameras(rig.cameras)
    if options.floor_instant is not None:
        return level_by_floor(rig.cameras, pose)
    if len(rig.instants) == 1:
        up_camera = guess[0].rotation[0, :, 1]  # the guessed up in camera 0's frame = rig's world
        tilt = torch.rad2deg((pose.rotation[:, 2] @ up_camera).abs().clamp(max=1.0).acos())
        if float(tilt) < FLAT_DEG:
            return level_by_floor(rig.cameras, pose)
    return guess


def _lens_findings(lenses: Sequence[LensCalibration]) -> tuple[Finding, ...]:
    return tuple(finding for lens in lenses for finding in lens.findings)


def _from_file(
    content: CalibrationFolder,
    ready: tuple[Path, Cameras],
    names: Sequence[str] | None,
    count: PictureCount,
    options: CalibrateOptions,
) -> CalibrationResult:
    path, cameras = ready
    if names is not None:
        cameras = match_cameras(cameras, names)
    if len(cameras) < 2:
        raise InputError(
            f"expected two or more cameras in {path}, got {len(cameras)}; one camera cannot "
            "measure depth"
        )
    check_rig(cameras, str(path))
    findings = [
        Finding("calibrate", "info", f"The calibration was read from {path.name}, not measured.")
    ]
    lenses: tuple[LensCalibration, ...] = ()
    if options.check_lenses and content.lens_sources:
        lenses, notes = _check_lenses(content, cameras, count)
        findings += notes
    table = tuple(_file_row(cameras.select([c]), lenses) for c in range(len(cameras)))
    return CalibrationResult(cameras, None, str(path), tuple(findings), table, lenses)


def _file_row(camera: Cameras, lenses: Sequence[LensCalibration]) -> CameraRow:
    checked = next((lens for lens in lenses if lens.camera == camera.names[0]), None)
    return CameraRow(
        camera.names[0],
        (int(camera.size_px[0, 0]), int(camera.size_px[0, 1])),
        float(camera.matrix[0, 0, 0]),
        None,
        checked.rms_px if checked else None,
        len(checked.instants) if checked else None,
        checked.coverage if checked else None,
    )


def _check_lenses(
    content: CalibrationFolder, cameras: Cameras, count: PictureCount
) -> tuple[tuple[LensCalibration, ...], list[Finding]]:
    """Calibrate the lenses from the pictures beside a ready file, and compare."""
    found = {plain_name(name): source for name, source in content.lens_sources.items()}
    sources = {n: found[plain_name(n)] for n in cameras.names if plain_name(n) in found}
    if not sources:
        return (), []
    try:
        views, findings, _ = gather_views(sources, count)
        lenses = tuple(_lenses(content, views))
    except InputError as error:
        sentence = f"The lenses could not be checked against the board pictures: {error}."
        return (), [Finding("calibrate", "info", sentence)]
    notes = list(findings)
    for lens in lenses:
        notes.append(_comparison(lens, cameras.select([cameras.names.index(lens.camera)])))
    return lenses, notes


def _comparison(lens: LensCalibration, camera: Cameras) -> Finding:
    """Whether board pictures and file tell the same lens."""
    name, size = lens.camera, tuple(int(n) for n in camera.size_px[0].tolist())
    filed = float(camera.matrix[0, 0, 0])
    measured = f"{float(lens.matrix[0, 0]):.0f} +- {float(lens.focal_sigma_px[0]):.0f} px"
    if size != lens.size_px:
        return Finding(
            "calibrate",
            "warning",
            f"{name}'s board pictures are {lens.size_px[0]}x{lens.size_px[1]}, its calibration is "
            f"for {size[0]}x{size[1]}: they cannot be compared.",
            "Use board pictures of the calibration's size.",
            name,
        )
    centre = float((lens.matrix[:2, 2] - camera.matrix[0, :2, 2]).norm())
    if _disagrees(lens, camera):
        return Finding(
            "calibrate",
            "warning",
            f"{name}'s board pictures say a focal length of {measured}, the calibration file "
            f"{filed:.0f} px; their picture centres differ by {centre:.0f} px.",
            "Check that the file belongs to this camera, zoom and picture size, or calibrate anew.",
            name,
        )
    sentence = (
        f"{name}'s board pictures agree with the calibration file: focal length {measured} against "
        f"{filed:.0f} px, picture centres {centre:.0f} px apart."
    )
    return Finding("calibrate", "info", sentence, "", name)


def _disagrees(lens: LensCalibration, camera: Cameras) -> bool:
    """A difference that matters and that the pictures are sure of."""
    filed = float(camera.matrix[0, 0, 0])
    focal = abs(float(lens.matrix[0, 0]) - filed)
    centre = float((lens.matrix[:2, 2] - camera.matrix[0, :2, 2]).norm())
    focal_matters = focal > max(FOCAL_DISAGREES * filed, 3.0 * float(lens.focal_sigma_px[0]))
    least = CENTRE_DISAGREES * float(camera.size_px.max())
    return focal_matters or centre > max(least, 3.0 * float(lens.centre_sigma_px.norm()))


def _from_scene(
    content: CalibrationFolder,
    path: Path,
    names: Sequence[str] | None,
    ready: tuple[Path, Cameras] | None,
    count: PictureCount,
) -> CalibrationResult:
    points = read_scene(path)
    wanted = tuple(names) if names is not None else tuple(points.points_px)
    clicks = {plain_name(name): pixels for name, pixels in points.points_px.items()}
    missing = [name for name in wanted if plain_name(name) not in clicks]
    if missing or len(wanted) < 2:
        raise InputError(
            f"expected points_px of two or more cameras ({', '.join(wanted)}) in {path}, got none "
            f"of {', '.join(missing) or 'a second one'}; mark the points in every camera's picture"
        )
    lenses, cameras, findings = _lenses_for_scene(content, wanted, ready, count)
    points_px = torch.stack([clicks[plain_name(name)] for name in wanted])
    scene = locate_from_scene_points(cameras, points.points_world, points_px)
    world = Finding("calibrate", "info", "The world is that of the measured scene points, Y up.")
    return CalibrationResult(
        scene.cameras,
        scene.rms_px,
        f"scene points in {path}",
        (*findings, *scene.findings, world),
        tuple(_scene_row(scene, c, lenses) for c in range(len(wanted))),
        lenses,
        None,
        scene,
    )


def _scene_row(scene: SceneLocation, index: int, lenses: Sequence[LensCalibration]) -> CameraRow:
    cameras, agrees = scene.cameras, scene.agrees[index]
    return CameraRow(
        cameras.names[index],
        (int(cameras.size_px[index, 0]), int(cameras.size_px[index, 1])),
        float(cameras.matrix[index, 0, 0]),
        float(lenses[index].focal_sigma_px[0]) if lenses else None,
        float(scene.residuals_px[index][agrees].square().mean().sqrt()),
        int(agrees.sum()),
        None,
    )


def _lenses_for_scene(
    content: CalibrationFolder,
    wanted: tuple[str, ...],
    ready: tuple[Path, Cameras] | None,
    count: PictureCount,
) -> tuple[tuple[LensCalibration, ...], Cameras, tuple[Finding, ...]]:
    """Lenses from board pictures, else from a ready file."""
    found = {plain_name(name): source for name, source in content.lens_sources.items()}
    missing = [name for name in wanted if plain_name(name) not in found]
    if not missing:
        views, findings, _ = gather_views({n: found[plain_name(n)] for n in wanted}, count)
        lenses = tuple(_lenses(content, views))
        cameras = replace(cameras_from_lenses(lenses), names=wanted)
        return lenses, cameras, (*findings, *_lens_findings(lenses))
    if ready is not None:
        return (), match_cameras(ready[1], wanted), ()
    raise InputError(
        f"expected board pictures in {content.path / 'intrinsics'} or a calibration file for the "
        f"lenses of {', '.join(missing)}, found none; film a board with each camera"
    )
