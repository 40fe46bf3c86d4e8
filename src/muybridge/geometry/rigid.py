"""Rigid transforms as a pair (rotation, translation): x_b = R x_a + t."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["Rigid", "Similarity", "align"]


class Rigid(NamedTuple):
    """x_b = R x_a + t; a variable holding one is named `b_from_a`."""

    rotation: Float[Tensor, "*b 3 3"]
    translation: Float[Tensor, "*b 3"]

    def apply(self, points: Float[Tensor, "*b n 3"]) -> Float[Tensor, "*b n 3"]:
        """Map points of frame a into frame b, metres."""
        return points @ self.rotation.mT + self.translation.unsqueeze(-2)

    def inverse(self) -> Rigid:
        """The transform a_from_b."""
        inverse = self.rotation.mT
        return Rigid(inverse, -(inverse @ self.translation.unsqueeze(-1)).squeeze(-1))

    def compose(self, other: Rigid) -> Rigid:
        """c_from_b.compose(b_from_a) is c_from_a."""
        moved = (self.rotation @ other.translation.unsqueeze(-1)).squeeze(-1)
        return Rigid(self.rotation @ other.rotation, moved + self.translation)


class Similarity(NamedTuple):
    """x_b = s R x_a + t."""

    scale: Float[Tensor, ""]
    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]

    def apply(self, points: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b 3"]:
        """Map points of frame a into frame b."""
        return self.scale * points @ self.rotation.mT + self.translation


def align(
    source: Float[Tensor, "n 3"],
    target: Float[Tensor, "n 3"],
    weight: Bool[Tensor, "n"] | Float[Tensor, "n"] | None = None,
    with_scale: bool = False,
) -> Similarity:
    """Least-squares similarity (or rigid) transform that takes `source` onto `target`.

    Args:
        source: Points of frame a.
        target: The same points in frame b.
        weight: Weight per point; 0 drops it. All ones when absent.
        with_scale: Estimate the scale too; otherwise it is 1.
    References:
        Umeyama, Least-squares estimation of transformation parameters between two point patterns,
        IEEE TPAMI 13(4), 1991.
    """
    w = torch.ones_like(source[:, 0]) if weight is None else weight.to(source.dtype)
    w = (w / w.sum()).unsqueeze(-1)
    source_mean, target_mean = (w * source).sum(0), (w * target).sum(0)
    source_centred, target_centred = source - source_mean, target - target_mean
    u, s, vt = torch.linalg.svd((w * target_centred).mT @ source_centred)
    sign = torch.ones_like(s)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = u @ torch.diag(sign) @ vt
    variance = (w * source_centred.square()).sum()
    scale = (s * sign).sum() / variance if with_scale else torch.ones_like(variance)
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)
