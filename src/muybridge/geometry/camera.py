"""Pinhole cameras with Brown-Conrady distortion, several at a time.

C cameras, N points. World frame: metres, right-handed, Y up. Camera frame: x right, y down, z
forward (OpenCV). Pixels: the centre of the top-left pixel is (0, 0), as in OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.geometry.rigid import Rigid

__all__ = ["Cameras", "distort", "distortion_basis", "distortion_jacobian", "undistort"]

UNDISTORT_STEPS = 12  # Newton steps; quadratic, so 5 suffice inside the image of any sane lens


@dataclass(frozen=True)
class Cameras:
    """C calibrated cameras; every tensor has C first. A single camera is C = 1."""

    names: tuple[str, ...]
    size_px: Float[Tensor, "c 2"]  # width, height
    matrix: Float[Tensor, "c 3 3"]  # intrinsics K
    distortion: Float[Tensor, "c 5"]  # k1 k2 p1 p2 k3, OpenCV's order
    rotation: Float[Tensor, "c 3 3"]  # camera_from_world
    translation: Float[Tensor, "c 3"]  # camera_from_world, metres

    def __len__(self) -> int:
        return len(self.names)

    @property
    def camera_from_world(self) -> Rigid:
        """Extrinsics of all cameras."""
        return Rigid(self.rotation, self.translation)

    @property
    def centres_world(self) -> Float[Tensor, "c 3"]:
        """Optical centres in the world frame, metres."""
        return -(self.rotation.mT @ self.translation.unsqueeze(-1)).squeeze(-1)

    def select(self, indices: Sequence[int]) -> Cameras:
        """The cameras at these indices, in this order."""
        i = list(indices)
        return Cameras(
            tuple(self.names[k] for k in i),
            self.size_px[i],
            self.matrix[i],
            self.distortion[i],
            self.rotation[i],
            self.translation[i],
        )

    def with_extrinsics(self, camera_from_world: Rigid) -> Cameras:
        """The same lenses at other places."""
        return replace(
            self,
            rotation=camera_from_world.rotation,
            translation=camera_from_world.translation,
        )

    def project(self, points_world: Float[Tensor, "*n 3"]) -> Float[Tensor, "c *n 2"]:
        """Project world points (metres) into every camera, pixels; behind a camera gives NaN."""
        flat = points_world.reshape(-1, 3)
        points_camera = self.camera_from_world.apply(flat.expand(len(self), -1, 3))
        depth = points_camera[..., 2:]
        depth = torch.where(depth > 0.0, depth, torch.full_like(depth, torch.nan))
        normalized = distort(points_camera[..., :2] / depth, self.distortion)
        return self.pixels_from_normalized(normalized).reshape(
            len(self), *points_world.shape[:-1], 2
        )

    def pixels_from_normalized(self, normalized: Float[Tensor, "c n 2"]) -> Float[Tensor, "c n 2"]:
        """Apply K to (distorted) normalised image coordinates (x/z, y/z)."""
        return normalized @ self.matrix[:, :2, :2].mT + self.matrix[:, None, :2, 2]

    def normalize(self, points_px: Float[Tensor, "c *n 2"]) -> Float[Tensor, "c *n 2"]:
        """Pixels to undistorted normalised coordinates (x/z, y/z); NaN stays NaN."""
        flat = points_px.reshape(len(self), -1, 2) - self.matrix[:, None, :2, 2]
        skewed = torch.linalg.solve(self.matrix[:, :2, :2], flat.mT).mT
        return undistort(skewed, self.distortion).reshape(points_px.shape)

    def undistort_px(self, points_px: Float[Tensor, "c *n 2"]) -> Float[Tensor, "c *n 2"]:
        """Where the same points would lie, pixels, were the lens free of distortion."""
        flat = self.normalize(points_px).reshape(len(self), -1, 2)
        return self.pixels_from_normalized(flat).reshape(points_px.shape)

    def projection(self) -> Float[Tensor, "c 3 4"]:
        """K [R | t]: projection matrices for undistorted pixels."""
        return self.matrix @ torch.cat((self.rotation, self.translation.unsqueeze(-1)), dim=-1)


def distort(
    normalized: Float[Tensor, "c n 2"], distortion: Float[Tensor, "c 5"]
) -> Float[Tensor, "c n 2"]:
    """Brown-Conrady distortion of normalised coordinates by k1 k2 p1 p2 k3, OpenCV's order.

    References:
        Brown, Close-range camera calibration, Photogrammetric Engineering 37(8), 1971.
    """
    k1, k2, p1, p2, k3 = (k.unsqueeze(-1) for k in distortion.unbind(-1))
    x, y = normalized.unbind(-1)
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return torch.stack(
        (
            x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x),
            y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y,
        ),
        dim=-1,
    )


def distortion_jacobian(
    normalized: Float[Tensor, "c n 2"], distortion: Float[Tensor, "c 5"]
) -> Float[Tensor, "c n 2 2"]:
    """Derivative of `distort` by its normalised coordinates; symmetric."""
    k1, k2, p1, p2, k3 = (k.unsqueeze(-1) for k in distortion.unbind(-1))
    x, y = normalized.unbind(-1)
    r2 = x * x + y * y
    radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
    slope = 2.0 * (k1 + r2 * (2.0 * k2 + 3.0 * r2 * k3))  # d radial / d r2, times 2
    xy = x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
    return torch.stack(
        (
            torch.stack((radial + x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x, xy), dim=-1),
            torch.stack((xy, radial + y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x), dim=-1),
        ),
        dim=-2,
    )


def distortion_basis(normalized: Float[Tensor, "*b 2"]) -> Float[Tensor, "*b 2 5"]:
    """Derivative of `distort` by its five coefficients; they enter linearly."""
    x, y = normalized.unbind(-1)
    r2, xy = x * x + y * y, 2.0 * x * y
    tangential = torch.stack((xy, r2 + 2.0 * x * x, r2 + 2.0 * y * y, xy), -1).unflatten(-1, (2, 2))
    powers = torch.stack((r2, r2**2, r2**3), -1).unsqueeze(-2)
    radial = normalized.unsqueeze(-1) * powers
    return torch.cat((radial[..., :2], tangential, radial[..., 2:]), dim=-1)


def undistort(
    distorted: Float[Tensor, "c n 2"], distortion: Float[Tensor, "c 5"]
) -> Float[Tensor, "c n 2"]:
    """Inverse of `distort` by Newton's method; exact to rounding where the lens is monotone."""
    if not bool(distortion.any()):
        return distorted
    normalized = distorted
    for _ in range(UNDISTORT_STEPS):
        residual = distort(normalized, distortion) - distorted
        (a, b), (_, d) = (
            row.unbind(-1) for row in distortion_jacobian(normalized, distortion).unbind(-2)
        )
        det = a * d - b * b
        x, y = residual.unbind(-1)
        step = torch.stack(((d * x - b * y) / det, (a * y - b * x) / det), dim=-1)
        normalized = normalized - step
        if float(step.abs().nan_to_num().max()) < 1e-14:
            break
    return normalized
