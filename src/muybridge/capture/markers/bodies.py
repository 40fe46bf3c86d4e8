"""Rigid bodies of markers: their shape, their pose in every frame, what does not fit.

T frames, M markers of one body. World frame: metres. NaN where unseen. All frames are solved at
once; hidden and displaced markers lose their weight, so a swapped label does not turn the body.

References:
    Kabsch, A solution for the best rotation to relate two sets of vectors, Acta Cryst. A32, 1976.
    Torgerson, Multidimensional scaling: I. theory and method, Psychometrika 17(4), 1952.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from muybridge.errors import InputError
from muybridge.geometry.robust import robust_weight
from muybridge.geometry.rotation import nearest_rotation

__all__ = ["Bodies", "body_shape", "fit_bodies", "kabsch"]

SCALE = 0.005  # metres: a marker this far from its place keeps a quarter of its weight
ROUNDS = 4
FLAT = 1e-3  # metres: markers nearer to one line than this fix no orientation
REFINEMENTS = 5


class Bodies(NamedTuple):
    """Poses of one rigid body.

    Attributes:
        rotation: World axes from the body's, NaN where fewer than three markers are seen.
        translation: World position of the body's origin, metres.
        residual: Distance of each marker from its place, metres; NaN where unseen.
    """

    rotation: Float[Tensor, "t 3 3"]
    translation: Float[Tensor, "t 3"]
    residual: Float[Tensor, "t m"]


def kabsch(
    shape: Float[Tensor, "#t m 3"], points: Float[Tensor, "t m 3"], weight: Float[Tensor, "t m"]
) -> tuple[Float[Tensor, "t 3 3"], Float[Tensor, "t 3"]]:
    """Weighted least-squares rotation and translation from a shape to points, frame by frame.

    NaN where the points with weight are fewer than three or lie on a line.
    """
    w = weight.unsqueeze(-1)
    total = w.sum(1).clamp_min(1e-12)
    world = torch.where(w > 0.0, points, 0.0)
    from_mean, to_mean = (w * shape).sum(1) / total, (w * world).sum(1) / total
    source, target = shape - from_mean.unsqueeze(1), world - to_mean.unsqueeze(1)
    rotation = nearest_rotation((w * target).mT @ source)
    width = torch.linalg.eigvalsh((w * source).mT @ source / total.unsqueeze(-1))[:, 1]
    enough = ((weight > 0.0).sum(1) >= 3) & (width > FLAT**2)
    rotation = torch.where(enough[:, None, None], rotation, torch.nan)
    return rotation, to_mean - (rotation @ from_mean.unsqueeze(-1)).squeeze(-1)


def fit_bodies(
    shape: Float[Tensor, "m 3"], points: Float[Tensor, "t m 3"], scale: float = SCALE
) -> Bodies:
    """Pose of a rigid body in every frame, robust against single displaced markers.

    Args:
        shape: Markers in the body's frame, metres.
        points: World frame, metres; NaN where unseen.
        scale: Distance at which a marker has lost three quarters of its weight, metres.
    """
    seen = points.isfinite().all(-1)
    weight = seen.to(points.dtype)
    for step in range(ROUNDS):
        rotation, translation = kabsch(shape.unsqueeze(0), points, weight)
        residual = (shape @ rotation.mT + translation.unsqueeze(1) - points).norm(dim=-1)
        # Start wide, so that one far marker cannot push the good ones out.
        wide = torch.maximum(
            residual.nanmedian(dim=1, keepdim=True).values, torch.as_tensor(scale).double()
        )
        if step < ROUNDS - 1:
            weight = robust_weight(residual, wide if step < 2 else scale, "geman")
            weight = torch.where(seen, weight.clamp_min(1e-6), 0.0)
    return Bodies(rotation, translation, residual)


def body_shape(points: Float[Tensor, "t m 3"]) -> Float[Tensor, "m 3"]:
    """Shape of a rigid body from its markers over time, although some are hidden now and then.

    The median distances between markers give a first shape (multidimensional scaling), the frames
    themselves its handedness and the refined places (robust generalised Procrustes).

    Args:
        points: World frame, metres; NaN where unseen; every two markers are seen together sometime.
    Returns:
        Places in a frame of the body whose origin is the mean of the markers, metres.
    Raises:
        InputError: If the markers lie on a line or in one place.
    """
    distance = (points.unsqueeze(2) - points.unsqueeze(1)).norm(dim=-1).nanmedian(dim=0).values
    count = len(distance)
    centring = torch.eye(count, dtype=points.dtype) - 1.0 / count
    values, vectors = torch.linalg.eigh(-0.5 * centring @ distance.square() @ centring)
    shape = vectors[:, -3:] * values[-3:].clamp_min(0.0).sqrt()
    mirrored = shape * shape.new_tensor([1.0, 1.0, -1.0])
    costs = [float(fit_bodies(s, points).residual.nanmedian()) for s in (shape, mirrored)]
    shape = shape if costs[0] <= costs[1] else mirrored
    for _ in range(REFINEMENTS):
        found = fit_bodies(shape, points)
        if not bool(found.rotation.isfinite().any()):
            raise InputError(
                f"expected markers that stand apart, got {count} of one segment in one place or on "
                "a line; check their labels and unit"
            )
        arms = points - found.translation.unsqueeze(1)
        shape = (arms @ found.rotation).nanmedian(dim=0).values
        shape = shape - shape.mean(0)
    return shape
