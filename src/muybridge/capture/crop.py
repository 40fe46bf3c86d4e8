"""Cut a video that shows several cameras in a grid (a "four-up") into one video a camera.

The seams are found from the pictures: across a seam neighbouring pixels belong to different
cameras, so the mean step from column to column (or row to row) jumps exactly there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import chain, islice, pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

from muybridge.atomic import replacing, write_bytes, write_text
from muybridge.capture.session import list_videos
from muybridge.errors import InputError
from muybridge.files.video import VideoInfo, VideoWriter, probe, read_frames

__all__ = [
    "Crop",
    "View",
    "crop_video",
    "even_grid",
    "find_grid",
    "parse_grid",
    "read_crop",
    "resolve_grid",
    "write_crop",
]

GRIDS = ((2, 2), (1, 2), (2, 1), (1, 3), (3, 1), (1, 4), (4, 1), (2, 3), (3, 2), (3, 3))
SAMPLED_FRAMES = 24
SEAM_RATIO = 3.0  # a seam's step against the median step of its neighbourhood
NEIGHBOURHOOD = 24  # pixels either side that a seam is compared with
SLACK = 2  # pixels by which a seam may lie off the even division


@dataclass(frozen=True)
class View:
    """One camera's rectangle in the common picture, pixels."""

    name: str
    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[^\x00-\x1f/\\]{1,100}", self.name):
            raise ValueError(f"{self.name!r} is no name for a file")
        if any(type(side) is not int for side in (self.x, self.y, self.width, self.height)):
            raise ValueError(f"the rectangle of {self.name} is not in whole pixels")


@dataclass(frozen=True)
class Crop:
    """The rectangles of all cameras in a common picture of the given size."""

    size_px: tuple[int, int]
    views: tuple[View, ...]


def even_grid(size_px: tuple[int, int], rows: int, columns: int) -> Crop:
    """Equal rectangles, named cam01, cam02, ... row by row."""
    return _grid_from_seams(
        size_px,
        [round(size_px[1] * r / rows) for r in range(rows + 1)],
        [round(size_px[0] * c / columns) for c in range(columns + 1)],
    )


def _grid_from_seams(size_px: tuple[int, int], ys: Sequence[int], xs: Sequence[int]) -> Crop:
    views = [
        View(f"cam{index:02d}", left, top, right - left, bottom - top)
        for index, (top, bottom, left, right) in enumerate(
            (
                (top, bottom, left, right)
                for top, bottom in pairwise(ys)
                for left, right in pairwise(xs)
            ),
            start=1,
        )
    ]
    return Crop(size_px, tuple(views))


def find_grid(path: Path) -> Crop:
    """Find rows and columns of a four-up video from its pictures.

    Raises:
        InputError: If no grid stands out; the message asks for `--grid`.
    """
    info = probe(path)
    across, down = _mean_steps(path, info)
    best: tuple[float, tuple[int, int]] | None = None
    for rows, columns in GRIDS:
        scores = [_seam_score(down, info.height, rows), _seam_score(across, info.width, columns)]
        score = min(score for score in scores if score is not None)
        cells = rows * columns
        if score >= SEAM_RATIO and (best is None or cells > best[1][0] * best[1][1]):
            best = (score, (rows, columns))
    if best is None:
        raise InputError(
            f"expected a grid of camera pictures in {path.name}, found no seam that stands out; "
            "give the grid, for instance `--grid 2x2`"
        )
    rows, columns = best[1]
    ys = [_snap(down, round(info.height * r / rows)) for r in range(rows + 1)]
    xs = [_snap(across, round(info.width * c / columns)) for c in range(columns + 1)]
    return _grid_from_seams((info.width, info.height), ys, xs)


def resolve_grid(path: Path, grid: str | None) -> Crop:
    """The rectangles for `grid` ("2x2": rows x columns), or those found in the pictures.

    Raises:
        InputError: If the grid is not two small numbers, or none is found.
    """
    if grid is None:
        return find_grid(path)
    rows, columns = parse_grid(grid)
    info = probe(path)
    return even_grid((info.width, info.height), rows, columns)


def parse_grid(grid: str) -> tuple[int, int]:
    """Rows and columns of a grid written as "2x2".

    Raises:
        InputError: If they are not two numbers from 1 to 9.
    """
    match = re.fullmatch(r"([1-9])x([1-9])", grid)
    if not match:
        raise InputError(
            f"expected a grid such as 2x2 (rows x columns, 1 to 9 each), got {grid!r}; correct it"
        )
    return int(match[1]), int(match[2])


def _mean_steps(
    path: Path, info: VideoInfo
) -> tuple[Float[np.ndarray, "width"], Float[np.ndarray, "height"]]:
    """Mean absolute step into each column and each row, over frames spread along the video."""
    stride = max(1, info.frame_count // SAMPLED_FRAMES)
    across, down, count = np.zeros(info.width), np.zeros(info.height), 0
    for image in islice(read_frames(path), 0, None, stride):
        grey = image.astype(np.float32).mean(2)
        across[1:] += np.abs(np.diff(grey, axis=1)).mean(0)
        down[1:] += np.abs(np.diff(grey, axis=0)).mean(1)
        count += 1
    return across / count, down / count


def _seam_score(steps: Float[np.ndarray, "n"], size: int, parts: int) -> float | None:
    """How far the weakest of the seams stands out of its neighbourhood; None without a seam."""
    if parts == 1:
        return None
    ratios = []
    for part in range(1, parts):
        seam = _snap(steps, round(size * part / parts))
        around = np.r_[
            steps[max(1, seam - NEIGHBOURHOOD) : seam - SLACK],
            steps[seam + SLACK + 1 : seam + NEIGHBOURHOOD],
        ]
        ratios.append(float(steps[seam] / (np.median(around) + 0.25)))
    return min(ratios)


def _snap(steps: Float[np.ndarray, "n"], position: int) -> int:
    """The strongest step within the slack of an inner position; borders stay."""
    if position in (0, len(steps)):
        return position
    low = position - SLACK
    return low + int(np.argmax(steps[low : position + SLACK + 1]))


def crop_video(
    source: Path | Sequence[Path],
    crop: Crop,
    folder: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, ...]:
    """Write `folder/<view>.mp4` for every view; one frame is in memory at a time.

    Args:
        source: A video, or several of one size and rate that are put one behind the other.
        crop: The rectangles.
        folder: Where the views go.
        on_progress: Called with the number of frames done and of all.
    Raises:
        InputError: If a video is not of the size the crop was made for.
    """
    infos = [probe(path) for path in ([source] if isinstance(source, Path) else source)]
    for info in infos:
        _check_size(info, crop)
    total = sum(info.frame_count for info in infos)
    targets = tuple(folder / f"{view.name}.mp4" for view in crop.views)
    with ExitStack() as stack:
        temporary = [stack.enter_context(replacing(target)) for target in targets]
        writers = [
            stack.enter_context(VideoWriter(file, infos[0].fps, (view.width, view.height)))
            for file, view in zip(temporary, crop.views, strict=True)
        ]
        frames = chain.from_iterable(read_frames(info.path) for info in infos)
        for index, image in enumerate(frames):
            for view, writer in zip(crop.views, writers, strict=True):
                writer.write(image[view.y : view.y + view.height, view.x : view.x + view.width])
            if on_progress:
                on_progress(index + 1, total)
    return targets


def _check_size(info: VideoInfo, crop: Crop) -> None:
    if (info.width, info.height) != tuple(crop.size_px):
        raise InputError(
            f"expected a video of {crop.size_px[0]}x{crop.size_px[1]} pixels for this crop, got "
            f"{info.width}x{info.height} in {info.path.name}; find the grid again for it"
        )


def unfold(
    folder: Path,
    crop: Crop,
    target: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> Path:
    """A folder of four-up videos as a folder with one video a camera; descriptions come along.

    Args:
        folder: Its videos all show the grid of `crop`; a .toml in it describes the board.
        crop: The rectangles.
        target: Folder to write; videos are put one behind the other.
        on_progress: Called with the number of frames done and of all.
    Returns:
        `target`, or `folder` itself if it holds no video.
    """
    videos = list_videos(folder)
    if not videos:
        return folder
    crop_video(videos, crop, target, on_progress)
    for description in folder.glob("*.toml"):
        write_bytes(target / description.name, description.read_bytes())
    return target


def write_crop(path: Path, crop: Crop) -> None:
    """Write the rectangles as YAML (each value a line of JSON, which YAML contains)."""
    views = "\n".join(f"  - {json.dumps(asdict(view))}" for view in crop.views)
    write_text(
        path,
        "# Rectangles of the cameras in the common picture, pixels, top-left origin.\n"
        f"size_px: {json.dumps(list(crop.size_px))}\nviews:\n{views}\n",
    )


def read_crop(path: Path) -> Crop:
    """Read what `write_crop` wrote.

    Raises:
        InputError: If the file is not such a crop.
    """
    try:
        lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
        size = json.loads(lines[0].removeprefix("size_px:"))
        views = tuple(View(**json.loads(line.strip().removeprefix("- "))) for line in lines[2:])
        width, height = (int(side) for side in size)
        inside = [
            0 <= v.x < v.x + v.width <= width and 0 <= v.y < v.y + v.height <= height for v in views
        ]
        if lines[1] != "views:" or not views or not all(inside):
            raise ValueError("a rectangle is missing or outside the picture")
        if len({view.name for view in views}) < len(views):
            raise ValueError("two rectangles of one name")
    except (OSError, ValueError, TypeError, IndexError, OverflowError, RecursionError) as error:
        raise InputError(
            f"expected the rectangles of a cropped video in {path}, got something else ({error}); "
            "make the file again with `muybridge crop`"
        ) from error
    return Crop((width, height), views)
