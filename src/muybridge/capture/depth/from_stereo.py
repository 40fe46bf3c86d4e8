"""Two ordinary cameras as a depth camera: rectified pair -> disparity -> depth pictures.

The four-up recordings that `muybridge crop` cuts up hold such pairs. World frame: that of the
calibration, metres, Y up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.session import list_videos
from muybridge.capture.stereo import DepthOptions, Rectification, depth_image, rectify
from muybridge.errors import InputError
from muybridge.files.calibration import match_cameras, read_calibration
from muybridge.files.depth import write_depth
from muybridge.files.video import probe, read_frames
from muybridge.geometry.camera import Cameras

__all__ = ["depth_from_stereo", "rectified_camera"]

CALIBRATIONS = ("calibration.yaml", "calibration.toml", "Calib.toml", "camera.yaml")


def rectified_camera(rectification: Rectification) -> Cameras:
    """The camera that would have taken the depth pictures: the first, turned, undistorted."""
    first, turn = rectification.cameras.select([0]), rectification.rotation[0]
    return Cameras(
        first.names,
        torch.tensor([rectification.size_px], dtype=torch.float64),
        rectification.matrix[None],
        torch.zeros(1, 5, dtype=torch.float64),
        turn @ first.rotation,
        first.translation @ turn.mT,
    )


def depth_from_stereo(
    session: Path, pair: tuple[str, str], folder: Path, options: DepthOptions | None = None
) -> int:
    """Match the videos of two cameras frame by frame and write their depth for `files.depth`.

    Args:
        session: Folder with the videos (or with videos/) and a calibration (or calibration/).
        pair: Names of two cameras side by side, the left one first; their videos must be in time.
        folder: Where the depth pictures go.
        options: Depth range and window of the matching.
    Returns:
        Number of frames, that of the shorter video.
    Raises:
        InputError: If a video or the calibration is missing, or the cameras are no stereo pair.
    """
    videos = {p.stem: p for p in (*list_videos(session / "videos"), *list_videos(session))}
    missing = [name for name in pair if name not in videos]
    if missing:
        raise InputError(
            f"expected videos called {' and '.join(pair)} in {session}, found none called "
            f"{', '.join(missing)}; there are {', '.join(sorted(videos)) or 'none at all'}"
        )
    cameras = match_cameras(read_calibration(_calibration(session)), pair)
    rectification = rectify(cameras)
    files = [videos[name] for name in pair]
    info = probe(files[0])
    if (info.width, info.height) != rectification.size_px:
        raise InputError(
            f"expected a video of {rectification.size_px[0]}x{rectification.size_px[1]} pixels, as "
            f"calibrated, got {info.width}x{info.height} in {files[0]}; calibrate this size"
        )
    count = 0

    def pictures() -> Iterator[Float[Tensor, "h w"]]:
        nonlocal count
        for first, second in zip(read_frames(files[0]), read_frames(files[1]), strict=False):
            grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (first, second)]
            count += 1
            yield torch.from_numpy(depth_image(rectification, grey[0], grey[1], options).copy())

    write_depth(folder, rectified_camera(rectification), pictures(), info.fps)
    return count


def _calibration(session: Path) -> Path:
    for place in (session, session / "calibration"):
        for name in CALIBRATIONS:
            if (place / name).is_file():
                return place / name
    raise InputError(
        f"expected one of {', '.join(CALIBRATIONS)} in {session}, found none; make one with "
        "`muybridge calibrate`"
    )
