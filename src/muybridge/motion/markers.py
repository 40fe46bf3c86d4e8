"""Named 3-D points over time: optical markers or triangulated joints.

T frames, M markers. World frame: metres, Y up. NaN where a point was not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["Markers"]


@dataclass(frozen=True)
class Markers:
    """Trajectories of M named points.

    Attributes:
        names: Unique marker or joint names.
        points_world: Positions, metres; NaN where unseen.
        fps: Frames a second.
        covariance: Covariance of each point, square metres; NaN where unseen.
        views: How many cameras agreed on each point.
    """

    names: tuple[str, ...]
    points_world: Float[Tensor, "t m 3"]
    fps: float
    covariance: Float[Tensor, "t m 3 3"] | None = None
    views: Float[Tensor, "t m"] | None = None

    def __post_init__(self) -> None:
        if len(self.names) != self.points_world.shape[1]:
            raise InputError(
                f"expected a name for each of {self.points_world.shape[1]} markers, got "
                f"{len(self.names)}; name them all"
            )

    def __len__(self) -> int:
        return len(self.points_world)

    @property
    def seen(self) -> Bool[Tensor, "t m"]:
        """True where the point is known."""
        return self.points_world.isfinite().all(-1)

    @property
    def position_std(self) -> Float[Tensor, "t m"] | None:
        """Root of the mean variance over the three axes, metres; None without covariance."""
        if self.covariance is None:
            return None
        return (self.covariance.diagonal(dim1=-2, dim2=-1).sum(-1) / 3.0).sqrt()

    def select(self, names: tuple[str, ...]) -> Markers:
        """These markers in this order."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise InputError(
                f"expected the markers {', '.join(names)}, got none called {', '.join(missing)}; "
                f"there are {', '.join(self.names)}"
            )
        index = torch.tensor([self.names.index(name) for name in names])
        return replace(
            self,
            names=names,
            points_world=self.points_world[:, index],
            covariance=None if self.covariance is None else self.covariance[:, index],
            views=None if self.views is None else self.views[:, index],
        )
