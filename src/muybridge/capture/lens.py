"""One camera's lens from its views of a board: focal length, centre, distortion, and how sure.

V views, N corners. Board frame as in `Board`; camera frame x right, y down, z forward; metres.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from muybridge.capture.finding import Finding
from muybridge.geometry.rigid import Rigid

__all__ = ["LensCalibration"]


@dataclass(frozen=True)
class LensCalibration:
    """What `calibrate_lens` found.

    Attributes:
        camera: Camera name.
        size_px: Width and height of its pictures.
        matrix: Intrinsics K, pixels.
        distortion: k1 k2 p1 p2 k3, OpenCV's order.
        rms_px: Root mean square distance of detected and reprojected corners over used views.
        instants: Names of the views that were used, in order (a subset of the given ones).
        view_rms_px: The same figure for each used view.
        rotation: camera_from_board of each used view.
        translation: camera_from_board of each used view, metres.
        covariance: Of fx fy cx cy k1 k2 p1 p2 k3, in this order; a row and column of zeros where a
            parameter was held fixed.
        coverage: Fraction of an 8 x 8 grid over the picture in which corners were seen.
        findings: What the user should know.
    """

    camera: str
    size_px: tuple[int, int]
    matrix: Float[Tensor, "3 3"]
    distortion: Float[Tensor, 5]
    rms_px: float
    instants: tuple[str, ...]
    view_rms_px: Float[Tensor, v]
    rotation: Float[Tensor, "v 3 3"]
    translation: Float[Tensor, "v 3"]
    covariance: Float[Tensor, "9 9"]
    coverage: float
    findings: tuple[Finding, ...] = ()

    @property
    def camera_from_board(self) -> Rigid:
        """Poses of the board in the used views."""
        return Rigid(self.rotation, self.translation)

    @property
    def focal_sigma_px(self) -> Float[Tensor, 2]:
        """Standard deviation of fx and fy, pixels."""
        return self.covariance.diagonal()[:2].clamp(min=0.0).sqrt()

    @property
    def centre_sigma_px(self) -> Float[Tensor, 2]:
        """Standard deviation of the principal point, pixels."""
        return self.covariance.diagonal()[2:4].clamp(min=0.0).sqrt()
