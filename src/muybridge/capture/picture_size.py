"""When a video is not as large as its camera's calibration pictures: why, and what then.

C cameras. An encoder may have scaled the picture, filled it up with black bars, cut off columns
that its blocks did not need, or turned it. Each moves the lens parameters in its own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.errors import InputError
from muybridge.files.video import read_frames
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

__all__ = ["Bars", "fit_size", "measure_bars"]

BLOCK_PX = 16  # codecs work in blocks up to this wide: fewer pixels lost or added are padding
SAME_ASPECT = 0.004  # relative difference of two scales that is still one scale
BLACK = 28  # grey level that a bar does not exceed, compression noise included
BAR_TOLERANCE_PX = 3.0

Size = tuple[float, float]


@dataclass(frozen=True)
class Bars:
    """Black rows and columns around the picture, pixels."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0


@dataclass(frozen=True)
class _Fit:
    """video pixel = scale * calibration pixel + shift, in pixel edges (corner of picture = 0)."""

    scale: float
    shift: tuple[float, float]
    why: str
    sure: bool = True


def measure_bars(video: Path, frames: int = 5) -> Bars:
    """Black bars around all of the first frames of a video."""
    mean = np.mean([frame.mean(axis=-1) for frame in read_frames(video, 0, frames)], axis=0)
    rows = np.percentile(mean, 90, axis=1) > BLACK
    columns = np.percentile(mean, 90, axis=0) > BLACK
    if not rows.any() or not columns.any():
        return Bars()
    return Bars(
        int(columns.argmax()), int(columns[::-1].argmax()), int(rows.argmax()),
        int(rows[::-1].argmax()),
    )  # fmt: skip


def fit_size(
    cameras: Cameras,
    sizes: Sequence[tuple[int, int]],
    videos: Sequence[Path] | None = None,
) -> tuple[Cameras, tuple[Finding, ...]]:
    """Fit a calibration to pictures of another size.

    The explanations tried, in this order: turned by 90 degrees; filled up with black bars (only
    when `videos` are given to look at); scaled; padded or cut by less than a codec's block at the
    right and below, which leaves pixels where they are.

    Args:
        cameras: As calibrated.
        sizes: Width and height of each camera's upright video, pixels.
        videos: The videos themselves, for the black bars.

    Returns:
        Cameras whose lenses fit the videos, and one finding for each that was changed.
    Raises:
        InputError: If the counts differ or a size cannot be explained.
    """
    if len(sizes) != len(cameras):
        raise InputError(
            f"expected a video for each of {len(cameras)} calibrated cameras, got {len(sizes)}; "
            "give one video a camera"
        )
    fitted, findings = [], []
    for c, size in enumerate(sizes):
        camera = cameras.select([c])
        old = (float(camera.size_px[0, 0]), float(camera.size_px[0, 1]))
        if old == (float(size[0]), float(size[1])):
            fitted.append(camera)
            continue
        turned = _turned(camera, size)
        base = (float(turned.size_px[0, 0]), float(turned.size_px[0, 1]))
        fit = _explain(base, size, videos[c] if videos else None)
        if fit is None:
            raise InputError(_refusal(camera.names[0], old, size))
        fitted.append(_apply(turned, fit, size))
        findings.append(_finding(camera.names[0], old, size, fit, turned is not camera))
    return _joined(fitted), tuple(findings)


def _joined(cameras: Sequence[Cameras]) -> Cameras:
    return Cameras(
        tuple(camera.names[0] for camera in cameras),
        torch.cat([camera.size_px for camera in cameras]),
        torch.cat([camera.matrix for camera in cameras]),
        torch.cat([camera.distortion for camera in cameras]),
        torch.cat([camera.rotation for camera in cameras]),
        torch.cat([camera.translation for camera in cameras]),
    )


def _refusal(name: str, old: Size, size: tuple[int, int]) -> str:
    return (
        f"expected {name}'s video to be {old[0]:.0f}x{old[1]:.0f} like its calibration, got "
        f"{size[0]}x{size[1]}, which no scaling, turn, black bars or block padding explains; "
        "export the video uncropped, or calibrate with pictures of its size"
    )


def _explain(old: Size, size: tuple[int, int], video: Path | None) -> _Fit | None:
    ratios = (size[0] / old[0], size[1] / old[1])
    if max(ratios) / min(ratios) - 1.0 < SAME_ASPECT and abs(ratios[0] - 1.0) > 1e-9:
        scale = (ratios[0] * ratios[1]) ** 0.5
        return _Fit(scale, (0.0, 0.0), f"scaled by {scale:.4g}")
    barred = _barred(old, size, measure_bars(video)) if video else None
    if barred is not None:
        return barred
    if max(abs(size[i] - old[i]) for i in (0, 1)) < BLOCK_PX:
        what = "cut off or added at the right or below, as codecs do to fill their blocks"
        return _Fit(1.0, (0.0, 0.0), what, sure=False)
    return None


def _barred(old: Size, size: tuple[int, int], bars: Bars) -> _Fit | None:
    """Scaled to fit one side, and bars on the other: as many rows as that scale leaves over."""
    scale = min(size[0] / old[0], size[1] / old[1])
    left_over = [size[i] - scale * old[i] for i in (0, 1)]
    axis = 0 if left_over[0] > left_over[1] else 1
    before, after = ((bars.left, bars.right), (bars.top, bars.bottom))[axis]
    if abs(before + after - left_over[axis]) > BAR_TOLERANCE_PX or left_over[axis] < 1.0:
        return None
    shift = [0.0, 0.0]
    centred = abs(before - after) <= BAR_TOLERANCE_PX
    shift[axis] = left_over[axis] / 2.0 if centred else (left_over[axis] if after == 0 else 0.0)
    sides = ("left and right", "top and bottom")[axis]
    what = (
        f"scaled by {scale:.4g} and filled up with black bars ({before} and {after} pixels at the "
        f"{sides})"
    )
    return _Fit(scale, (shift[0], shift[1]), what)


def _apply(camera: Cameras, fit: _Fit, size: tuple[int, int]) -> Cameras:
    matrix = camera.matrix.clone()
    matrix[:, :2, :2] *= fit.scale
    shift = torch.tensor(fit.shift, dtype=matrix.dtype)
    matrix[:, :2, 2] = (matrix[:, :2, 2] + 0.5) * fit.scale - 0.5 + shift
    return replace(camera, matrix=matrix, size_px=torch.tensor([size], dtype=matrix.dtype))


def _turned(camera: Cameras, size: tuple[int, int]) -> Cameras:
    """The camera turned by 90 degrees when the video is upright and it is not, else itself.

    Of the two ways to turn, the one that has the world's up (+Y) upward in the picture is taken.
    """
    width, height = (float(n) for n in camera.size_px[0])
    aspect = size[0] / size[1]
    straight, across = abs(np.log(aspect * height / width)), abs(np.log(aspect * width / height))
    if across >= straight:
        return camera
    ways = [_quarter_turn(camera, clockwise) for clockwise in (True, False)]
    return max(ways, key=lambda way: float(-way.rotation[0, 1, 1]))


def _quarter_turn(camera: Cameras, clockwise: bool) -> Cameras:
    """The camera whose picture is this one's, turned by 90 degrees."""
    width, height = (float(n) for n in camera.size_px[0])
    sign = 1.0 if clockwise else -1.0  # clockwise: x' = (height - 1) - y, y' = x
    turn = torch.tensor([[0.0, -sign, 0.0], [sign, 0.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    fx, fy = camera.matrix[0, 0, 0], camera.matrix[0, 1, 1]
    cx, cy = camera.matrix[0, 0, 2], camera.matrix[0, 1, 2]
    matrix = torch.eye(3, dtype=torch.float64)[None].clone()
    matrix[0, 0, 0], matrix[0, 1, 1] = fy, fx
    matrix[0, 0, 2] = height - 1.0 - cy if clockwise else cy
    matrix[0, 1, 2] = cx if clockwise else width - 1.0 - cx
    pose = Rigid(turn @ camera.rotation, (turn @ camera.translation.unsqueeze(-1)).squeeze(-1))
    return replace(
        camera,
        size_px=camera.size_px.flip(-1),
        matrix=matrix,
        distortion=_turned_distortion(camera.distortion, sign),
        rotation=pose.rotation,
        translation=pose.translation,
    )


def _turned_distortion(distortion: Float[Tensor, "1 5"], sign: float) -> Float[Tensor, "1 5"]:
    """Tangential terms turn with the picture; radial ones do not care."""
    k1, k2, p1, p2, k3 = distortion.unbind(-1)
    return torch.stack((k1, k2, sign * p2, -sign * p1, k3), dim=-1)


def _finding(name: str, old: Size, size: tuple[int, int], fit: _Fit, turned: bool) -> Finding:
    way = f"turned by 90 degrees{' and ' if fit.scale != 1.0 else ''}" if turned else ""
    same = turned and fit.scale == 1.0 and fit.sure
    how = way if same else f"{way}{fit.why}"
    sentence = (
        f"{name}'s video is {size[0]}x{size[1]}, its calibration {old[0]:.0f}x{old[1]:.0f}: the "
        f"picture was {how}"
    )
    if fit.sure:
        return Finding("calibrate", "info", f"{sentence}; its lens was fitted to that.", "", name)
    return Finding(
        "calibrate",
        "warning",
        f"{sentence}; pixels were taken to lie where they were calibrated, which may be wrong by "
        f"up to {max(abs(size[i] - old[i]) for i in (0, 1)):.0f} px at the edges.",
        "Export the videos in the size of the calibration pictures.",
        name,
    )
