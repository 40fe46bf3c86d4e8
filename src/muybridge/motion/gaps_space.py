"""Where a hidden marker must be, by the markers that are seen: rigid, low-rank and local models.

T frames, M markers, N donors (the markers that are seen), K principal components. World frame:
metres. Each model predicts one marker, the target, in ALL frames in which the donors are known; the
residual in the frames where the target is known too then says how good the prediction is.

- `rigid`: donors at constant distances from the target carry it as a rigid body.
- `low_rank`: the target's part of the principal components that explain the donors best.
- `local`: a frame that follows the donors, each weighted by how constant its distance to the target
  is, and a ridge regression of what moves in that frame. With rigid mates it is the rigid model;
  with articulated neighbours it learns how the target moves between them.

References:
    Gloersen & Federolf, Predicting missing marker trajectories in human motion data using marker
    intercorrelations, PLoS ONE 11(3), 2016 (low rank, weights by distance).
    Liu & McMillan, Estimation of missing markers in human motion capture, The Visual Computer
    22(9), 2006 (local linear models).
    Kabsch, A solution for the best rotation to relate two sets of vectors, Acta Cryst. A32, 1976.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.geometry.rotation import nearest_rotation

__all__ = ["Prediction", "follow", "local", "low_rank", "rigid", "spread"]

FLOOR = 0.003  # metres: distances that vary less are as good as rigid
RIGID = 0.010  # metres: distances that vary less belong to one rigid segment
EXPLAINED = 0.99  # of the variance, by the principal components
FOLDS = 5  # blocks of frames for cross-validation
RIDGES = 10.0 ** torch.arange(-7.0, 1.0, dtype=torch.float64)  # of the largest eigenvalue
REFINEMENTS = 3
SHAPE_FRAMES = 300  # on which the mean shape rests


class Prediction(NamedTuple):
    """One marker as its donors see it.

    Attributes:
        points: Predicted positions, world, metres; NaN where a donor is unknown.
        residual: Measured minus predicted where the marker is known, in the axes of `axes`; NaN
            elsewhere.
        held_out: The same, each block of frames predicted by a model that never saw it: as large
            as the error inside a gap would be.
        axes: Axes that follow the donors, as columns; residuals are bridged in them.
    """

    points: Float[Tensor, "t 3"]
    residual: Float[Tensor, "t 3"]
    held_out: Float[Tensor, "t 3"]
    axes: Float[Tensor, "t 3 3"]


def spread(
    target: Float[Tensor, "t 3"], donors: Float[Tensor, "t n 3"], known: Bool[Tensor, "t"]
) -> Float[Tensor, "n"]:
    """Standard deviation of each donor's distance from the target, metres."""
    distance = (donors[known] - target[known].unsqueeze(1)).norm(dim=-1)
    return distance.std(0, correction=0)


def follow(
    donors: Float[Tensor, "t n 3"], weight: Float[Tensor, "n"], known: Bool[Tensor, "t"]
) -> tuple[Float[Tensor, "t 3 3"], Float[Tensor, "t 3"]]:
    """Axes (columns) and origin that follow weighted points, by Kabsch onto their mean shape.

    Args:
        donors: Points, metres; frames that are not `known` give arbitrary results.
        weight: Weight of each point.
        known: Frames in which all points are known.
    """
    points = donors.nan_to_num(0.0)
    w = (weight / weight.sum()).unsqueeze(-1)
    centre = (w * points).sum(1)
    arms = points - centre.unsqueeze(1)
    frames = known.nonzero().squeeze(-1)
    some = frames[torch.linspace(0, len(frames) - 1, min(len(frames), SHAPE_FRAMES)).long()]
    shape = arms[frames[len(frames) // 2]]
    for _ in range(REFINEMENTS):
        shape = (arms[some] @ _turns(arms[some], w * shape)).mean(0)
    return _turns(arms, w * shape), centre


def _turns(arms: Float[Tensor, "t n 3"], shape: Float[Tensor, "n 3"]) -> Float[Tensor, "t 3 3"]:
    """Rotations that carry a weighted, centred shape onto centred points."""
    return nearest_rotation(arms.mT @ shape)


def rigid(
    target: Float[Tensor, "t 3"], donors: Float[Tensor, "t n 3"], tolerance: float = RIGID
) -> Prediction | None:
    """The target as part of a rigid body; None without three donors at constant distances.

    Args:
        target: The marker, NaN where unseen.
        donors: Other markers.
        tolerance: Donors whose distance varies less belong to the body, metres.
    """
    steady = donors.isfinite().all(-1).all(-1)
    known = steady & target.isfinite().all(-1)
    mates = spread(target, donors, known) < tolerance
    if int(mates.sum()) < 3:
        return None
    body = donors[:, mates]
    axes, centre = follow(body, torch.ones(body.shape[1], dtype=body.dtype), steady)
    own = _into(target - centre, axes)
    place = own[known].median(dim=0).values
    points = centre + axes @ place
    return _prediction(points, own - place, axes, steady, known)


def low_rank(
    target: Float[Tensor, "t 3"],
    donors: Float[Tensor, "t n 3"],
    explained: float = EXPLAINED,
    weighted: bool = True,
) -> Prediction:
    """The target's part of the principal components that explain the donors best.

    Positions are taken relative to the donors' mean, as the walk through the room is no pattern.

    Args:
        target: The marker, NaN where unseen.
        donors: Other markers.
        explained: Share of the variance that the components must explain.
        weighted: Give near donors more say, as Gloersen & Federolf do.
    """
    steady = donors.isfinite().all(-1).all(-1)
    known = steady & target.isfinite().all(-1)
    centre = donors.mean(1)
    scale = torch.ones(donors.shape[1], dtype=donors.dtype)
    if weighted:
        distance = (donors[known] - target[known].unsqueeze(1)).norm(dim=-1).mean(0)
        scale = torch.exp(-(distance / distance.mean()).square() / 2.0)
    rows = (scale.unsqueeze(-1) * (donors - centre.unsqueeze(1))).flatten(1)
    own = target - centre
    whole = torch.cat((rows, own), dim=1)[known]
    mean = whole.mean(0)
    _, s, vt = torch.linalg.svd(whole - mean, full_matrices=False)
    share = s.square().cumsum(0) / s.square().sum()
    count = min(int((share < explained).sum()) + 1, len(s))
    seen, hidden = vt[:count, :-3], vt[:count, -3:]
    ridge = 1e-9 * torch.eye(count, dtype=vt.dtype)
    coefficients = torch.linalg.solve(
        seen @ seen.mT + ridge, seen @ (rows - mean[:-3]).nan_to_num(0.0).mT
    )
    local_points = coefficients.mT @ hidden + mean[-3:]
    axes = torch.eye(3, dtype=donors.dtype).expand(len(target), 3, 3)
    return _prediction(centre + local_points, own - local_points, axes, steady, known)


def local(
    target: Float[Tensor, "t 3"],
    donors: Float[Tensor, "t n 3"],
    doubt: Float[Tensor, "n"] | None = None,
) -> Prediction:
    """The target in a frame that follows its neighbours, by ridge regression on their motion in it.

    The ridge is chosen by cross-validation over blocks of frames.

    Args:
        target: The marker, NaN where unseen.
        donors: Other markers.
        doubt: Standard deviation of donors that are themselves filled, metres.
    """
    steady = donors.isfinite().all(-1).all(-1)
    known = steady & target.isfinite().all(-1)
    variance = spread(target, donors, known).square() + FLOOR**2
    if doubt is not None:
        variance = variance + doubt.square()
    weight = variance.reciprocal()
    axes, centre = follow(donors, weight, steady)
    arms = (donors - centre.unsqueeze(1)) @ axes
    features = ((weight / weight.max()).sqrt().unsqueeze(-1) * arms).flatten(1)
    own = _into(target - centre, axes)
    x_mean, y_mean = features[known].mean(0), own[known].mean(0)
    slope, held_out = _ridge(features[known] - x_mean, own[known] - y_mean)
    place = y_mean + (features - x_mean) @ slope
    unseen = torch.full_like(target, torch.nan)
    unseen[known] = held_out
    points = centre + (axes @ place.unsqueeze(-1)).squeeze(-1)
    return _prediction(points, own - place, axes, steady, known)._replace(held_out=unseen)


def _ridge(x: Float[Tensor, "f d"], y: Float[Tensor, "f 3"]) -> tuple[Tensor, Tensor]:
    """Regression from features to places, and the residual of each block without its own frames."""
    gram, cross = x.mT @ x, x.mT @ y
    ridges = RIDGES * torch.linalg.eigvalsh(gram)[-1].clamp_min(1e-12)
    blocks = torch.arange(len(x)).tensor_split(min(FOLDS, len(x)))
    left_out = torch.empty(len(ridges), len(x), 3, dtype=x.dtype)
    for rows in blocks:
        values, vectors = torch.linalg.eigh(gram - x[rows].mT @ x[rows])
        part = vectors.mT @ (cross - x[rows].mT @ y[rows])
        shrunk = part / (values.clamp_min(0.0) + ridges[:, None]).unsqueeze(-1)
        left_out[:, rows] = y[rows] - (x[rows] @ vectors) @ shrunk
    # A constant offset within a block does not count: it is bridged between the ends of the gap.
    cost = sum(
        (left_out[:, rows] - left_out[:, rows].mean(1, keepdim=True)).square().sum((1, 2))
        for rows in blocks
    )
    best = int(torch.as_tensor(cost).argmin())
    eye = torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(gram + ridges[best] * eye, cross), left_out[best]


def _into(vectors: Float[Tensor, "t 3"], axes: Float[Tensor, "t 3 3"]) -> Float[Tensor, "t 3"]:
    """World vectors in the axes of each frame."""
    return (axes.mT @ vectors.unsqueeze(-1)).squeeze(-1)


def _prediction(
    points: Tensor, residual: Tensor, axes: Tensor, steady: Tensor, known: Tensor
) -> Prediction:
    """The same residual stands for both where a model is too small to fit noise."""
    residual = torch.where(known.unsqueeze(-1), residual, torch.nan)
    return Prediction(
        torch.where(steady.unsqueeze(-1), points, torch.nan), residual, residual, axes
    )
