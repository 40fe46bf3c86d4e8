"""What a rig calibration holds and what it has to say to the user.

C cameras, V instants, P parameters of all cameras. The world is camera 0's frame, metres.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.capture.stereo import StereoPair
from muybridge.geometry.camera import Cameras
from muybridge.geometry.rigid import Rigid

__all__ = ["Loop", "RigCalibration", "RigOptions", "rig_findings"]

GOOD_RMS_PX = 1.0
FOCAL_CHANGE = 0.03
NOTABLE_DELAY_FRAMES = 0.1


@dataclass(frozen=True)
class RigOptions:
    """How to calibrate a rig.

    Attributes:
        lenses: "refined" adjusts the lenses together with the poses, for views from which the
            lenses were calibrated; "prior" does so too, but trusts the lenses' own calibration from
            other pictures as its covariance says; "fixed" leaves them.
        timing: "delayed" also finds by how much each camera runs late; for films of a moving board,
            whose instants are frame numbers.
        most_instants: More instants than this are thinned out evenly.
        few_views: A pair with fewer shared views is called weak.
        loose_baseline: So is one whose baseline is known worse than this, relative.
        loop_deg: A loop of pairs that fails to close by more is reported as a warning, degrees.
        loop_relative: Or by more than this share of the longest baseline in it.
    """

    lenses: Literal["fixed", "refined", "prior"] = "refined"
    timing: Literal["simultaneous", "delayed"] = "simultaneous"
    most_instants: int = 300
    few_views: int = 6
    loose_baseline: float = 0.01
    loop_deg: float = 1.0
    loop_relative: float = 0.02


@dataclass(frozen=True)
class Loop:
    """How a pair disagrees with the way around through the chain of the best pairs.

    Attributes:
        cameras: Names around the loop; it closes from the last to the first.
        angle_deg: Rotation left over after one round, degrees.
        gap_m: Translation left over, metres.
    """

    cameras: tuple[str, ...]
    angle_deg: float
    gap_m: float


@dataclass(frozen=True)
class RigCalibration:
    """Calibrated cameras and how far to trust them.

    Attributes:
        cameras: Lenses and poses; the world is camera 0's frame.
        rms_px: Root mean square distance of seen and reprojected corners, all cameras together,
            over the corners used (OpenCV's definition).
        camera_rms_px: The same for each camera.
        instants: Names of the instants at which the board's pose is known.
        world_from_board: Those poses.
        covariance: Of all camera parameters, in the order of `geometry.bundle.PARAMETERS`.
        baseline_sigma_m: Standard deviation of the distance between each two centres, metres.
        shared_views: How many instants each two cameras share.
        pairs: Every pair that could be calibrated by itself.
        loops: How each pair outside the chain disagrees with the chain.
        weak_pairs: Names of linked pairs that rest on little.
        coverage: Fraction of an 8 x 8 grid over each camera's picture in which corners were seen.
        delay_frames: By how much each camera runs late against camera 0, frames: its frame t shows
            what camera 0 sees at t - delay.
        dropped: Corners left out as outliers.
        findings: What the user should know.
    """

    cameras: Cameras
    rms_px: float
    camera_rms_px: Float[Tensor, "c"]
    instants: tuple[str, ...]
    world_from_board: Rigid
    covariance: Float[Tensor, "p p"]
    baseline_sigma_m: Float[Tensor, "c c"]
    shared_views: Int64[Tensor, "c c"]
    pairs: tuple[StereoPair, ...]
    loops: tuple[Loop, ...]
    weak_pairs: tuple[tuple[str, str], ...]
    coverage: Float[Tensor, "c"]
    delay_frames: Float[Tensor, "c"]
    dropped: int
    findings: tuple[Finding, ...]

    @property
    def focal_sigma_px(self) -> Float[Tensor, "c 2"]:
        """Standard deviation of fx and fy, pixels; zero where the lens was held fixed."""
        diagonal = self.covariance.diagonal().reshape(len(self.cameras), -1)
        return diagonal[:, :2].clamp(min=0.0).sqrt()


def rig_findings(rig: RigCalibration, start: Cameras, options: RigOptions) -> Iterator[Finding]:
    """Sentences for the user."""
    corners = f"{len(rig.instants)} instants"
    yield Finding(
        "calibrate",
        "info" if rig.rms_px < GOOD_RMS_PX else "warning",
        f"{len(rig.cameras)} cameras agree on the board to {rig.rms_px:.2f} px (root mean square) "
        f"over {corners}; {rig.dropped} corners were left out as outliers.",
        ""
        if rig.rms_px < GOOD_RMS_PX
        else "Check that the cameras are synchronised and the board is flat and was held still.",
    )
    late = [
        f"{name} {delay:+.2f}"
        for name, delay in zip(rig.cameras.names, rig.delay_frames.tolist(), strict=True)
        if abs(delay) > NOTABLE_DELAY_FRAMES
    ]
    if late:
        yield Finding(
            "calibrate",
            "warning",
            f"The cameras did not expose together; against {rig.cameras.names[0]} they run late by "
            f"{', '.join(late)} frames, which was found from the moving board and corrected.",
            "Expect the same delays in the takes; synchronisation will look for them.",
        )
    yield from _pair_findings(rig, options)
    yield from _loop_findings(rig, options)
    yield from _lens_findings(rig, start)


def _pair_findings(rig: RigCalibration, options: RigOptions) -> Iterator[Finding]:
    names, centres = rig.cameras.names, rig.cameras.centres_world
    for first, second in rig.weak_pairs:
        a, b = names.index(first), names.index(second)
        distance, sigma = float((centres[a] - centres[b]).norm()), float(rig.baseline_sigma_m[a, b])
        yield Finding(
            "calibrate",
            "warning",
            f"{first} and {second} are a weak pair: {int(rig.shared_views[a, b])} shared views, "
            f"their distance of {distance:.3f} m is known to {1000 * sigma:.1f} mm.",
            f"Film the board in {options.few_views} or more places that both see.",
        )
    worst = float(rig.camera_rms_px.median()) * 2.5
    for name, rms in zip(names, rig.camera_rms_px.tolist(), strict=True):
        if rms > max(worst, GOOD_RMS_PX / 2.0):
            yield Finding(
                "calibrate",
                "warning",
                f"{name} fits the board to {rms:.2f} px only, the others better.",
                "Check its focus, its shutter and its synchronisation.",
                name,
            )


def _loop_findings(rig: RigCalibration, options: RigOptions) -> Iterator[Finding]:
    """The loops that do not close, or the worst of those that do."""
    names, centres = rig.cameras.names, rig.cameras.centres_world
    bad = [
        loop
        for loop in rig.loops
        if loop.angle_deg > options.loop_deg
        or loop.gap_m
        > options.loop_relative
        * float(torch.pdist(centres[[names.index(name) for name in loop.cameras]]).max())
    ]
    shown = bad or sorted(rig.loops, key=lambda loop: -loop.angle_deg)[:1]
    for loop in shown:
        yield Finding(
            "calibrate",
            "warning" if bad else "info",
            f"Pair by pair from {' to '.join(loop.cameras)} and back, the way misses its start by "
            f"{loop.angle_deg:.2f} degrees and {1000 * loop.gap_m:.1f} mm"
            + (": each pair may look good, but the whole does not fit." if bad else "."),
            "Film more places of the board with these cameras, or check that none was moved."
            if bad
            else "",
        )


def _lens_findings(rig: RigCalibration, start: Cameras) -> Iterator[Finding]:
    change = rig.cameras.matrix[:, 0, 0] / start.matrix[:, 0, 0] - 1.0
    for c, name in enumerate(rig.cameras.names):
        if abs(float(change[c])) > FOCAL_CHANGE:
            yield Finding(
                "calibrate",
                "warning",
                f"{name}'s focal length became {float(rig.cameras.matrix[c, 0, 0]):.0f} px in the "
                f"rig, {100 * float(change[c]):+.1f} % from its own calibration.",
                "Film the board nearer to this camera and tilted, over the whole picture.",
                name,
            )
