"""A session: the folder a user hands over.

SESSION/
  videos/        one file a camera, or one four-up video
  calibration/   board pictures or videos, or a ready calibration
  keypoints/     optional: 2-D detections made elsewhere
  corrections.json   optional: keypoints corrected by hand
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from muybridge.errors import InputError
from muybridge.files.video import VIDEO_SUFFIXES

__all__ = ["Session", "open_session"]

PARTS = ("videos", "calibration", "keypoints")
LAYOUT = "a session holds videos/ (one file a camera) and calibration/, optionally keypoints/"


@dataclass(frozen=True)
class Session:
    """What lies in a session folder; nothing has been opened yet."""

    folder: Path
    videos: tuple[Path, ...]
    calibration: Path | None
    keypoints: Path | None
    corrections: Path | None

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    def check_out(self, out: Path) -> None:
        """Refuse an out folder in which results would be mistaken for input, or replace it.

        Raises:
            InputError: If it is one of the session's own folders, or lies in one.
        """
        _check_name(out.resolve())
        for part in PARTS:
            if out.resolve().is_relative_to((self.folder / part).resolve()):
                raise InputError(
                    f"expected an out folder outside of the session's {part}, got {out}; leave out "
                    "--out to have the results in SESSION/take"
                )


def open_session(folder: Path) -> Session:
    """Find the parts of a session by their names.

    Raises:
        InputError: If the folder is missing or holds neither videos nor keypoints, or one camera.
    """
    if not folder.is_dir():
        raise InputError(f"expected a session folder, found none at {folder}; {LAYOUT}")
    videos = list_videos(folder / "videos")
    keypoints = _folder_with_content(folder / "keypoints")
    if not videos and keypoints is None:
        raise InputError(
            f"expected videos in {folder / 'videos'} or detections in {folder / 'keypoints'}, "
            f"got neither; {LAYOUT}"
        )
    for path in (folder.resolve(), *videos, *(keypoints.iterdir() if keypoints else ())):
        _check_name(path)
    corrections = folder / "corrections.json"
    return Session(
        folder,
        videos,
        _folder_with_content(folder / "calibration"),
        keypoints,
        corrections if corrections.is_file() else None,
    )


def _check_name(path: Path) -> None:
    """Names go into files of many formats; bytes without a meaning as text can be in none."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise InputError(
            f"expected names of readable characters in a path, got {shown}; rename them"
        ) from None


def list_videos(folder: Path) -> tuple[Path, ...]:
    """Video files of a folder, by name; two with one stem are an error."""
    if not folder.is_dir():
        return ()
    found = sorted(
        p
        for p in folder.iterdir()
        if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".")
    )
    stems = [p.stem for p in found]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(
            f"expected one video a camera, got several called {', '.join(twice)} in {folder}; "
            "keep one of each"
        )
    return tuple(found)


def _folder_with_content(folder: Path) -> Path | None:
    if folder.is_dir() and any(not p.name.startswith(".") for p in folder.iterdir()):
        return folder
    return None
