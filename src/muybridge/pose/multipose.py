"""MoveNet MultiPose: up to six people, each with a box and 17 joints, in a whole image.

The same CenterNet as MoveNet Thunder with a slimmer backbone and two more heads for the box. The
six highest peaks of the centre map are people. A joint is the hottest cell inside the person's
box, weighted by a Gaussian around where its centre expects it.

Differences from the published TensorFlow graph: none in the arithmetic, including its constants
that are rounded to half precision and its scores, which look at all six people at once (`_scores`);
a batch may hold several images.

B batch, N = 6 people, J = 17 joints, h = H/4, w = W/4 cells.

References:
    Votel & Li, Next-Generation Pose Detection with MoveNet and TensorFlow.js, 2021.
    Zhou, Wang & Krähenbühl, Objects as Points, 2019.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

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

__all__ = ["PEOPLE", "MultiPose"]

PEOPLE = 6
WIDTHS = Widths(48, (24, 40, 48, 96, 144, 240, 480))  # width multiplier 1.5
PEAK_TOLERANCE = 1.0132789611816406e-06  # 1e-6 in half precision
SPREAD = 0.300048828125  # 0.3 in half precision: Gaussian's variance / shorter side, in cells
LEAST_SCORE = 0.126953125  # joints below it do not count in a person's score


class MultiPose(nn.Module):
    """Several-person pose network with 4.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = MobileNetPyramid(WIDTHS)
        self.centre = Head(1)
        self.box_size = Head(2)
        self.box_offset = Head(2)
        self.regression = Head(2 * JOINTS)
        self.heatmap = Head(JOINTS)
        self.offset = Head(2 * JOINTS)

    def forward(self, image: Float[Tensor, "b h w 3"]) -> Float[Tensor, "b 6 56"]:
        """Find people.

        Args:
            image: RGB, 0 to 255; sides are multiples of 32.
        Returns:
            For each of six people, best centre first: 17 times row, column and score; then the
            box's upper, left, lower and right edge; then the person's score. Rows and columns run
            from 0 at the upper left edge of the image to 1 at its lower right.
        """
        features = self.backbone(normalize_image(image))
        centre_score, cells = _peaks(self.centre(features).sigmoid())
        origin = row_column(cells, features.shape[-1])
        box = self._boxes(features, cells, origin)
        expected = gather_cells(self.regression(features), cells).unflatten(-1, (JOINTS, 2))
        expected = expected + origin.unsqueeze(2)
        heat = self.heatmap(features).sigmoid()
        weighted = _weigh(heat, expected, box)
        size = features.new_tensor(features.shape[-2:])
        found = weighted.flatten(3).argmax(dim=3)
        joints = joint_positions(self.offset(features), found) / size
        score = _scores(weighted, found)
        person = _person_score(centre_score, score)
        box = (box / size.repeat(2)).clamp(0.0, 1.0)
        pose = torch.cat((joints, score.unsqueeze(-1)), dim=-1).flatten(2)
        return torch.cat((pose, box, person.unsqueeze(-1)), dim=-1)

    def _boxes(
        self,
        features: Float[Tensor, "b 24 h w"],
        cells: Int[Tensor, "b 6"],
        origin: Float[Tensor, "b 6 2"],
    ) -> Float[Tensor, "b 6 4"]:
        """Upper, left, lower and right edge in cells, inside the grid."""
        half = gather_cells(self.box_size(features), cells).relu() * 0.5
        middle = origin + gather_cells(self.box_offset(features), cells)
        size = features.new_tensor(features.shape[-2:])
        edges = torch.cat((middle - half, middle + half), dim=-1)
        return torch.minimum(edges, size.repeat(2)).relu()


def _peaks(
    centre: Float[Tensor, "b 1 h w"],
) -> tuple[Float[Tensor, "b 6"], Int[Tensor, "b 6"]]:
    """Score and cell of the six highest local maxima of 5 x 5 cells."""
    highest = functional.max_pool2d(centre, 5, stride=1, padding=2)
    peaks = centre * ((centre - highest).abs() < PEAK_TOLERANCE)
    return torch.topk(peaks.flatten(1), PEOPLE, dim=1)


def _weigh(
    heat: Float[Tensor, "b 17 h w"],
    expected: Float[Tensor, "b 6 17 2"],
    box: Float[Tensor, "b 6 4"],
) -> Float[Tensor, "b 6 17 h w"]:
    """Heat times the Gaussian around the expected place, zero outside the box."""
    rows, columns = grid_rows_columns(heat)
    square = (rows - expected[..., 0, None, None]).square()
    square = square + (columns - expected[..., 1, None, None]).square()
    gaussian = (-square / (min(heat.shape[-2:]) * SPREAD)).exp()
    upper, left, lower, right = box[..., None, None].unbind(2)
    inside = (rows >= upper) & (rows < lower) & (columns >= left) & (columns < right)
    return heat.unsqueeze(1) * gaussian * inside.unsqueeze(2)


def _scores(
    weighted: Float[Tensor, "b 6 17 h w"], cells: Int[Tensor, "b 6 17"]
) -> Float[Tensor, "b 6 17"]:
    """Weighted heat of each joint at its cell: the most that any of the six people has there."""
    shared = weighted.amax(dim=1).flatten(2)
    return shared.gather(2, cells.transpose(1, 2)).transpose(1, 2)


def _person_score(
    centre: Float[Tensor, "b 6"], score: Float[Tensor, "b 6 17"]
) -> Float[Tensor, "b 6"]:
    """Centre's score times the mean of the joints that were found at all."""
    counts = score > LEAST_SCORE
    total = (score * counts).sum(-1)
    return centre * total / counts.sum(-1).clamp(min=1)
