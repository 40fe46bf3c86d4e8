"""Smoothing of motion: rotations as well as the root's path, without delay.

Three zero-phase filters with one parameter, the frequency at which half of the power is left:
"butterworth", run forwards and backwards (what gait laboratories use at 6 Hz), "gaussian", which
never rings, and "savgol", least-squares polynomials, which keep the height of peaks. Quaternions
are filtered by component in one hemisphere and made unit again: for turns within the filter's
reach that are small against a radian this is the filter on rotation vectors, to third order, and it
knows no singularity.

T frames, J joints.

References:
    Winter, Biomechanics and motor control of human movement, 4th ed., 2009, section 3.4.4.
    Schafer, What is a Savitzky-Golay filter?, IEEE Signal Processing Magazine, 2011.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, savgol_coeffs, savgol_filter, sosfiltfilt
from torch import Tensor

from muybridge.edit.feet import foot_contacts
from muybridge.edit.pin import pin
from muybridge.errors import InputError
from muybridge.files.missing import refuse_missing
from muybridge.geometry.rotation import unroll
from muybridge.motion.clip import Clip

__all__ = ["Method", "SmoothOptions", "smooth", "smoothed"]

Method = Literal["butterworth", "gaussian", "savgol"]
ORDER = 2  # of the Butterworth filter; run twice it is of order four
DEGREE = 3  # of the Savitzky-Golay polynomials
LONGEST = 2000.0  # frames of the slowest period: beyond it filters take for ever, or are singular


@dataclass(frozen=True)
class SmoothOptions:
    """How to smooth.

    Attributes:
        method: Which filter.
        cutoff: Hz; motion that is slower stays, faster goes. Half of the power is left at it.
        keep_feet: Pin the feet again where they stood before: a filter makes planted feet creep.
    """

    method: Method = "butterworth"
    cutoff: float = 6.0
    keep_feet: bool = False


def smooth(clip: Clip, options: SmoothOptions | None = None) -> Clip:
    """The clip without what is faster than the cut-off.

    Args:
        clip: Complete; its contacts and flags are kept.
        options: Filter and frequency.
    Raises:
        InputError: If poses are missing, or the cut-off is not between a 2000th and half of the
            frame rate.
    """
    options = options or SmoothOptions()
    refuse_missing(clip)
    rotations = smoothed(unroll(clip.rotations), clip.fps, options)
    out = replace(
        clip,
        rotations=rotations / rotations.norm(dim=-1, keepdim=True),
        root=smoothed(clip.root, clip.fps, options),
        translations=None
        if clip.translations is None
        else smoothed(clip.translations, clip.fps, options),
    )
    if not options.keep_feet:
        return out
    contacts = foot_contacts(clip) if clip.contacts is None else clip.contacts
    return replace(pin(out, contacts), contacts=clip.contacts)


def smoothed(
    values: Float[Tensor, "t *n"], fps: float, options: SmoothOptions
) -> Float[Tensor, "t *n"]:
    """Any signal along its first axis, filtered without delay.

    The ends are continued by point reflection, so that a path keeps its direction there.

    Args:
        values: T samples.
        fps: Samples a second.
        options: Filter and frequency.
    """
    if not fps / LONGEST <= options.cutoff < fps / 2.0:
        raise InputError(
            f"expected a cut-off from {fps / LONGEST:g} Hz to half the frame rate "
            f"({fps / 2.0:g} Hz), got "
            f"{options.cutoff:g} Hz; 6 Hz is usual for walking"
        )
    flat = values.detach().double().flatten(1).numpy()
    length = len(flat) - 1
    pad = min(length, math.ceil(3.0 * fps / options.cutoff))
    head, tail = (
        2.0 * flat[:1] - flat[1 : pad + 1][::-1],
        2.0 * flat[-1:] - flat[-pad - 1 : -1][::-1],
    )
    whole = np.concatenate((head, flat, tail)) if pad > 0 else flat
    kept = _filter(options, fps)(whole)[pad : pad + len(flat)]
    return torch.from_numpy(kept.copy()).to(values).reshape(values.shape)


def _filter(options: SmoothOptions, fps: float) -> Callable[[np.ndarray], np.ndarray]:
    match options.method:
        case "butterworth":
            # run twice, so each run may take half of the decibels that are lost at the cut-off
            once = (math.sqrt(2.0) - 1.0) ** (-1.0 / (2.0 * ORDER))
            tuned = math.tan(math.pi * options.cutoff / fps) * once
            sections = butter(ORDER, 2.0 * math.atan(tuned) / math.pi, output="sos")
            return lambda x: sosfiltfilt(sections, x, axis=0, padtype=None)
        case "gaussian":
            sigma = fps * math.sqrt(math.log(2.0)) / (2.0 * math.pi * options.cutoff)
            return lambda x: gaussian_filter1d(x, sigma, axis=0, mode="nearest", truncate=6.0)
        case "savgol":
            half = _half_width(options.cutoff / fps)
            return lambda x: savgol_filter(x, 2 * half + 1, DEGREE, axis=0, mode="nearest")


def _half_width(frequency: float) -> int:
    """Of the Savitzky-Golay window that leaves about half of the power at a frequency.

    Args:
        frequency: In cycles a sample. The gain falls with the width, which is a whole number.
    """

    def gain(half: int) -> float:
        place = np.arange(-half, half + 1)
        weights = savgol_coeffs(2 * half + 1, DEGREE)
        return abs(float(weights @ np.cos(2.0 * np.pi * frequency * place)) - math.sqrt(0.5))

    return min(range(2, math.ceil(1.2 / frequency) + 3), key=gain)
