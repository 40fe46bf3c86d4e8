"""MoveNet Thunder: the 17 joints of one person in a square crop.

A CenterNet: each cell of a 64 x 64 grid says how likely a person's centre lies in it, and where,
seen from there, the joints would be. The best centre is taken, weighted towards the middle of the
crop; each joint's heat is then weighted by the distance to where that centre expects it, the best
cell is taken, and a learned offset moves it off the grid.

Differences from the published TensorFlow graph: none in the arithmetic, including its two constants
that are rounded to half precision; a batch may hold several crops.

B batch, J = 17 joints, h = w = 64 cells.

References:
    Votel & Li, Next-Generation Pose Detection with MoveNet and TensorFlow.js, 2021.
    Zhou, Wang & Krähenbühl, Objects as Points, 2019.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from muybridge.pose.head import (
    JOINTS,
    Head,
    gather_cells,
    grid_rows_columns,
    joint_positions,
    normalize_image,
    row_column,
)
from muybridge.pose.mobilenet import MobileNetPyramid, Widths

__all__ = ["CROP_SIDE", "MoveNet"]

CROP_SIDE = 256  # pixels
GRID_SIDE = CROP_SIDE // 4  # cells
WIDTHS = Widths(56, (32, 40, 56, 112, 168, 280, 560))  # width multiplier 1.75
SOFTENING = 1.7998046875  # 1.8 in half precision: cells added to a distance before dividing by it


class MoveNet(nn.Module):
    """Single-person pose network with 6.2 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MobileNetPyramid(WIDTHS)
        self.centre = Head(1)
        self.regression = Head(2 * JOINTS)
        self.heatmap = Head(JOINTS)
        self.offset = Head(2 * JOINTS)
        # 1 / (distance to the middle in cells + 1.8), rounded to half precision by its publisher
        self.centre_weight: Tensor
        self.register_buffer("centre_weight", torch.ones(GRID_SIDE, GRID_SIDE))

    def forward(self, image: Float[Tensor, "b 256 256 3"]) -> Float[Tensor, "b 17 3"]:
        """Find the person nearest the middle of each crop.

        Args:
            image: RGB, 0 to 255.
        Returns:
            Row and column, each from 0 at the crop's upper left edge to 1 at its lower right, and
            confidence in [0, 1], of COCO's joints in their order.
        """
        features = self.backbone(normalize_image(image))
        heat = self.heatmap(features).sigmoid()
        expected = self._expect(self.centre(features).sigmoid(), self.regression(features))
        cells = _nearest_peaks(heat, expected)
        position = joint_positions(self.offset(features), cells.unsqueeze(1))[:, 0] / GRID_SIDE
        score = heat.flatten(2).gather(2, cells.unsqueeze(-1))
        return torch.cat((position, score), dim=-1)

    def _expect(
        self, centre: Float[Tensor, "b 1 h w"], regression: Float[Tensor, "b k h w"]
    ) -> Float[Tensor, "b 17 2"]:
        """Where the best centre expects the joints: row and column in cells."""
        best = (centre * self.centre_weight).flatten(1).argmax(dim=1, keepdim=True)
        seen_from = gather_cells(regression, best).reshape(-1, JOINTS, 2)
        origin = row_column(best, centre.shape[-1]).expand(-1, JOINTS, -1)
        return origin + seen_from


def _nearest_peaks(
    heat: Float[Tensor, "b 17 h w"], expected: Float[Tensor, "b 17 2"]
) -> Int[Tensor, "b 17"]:
    """Cell of each joint with the most heat per distance to the expected place."""
    rows, columns = grid_rows_columns(heat)
    square = (rows - expected[..., 0, None, None]).square()
    square = square + (columns - expected[..., 1, None, None]).square()
    return (heat / (square.sqrt() + SOFTENING)).flatten(2).argmax(dim=2)
